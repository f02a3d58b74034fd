"""Lets builds of a workspace die, or fail, at one call of the operating system after the other; tells what came of it.

A program, because it forks: ``dying_builds.py DIRECTORY SEED KILLS ERRORS`` prints one JSON object for each build that
was to be struck. ``DIRECTORY`` is empty. Each build has another content to make than the one before; the next one comes
upon what it left, and has to make exactly what belongs there.
"""

from __future__ import annotations

import errno
import importlib
import itertools
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1] / "src"), str(HERE.parents[1])]

from bldr.cli.main import main as run  # noqa: E402
from bldr.store import toolchains  # noqa: E402
from tests.processes import descendants, ends, until  # noqa: E402

CALLS = ("replace", "rename", "link", "unlink", "rmdir", "mkdir", "write", "open", "truncate", "fsync")
ERRNOS = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS)
SOURCES = 4
WORDS = 700  # lines of a source, so that half of a product would not look like all of it


class Workspace:
    """Sources, and the products that targets make of them: files, two files at once, a folder, and what uses these."""

    def __init__(self, root: Path, chance: random.Random) -> None:
        self.root = root
        self.chance = chance
        self.values = dict.fromkeys([f"s{number}" for number in range(SOURCES)], "a")
        self.word = "w"
        root.mkdir()
        self.write()

    def edit(self) -> None:
        """Change something, often back to what it was before."""
        before = (dict(self.values), self.word)
        while (self.values, self.word) == before:
            for name in self.chance.sample(sorted(self.values), 2):
                self.values[name] = self.chance.choice("abc")
            self.word = self.chance.choice("vw")
        self.write()

    def write(self) -> None:
        for name, value in self.values.items():
            text = self._source(name)
            path = self.root / name
            if not path.exists() or path.read_text("ascii") != text:
                path.write_text(text, "ascii")
            assert value in "abc"
        targets = [self._target("t0", ("s0", "s1")), self._target("t1", ("s2",)), self._target("t2", ("s3", "t0"))]
        targets += [self._target("t3", ("t1", "t2")), self._target("t4", ("s0", "t3")), self._target("t5", ("s1",))]
        targets.append(
            'target("pair") { type: custom; sources: ["s1", "s2"]; command: "cat s1 > out/p1; cat s2 > out/p2";'
            ' output: ["out/p1", "out/p2"]; }\n'
        )
        targets.append(
            'target("tree") { type: custom; sources: ["s0", "s3"]; deps: [":t5"];'
            ' command: "mkdir tree/d; cat s0 > tree/d/a; cat s3 out/t5 > tree/b; ln -s d/a tree/l"; output: "tree/"; }\n'
        )
        targets.append(
            'target("all") { type: custom; deps: [":tree", ":pair", ":t4"];'
            ' command: "cat tree/l tree/b out/p1 out/p2 out/t4 > out/all"; output: "out/all"; }\n'
        )
        (self.root / "Builderfile").write_text("".join(targets), "ascii")

    def _source(self, name: str) -> str:
        return f"{name} {self.values[name]}\n" * WORDS

    def _target(self, name: str, needs: tuple[str, ...]) -> str:
        files = [f"out/{need}" if need.startswith("t") else need for need in needs]
        deps = ", ".join(f'":{need}"' for need in needs if need.startswith("t"))
        sources = ", ".join(f'"{need}"' for need in needs if need.startswith("s"))
        command = f"(echo {self.word}; cat {' '.join(files)}) > out/{name}"
        return (
            f'target("{name}") {{ type: custom; sources: [{sources}]; deps: [{deps}]; command: "{command}";'
            f' output: "out/{name}"; }}\n'
        )

    def expected(self) -> dict[str, str]:
        """Return what each product has to hold."""
        source = {name: self._source(name) for name in self.values}
        word = f"{self.word}\n"
        found = {"out/t0": word + source["s0"] + source["s1"], "out/t1": word + source["s2"]}
        found["out/t2"] = word + source["s3"] + found["out/t0"]
        found["out/t3"] = word + found["out/t1"] + found["out/t2"]
        found["out/t4"] = word + source["s0"] + found["out/t3"]
        found["out/t5"] = word + source["s1"]
        found |= {"out/p1": source["s1"], "out/p2": source["s2"], "tree/d/a": source["s0"], "tree/l": source["s0"]}
        found["tree/b"] = source["s3"] + found["out/t5"]
        parts = ("tree/l", "tree/b", "out/p1", "out/p2", "out/t4")
        found["out/all"] = "".join(found[part] for part in parts)
        return found

    def products(self) -> dict[str, str]:
        """Return what is there."""
        found = {}
        for folder in ("out", "tree"):
            for path in sorted((self.root / folder).rglob("*")):
                if not path.is_dir():
                    found[path.relative_to(self.root).as_posix()] = path.read_text("ascii", "replace")
        return found


class Fault:
    """Counts calls of functions of ``os``, of which one kills this process or fails.

    Args:
        name: The function.
        which: Which of its calls; 0 for none.
        how: The errno that it fails with; 0 to be killed before it, -1 after it.
    """

    def __init__(self, name: str = "", which: int = 0, how: int = 0) -> None:
        self.name, self.which, self.how = name, which, how
        self.counts = dict.fromkeys(CALLS, 0)

    def set(self, tell: Callable[[], object]) -> None:
        """Begin, in this process."""
        for name in CALLS:
            setattr(os, name, self._wrapped(name, getattr(os, name), tell))

    def _wrapped(self, name: str, call: Callable[..., Any], tell: Callable[[], object]) -> Callable[..., Any]:
        numbers = itertools.count(1)  # threads share it

        def wrapper(*arguments: Any, **options: Any) -> Any:
            self.counts[name] = number = next(numbers)
            if name != self.name or number != self.which:
                return call(*arguments, **options)
            tell()
            if self.how > 0:
                raise OSError(self.how, os.strerror(self.how), *[one for one in arguments[:1] if isinstance(one, str)])
            if self.how < 0:
                call(*arguments, **options)
            os.kill(os.getpid(), signal.SIGKILL)
            raise AssertionError

        return wrapper


class Theatre:
    """A workspace, its cache, and the forks that build in it."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.chance = random.Random(seed)  # repeatable
        self.cache = directory / "cache"
        self.scratch = directory / "scratch"
        self.scratch.mkdir()
        os.environ["TMPDIR"] = str(self.scratch)
        self.workspace = Workspace(directory / "ws", self.chance)
        self.said = directory / "said"
        self.told = directory / "told"
        self.struck = directory / "struck"
        for _ in range(2):
            self.workspace.edit()
            began = time.monotonic()
            first = self.attempt(Fault())
            self.usual = time.monotonic() - began
        self.counts = first["counts"]

    def attempt(self, fault: Fault, *, kill_after: float | None = None) -> dict[str, Any]:
        """Build in a process of its own; returns how it ended."""
        self.said.write_text("{}", "ascii")
        child = os.fork()  # noqa: TID251  # this process has one thread
        if not child:
            self._perform(fault)
        if kill_after is not None:
            fd = os.pidfd_open(child)
            if not ends(fd, kill_after):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
            os.close(fd)
        _, status = os.waitpid(child, 0)
        return {"status": os.waitstatus_to_exitcode(status), **json.loads(self.said.read_text("ascii"))}

    def _perform(self, fault: Fault) -> None:
        """Build, write down what came of it, and end."""
        code, error = 70, ""
        with open(self.told, "wb") as file:
            os.dup2(file.fileno(), 2)
        os.chdir(self.workspace.root)
        fault.set(self.struck.touch)
        try:
            code = run(["build", "-j2", f"--cache-dir={self.cache}"])
        except BaseException as caught:  # noqa: BLE001  # whatever it is, it is the finding
            error = f"{type(caught).__name__}: {caught}"
        fault.which = 0
        said = {"error": error, "told": self.told.read_text("utf-8").splitlines(), "counts": fault.counts}
        whole = self.said.with_suffix(".part")  # a kill that comes now must find all that it says, or nothing
        whole.write_text(json.dumps(said), "ascii")
        whole.rename(self.said)
        os._exit(code)

    def play(self, name: str, fault: Fault, *, kill_after: float | None = None) -> None:
        """Strike one build, look at what it left, build once more, and look again."""
        before = self.workspace.expected()
        self.workspace.edit()
        after = self.workspace.expected()
        self.struck.unlink(missing_ok=True)
        first = self.attempt(fault, kill_after=kill_after)
        left = self.workspace.products()
        calm = until(lambda: not descendants(os.getpid()))
        again = self.attempt(Fault())
        found = self.workspace.products()
        record = {
            "fault": name,
            "struck": self.struck.exists() or first["status"] == -signal.SIGKILL,
            "first": {key: text for key, text in first.items() if key != "counts"},
            "halves": [path for path, text in left.items() if text not in (before.get(path), after.get(path))],
            "lost": sorted(set(before) - set(left)),
            "calm": calm,
            "again": {key: text for key, text in again.items() if key != "counts"},
            "wrong": sorted(path for path in {*found, *after} if found.get(path) != after.get(path)),
            "staging": os.listdir(self.workspace.root / ".builder" / "staging"),
            "state": sorted(os.listdir(self.workspace.root / ".builder")),
            "scratch": [] if until(lambda: not os.listdir(self.scratch)) else os.listdir(self.scratch),
        }
        print(json.dumps(record), flush=True)

    def any_fault(self, *hows: int) -> Fault:
        name = self.chance.choice([call for call in CALLS if self.counts[call]])
        return Fault(name, self.chance.randint(1, self.counts[name]), self.chance.choice(hows))


def main(directory: str, seed: int, kills: int, errors: int) -> None:
    # Half of the time of such a build is spent on finding out that the toolchain is the same as before.
    toolchains.identity_of = lambda *_arguments: "the same"
    importlib.import_module("bldr.cli.build")  # once, and not in each fork
    theatre = Theatre(Path(directory), seed)
    for number in range(kills):
        if number % 3:
            fault = theatre.any_fault(0, -1)
            theatre.play(f"killed {'after' if fault.how else 'before'} {fault.name} {fault.which}", fault)
        else:
            moment = theatre.chance.uniform(0, theatre.usual)
            theatre.play(f"killed after {moment:.3f} s", Fault(), kill_after=moment)
    for _ in range(errors):
        fault = theatre.any_fault(*ERRNOS)
        theatre.play(f"{errno.errorcode[fault.how]} of {fault.name} {fault.which}", fault)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
