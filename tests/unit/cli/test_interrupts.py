"""Signals while a command runs: the first is passed on, the second kills."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from bldr.cli.run import Interrupts

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = [signal.getsignal(signum) for signum in SIGNALS]
    yield
    for signum, handler in zip(SIGNALS, before, strict=True):
        signal.signal(signum, handler)


class FakeSession:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str | int] = []

    def signal(self, signum: int) -> None:
        self.told.append(signum)

    def kill(self) -> None:
        self.told.append("kill")


def send(signum: int) -> None:
    os.kill(os.getpid(), signum)


@pytest.mark.parametrize("signum", SIGNALS)
def test_the_first_signal_is_passed_on_and_the_second_kills(signum: int) -> None:
    session = FakeSession()

    with Interrupts() as interrupts:
        interrupts.reach(session)
        send(signum)
        assert session.told == [signum]
        send(signum)

    assert session.told == [signum, "kill"]


def test_a_signal_before_the_start_is_delivered_after_it() -> None:
    session = FakeSession()

    with Interrupts() as interrupts:
        send(signal.SIGTERM)
        interrupts.reach(session)

    assert session.told == [signal.SIGTERM]


def test_a_second_signal_before_the_start_gives_up() -> None:
    with Interrupts():
        send(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)


def test_the_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)

    with Interrupts():
        assert signal.getsignal(signal.SIGINT) != before

    assert signal.getsignal(signal.SIGINT) == before


def test_an_ignored_signal_stays_ignored() -> None:
    """As nohup(1) and the background jobs of a shell want it."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    session = FakeSession()

    with Interrupts() as interrupts:
        interrupts.reach(session)
        send(signal.SIGHUP)

    assert session.told == []


def test_the_cleaning_up_after_a_signal_is_not_interrupted() -> None:
    with Interrupts() as interrupts:
        interrupts.reach(FakeSession())
        send(signal.SIGTERM)

    send(signal.SIGINT)
    send(signal.SIGTERM)
