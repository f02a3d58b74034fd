"""Traps of mounts: a host whose inputs and outputs have mounts below them, with locked flags, odd names, propagation."""

from __future__ import annotations

import pytest

from tests.escape.conftest import NESTED_USER, ROOT, USER, Played

NAMESPACES = {"root": ["-m"], "user": ["-U", "-r", "-m"], "nested-user": ["-U", "-r", "-m"]}


@pytest.fixture(params=[ROOT, USER, NESTED_USER])
def mounts(request: pytest.FixtureRequest, theatre) -> Played:
    prefix = ("unshare", *NAMESPACES[request.param], "--propagation", "unchanged")
    return theatre.play(request.param, "mounts", prefix=prefix)


@pytest.mark.parametrize("place", ["input", "mount in input", "odd mount in input", "deep mount in input"])
def test_traps_1_2_and_3_an_input_is_read_only_with_every_mount_below_it(mounts: Played, place: str) -> None:
    """MS_RDONLY on a bind is ignored, a remount reaches one mount, and locked flags refuse a remount that drops them."""
    assert (mounts["outside"][place], mounts["inside"][place]) == ("possible", "EROFS")


@pytest.mark.parametrize("place", ["output", "mount in output"])
def test_an_output_is_writable_with_every_mount_below_it(mounts: Played, place: str) -> None:
    assert (mounts["outside"][place], mounts["inside"][place]) == ("possible", "possible")


def test_trap_3_what_is_read_only_on_the_host_stays_so_in_an_output(mounts: Played) -> None:
    place = "read-only mount in another output"

    assert (mounts["outside"][place], mounts["inside"][place]) == ("EROFS", "EROFS")


def test_trap_5_no_mount_of_a_sandbox_appears_on_the_host(mounts: Played) -> None:
    """All mounts of this host are shared, which is what systemd makes them."""
    assert mounts["leaked"] == []
    assert mounts["hermetic"]


def test_trap_5_a_mount_that_appears_on_the_host_is_for_the_next_sandbox(mounts: Played) -> None:
    assert mounts["running"] == ["[]", "Read-only file system"]
    assert mounts["following"] == "appeared"
