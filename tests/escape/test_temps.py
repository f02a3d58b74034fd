"""No temp leaks: temps are private, empty at the start and gone at the end, whatever was left in them."""

from __future__ import annotations

import pytest

from tests.escape.conftest import Played


@pytest.fixture
def temps(caller) -> Played:
    return caller("temps")


def test_a_temp_is_empty_at_the_start_and_shows_nothing_of_the_host(temps: Played) -> None:
    assert temps["host"] is True
    assert [line for line in temps["first"].splitlines() if line and not line.endswith(":")] == []


def test_the_next_execution_does_not_see_what_was_left(temps: Played) -> None:
    assert temps["said"] == "littered\n"
    assert temps["second"] == temps["first"]


def test_shared_temps_are_for_everybody_and_others_for_the_caller(temps: Played) -> None:
    assert temps["modes"][:2] == ["1777 0", "755 0"]


def test_traps_60_and_61_temps_are_removed_with_closed_deep_and_linked_trees(temps: Played) -> None:
    assert "error" not in temps.facts, temps["error"]
    assert temps["during"] == 1
    assert temps["after"] == []
    assert temps["removed"] is True


def test_trap_61_removing_temps_follows_no_link(temps: Played) -> None:
    assert temps["victim"] is True


def test_temps_are_on_disk(temps: Played) -> None:
    where, inside = temps["file_system"]

    assert inside == where


def test_a_capped_temp_is_full_at_its_cap(temps: Played) -> None:
    assert temps["uncapped"] == 0
    assert temps["capped"] == "OSError: [Errno 28] No space left on device"


def test_nothing_is_left_when_the_launcher_has_ended(temps: Played) -> None:
    assert temps["left_at_last"] == []
    assert temps["base_left"] is False
    assert temps["scratch_on_host"] is False
