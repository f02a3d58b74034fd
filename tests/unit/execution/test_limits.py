"""When a limit is reached, and what is said of it."""

from __future__ import annotations

import signal
import threading

import pytest

from bldr import ResourceLimits
from bldr.execution.limits import in_words, is_near, reached, violation
from bldr.execution.loop import Loop
from bldr.execution.recorder import Recorder
from bldr.sandbox.protocol import ProcessReading, Reading

NONE = ResourceLimits()
PROCESSES = (
    ProcessReading(5, 1, "cc1", 3.0, 500, 1.0),
    ProcessReading(6, 5, "ld", 9.0, 100, 2.0),
)


@pytest.mark.parametrize(
    ("limits", "reading", "expected"),
    [
        (NONE, Reading(1e9, 1e9, 1 << 60, 9999, 9999, 1 << 60, 1 << 60), None),
        (ResourceLimits(memory=100), Reading(memory=100), None),
        (ResourceLimits(memory=100), Reading(memory=101), ("memory", 101, 100)),
        (ResourceLimits(memory=100), Reading(out_of_memory=True), ("memory", 100, 100)),
        (ResourceLimits(memory=100), Reading(out_of_memory=True, peak_memory=130), ("memory", 130, 100)),
        (ResourceLimits(processes=3), Reading(processes=1, threads=3), None),
        (ResourceLimits(processes=3), Reading(processes=1, threads=4), ("processes", 4, 3)),
        (ResourceLimits(processes=3), Reading(threads=2, fork_refused=True), ("processes", 4, 3)),
        (ResourceLimits(cpu_time=2), Reading(user_time=1.5, system_time=0.5), ("cpu_time", 2.0, 2.0)),
        (ResourceLimits(disk_io=10), Reading(disk_read=5, disk_write=5), None),
        (ResourceLimits(disk_io=10), Reading(disk_read=5, disk_write=6), ("disk_io", 11, 10)),
        (ResourceLimits(disk_io=10), Reading(), None),
    ],
)
def test_a_limit_is_reached_or_not(
    limits: ResourceLimits, reading: Reading, expected: tuple[str, float, float] | None
) -> None:
    assert reached(limits, reading) == expected


def test_near_is_beyond_half_of_the_memory() -> None:
    assert not is_near(ResourceLimits(memory=100), Reading(memory=50))
    assert is_near(ResourceLimits(memory=100), Reading(memory=51))
    assert not is_near(NONE, Reading(memory=1 << 60))


def test_who_used_most_is_named() -> None:
    memory = violation("memory", 3 << 20, 2 << 20, time=1.0, processes=PROCESSES)
    cpu = violation("cpu_time", 12.0, 10.0, time=1.0, processes=PROCESSES)

    assert memory.message == "memory limit reached: 3.0 MiB used, 2.0 MiB allowed, most by cc1 (process 5)"
    assert (memory.pid, cpu.pid) == (5, 6)
    assert violation("silence", 5.1, 5.0, time=6.0).message == "nothing was printed for 5 s"
    assert violation("wall_time", 5.1, 5.0, time=6.0).message == "timed out after 5 s"


@pytest.mark.parametrize(
    ("kind", "number", "expected"),
    [
        ("memory", 12, "12 bytes"), ("memory", 2048, "2.0 KiB"), ("memory", 3 << 30, "3.0 GiB"),
        ("processes", 128, "128"), ("cpu_time", 1.25, "1.2 s"), ("cpu_time", 3600, "60.0 min"),
    ],
)  # fmt: skip
def test_quantities_have_units(kind: str, number: float, expected: str) -> None:
    assert in_words(kind, number) == expected


def test_a_long_run_keeps_few_samples_evenly() -> None:
    recorder = Recorder(0.1, 0.0, lambda _pid: ("cc", "-c"))
    for number in range(20_000):
        recorder.add(number / 10, Reading(memory=number), PROCESSES if number % 100 == 0 else ())

    timeline = recorder.timeline()
    steps = {
        round(after.time - before.time, 3)
        for before, after in zip(timeline.samples, timeline.samples[1:], strict=False)
    }

    assert 1000 < len(timeline.samples) <= 4001
    assert len(steps) <= 2
    assert [one.pid for one in timeline.processes] == [5, 6]
    assert timeline.processes[0].argv == ("cc", "-c")


class Counted:
    """Due at once, a few times."""

    def __init__(self, times: int) -> None:
        self.left = times
        self.due = 0.0
        self.done = threading.Event()

    def look(self, now: float) -> None:
        self.left -= 1
        self.due = now + 0.01 if self.left else float("inf")
        if not self.left:
            self.done.set()


def test_the_loop_looks_when_something_is_due_and_not_after_it_was_removed() -> None:
    loop, first, second = Loop(), Counted(3), Counted(1)
    loop.add(first)
    assert first.done.wait(30)
    loop.add(second)
    assert second.done.wait(30)
    loop.remove(first)
    loop.remove(second)

    assert (first.left, second.left) == (0, 0)


def test_the_loop_notices_what_is_due_earlier() -> None:
    loop, late = Loop(), Counted(1)
    late.due = float("inf")
    loop.add(late)

    late.due = 0.0
    loop.hurry(late)

    assert late.done.wait(30)


def test_no_signal_of_the_process_comes_to_the_thread_of_the_loop() -> None:
    """Seen as a ``bldr run`` that did not notice SIGHUP: the main thread waited on."""
    loop, masks = Loop(), Counted(1)
    seen: list[set[int]] = []
    look = masks.look

    def watch(now: float) -> None:
        seen.append(set(signal.pthread_sigmask(signal.SIG_BLOCK, ())))
        look(now)

    masks.look = watch  # type: ignore[method-assign]
    loop.add(masks)
    assert masks.done.wait(30)

    assert {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGWINCH, signal.SIGCHLD} <= seen[0]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
