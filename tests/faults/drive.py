"""Lets each interaction of the launcher fail once, and writes down what the caller saw and what was left.

A program, so that root and a user without rights can play it: ``drive.py DIRECTORY`` prints one JSON object a line.
``DIRECTORY`` is empty, belongs to the caller, and may be written to.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1] / "src"), str(HERE.parents[1])]

from bldr import HermeticExecutor, SandboxSpec, SandboxSpecBuilder  # noqa: E402
from bldr.errors import BldrError  # noqa: E402
from bldr.model.limits import ResourceLimits  # noqa: E402
from bldr.model.paths import PathSet  # noqa: E402
from bldr.sandbox.linux.launcher import Launcher  # noqa: E402
from tests.faults import faulty_launcher  # noqa: E402
from tests.processes import (  # noqa: E402
    are_at_rest,
    children,
    descendants,
    descriptors,
    equipped,
    specification,
    temps_in_use,
    until,
)

ERRNOS = (errno.EPERM, errno.ENOSPC, errno.EMFILE, errno.ENOMEM)
MOST = 25  # calls of a kind that are made to fail, one after the other
AT_START = (
    *(f"kernel:{name}" for name in ("clone3", "unshare", "mount", "prctl", "install_filter", "personality")),
    "kernel:join_new_session_keyring",
    "function:scratch.create_base",
    "function:root.map_identity",
    "function:channel.pair",
    "function:scratch.remove_leftovers",
)

AHEAD = (
    *(f"kernel:{name}" for name in ("open_tree", "mount_setattr", "move_mount", "fsopen", "clone3", "install_filter")),
    *(f"step:{name}" for name in ("bind", "temp", "seal", "landlock", "drop", "seccomp", "canary")),
    "function:channel.send",
    "function:scratch.remove_tree",
)


class Stage:
    """A launcher, a spec with a step of every kind, and the fault that is set."""

    def __init__(self, directory: Path) -> None:
        self.fault = directory / "fault"
        self.fault.write_bytes(bytes(faulty_launcher.FAULT_SIZE + 1))
        self._serial = 0
        self.parent = directory / "scratch"
        self.parent.mkdir()
        self.spec = every_step(directory)

    def launcher(self) -> Launcher:
        entry = [str(HERE / "faulty_launcher.py"), str(self.fault)]
        return Launcher(entry=entry, scratch_parent=str(self.parent), ready=0)

    def set(self, fault: str) -> None:
        self._serial += 1
        text = f"{fault}:{self._serial}".encode() if fault else b""
        assert len(text) <= faulty_launcher.FAULT_SIZE
        with open(self.fault, "r+b") as file:  # in place: others have it in their memory
            file.write(text.ljust(faulty_launcher.FAULT_SIZE + 1, b"\0"))

    def has_struck(self) -> bool:
        return self.fault.read_bytes()[faulty_launcher.FAULT_SIZE] == 1


def every_step(directory: Path) -> SandboxSpec:
    """Bind, graft, skeleton, hole, mapped input, output, temps, links, limits."""
    tree, output = directory / "tree", directory / "output"
    (tree / "hidden").mkdir(parents=True)
    (tree / "file").write_text("content")
    (tree / "hidden-file").write_text("content")
    (tree / "link").symlink_to("file")
    (directory / "other").mkdir()
    output.mkdir()
    shown = PathSet.subtree(str(tree)) - PathSet.of([str(tree / "hidden"), str(tree / "hidden-file")])
    return (
        specification()
        .input(shown)
        .input(directory / "other", tree / "missing" / "here")
        .output(output)
        .temp("/scratch")
        .with_limits(ResourceLimits(file_size="1G"))
        .build()
    )


def attempt(executor: HermeticExecutor) -> dict[str, object]:
    try:
        result = executor.execute(["sh", "-c", "echo ran"])
    except BldrError as error:
        return {
            "error": type(error).__name__,
            "code": error.code,
            "message": error.message,
            "errno": getattr(error, "errno", None),
            "step": getattr(error, "step", None),
        }
    except Exception as error:  # noqa: BLE001  whatever it is, it is the finding
        return {"error": type(error).__name__, "code": "", "message": str(error)}
    return {"error": "", "stdout": result.stdout.decode(), "notes": list(result.receipt.notes)}


def left(launcher: Launcher, before: int) -> dict[str, object]:
    """What is still there: descriptors more than before, processes, scratch directories."""
    until(lambda: descendants(os.getpid()) <= {launcher.pid}, bound=30)
    return {
        "descriptors": descriptors() - before,
        "processes": len(descendants(os.getpid()) - {launcher.pid}),
        "scratch": temps_in_use(launcher.base) if os.path.isdir(launcher.base) else [],
        "launcher_descriptors": descriptors(launcher.pid) if launcher.pid else 0,
    }


def say(record: dict[str, object]) -> None:
    print(json.dumps(record), flush=True)


def faults_of_a_sandbox(stage: Stage) -> None:
    """One launcher lives through all of them."""
    launcher = stage.launcher()
    executor = HermeticExecutor.create(stage.spec, launcher=launcher)
    assert attempt(executor)["error"] == ""
    left(launcher, 0)
    before = descriptors()
    kinds = [f"kernel:{name}" for name in faulty_launcher.KERNEL]
    kinds += sorted({f"step:{fields[0].decode()}" for step in executor.plan().steps if (fields := step.encode())})
    kinds += [f"function:{module}.{name}" for module, (_, names) in faulty_launcher.FUNCTIONS.items() for name in names]
    for kind in kinds:
        for number, code in enumerate(ERRNOS):
            for which in range(1, MOST):
                if number and which > 1 and not kind.startswith("step:"):
                    break  # the place is tried with one errno, the errno at one place
                if number and which > 2:
                    break
                fault = f"{kind}:{which}:{code}"
                stage.set(fault)
                outcome = attempt(executor)
                struck = stage.has_struck()
                stage.set("")
                if not struck:
                    break
                say({"fault": fault, **outcome, "left": left(launcher, before), "again": attempt(executor)})
    say({"fault": "", **attempt(executor), "left": left(launcher, before)})
    launcher.stop()


def faults_of_the_start(stage: Stage) -> None:
    """A launcher that fails before it is ready has to be replaced by the next attempt."""
    for kind in AT_START:
        for which in (1, 2):
            fault = f"{kind}:{which}:{ERRNOS[which]}"
            before = descriptors()
            launcher = stage.launcher()
            executor = HermeticExecutor.create(stage.spec, launcher=launcher)
            stage.set(fault)
            outcome = attempt(executor)
            struck = stage.has_struck()
            stage.set("")
            again = attempt(executor)
            launcher.stop()
            say({
                "fault": f"start {fault}",
                "struck": struck,
                **outcome,
                "again": again,
                "left": {
                    "descriptors": descriptors() - before,
                    "processes": len(descendants(os.getpid())),
                    "scratch": sorted(os.listdir(stage.parent)),
                },
            })  # fmt: skip


def faults_of_what_is_made_ahead(stage: Stage) -> None:
    """A plan that is executed ahead, while nobody waits for it."""
    launcher = Launcher(
        entry=[str(HERE / "faulty_launcher.py"), str(stage.fault)], scratch_parent=str(stage.parent), ready=2
    )
    executor = HermeticExecutor.create(without_covers(), launcher=launcher)
    other = HermeticExecutor.create(stage.spec, launcher=launcher)
    for kind in AHEAD:
        for which in range(1, MOST):
            code = ERRNOS[which % len(ERRNOS)]
            attempt(other)  # a plan that could not be executed ahead is tried again when it is asked for anew
            waiting = ask_until_one_waits(executor, launcher)
            before = descriptors()
            stage.set(f"{kind}:{which}:{code}")
            outcome = attempt(executor)  # takes what was made ahead, or makes its own; then the next one is made ahead
            until(lambda waiting=waiting: stage.has_struck() or bool(equipped(launcher.pid) - waiting), bound=2)  # type: ignore[misc]
            struck = stage.has_struck()
            stage.set("")
            again = [attempt(executor) for _ in range(3)]  # an init that failed before may be among those that waited
            calm = until(lambda: len(descendants(os.getpid())) <= 3, bound=10) and descriptors() <= before
            in_use = temps_in_use(launcher.base)
            fault = f"ahead {kind}:{which}:{code}"
            say({"fault": fault, "struck": struck, **outcome, "again": again[-1], "calm": calm, "scratch": in_use})
            if not struck:
                break
    launcher.stop()
    say({"fault": "", "struck": True, "error": "", "scratch": sorted(os.listdir(stage.parent))})


def ask_until_one_waits(executor: HermeticExecutor, launcher: Launcher) -> set[int]:
    """Return the inits that are equipped and wait for a request.

    Nothing is equipped for what is asked for once. The init of a run looks like one that waits while it ends.
    """
    for _ in range(2):
        attempt(executor)
    until(lambda: are_at_rest({launcher.pid, *children(launcher.pid)}) and bool(equipped(launcher.pid)), bound=2)
    return equipped(launcher.pid)


def without_covers() -> SandboxSpec:
    """Nothing is mounted on a file of the host, so that it can be executed ahead."""
    builder = SandboxSpecBuilder.create().env("PATH", "/usr/bin:/bin").temp("/tmp")
    for path in ("/usr", "/bin", "/lib", "/lib64"):
        if os.path.exists(path):
            builder.input(path)
    return builder.build()


if __name__ == "__main__":
    theatre = Stage(Path(sys.argv[1]))
    if sys.argv[2:] == ["ahead"]:
        faults_of_what_is_made_ahead(theatre)
    else:
        faults_of_a_sandbox(theatre)
        faults_of_the_start(theatre)
