"""Network isolation: nobody outside can be reached by any family of sockets; one's own loopback can."""

from __future__ import annotations

import pytest

from tests.escape.conftest import Played

UNREACHABLE = {
    "connect_to_loopback_v4": "ECONNREFUSED",
    "connect_to_loopback_v6": "ECONNREFUSED",
    "ask_loopback_v4": "ECONNREFUSED",
    "ask_loopback_v6": "ECONNREFUSED",
    "connect_out_v4": "ENETUNREACH",
    "connect_out_v6": "ENETUNREACH",
    "ask_out_v4": "ENETUNREACH",
    "ask_out_v6": "ENETUNREACH",
    "send_out_unconnected": "ENETUNREACH",
    "connect_to_abstract_socket": "ECONNREFUSED",
    "connect_to_undeclared_socket": "ENOENT",
}


@pytest.fixture
def network(caller) -> Played:
    return caller("network")


@pytest.mark.parametrize(("attempt", "refusal"), UNREACHABLE.items())
def test_nobody_outside_can_be_reached(network: Played, attempt: str, refusal: str) -> None:
    assert network.pair(attempt) == ("possible", refusal)


def test_the_only_interface_is_a_loopback_of_the_sandbox(network: Played) -> None:
    assert network.value("list_addresses", "outside") is True
    assert network.value("list_addresses") is False
    assert network.value("list_interfaces") == ["lo"]


@pytest.mark.parametrize("attempt", ["talk_to_self_v4", "talk_to_self_v6"])
def test_processes_of_a_sandbox_can_talk_over_its_loopback(network: Played, attempt: str) -> None:
    assert network.pair(attempt) == ("possible", "possible")
    assert network.value(attempt) == "hello"


def test_two_sandboxes_can_hold_the_same_port(network: Played) -> None:
    assert network["outside_port"] == "Address already in use"
    assert network["ports"] == ["8080", "8080", "0", "0"]


def test_raw_sockets_cannot_be_opened(network: Played) -> None:
    assert network.pair("open_raw_socket") == ("possible", "EPERM")


def test_packet_sockets_cannot_be_opened(host_caller) -> None:
    assert host_caller("network").pair("open_packet_socket") == ("possible", "EAFNOSUPPORT")


@pytest.mark.parametrize(
    "attempt",
    [
        pytest.param("open_vm_socket", marks=pytest.mark.needs("vm-sockets")),
        pytest.param("open_crypto_socket", marks=pytest.mark.needs("crypto-sockets")),
    ],
)
def test_socket_families_that_no_namespace_confines_are_refused(host_caller, attempt: str) -> None:
    """Trap 49."""
    assert host_caller("network").pair(attempt) == ("possible", "EAFNOSUPPORT")


def test_no_name_server_is_configured(network: Played) -> None:
    assert network.value("resolver_configuration") == []
    assert network.outcome("inside", "look_up_a_name") == "absent"


def test_a_socket_that_lies_in_a_declared_input_can_be_connected_to(network: Played) -> None:
    """Not confined: who declares a directory with a listening socket has declared the socket."""
    assert network.pair("connect_to_socket_in_input") == ("possible", "possible")
