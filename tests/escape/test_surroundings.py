"""A command starts in the same surroundings, whatever its caller's are. Trap 39, and others as named."""

from __future__ import annotations

import re

import pytest

from tests.escape.conftest import Played


@pytest.fixture
def surroundings(caller) -> Played:
    return caller("surroundings")


def status(surroundings: Played, where: str) -> dict[str, str]:
    return dict(line.split(":\t", 1) for line in surroundings[where]["status"].splitlines())


def limits(surroundings: Played, where: str) -> dict[str, list[str]]:
    rows = surroundings[where]["limits"].splitlines()[1:]
    return {
        name: re.split(r"\s{2,}", rest.strip())[:2] for name, rest in ((row[:25].strip(), row[25:]) for row in rows)
    }


def test_the_environment_is_exactly_what_was_declared(surroundings: Played) -> None:
    assert "SECRET=hunter2" in surroundings["outside"]["environ"]
    assert surroundings["inside"]["environ"].split("\0")[:-1] == ["A=1 = one", "B=2", "PATH=/usr/bin:/bin"]


def test_the_umask_is_022(surroundings: Played) -> None:
    assert surroundings["outside"]["umask"].strip() == "0077"
    assert surroundings["inside"]["umask"].strip() == "0022"


def test_trap_27_no_signal_is_ignored_or_blocked(surroundings: Played) -> None:
    """Python ignores SIGPIPE; a shell that inherits that does not stop when its reader does."""
    outside, inside = status(surroundings, "outside"), status(surroundings, "inside")

    assert int(outside["SigIgn"], 16) != 0
    assert int(outside["SigBlk"], 16) != 0
    # posix_spawn(3) of glibc leaves the two signals ignored that its threads use; nobody else can.
    assert int(inside["SigIgn"], 16) & ~(0b11 << 31) == 0
    assert [int(inside[name], 16) for name in ("SigBlk", "SigCgt", "SigPnd")] == [0, 0, 0]


def test_limits_are_pinned(surroundings: Played) -> None:
    outside, inside = limits(surroundings, "outside"), limits(surroundings, "inside")

    assert outside["Max open files"][0] == "333"
    assert inside["Max open files"][0] == "4096"
    assert outside["Max stack size"][0] == str(1 << 20)
    assert inside["Max stack size"][0] == str(8 << 20)


def test_the_time_zone_is_utc_and_the_locale_does_not_follow_the_caller(surroundings: Played) -> None:
    assert surroundings["outside"]["zone"].strip() == "JST"
    assert surroundings["inside"]["zone"].strip() == "UTC"
    assert surroundings["inside"]["sorted"].split() == ["A", "a", "b"]  # by byte, as LC_ALL is not set to anything


def test_trap_32_standard_input_is_empty(surroundings: Played) -> None:
    assert surroundings["outside"]["input"] == "typed"
    assert surroundings["inside"]["input"] == ""


def test_the_command_has_a_session_of_its_own_and_no_terminal(surroundings: Played) -> None:
    pid, _, _, _, group, session, terminal = surroundings["inside"]["stat"].replace("(cat)", "cat").split()[:7]

    assert pid == group == session
    assert terminal == "0"


def test_the_working_directory_of_the_caller_is_left(surroundings: Played) -> None:
    """Trap 6: an old working directory is a way around every mount."""
    assert surroundings["outside"]["directory"].strip().endswith("/undeclared")
    assert surroundings["outside"]["relative"].splitlines() == ["secret", "secret", "1"]
    assert surroundings["inside"]["directory"].strip() == "/"
    assert surroundings["inside"]["relative"].splitlines() == ["1"]


def test_no_core_is_dumped(host_caller) -> None:
    surroundings = host_caller("surroundings")

    assert limits(surroundings, "outside")["Max core file size"][0] == "4096"
    assert limits(surroundings, "inside")["Max core file size"] == ["0", "0"]


def test_trap_39_the_personality_is_the_usual_one(surroundings: Played) -> None:
    assert int(surroundings["outside"]["personality"], 16) == 0x0040000
    assert int(surroundings["inside"]["personality"], 16) == 0


def test_users_of_the_host_are_not_listed(surroundings: Played) -> None:
    assert {line.split(":")[0] for line in surroundings["inside"]["passwd"].splitlines()} == {"root", "nobody"}
