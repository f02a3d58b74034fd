"""Plays one scene as whoever runs this program, and prints what happened as JSON: ``python -m tests.escape.stage``.

A scene sets up a *host*: trees of files, processes, listeners. It then runs the attempts of one of the ``programs``
outside, as the control, and inside a sandbox, each on a tree of its own, and looks at what is left. Nothing is judged
here; the tests do that.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

from bldr import HermeticExecutor, PathSet, SandboxSpecBuilder
from bldr.sandbox.select import lower_backend_for

__all__ = [
    "PROGRAMS",
    "PYTHON",
    "Tree",
    "builder",
    "environment",
    "executor_of",
    "is_host_root",
    "outside",
    "tried",
    "try_both",
]

PYTHON = "/usr/bin/python3"
CODE = os.path.abspath(os.path.join(os.path.dirname(__file__), os.pardir, os.pardir))
LANDLOCK = os.environ.get("BLDR_TEST_RUNG") == "landlock"  # without namespaces, so each file is at its own place
PROGRAMS = f"{CODE}/tests/escape/programs" if LANDLOCK else "/attempts/tests/escape/programs"  # inside
RUN = "tests/escape/programs/run.py"
BOUND = 100  # seconds for everything that is waited for

FILES = (
    "appended", "by-link", "flags", "hard", "mode", "moved", "opened", "owner", "passwd", "password", "removed", "renamed",
    "reopened", "replaced", "times", "truncated", "truncated-on-open", "xattr",
)  # fmt: skip


class Tree:
    """What attempts on files are made on: an input, an output, and things that nobody declared."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.source, self.out, self.undeclared = f"{path}/source", f"{path}/out", f"{path}/undeclared"
        for directory in (
            path, self.source, f"{self.source}/sub", f"{self.source}/empty", f"{self.source}/private", self.out,
            self.undeclared,
        ):  # fmt: skip
            os.mkdir(directory)
        for name in FILES:
            self._write(f"{self.source}/{name}")
        self._write(f"{self.source}/private/key")
        self._write(f"{self.undeclared}/secret", "secret\n")
        self._write(f"{self.source}/mode-0600", "private\n")
        os.chmod(f"{self.source}/mode-0600", 0o600)
        os.symlink("../undeclared/secret", f"{self.source}/link-to-secret")
        os.symlink("../undeclared", f"{self.out}/way-out")

    @staticmethod
    def _write(path: str, text: str = "as it was\n") -> None:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def snapshot(self, below: str) -> dict[str, str]:
        """Return what can be changed of each entry below a directory of the tree."""
        found = {}
        for directory, names, files in os.walk(f"{self.path}/{below}"):
            for name in (*names, *files):
                path = os.path.join(directory, name)
                status = os.lstat(path)
                content = ""
                if os.path.isfile(path) and not os.path.islink(path):
                    with open(path, encoding="utf-8") as file:
                        content = file.read()
                found[os.path.relpath(path, self.path)] = (
                    f"{status.st_mode:o} {status.st_uid}:{status.st_gid} {status.st_mtime_ns} {content!r}"
                )
        return found

    def places(self, **more: object) -> dict[str, object]:
        return {
            "inside": False,
            "above": os.path.dirname(self.path),
            "world": self.path,
            "source": self.source,
            "out": self.out,
            "undeclared": self.undeclared,
            "temp": f"{self.path}/temp",
            "unique": f"bldr-test.{os.getpid()}",
        } | more


def builder() -> SandboxSpecBuilder:
    """A spec that can run the attempts, to which scenes add what they are about."""
    made = (
        SandboxSpecBuilder.create()
        .with_toolchain("system")
        .input(*((CODE,) if LANDLOCK else (f"{CODE}/tests/escape/programs", PROGRAMS)))
        .default_temp("/tmp")
        .env("PATH", "/usr/bin:/bin")
    )
    return made.env("TMPDIR", "/tmp") if LANDLOCK else made.hostname("inside")


def executor_of(spec: SandboxSpecBuilder) -> HermeticExecutor:
    """The executor that the scene is about."""
    return HermeticExecutor(lower_backend_for(spec.build())) if LANDLOCK else HermeticExecutor.create(spec.build())


def with_tree(tree: Tree) -> SandboxSpecBuilder:
    shown = PathSet.subtree(tree.source)
    for hole in ("private", "password"):
        shown -= PathSet.subtree(f"{tree.source}/{hole}")
    return builder().input(shown).output(tree.out)


def environment() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}


def is_host_root() -> bool:
    with open("/proc/self/uid_map", encoding="ascii") as file:
        return os.geteuid() == 0 and file.read().split()[-1] == "4294967295" and not os.environ.get("NESTED")


def outside(program: str, kind: str, places: dict[str, object]) -> dict[str, dict[str, object]]:
    """Run the attempts of one kind without a sandbox."""
    argv = [PYTHON, f"{CODE}/{RUN}", program, kind, json.dumps(places)]
    if kind == "namespaces":
        argv = ["unshare", *["-U", "-r", "-m", "-n", "-i", "-u", "-p", "--fork", "--kill-child", "--mount-proc"], *argv]
    done = subprocess.run(
        argv, check=True, stdout=subprocess.PIPE, timeout=BOUND, close_fds=False, env=environment(), cwd=CODE
    )
    answer: dict[str, dict[str, object]] = json.loads(done.stdout)
    return answer


def controls(program: str, places: dict[str, object]) -> dict[str, dict[str, object]]:
    kinds = ["plain", "namespaces", *(["host-root"] if is_host_root() else [])]
    os.makedirs(str(places["temp"]), exist_ok=True)
    return {name: outcome for kind in kinds for name, outcome in outside(program, kind, places).items()}


def tried(executor: HermeticExecutor, program: str, places: dict[str, object], **options: object) -> dict[str, object]:
    """Run all attempts of a program inside, and return the outcomes, with what bldr says about the execution."""
    words = json.dumps(places | {"inside": True, "temp": "/tmp"})
    result = executor.execute(["python3", f"{PROGRAMS}/run.py", program, "inside", words], timeout=BOUND, **options)  # type: ignore[arg-type]
    if result.exit_code:
        raise RuntimeError(result.stderr.decode(errors="replace"))
    return {"inside": json.loads(result.stdout), "hermetic": result.hermetic, "files": list(result.output_files)}


def try_both(
    program: str, spec: SandboxSpecBuilder, control: dict[str, object], attempt: dict[str, object]
) -> dict[str, object]:
    answer = {"outside": controls(program, control)}
    return answer | tried(executor_of(spec), program, attempt)


def fresh(world: str) -> str:
    shutil.rmtree(world, ignore_errors=True)
    os.mkdir(world)
    return world


def main() -> None:
    """Play a scene: its module is ``scene_NAME`` and its function ``play``."""
    import importlib

    _, scene, world = sys.argv
    module = importlib.import_module(f"tests.escape.scene_{scene}")
    json.dump(module.play(fresh(world)), sys.stdout)


if __name__ == "__main__":
    main()
