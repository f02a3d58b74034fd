"""Root inside is nobody of importance outside, owns what the caller owns, and is not in the way of installers."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.escape.conftest import BECOMES_USER, Played


@pytest.fixture
def identity(caller) -> Played:
    return caller("identity")


def test_real_roots_command_is_not_root_of_the_host(host_root) -> None:
    ids = host_root("identity")["host_ids"]

    assert os.getuid() == 0
    assert ids
    assert "0" not in ids


@pytest.mark.needs("user-namespaces", "system-python", *BECOMES_USER)
def test_a_users_command_has_the_users_ids_on_the_host(theatre) -> None:
    played = theatre.play("user", "identity")
    uid, gid = played["caller"].split(":")

    assert played["host_ids"][:8] == [uid] * 4 + [gid] * 4


def test_the_command_is_root_inside(identity: Played) -> None:
    assert identity.value("name_of_user") == "root"
    assert identity.value("numbers_of_user") == ["0", "0"]


def test_another_id_can_be_had_inside(identity: Played) -> None:
    assert identity["as_1000"].split() == ["1000", "builder", "1000"]
    assert identity["owner_by_1000"] == identity["caller"]


def test_trap_19_owners_can_be_given_but_do_not_change(identity: Played) -> None:
    assert identity.value("give_file_away") == 0
    assert identity.value("unpack_with_owners") == ["nobodys", "theirs"]
    assert identity.value("install_with_owner") == "100750"
    assert set(identity["owners"].values()) == {identity["caller"]}


def test_trap_11_shared_memory_and_terminals_are_private_and_work(identity: Played) -> None:
    assert identity.value("share_a_semaphore") == "True"
    assert identity.value("open_a_terminal") == "/dev/pts/0"


@pytest.mark.needs("root", "unprivileged-user", "user-namespaces")
def test_trap_15_a_setuid_program_gives_no_privilege(run_unprivileged, host_dir) -> None:
    """The program belongs to real root, and an ordinary user starts it."""
    program = host_dir / "setuid-id"
    shutil.copy("/usr/bin/id", program)
    program.chmod(0o4755)
    start = "import os, sys; os.execv(sys.argv[1], [sys.argv[1], '-u'])"

    outside = run_unprivileged("-c", start, str(program))
    inside = run_unprivileged("-m", "bldr", "run", "--uid", "1000", "-i", str(program), "--", str(program), "-u")

    assert outside.stdout == b"0\n"
    assert (inside.stdout, inside.stderr) == (b"1000\n", b"")


def test_what_changes_in_an_input_meanwhile_is_seen_and_gives_no_way_out(caller) -> None:
    """Trap 10: a file that is declared by itself is the old one after it was replaced."""
    changes = caller("changes")

    assert changes["outside"] == "secret\n"
    assert changes["before"] == ["as it was", "FileNotFoundError", "FileNotFoundError", "first"]
    assert changes["after"] == ["changed", "FileNotFoundError", "added", "first"]
    assert changes["status"] == 0
