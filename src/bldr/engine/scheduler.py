"""Work in the order of its needs, in several threads: the most urgent first, and no more than there is memory for.

The calling thread decides everything; threads only do the work. It is told to stop by a counter that a signal handler
may raise, which it looks at several times a second.
"""

from __future__ import annotations

import queue
import threading  # noqa: TID253  # only who builds imports it
from heapq import heappop, heappush
from typing import Generic, TypeVar  # noqa: TID253  # only who builds imports it

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Scheduler", "Stop", "enough_memory"]

Done = TypeVar("Done")

_TICK = 0.1  # seconds between two looks at whether to stop
_LEAST_MEMORY = 256 << 20  # bytes that have to be available before one more is started


class Stop:
    """Asks a build to end: once for letting commands end by themselves, twice for killing them."""

    def __init__(self) -> None:
        self.asked = 0

    def ask(self) -> None:
        """Ask for it; a signal handler may."""
        self.asked += 1


class Scheduler(Generic[Done]):
    """Carries out numbered pieces of work.

    Args:
        needs: For each piece the numbers of those that have to be done before.
        urgency: For each piece how urgent it is; larger is sooner.
        jobs: How many pieces are worked on at a time.
        is_done: Says whether a piece needs no work, once those that it needs are done; called by this thread.
        work: Does a piece; called by the other threads. It raises nothing.
        took: Is told what `work` returned, and says whether that is a success; called by this thread.
        keep_going: Whether what does not need a piece that failed is still done.
        stop: Asks for the end.
        on_stop: Called when it is asked for, with how often.
        tick: Called several times a second.
        may_start: Says whether one more may be started beside those that run.
    """

    def __init__(
        self,
        needs: Sequence[Sequence[int]],
        urgency: Sequence[int],
        *,
        jobs: int,
        is_done: Callable[[int], bool],
        work: Callable[[int], Done],
        took: Callable[[int, Done], bool],
        keep_going: bool = False,
        stop: Stop | None = None,
        on_stop: Callable[[int], None] = lambda _count: None,
        tick: Callable[[], None] = lambda: None,
        may_start: Callable[[int], bool] = lambda _running: True,
    ) -> None:
        self._waiting = [len(set(one)) for one in needs]
        self._users: list[list[int]] = [[] for _ in needs]
        for number, one in enumerate(needs):
            for need in set(one):
                self._users[need].append(number)
        self._urgency = urgency
        self._jobs = max(1, jobs)
        self._is_done = is_done
        self._work = work
        self._took = took
        self._keep_going = keep_going
        self._stop = stop or Stop()
        self._on_stop = on_stop
        self._tick = tick
        self._may_start = may_start
        self._ready: list[tuple[int, int]] = []
        self._tasks: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._ended: queue.SimpleQueue[tuple[int, Done]] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._running = 0
        self._is_failed = False

    def run(self) -> None:
        """Do everything that can be done, and return when nothing runs any more."""
        for number, count in enumerate(self._waiting):
            if not count:
                heappush(self._ready, (-self._urgency[number], number))
        told = 0
        try:
            while True:
                if self._stop.asked > told:
                    told = self._stop.asked
                    self._on_stop(told)
                self._start()
                if not self._running:
                    return
                try:
                    self._take(*self._ended.get(timeout=_TICK))
                except queue.Empty:
                    pass  # nothing has ended: time to look whether to stop
                self._tick()
        finally:
            for _ in self._threads:
                self._tasks.put(None)
            for thread in self._threads:
                thread.join()

    def _start(self) -> None:
        """Give work to the threads until all have some; what is done already makes way for what needs it."""
        while self._ready and not self._stop.asked and not (self._is_failed and not self._keep_going):
            if self._running >= self._jobs or (self._running and not self._may_start(self._running)):
                return
            _, number = heappop(self._ready)
            if self._is_done(number):
                self._release(number)
                continue
            self._running += 1
            if len(self._threads) < min(self._jobs, self._running):
                thread = threading.Thread(target=self._serve, name=f"bldr-job-{len(self._threads)}")
                thread.start()
                self._threads.append(thread)
            self._tasks.put(number)

    def _take(self, number: int, done: Done) -> None:
        self._running -= 1
        if self._took(number, done):
            self._release(number)
        else:
            self._is_failed = True

    def _release(self, number: int) -> None:
        for user in self._users[number]:
            self._waiting[user] -= 1
            if not self._waiting[user]:
                heappush(self._ready, (-self._urgency[user], user))

    def _serve(self) -> None:
        while (number := self._tasks.get()) is not None:
            self._ended.put((number, self._work(number)))


def enough_memory(running: int) -> bool:
    """Say whether there is memory for one more command beside some; true where nobody knows."""
    if not running:
        return True
    try:
        with open("/proc/meminfo", "rb") as file:
            for line in file:
                if line.startswith(b"MemAvailable:"):
                    return int(line.split()[1]) << 10 >= _LEAST_MEMORY
    except OSError:
        pass  # it is no Linux, or /proc is hidden
    return True
