"""The thread that looks after everything that has to happen in time; no test waits for time to pass."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

import pytest

from bldr.execution.loop import Loop

NEVER = float("inf")
BOUND = 60


class Watched:
    """Is due at a time, and is looked at once."""

    def __init__(self, due: float, act: Callable[[], None] = lambda: None) -> None:
        self.due = due
        self.act = act
        self.looked = threading.Event()

    def look(self, now: float) -> None:
        assert now >= self.due
        self.due = NEVER
        self.looked.set()
        self.act()


def test_what_raises_is_shown_and_the_others_are_looked_after(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []
    monkeypatch.setattr(sys, "excepthook", lambda *error: shown.append(error[1]))

    def fail() -> None:
        raise ZeroDivisionError("a mistake of ours")

    loop = Loop()
    wrong, right = Watched(time.monotonic(), fail), Watched(time.monotonic() + 0.01)
    loop.add(wrong)
    assert wrong.looked.wait(BOUND)
    loop.add(right)

    assert right.looked.wait(BOUND)
    assert [type(error) for error in shown] == [ZeroDivisionError]


def test_what_becomes_due_while_the_loop_looks_at_its_list_is_not_forgotten() -> None:
    loop = Loop()

    class Hurried(Watched):
        """As if another thread made it due between the loop's look at its time and the loop's sleep."""

        time: float

        @property
        def due(self) -> float:
            before = self.time
            if time.monotonic() + 1000 < before < NEVER:
                self.time = time.monotonic()
                loop.hurry(self)
            return before

        @due.setter
        def due(self, value: float) -> None:
            self.time = value

    late = Hurried(time.monotonic() + 100_000)

    def add_late() -> None:
        loop._watched[id(late)] = late

    loop.add(Watched(time.monotonic() + 0.02, add_late))

    assert late.looked.wait(BOUND)
    loop.remove(late)
