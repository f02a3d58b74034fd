"""Clean termination: whatever a command leaves running is gone when the execution has ended, however that came about."""

from __future__ import annotations

import pytest

from tests.escape.conftest import Played


@pytest.fixture
def survivors(caller) -> Played:
    return caller("survivors")


def test_outside_a_process_with_a_session_of_its_own_survives(survivors: Played) -> None:
    assert survivors["control"] == {"status": 0, "held": True}


def test_nothing_survives_the_end_of_the_command(survivors: Played) -> None:
    assert survivors["exit"] == {"said": "left one behind\n", "status": 0, "held": False, "verified": True}


def test_trap_28_nothing_survives_a_timeout(survivors: Played) -> None:
    assert survivors["timeout"] == {
        "said": "left one behind\n",
        "status": 124,
        "termination": "timed-out",
        "held": False,
    }


def test_nothing_survives_a_kill(survivors: Played) -> None:
    assert survivors["kill"] == {"said": "left one behind\n", "held_before": True, "held": False}


@pytest.mark.parametrize("scene", ["death", "command_death"])
def test_trap_26_nothing_survives_the_death_of_the_supervisor(survivors: Played, scene: str) -> None:
    """It is killed with SIGKILL: a program that uses the library, and ``bldr run``."""
    assert survivors[scene] == {"said": "left one behind\n", "held_before": True, "held": False, "scratch": []}
