"""The promises that hold without namespaces, and the limits that the receipt admits: the same attempts as elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.escape.conftest import BECOMES_USER, Played, Theatre
from tests.escape.test_files import CONFINED, READ_ONLY, UNSEEN
from tests.escape.test_network import UNREACHABLE

NEEDED = ("landlock-truncate", "system-python", "user-namespaces")  # the controls use namespaces
ROOT = pytest.param("root", marks=pytest.mark.needs("root", *NEEDED))
USER = pytest.param("user", marks=pytest.mark.needs(*NEEDED, *BECOMES_USER))

# Names and metadata stay visible, and directories in which only a part was declared can be listed.
VISIBLE = ("stat_undeclared", "list_hole")
# What is answered in another way than by Landlock's EACCES.
ANSWERS = {
    "change_mode_of_input": "EROFS",
    "change_times_of_input": "EROFS",
    "change_owner_of_input": "EROFS",
    "change_attributes_of_input": "ENOTTY",
    "set_extended_attribute_of_input": "ENOTSUP",
    "link_input_into_output": "EXDEV",
    "remount_input_writable": "EPERM",
    "unmount_input": "EPERM",
    "uncover_hole": "EPERM",
    "change_attributes_of_the_mount": "EPERM",
}
FILES = [name for name in (*UNSEEN, *READ_ONLY, *CONFINED) if name not in VISIBLE]
SOCKETS = (
    *UNREACHABLE, "connect_to_socket_in_input", "list_interfaces", "open_raw_socket", "open_packet_socket",
    "talk_to_self_v4", "talk_to_self_v6",
)  # fmt: skip
PROCESSES = {
    "read_memory_of_host_process": "EPERM",
    "trace_init": "EPERM",
    "read_environment_of_init": "EACCES",
    "read_descriptor_of_init": "EACCES",
    "open_descriptor_of_init": "EACCES",
    "enter_root_of_init": "EACCES",
    "enter_directory_of_init": "EACCES",
    "open_memory_of_init": "EACCES",
    "read_maps_of_init": "EACCES",
    "take_descriptor_of_init": "EPERM",
    "open_by_leaked_descriptor": "EBADF",
    "read_by_leaked_descriptor": "EBADF",
    "find_shared_memory": "ENOSYS",
    "find_semaphore": "ENOSYS",
    "find_message_queue": "ENOSYS",
    "open_posix_message_queue": "ENOSYS",
    "open_posix_shared_memory": "EACCES",
    "find_key_in_session_keyring": "EPERM",
    "join_session_keyring": "EPERM",
    "type_into_terminal": "EACCES",
    "list_devices": "EACCES",
    "list_terminals": "EACCES",
    "list_sys": "EACCES",
    "set_host_name": "EPERM",
}
KERNEL = {
    "make_user_namespace": "ENOSPC",
    "clone_into_user_namespace": "ENOSYS",
    "make_mount_namespace": "EPERM",
    "mount_tmpfs": "EPERM",
    "mount_bind": "EPERM",
    "change_root": "EPERM",
    "pivot_root": "EPERM",
    "ring": "ENOSYS",
    "call_of_i386": "ENOSYS",
}


@pytest.fixture(params=[ROOT, USER])
def caller(request: pytest.FixtureRequest, theatre: Theatre) -> Callable[[str], Played]:
    return lambda scene: theatre.play(request.param, scene, prefix=("env", "BLDR_TEST_RUNG=landlock"))


@pytest.mark.parametrize("attempt", FILES)
def test_files_are_confined(caller, attempt: str) -> None:
    assert caller("files").pair(attempt) == ("possible", ANSWERS.get(attempt, "EACCES"))


@pytest.mark.parametrize("attempt", ["write_output", "write_temp", "read_file_that_only_the_caller_can_read"])
def test_what_was_declared_can_be_used(caller, attempt: str) -> None:
    assert caller("files").pair(attempt) == ("possible", "possible")


@pytest.mark.parametrize("attempt", VISIBLE)
def test_names_and_metadata_stay_visible_as_the_receipt_admits(caller, attempt: str) -> None:
    assert caller("files").outcome("inside", attempt) == "possible"


def test_nothing_but_outputs_was_changed_and_the_result_says_that_it_is_not_hermetic(caller) -> None:
    files = caller("files")

    assert files["changed"] == {"source": [True, False], "undeclared": [True, False]}
    assert files["world"] == ["out", "source", "undeclared"]
    assert files["hermetic"] is False
    assert files["result"].split()[1] == files["owner"]


@pytest.mark.parametrize("attempt", SOCKETS)
def test_no_socket_can_be_made(caller, attempt: str) -> None:
    """Not even one's own loopback is there, and no daemon of the host can be reached by a path."""
    assert caller("network").pair(attempt) == ("possible", "EACCES")


@pytest.mark.parametrize(("attempt", "refusal"), PROCESSES.items())
def test_processes_and_objects_of_the_host_cannot_be_used(caller, attempt: str, refusal: str) -> None:
    assert caller("processes").pair(attempt) == ("possible", refusal)


@pytest.mark.needs("landlock-scopes")
def test_processes_of_the_host_cannot_be_signalled(caller) -> None:
    processes = caller("processes")

    assert processes.pair("signal_host_process") == ("possible", "EPERM")
    assert processes["victims"] == [-10, 0]


def test_processes_of_the_host_are_seen_as_the_receipt_admits(caller) -> None:
    assert caller("processes").pair("see_host_process") == ("possible", "possible")


@pytest.mark.parametrize(("attempt", "refusal"), KERNEL.items())
def test_the_kernel_offers_no_other_way_out(caller, attempt: str, refusal: str) -> None:
    assert caller("kernel").pair(attempt) == ("possible", refusal)


def test_no_capability_is_left(caller) -> None:
    status = caller("kernel").value("status")

    assert (status["CapPrm"], status["CapEff"], status["NoNewPrivs"]) == ("0" * 16, "0" * 16, "1")


@pytest.mark.parametrize("scene", ["exit", "timeout", "kill", "death", "command_death"])
def test_nothing_survives(caller, scene: str) -> None:
    """A daemon with a session of its own: the end of the command, a timeout, a kill, and SIGKILL of the supervisor."""
    found = caller("survivors")

    assert found["control"] == {"status": 0, "held": True}
    assert found[scene]["said"] == "left one behind\n"
    assert found[scene]["held"] is False
    assert found[scene].get("scratch", []) == []
