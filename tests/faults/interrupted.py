"""Interrupts one execution at each place of the supervisor's code in turn, and tells what was left.

A program, because it profiles itself: ``interrupted.py SCRATCH`` prints one JSON object for each place where something
was left, and one with the count at the end. Cleaning up is spared: whoever interrupts that has to live with it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import FrameType

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1] / "src"), str(HERE.parents[1])]

from bldr import HermeticExecutor  # noqa: E402
from bldr.errors import TimeLimitError  # noqa: E402
from bldr.sandbox.linux.launcher import Launcher  # noqa: E402
from tests.processes import children, descendants, descriptors, specification, temps_in_use, until  # noqa: E402

ACTORS = (
    "sandbox/linux/backend.py",
    "sandbox/linux/launcher.py",
    "sandbox/linux/prepared.py",
    "sandbox/linux/running.py",
)
TRACED = tuple(str(HERE.parents[1] / "src" / "bldr" / name) for name in ("execution", *ACTORS))
CLEANING = {
    "close", "end", "stop", "kill", "handed_over", "abandon", "__exit__", "__del__", "signal", "end_process", "_retire",
}  # fmt: skip
CLEANING_LINES = ("except ", "finally:", "os.close(", "raise", "return Status", "scratch.remove_tree", "session.signal")


class Interrupter:
    """Raises KeyboardInterrupt at the n-th place where CPython looks for signals: calls into C that return, entries."""

    def __init__(self, place: int) -> None:
        self._left = place
        self.where = ""

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        code = frame.f_code
        if event not in ("c_return", "call") or code.co_name in CLEANING or not code.co_filename.startswith(TRACED):
            return
        text = line_of(frame)
        if text.startswith(CLEANING_LINES):
            return
        self._left -= 1
        if self._left == 0:
            self.where = f"{Path(code.co_filename).name}:{frame.f_lineno} {event} {text}"
            sys.setprofile(None)
            raise KeyboardInterrupt


LINES: dict[str, list[str]] = {}


def line_of(frame: FrameType) -> str:
    name = frame.f_code.co_filename
    if name not in LINES:
        LINES[name] = Path(name).read_text("utf-8").splitlines()
    return LINES[name][frame.f_lineno - 1].strip()


LONGEST = 5.0  # seconds that a sandbox may take to be made


def quiet(launcher: Launcher) -> bool:
    """Whether no sandbox runs a command: each init waits alone."""
    return not launcher.pid or all(not children(pid) for pid in children(launcher.pid))


def is_zombie(pid: int) -> bool:
    """Whether it has ended: who is interrupted between posix_spawn(3) and its result cannot reap what it started."""
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return True


def strays(launcher: Launcher, strangers: set[int]) -> set[int]:
    """Processes that run and are nobody's: neither the launcher's, which refills its stock at any time, nor older ones."""
    found = descendants(os.getpid()) - strangers
    # Looked up second, so that an init forked meanwhile is not in the first set alone.
    known = {launcher.pid, *descendants(launcher.pid)} if launcher.pid else set()
    return {pid for pid in found - known if not is_zombie(pid)}


def main(scratch: str) -> None:
    for start_again in (False, True):
        place, seconds = 0, 0.02
        launcher = Launcher(scratch_parent=scratch, ready=1)
        executor = HermeticExecutor.create(specification().build(), launcher=launcher)
        executor.execute(["true"])
        while True:
            place += 1
            if start_again:
                launcher.stop()
            before, strangers = descriptors(), descendants(os.getpid())
            interrupter = Interrupter(place)
            sys.setprofile(interrupter)
            late = False
            try:
                executor.execute(["sleep", "60"], stdin=b"x", timeout=seconds, grace=0)
            except KeyboardInterrupt:
                pass
            except TimeLimitError:
                late = True  # before the command was started
            finally:
                sys.setprofile(None)
            if not interrupter.where:
                if not late or seconds > LONGEST:
                    break
                place, seconds = place - 1, seconds * 2  # a slow moment, in which most places were not reached
                continue
            if start_again:
                launcher.stop()
            is_quiet = until(lambda: quiet(launcher), bound=30)  # noqa: B023  called at once
            until(lambda: not strays(launcher, strangers), bound=30)  # noqa: B023
            others = strays(launcher, strangers)
            until(lambda: not (launcher.base and temps_in_use(launcher.base)), bound=30)  # noqa: B023
            left = temps_in_use(launcher.base) if launcher.base else []
            more = descriptors() - before
            if not is_quiet or others or left or more:
                what = {"running": not is_quiet, "processes": len(others), "scratch": left, "descriptors": more}
                print(json.dumps({"where": interrupter.where, "start": start_again, **what}), flush=True)
                launcher.stop()
                launcher = Launcher(scratch_parent=scratch, ready=1)
                executor = HermeticExecutor.create(specification().build(), launcher=launcher)
                executor.execute(["true"])
        launcher.stop()
        print(json.dumps({"places": place}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
