"""What tests ask about processes: who is there, whether they are gone, what they left. Nothing here sleeps."""

from __future__ import annotations

import gc
import os
import select
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self

from bldr import SandboxSpecBuilder

__all__ = [
    "BOUND", "Witness", "children", "descendants", "descriptors", "ends", "equipped", "smallest", "specification", "temps_in_use",
    "until",
]  # fmt: skip

BOUND = 30.0  # seconds that anything may take on a loaded machine


def specification() -> SandboxSpecBuilder:
    """The tools of the host and a /tmp."""
    return SandboxSpecBuilder.create().with_toolchain("system").default_temp("/tmp").env("PATH", "/usr/bin:/bin")


def smallest() -> SandboxSpecBuilder:
    """The tools of the host, and no temp."""
    return SandboxSpecBuilder.create().with_toolchain("system").env("PATH", "/usr/bin:/bin")


def temps_in_use(base: str) -> list[str]:
    """The scratch directories of sandboxes that run, without those that the launcher has made ahead."""
    return sorted(name for name in os.listdir(base) if not name.startswith("ahead-"))


def descriptors(pid: int | str = "self") -> int:
    """Count the open descriptors of a process; 0 when it is gone, or does not let itself be looked at."""
    if pid == "self":
        gc.collect()  # an exception of the test before may still hold something
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return 0


def children(pid: int) -> set[int]:
    found: set[int] = set()
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            found.update(map(int, Path(f"/proc/{pid}/task/{task}/children").read_text("ascii").split()))
    except (FileNotFoundError, ProcessLookupError):
        pass  # gone meanwhile
    return found


def descendants(pid: int) -> set[int]:
    """Return the processes that a process has started, and those that they have started, zombies too."""
    assert pid > 0
    found: set[int] = set()
    fresh = {pid}
    while fresh:
        fresh = set[int]().union(*map(children, fresh)) - found
        found |= fresh
    return found


def equipped(launcher: int) -> set[int]:
    """Return the inits that have executed a plan, so that they have no capabilities any more, and no command yet."""
    return {pid for pid in children(launcher) if _is_powerless(pid) and not children(pid)}


def _is_powerless(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/status").read_text("ascii")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return "Name:\tbldr-init\n" in text and "CapEff:\t0000000000000000\n" in text


def are_at_rest(pids: set[int]) -> bool:
    """Return whether processes sleep, and nothing has woken one of them for as long as a look takes twice."""
    first = _switches(pids)
    time.sleep(0.02)
    return first is not None and first == _switches(pids)


def _switches(pids: set[int]) -> list[str] | None:
    """Return how often each has been switched to, or none when one of them does not sleep."""
    found = []
    for pid in sorted(pids):
        try:
            text = Path(f"/proc/{pid}/status").read_text("ascii")
        except (FileNotFoundError, ProcessLookupError):
            return None
        if "\nState:\tS" not in text:
            return None
        found.append(text.partition("\nvoluntary_ctxt_switches:")[2])
    return found


def ends(pidfd: int, bound: float = BOUND) -> bool:
    """Wait for the end of a process, with a bound."""
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(bound * 1000))


def until(condition: Callable[[], bool], bound: float = BOUND) -> bool:
    """Wait for something that has no descriptor to wait on; yields the processor between the looks."""
    deadline = time.monotonic() + bound
    while not condition():
        if time.monotonic() > deadline:
            return False
        select.select([], [], [], 0.002)
    return True


class Witness:
    """Holds pidfds of a process and all its descendants, and tells later whether each of them has ended."""

    def __init__(self, pid: int) -> None:
        self.pids = {pid, *descendants(pid)}
        self._handles: dict[int, int] = {}
        for one in sorted(self.pids):
            try:
                self._handles[one] = os.pidfd_open(one)
            except ProcessLookupError:
                pass  # gone meanwhile

    def survivors(self, bound: float = BOUND) -> set[int]:
        """Wait for all ends; the processes that still live after the bound."""
        deadline = time.monotonic() + bound
        return {pid for pid, fd in self._handles.items() if not ends(fd, max(0.0, deadline - time.monotonic()))}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        close_all(self._handles.values())


def close_all(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)
