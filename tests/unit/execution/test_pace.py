"""How long a guard waits between two samples; costs are given, nothing is measured."""

from __future__ import annotations

from bldr.execution.pace import Pace


def pauses(*costs: float, interval: float = 0.1) -> list[float]:
    pace = Pace(interval)
    return [round(pace.after(cost), 6) for cost in costs]


def test_looks_that_cost_little_are_taken_ten_times_a_second() -> None:
    assert pauses(0.001, 0.0002, 0.0009, 0.001) == [0.1] * 4


def test_two_unlucky_looks_do_not_delay_the_next_one() -> None:
    """A limit was once noticed after 958 ms: the first looks of a busy machine had taken almost 10 ms each."""
    assert pauses(0.0149, 0.0096, 0.0003) == [0.1] * 3
    assert pauses(0.0003, 0.0003, 0.0003, 0.5, 0.5) == [0.1] * 5


def test_looks_that_always_cost_much_are_taken_less_often_by_and_by() -> None:
    assert pauses(*[0.004] * 6) == [0.1, 0.1, 0.2, 0.4, 0.4, 0.4]
    assert pauses(*[0.5] * 8) == [0.1, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0]


def test_one_cheap_look_ends_a_long_pause() -> None:
    assert pauses(*[0.5] * 7, 0.0003)[-1] == 0.1


def test_who_asks_for_fewer_samples_gets_fewer() -> None:
    assert pauses(0.0001, 0.0001, 0.0001, 0.0001, interval=5) == [5] * 4
    assert pauses(*[0.05] * 4, interval=0.5) == [0.5, 0.5, 1.0, 1.0]
