"""The variable that no command may get, as init looks for it in what execve(2) is about to be given."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from _bldr_launcher import steps

STATE = steps.State(-1, b"")


@pytest.fixture
def planted() -> Iterator[bytes]:
    before = set(os.environb)
    steps.plant()
    (name,) = set(os.environb) - before
    yield name
    del os.environb[name]


def test_an_environment_without_the_planted_variable_is_passed_on_as_it_is(planted: bytes) -> None:
    steps.CANARIES[b"unset"](STATE, b"")

    assert steps.scrubbed({b"PATH": b"/bin"}) == {b"PATH": b"/bin"}


def test_an_environment_that_was_inherited_is_refused(planted: bytes) -> None:
    assert planted.startswith(b"BLDR_CANARY_")
    with pytest.raises(steps.CanaryError, match="was passed on"):
        steps.scrubbed({b"PATH": b"/bin", **os.environb})


def test_a_canary_that_nobody_has_planted_proves_nothing() -> None:
    with pytest.raises(steps.CanaryError, match="no variable is there"):
        steps.CANARIES[b"unset"](STATE, b"")


def test_each_launcher_plants_another_one() -> None:
    before = set(os.environb)
    steps.plant()
    steps.plant()
    names = set(os.environb) - before
    for name in names:
        del os.environb[name]

    assert len(names) == 2
