"""Ending every process that descends from this one, where no process namespace does it.

A subreaper is given every orphan among its descendants (prctl(2) ``PR_SET_CHILD_SUBREAPER``), so nothing escapes by
forking twice or by a session of its own: while there is a descendant, there is a child.
"""

from __future__ import annotations

import _signal
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["end_all", "kill_all"]


def end_all() -> int:
    """Kill and reap every descendant, until none is left; returns how many were killed."""
    count = 0
    while True:
        killed = kill_all()
        count += killed
        try:
            # Something that was killed is a child or becomes one. Where nothing was found, a process that had just been
            # orphaned may have been missed: it is looked for again at once.
            reaped, _ = os.waitpid(-1, 0 if killed else os.WNOHANG)
            while reaped:
                reaped, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return count


def kill_all(spared: Collection[int] = ()) -> int:
    """Kill the descendants that can be seen now, and return how many.

    Args:
        spared: Children that stay, with everything that descends from them.
    """
    known = {os.getpid()}
    children = _children()
    todo = [os.getpid()]
    count = 0
    while todo:
        for pid in children.get(todo.pop(), ()):
            if pid not in spared and pid not in known:
                known.add(pid)
                todo.append(pid)
                count += _kill(pid, known)
    return count


def _kill(pid: int, known: Collection[int]) -> bool:
    """Kill a process unless its number has gone to somebody else since it was read; false as well for a zombie."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        parent, is_alive = _status(pid)
        if parent not in known or not is_alive:
            return False
        _signal.pidfd_send_signal(pidfd, _signal.SIGKILL)
    except ProcessLookupError:
        return False
    finally:
        os.close(pidfd)
    return True


def _children() -> dict[int, list[int]]:
    """Return the children of every process that /proc shows."""
    found: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                parent, _ = _status(int(name))
            except ProcessLookupError:
                continue
            found.setdefault(parent, []).append(int(name))
    return found


def _status(pid: int) -> tuple[int, bool]:
    """Return the parent of a process, and whether it has not ended; see proc(5) on ``stat``.

    Raises:
        ProcessLookupError: There is none.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            fields = file.read(1024).rpartition(b") ")[2].split()
    except FileNotFoundError:
        raise ProcessLookupError(pid) from None
    return int(fields[1]), fields[0] not in (b"Z", b"X")
