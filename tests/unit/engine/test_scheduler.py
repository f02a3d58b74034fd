"""Work is done in the order of its needs, whatever else happens; a naive oracle says what has to be done."""

from __future__ import annotations

import _thread

from hypothesis import given
from hypothesis import strategies as st

from bldr.engine.scheduler import Scheduler, Stop, enough_memory


class Log:
    """Does the work, and writes down when each piece began and ended."""

    def __init__(self, failing: frozenset[int] = frozenset(), done: frozenset[int] = frozenset()) -> None:
        self.failing = failing
        self.already = done
        self.begun: list[int] = []
        self.succeeded: set[int] = set()
        self.most = self.running = 0
        self.needs: list[tuple[int, ...]] = []
        self.lock = _thread.allocate_lock()

    def is_done(self, number: int) -> bool:
        if number in self.already:
            self.succeeded.add(number)
        return number in self.already

    def work(self, number: int) -> bool:
        with self.lock:
            assert self.succeeded.issuperset(self.needs[number])
            self.begun.append(number)
            self.running += 1
            self.most = max(self.most, self.running)
        with self.lock:
            self.running -= 1
        return number not in self.failing

    def took(self, number: int, succeeded: bool) -> bool:
        if succeeded:
            self.succeeded.add(number)
        return succeeded


def run(
    needs: list[tuple[int, ...]], log: Log, *, jobs: int = 3, keep_going: bool = False, stop: Stop | None = None
) -> None:
    log.needs = needs
    Scheduler(
        needs,
        [1] * len(needs),
        jobs=jobs,
        is_done=log.is_done,
        work=log.work,
        took=log.took,
        keep_going=keep_going,
        stop=stop,
    ).run()


@st.composite
def graphs(draw: st.DrawFn) -> list[tuple[int, ...]]:
    size = draw(st.integers(0, 12))
    return [tuple(draw(st.sets(st.integers(0, n - 1), max_size=3))) if n else () for n in range(size)]


@given(graphs(), st.sets(st.integers(0, 11)), st.sets(st.integers(0, 11)), st.integers(1, 4))
def test_what_can_be_done_is_done_once_and_nothing_else(
    needs: list[tuple[int, ...]], failing: set[int], done: set[int], jobs: int
) -> None:
    log = Log(frozenset(failing - done), frozenset(done))

    run(needs, log, jobs=jobs, keep_going=True)

    good: set[int] = set()
    for number, needed in enumerate(needs):
        if good.issuperset(needed) and number not in log.failing:
            good.add(number)
    tried = {number for number, needed in enumerate(needs) if good.issuperset(needed)}
    assert log.succeeded == good
    assert sorted(log.begun) == sorted(tried - done)
    assert log.most <= jobs


def test_the_first_failure_ends_it() -> None:
    log = Log(frozenset([0]))

    run([(), (), ()], log, jobs=1)

    assert log.begun == [0]


def test_nothing_is_begun_after_a_stop() -> None:
    log, stop = Log(), Stop()
    stop.ask()

    run([(), ()], log, stop=stop)

    assert log.begun == []


def test_one_always_has_enough_memory() -> None:
    assert enough_memory(0)
