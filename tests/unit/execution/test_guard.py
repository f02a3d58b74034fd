"""When a guard ends an execution, and when it has come too late; time is given, nothing runs."""

from __future__ import annotations

import _thread
import signal
from collections.abc import Callable

import pytest

from bldr import ResourceLimits, Termination
from bldr.execution.guard import Guard
from bldr.model.timeline import ProcessSnapshot
from bldr.sandbox.protocol import ProcessReading, Reading

PROCESS = ProcessReading(7, 1, "cc1", 1.0, 500, 0.0)
SEEN = ProcessSnapshot(7, 1, ("cc1", "-O2"), "R", 500, 1.0)


class Sandbox:
    """A running sandbox and its meter."""

    mechanism = "sampling"

    def __init__(self, reading: Reading, exact: int | None = None) -> None:
        self.reading, self.exact, self.reported = reading, exact, False
        self.done: list[object] = []

    def has_report(self) -> bool:
        return self.reported

    def signal(self, number: int) -> None:
        self.done.append(signal.Signals(number))

    def kill(self) -> None:
        self.done.append("kill")

    def meter(self) -> Sandbox:
        return self

    def look(self, *, closely: bool = False) -> tuple[Reading, tuple[ProcessReading, ...]]:
        if isinstance(self.reading, Exception):
            raise self.reading
        return self.reading, (PROCESS,) if closely else ()

    def proportional_memory(self) -> int | None:
        return self.exact

    def examine(self) -> tuple[tuple[ProcessSnapshot, ...], tuple[tuple[str, float], ...]]:
        return (SEEN,), ()

    def calm(self) -> None:
        self.done.append("calm")


@pytest.fixture
def guard_of() -> Callable[..., Guard]:
    def make(sandbox: Sandbox, limits: ResourceLimits, **times: float | None) -> Guard:
        chosen = {"timeout": None, "silence": None} | times
        return Guard(
            sandbox,  # type: ignore[arg-type]  # as much of a sandbox as a guard uses
            _thread.RLock(),
            limits,
            begun=0.0,
            timeout=chosen["timeout"],
            deadline=chosen["timeout"],
            silence=chosen["silence"],
            grace=2.0,
            last_output=lambda: 0.0,
            records=False,
        )

    return make


def test_a_limit_ends_everything_and_names_who_used_most(guard_of: Callable[..., Guard]) -> None:
    sandbox = Sandbox(Reading(memory=900), exact=800)
    guard = guard_of(sandbox, ResourceLimits(memory=700))

    guard.look(1.0)

    assert sandbox.done == ["kill"]
    assert guard.termination == Termination.LIMIT_REACHED
    (found,) = guard.violations
    assert (found.kind, found.actual, found.pid, found.argv) == ("memory", 800, 7, ("cc1", "-O2"))
    assert guard.peak_memory == 800


def test_shared_pages_that_count_once_reach_no_limit(guard_of: Callable[..., Guard]) -> None:
    sandbox = Sandbox(Reading(memory=900), exact=600)
    guard = guard_of(sandbox, ResourceLimits(memory=700))

    guard.look(1.0)

    assert (sandbox.done, guard.violations, guard.peak_memory) == ([], (), 600)


@pytest.mark.parametrize("limits", [ResourceLimits(memory=1), ResourceLimits(cpu_time=1), ResourceLimits()])
def test_a_command_that_has_ended_is_ended_by_nothing(guard_of: Callable[..., Guard], limits: ResourceLimits) -> None:
    sandbox = Sandbox(Reading(user_time=9.0, memory=900))
    sandbox.reported = True
    guard = guard_of(sandbox, limits, timeout=0.5, silence=0.5)

    guard.look(1.0)

    assert (sandbox.done, guard.termination, guard.due) == ([], "", float("inf"))


def test_near_its_limit_a_command_is_looked_at_and_goes_on(guard_of: Callable[..., Guard]) -> None:
    sandbox = Sandbox(Reading(memory=650, near_memory=True))
    guard = guard_of(sandbox, ResourceLimits(memory=700))

    guard.look(1.0)

    assert sandbox.done == ["calm"]
    assert guard.post_mortem is not None
    assert guard.violations == ()


def test_a_mistake_of_ours_ends_the_sandbox_and_is_kept(guard_of: Callable[..., Guard]) -> None:
    sandbox = Sandbox(Reading())
    sandbox.reading = OSError("no /proc")  # type: ignore[assignment]
    guard = guard_of(sandbox, ResourceLimits(memory=700))

    guard.look(1.0)

    assert sandbox.done == ["kill"]
    assert isinstance(guard.error, OSError)


def test_a_command_that_somebody_else_acts_on_delays_nobody(guard_of: Callable[..., Guard]) -> None:
    sandbox = Sandbox(Reading(memory=900), exact=900)
    guard = guard_of(sandbox, ResourceLimits(memory=700))
    closing, closed = _thread.allocate_lock(), _thread.allocate_lock()
    closing.acquire()
    closed.acquire()

    def close() -> None:
        with guard._lock:
            closing.release()
            closed.acquire()
        closing.release()

    _thread.start_new_thread(close, ())
    assert closing.acquire(timeout=60)
    guard.look(1.0)  # would wait for ever

    assert sandbox.done == []
    assert 1.0 < guard.due < 1.1
    closed.release()
    assert closing.acquire(timeout=60)
    guard.look(guard.due)
    assert sandbox.done == ["kill"]


def test_silence_counts_from_the_last_output(guard_of: Callable[..., Guard]) -> None:
    sandbox = Sandbox(Reading())
    guard = guard_of(sandbox, ResourceLimits(), silence=2.0)
    guard._last_output = lambda: 1.5

    guard.look(2.0)
    assert (sandbox.done, guard.due) == ([], 3.5)
    guard.look(3.5)
    guard.close()

    assert sandbox.done == [signal.SIGTERM]
    assert [one.kind for one in guard.violations] == ["silence"]


def test_what_the_kernel_tells_is_looked_at_before_the_next_sample(guard_of: Callable[..., Guard]) -> None:
    sandbox = Sandbox(Reading())
    guard = guard_of(sandbox, ResourceLimits(processes=4))
    guard.look(1e9)  # the next sample is due later than any clock of this test
    assert guard.due > 1e9
    sandbox.reading = Reading(fork_refused=True)

    guard.hasten()

    now = guard.due
    assert now < 1e9
    guard.look(now)
    assert sandbox.done == ["kill"]
    assert [one.kind for one in guard.violations] == ["processes"]


def test_who_watches_no_limit_need_not_hurry(guard_of: Callable[..., Guard]) -> None:
    guard = guard_of(Sandbox(Reading()), ResourceLimits())
    before = guard.due

    guard.hasten()

    assert guard.due == before
