"""One thread that looks after everything that has to happen in time: timeouts, limits, samples.

A thread for each execution would cost more than many an execution. The thread is started when it is first needed, lives
on for a moment after the last execution, so that a row of short ones neither starts nor wakes it, and then ends. It
sleeps on a lock, so it needs no descriptor.

Time is CLOCK_MONOTONIC, which stands still while the machine is suspended: who closes the lid of a laptop does not want
to find a build that was ended because of that. See docs/adr/0010-time-stands-still-in-suspend.md.
"""

from __future__ import annotations

import _signal
import _thread
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class Watched(Protocol):
        """Something that the loop looks after. Called in the loop's thread only, never twice at a time."""

        due: float

        def look(self, now: float) -> None:
            """Do what is due, wait for nothing, and set ``due`` (``time.monotonic()``; infinity for never).

            What is raised is shown, and the thing looked after no longer.

            Args:
                now: ``time.monotonic()``.
            """


__all__ = ["Loop", "shared_loop"]

_TICK = 0.1  # seconds that the thread sleeps at most while it waits for the next execution
_LINGER = 1.0  # seconds that it waits for one
_NEVER = float("inf")
_LONGEST_SLEEP = 3600.0  # seconds; far below what a lock can wait (_thread.TIMEOUT_MAX)


class Loop:
    """Calls ``look`` of each thing that was added, when it is due."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._owner = os.getpid()
        self._lock = _thread.allocate_lock()
        self._alarm = _thread.allocate_lock()  # held while there is no reason to wake up
        self._alarm.acquire()
        self._watched: dict[int, Watched] = {}
        self._running = False
        self._wakes_at = 0.0

    def add(self, watched: Watched) -> None:
        """Look after something from now on; its ``due`` is set."""
        if self._owner != os.getpid():
            self._begin()  # a fork has no threads, and perhaps a lock that nobody will release
        with self._lock:
            self._watched[id(watched)] = watched
            if not self._running:
                self._running = True
                self._wakes_at = 0.0  # it looks at the list before it sleeps
                try:
                    _start_without_signals(self._run)
                except BaseException:
                    self._running = False
                    raise
        self.hurry(watched)

    def hurry(self, watched: Watched) -> None:
        """Notice that something is due earlier than it was."""
        if watched.due < self._wakes_at and self._owner == os.getpid():
            try:
                self._alarm.release()
            except RuntimeError:
                pass  # it is about to wake up already

    def remove(self, watched: Watched) -> None:
        """Forget something; a look that has begun may still go on."""
        if self._owner == os.getpid():
            with self._lock:
                self._watched.pop(id(watched), None)

    def _run(self) -> None:
        idle_since = time.monotonic()
        while True:
            with self._lock:
                now = time.monotonic()
                if self._watched:
                    idle_since = now
                elif now - idle_since >= _LINGER:
                    self._running = False
                    return
                self._wakes_at = _NEVER  # who becomes due from here on wakes us, also if this list has its old time
                due = min([one.due for one in self._watched.values()], default=now + _TICK)
                self._wakes_at = min(due, now + _LONGEST_SLEEP)
            if self._wakes_at > now:
                self._alarm.acquire(timeout=self._wakes_at - now)
            now = time.monotonic()
            with self._lock:
                called = [one for one in self._watched.values() if one.due <= now]
            for one in called:
                try:
                    one.look(now)
                except Exception:  # noqa: BLE001  the others have limits, too
                    self.remove(one)
                    sys.excepthook(*sys.exc_info())


def _start_without_signals(run: Callable[[], None]) -> None:
    """Start a thread to which the kernel gives no signal of the process.

    CPython runs handlers in the main thread only. A signal that came to this one (signal(7): any thread that does not
    block it may get it) would not interrupt what the main thread waits for, and Ctrl-C be noticed when the command ends
    by itself: 6 times of 250 on a loaded machine.
    """
    before = _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())
    try:
        _thread.start_new_thread(run, ())
    finally:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, before)


def shared_loop() -> Loop:
    """Return the loop of this process."""
    return _shared


_shared = Loop()
