"""Process isolation: processes, shared objects, keys, terminals, names and open files of the host are out of reach."""

from __future__ import annotations

import signal

import pytest

from tests.escape.conftest import Played

HIDDEN = {
    "see_host_process": "absent",
    "look_for_host_process": "ENOENT",
    "signal_host_process": "ESRCH",
    "watch_host_process": "ESRCH",
    "read_memory_of_host_process": "ESRCH",
    "find_host_name": "absent",
    "find_host_name_in_files": "absent",
    "find_shared_memory": "ENOENT",
    "find_semaphore": "ENOENT",
    "find_message_queue": "ENOENT",
    "open_posix_message_queue": "ENOENT",
    "open_posix_shared_memory": "ENOENT",
    "see_terminal_of_host": "absent",
    "open_by_leaked_descriptor": "EBADF",
    "read_by_leaked_descriptor": "EBADF",
    "set_host_name": "EPERM",
    "set_domain_name": "EPERM",
}
INIT = {
    "trace_init": "EPERM",
    "read_environment_of_init": "EACCES",
    "read_descriptor_of_init": "EACCES",
    "open_descriptor_of_init": "EACCES",
    "enter_root_of_init": "EACCES",
    "enter_directory_of_init": "EACCES",
    "open_memory_of_init": "EACCES",
    "read_maps_of_init": "EACCES",
    "take_descriptor_of_init": "EPERM",
    "read_arguments_of_init": "absent",
}
KEYS = {
    "find_key_in_session_keyring": "EPERM",
    "add_key": "EPERM",
    "join_session_keyring": "EPERM",
}


@pytest.fixture
def processes(caller) -> Played:
    return caller("processes")


@pytest.fixture
def host_processes(host_caller) -> Played:
    return host_caller("processes")


@pytest.mark.parametrize(("attempt", "refusal"), HIDDEN.items())
def test_what_belongs_to_the_host_is_out_of_reach(processes: Played, attempt: str, refusal: str) -> None:
    assert processes.pair(attempt) == ("possible", refusal)


def test_a_signal_reaches_the_host_process_only_from_outside(processes: Played) -> None:
    assert processes["victims"] == [-signal.SIGUSR1, 0]


@pytest.mark.parametrize(("attempt", "refusal"), INIT.items())
def test_init_is_no_door_to_the_host(processes: Played, attempt: str, refusal: str) -> None:
    assert processes.pair(attempt) == ("possible", refusal)


@pytest.mark.parametrize(("attempt", "refusal"), KEYS.items())
def test_trap_23_keyrings_are_not_shared(host_processes: Played, attempt: str, refusal: str) -> None:
    assert host_processes.pair(attempt) == ("possible", refusal)


def test_trap_23_keys_of_the_caller_are_not_listed(host_processes: Played) -> None:
    assert host_processes.pair("see_key_in_proc") == ("possible", "absent")


def test_trap_22_the_domain_name_of_the_host_is_hidden(processes: Played) -> None:
    assert processes.pair("find_domain_name") == ("possible", "absent")


def test_no_descriptor_but_the_standard_streams_is_open(processes: Played) -> None:
    # 3 is the listing itself, or the end of the pipe on which the attempt reports
    assert {number for number in processes.value("list_descriptors") if number > 4} == set()
    assert max(processes.value("list_descriptors", "outside")) > 200


@pytest.mark.parametrize("attempt", ["type_into_terminal", "type_into_terminal_with_high_bits"])
def test_trap_31_nobody_can_type_into_a_terminal(host_processes: Played, attempt: str) -> None:
    outside, inside = host_processes.pair(attempt)

    assert outside in ("possible", "EIO")  # EIO: the kernel itself refuses it, with dev.tty.legacy_tiocsti=0
    assert inside == "EPERM"


@pytest.mark.parametrize("attempt", ["paste_into_console", "paste_into_console_with_high_bits"])
def test_trap_31_nobody_can_paste_into_a_console(host_processes: Played, attempt: str) -> None:
    """Outside the request reaches the driver, which says that a pseudo-terminal is no console."""
    assert host_processes.pair(attempt) == ("ENOTTY", "EPERM")


def test_the_control_group_path_of_the_host_is_hidden(processes: Played) -> None:
    assert {line.rpartition(":")[2] for line in processes.value("find_control_group")} <= {"/"}


def test_devices_are_few(processes: Played) -> None:
    names = "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero"

    assert processes.value("list_devices") == names.split()
    assert processes.value("list_terminals") == ["ptmx"]
    assert processes.outcome("inside", "open_controlling_terminal") == "ENXIO"


def test_nothing_of_sys_is_shown(processes: Played) -> None:
    assert processes.outcome("inside", "list_sys") == "ENOENT"


@pytest.mark.parametrize(
    ("attempt", "refusal"),
    [("open_core_pattern", "EACCES"), ("open_kernel_log", "EACCES"), ("set_host_name_by_sysctl", "EACCES")],
)
def test_settings_and_log_of_the_kernel_are_closed(host_root, attempt: str, refusal: str) -> None:
    assert host_root("processes").pair(attempt) == ("possible", refusal)
