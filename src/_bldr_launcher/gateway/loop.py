"""Wait for descriptors and for times, in one thread."""

from __future__ import annotations

import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    Ready: TypeAlias = Callable[[int], None]

__all__ = ["ALWAYS", "BROKEN", "READ", "WRITE", "Loop"]

READ, WRITE = select.EPOLLIN, select.EPOLLOUT
BROKEN = select.EPOLLERR
ALWAYS = select.EPOLLERR | select.EPOLLHUP  # epoll_ctl(2): they are told without being asked for


class Loop:
    """Calls back when a descriptor is ready, or when a time has come."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._ready: dict[int, tuple[int, Ready]] = {}
        self._timers: dict[object, tuple[float, Callable[[], None]]] = {}

    def watch(self, fd: int, events: int, ready: Ready) -> None:
        """Call ``ready`` with the events of a descriptor from now on; watched already, only the events change."""
        if fd not in self._ready:
            self._epoll.register(fd, events)
        elif self._ready[fd][0] != events:
            self._epoll.modify(fd, events)
        self._ready[fd] = (events, ready)

    def forget(self, fd: int) -> None:
        """Watch a descriptor no longer; harmless the second time."""
        if self._ready.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def at(self, key: object, seconds: float, due: Callable[[], None]) -> None:
        """Call ``due`` in so many seconds, unless it is put off or called off by its key."""
        self._timers[key] = (time.monotonic() + seconds, due)

    def call_off(self, key: object) -> None:
        """Forget a time; harmless the second time."""
        self._timers.pop(key, None)

    def turn(self) -> None:
        """Wait for something and deal with it."""
        wait = -1.0
        if self._timers:
            wait = max(0.0, min(due for due, _ in self._timers.values()) - time.monotonic())
        for fd, events in self._epoll.poll(wait):
            if fd in self._ready:  # else it was forgotten a moment ago
                self._ready[fd][1](events)
        if self._timers:
            now = time.monotonic()
            for key, (due, call) in list(self._timers.items()):
                if due <= now and self._timers.get(key, (0.0,))[0] == due:
                    del self._timers[key]
                    call()
