"""End a process that runs for too long: for processes that bldr did not start itself."""

from __future__ import annotations

import _signal
import os
import select
import threading  # noqa: TID253  -- not on the path of bldr run
import time

from bldr.errors import InvalidCommandError
from bldr.execution.loop import shared_loop
from bldr.model.limits import parse_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from bldr.model.limits import Duration

__all__ = ["TimeoutEnforcer", "create_timeout_enforcer"]

_NEVER = float("inf")


class TimeoutEnforcer:
    """Watches one process and ends it when its time is up: SIGTERM, a grace, SIGKILL.

    The process is held by a pidfd, so a later process with the same number is never hit. Time is CLOCK_MONOTONIC: it
    stands still while the machine is suspended. A sandbox enforces its own timeout, on everything inside; this class is
    for a single process of somebody else. The thread that looks after executions looks after it as well.

    Args:
        pid: The process.
        grace: Seconds between SIGTERM and SIGKILL.

    Raises:
        ProcessLookupError: There is no such process.
        InvalidCommandError: The number is not one of a process.
    """

    def __init__(self, pid: int, *, grace: Duration = 2.0) -> None:
        if type(pid) is not int or pid <= 0:
            raise InvalidCommandError(f"{pid!r} is not the number of a process", code="spec.pid-invalid")
        self._grace = parse_duration(grace, what="grace", allow_zero=True)
        self._pidfd = os.pidfd_open(pid)
        self._lock = threading.Lock()
        self._deadline = 0.0
        self._timed_out = False
        self._stopped = False
        self.due = _NEVER

    def start(self, timeout: Duration) -> None:
        """Begin to count.

        Args:
            timeout: Seconds from now.

        Raises:
            RuntimeError: It was started or stopped before.
        """
        seconds = parse_duration(timeout, what="timeout")
        with self._lock:
            if self._deadline or self._stopped:
                raise RuntimeError("a timeout enforcer is started once")
            self._deadline = self.due = time.monotonic() + seconds
        shared_loop().add(self)

    def stop(self) -> None:
        """Stop counting; from its return on nothing is signalled any more. Harmless the second time."""
        shared_loop().remove(self)
        with self._lock:
            if not self._stopped:
                self._stopped = True
                os.close(self._pidfd)

    def is_timed_out(self) -> bool:
        """Whether the time was up before the process ended or :meth:`stop` was called."""
        return self._timed_out

    def remaining(self) -> float:
        """Return the seconds that are left: 0 when the time is up or nothing was started."""
        return max(0.0, self._deadline - time.monotonic()) if self._deadline else 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def look(self, now: float) -> None:
        """Do what is due; called by the loop."""
        with self._lock:
            if self._stopped or now < self.due:
                return
            self.due = _NEVER
            if self._has_ended():
                return
            if self._timed_out:
                self._signal(_signal.SIGKILL)
            else:
                self._timed_out = True
                self._signal(_signal.SIGTERM)
                self.due = now + self._grace

    def _has_ended(self) -> bool:
        poller = select.poll()
        poller.register(self._pidfd, select.POLLIN)
        return bool(poller.poll(0))

    def _signal(self, number: int) -> None:
        try:
            _signal.pidfd_send_signal(self._pidfd, number)
        except ProcessLookupError:
            pass  # it has ended in this moment


def create_timeout_enforcer(pid: int, *, grace: Duration = 2.0) -> TimeoutEnforcer:
    """Return an enforcer for a process; see :class:`TimeoutEnforcer`."""
    return TimeoutEnforcer(pid, grace=grace)
