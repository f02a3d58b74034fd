"""End a process that runs for too long: for processes that bldr did not start itself."""

from __future__ import annotations

import _signal
import os
import select
import threading  # noqa: TID253  -- not on the path of bldr run
import time

from bldr.errors import InvalidCommandError
from bldr.model.limits import parse_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from bldr.model.limits import Duration

__all__ = ["TimeoutEnforcer", "create_timeout_enforcer"]


class TimeoutEnforcer:
    """Watches one process and ends it when its time is up: SIGTERM, a grace, SIGKILL.

    The process is held by a pidfd, so a later process with the same number is never hit. Time is CLOCK_MONOTONIC: it
    stands still while the machine is suspended. A sandbox enforces its own timeout, on everything inside; this class is
    for a single process of somebody else.

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
        self._wake_reading, self._wake_writing = os.pipe2(os.O_CLOEXEC)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._deadline = 0.0
        self._timed_out = False
        self._stopped = False

    def start(self, timeout: Duration) -> None:
        """Begin to count.

        Args:
            timeout: Seconds from now.

        Raises:
            RuntimeError: It was started or stopped before.
        """
        seconds = parse_duration(timeout, what="timeout")
        with self._lock:
            if self._thread is not None or self._stopped:
                raise RuntimeError("a timeout enforcer is started once")
            self._deadline = time.monotonic() + seconds
            self._thread = threading.Thread(target=self._watch, name="bldr-timeout", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop counting; from its return on nothing is signalled any more. Harmless the second time."""
        with self._lock:
            if self._stopped:
                return
            self._stopped = True
        os.write(self._wake_writing, b"x")
        if self._thread is not None:
            self._thread.join()
        for fd in (self._pidfd, self._wake_reading, self._wake_writing):
            os.close(fd)

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

    def _watch(self) -> None:
        if self._wait(self._deadline):
            return
        self._timed_out = True
        self._signal(_signal.SIGTERM)
        if not self._wait(time.monotonic() + self._grace):
            self._signal(_signal.SIGKILL)

    def _wait(self, until: float) -> bool:
        """Wait for the end of the process or for :meth:`stop`; False when the moment came first."""
        poller = select.poll()
        poller.register(self._pidfd, select.POLLIN)
        poller.register(self._wake_reading, select.POLLIN)
        while (left := until - time.monotonic()) > 0:
            if poller.poll(min(left, 86400.0) * 1000 + 1):
                return True
        return bool(poller.poll(0))

    def _signal(self, number: int) -> None:
        try:
            _signal.pidfd_send_signal(self._pidfd, number)
        except ProcessLookupError:
            pass  # it has ended in this moment


def create_timeout_enforcer(pid: int, *, grace: Duration = 2.0) -> TimeoutEnforcer:
    """Return an enforcer for a process; see :class:`TimeoutEnforcer`."""
    return TimeoutEnforcer(pid, grace=grace)
