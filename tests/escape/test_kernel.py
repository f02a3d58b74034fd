"""No privilege is left inside, no namespace or mount can be made, and the filter refuses what real builds never miss."""

from __future__ import annotations

import pytest

from tests.escape.conftest import Played

MOUNTS_AND_NAMESPACES = {
    "make_user_namespace": "ENOSPC",
    "clone_into_user_namespace": "ENOSPC",
    "make_mount_namespace": "EPERM",
    "make_process_namespace": "EPERM",
    "make_network_namespace": "EPERM",
    "join_namespace": "EPERM",
    "mount_tmpfs": "EPERM",
    "mount_bind": "EPERM",
    "mount_proc": "EPERM",
    "copy_mount": "EPERM",
    "open_file_system": "EPERM",
    "move_mount": "EPERM",
    "change_root": "EPERM",
    "pivot_root": "EPERM",
}
EMPTY = "0" * 16


@pytest.fixture
def kernel(caller) -> Played:
    return caller("kernel")


@pytest.fixture
def host_kernel(host_caller) -> Played:
    return host_caller("kernel")


@pytest.mark.parametrize(("attempt", "refusal"), MOUNTS_AND_NAMESPACES.items())
def test_no_mount_and_no_namespace_can_be_made(kernel: Played, attempt: str, refusal: str) -> None:
    assert kernel.pair(attempt) == ("possible", refusal)


def test_no_capability_is_left_and_none_can_be_gained(kernel: Played) -> None:
    status = kernel.value("status")

    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {EMPTY}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def test_outside_there_are_capabilities_that_could_be_gained(host_kernel: Played) -> None:
    status = host_kernel.value("status", "outside")

    assert status["CapBnd"] != EMPTY
    assert status["NoNewPrivs"] == "0"


def test_no_supplementary_group_of_the_caller_is_kept_by_name(kernel: Played) -> None:
    status = kernel.value("status")

    assert status["Uid"].split() == ["0"] * 4
    assert status["Gid"].split() == ["0"] * 4


@pytest.mark.parametrize(("attempt", "refusal"), [("ring", "ENOSYS"), ("fault_handler", "EPERM")])
def test_calls_that_get_round_filters_are_refused(host_kernel: Played, attempt: str, refusal: str) -> None:
    assert host_kernel.pair(attempt) == ("possible", refusal)


@pytest.mark.parametrize("attempt", ["load_bpf_map", "count_events", "watch_file_system"])
def test_calls_into_the_inside_of_the_kernel_are_refused(host_root, attempt: str) -> None:
    assert host_root("kernel").pair(attempt) == ("possible", "EPERM")


def test_modules_cannot_be_loaded(host_root) -> None:
    outside, inside = host_root("kernel").pair("reach_module_loader")

    assert outside in ("possible", "ENOSYS")  # a kernel without modules
    assert inside == "EPERM"


@pytest.mark.parametrize(
    "attempt", ["call_clone3", "call_statx", "call_openat2", "call_faccessat2", "call_fchmodat2", "call_close_range"]
)
def test_a_new_call_is_allowed_or_unknown_but_never_forbidden(kernel: Played, attempt: str) -> None:
    """Trap 46: a C library falls back on ENOSYS and gives up on EPERM."""
    outside, inside = kernel.pair(attempt)

    assert outside in ("possible", "ENOSYS")
    assert inside == outside


def test_a_call_that_does_not_exist_is_unknown(kernel: Played) -> None:
    assert kernel.pair("call_that_does_not_exist") == ("ENOSYS", "ENOSYS")


def test_another_table_of_system_calls_is_no_way_round_the_filter(host_kernel: Played) -> None:
    """Trap 46: the filter knows one architecture; 32-bit programs and the x32 numbers see a kernel without calls."""
    assert host_kernel.outcome("outside", "call_of_i386") in ("possible", "absent", "ended with -11")
    assert host_kernel.outcome("inside", "call_of_i386") in ("ENOSYS", "absent", "ended with -11")
    assert host_kernel.outcome("inside", "call_of_x32") in ("ENOSYS", "absent")
