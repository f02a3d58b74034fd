"""The set N."""

from __future__ import annotations

import pickle

import pytest

from bldr.errors import SpecError
from bldr.model.network import Endpoint, NetworkPolicy


def test_nothing_can_be_reached_by_default() -> None:
    assert NetworkPolicy.hermetic() == NetworkPolicy()
    assert NetworkPolicy.hermetic().is_hermetic
    assert NetworkPolicy.hermetic().endpoints == ()


def test_hosts_are_sorted_and_each_is_there_once() -> None:
    policy = NetworkPolicy.allow_hosts(["github.com:443", "API.example.com", "github.com:443", "github.com:80"])

    assert [str(endpoint) for endpoint in policy.endpoints] == ["api.example.com", "github.com:80", "github.com:443"]
    assert not policy.is_hermetic
    assert pickle.loads(pickle.dumps(policy)) == policy


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("github.com", Endpoint("github.com")),
        ("GitHub.com.:443", Endpoint("github.com", 443)),
        ("10.0.0.1:1", Endpoint("10.0.0.1", 1)),
        ("my_host-1.example:65535", Endpoint("my_host-1.example", 65535)),
        ("2001:DB8:0::1", Endpoint("2001:db8::1")),
        ("[2001:db8::1]:443", Endpoint("2001:db8::1", 443)),
        ("*.cdn.example:443", Endpoint("*.cdn.example", 443)),
        ("ntp.example:123/udp", Endpoint("ntp.example", 123, "udp")),
        ("a.example:1/tcp", Endpoint("a.example", 1)),
        ("a.example=private", Endpoint("a.example", None, "tcp", "private")),
        ("a.example:80=127.0.0.1:8080", Endpoint("a.example", 80, "tcp", "127.0.0.1", 8080)),
        ("a.example:80=::1", Endpoint("a.example", 80, "tcp", "::1")),
        ("a.example:80=[::1]:8080", Endpoint("a.example", 80, "tcp", "::1", 8080)),
        ("[2001:db8::1]:53/udp=127.0.0.1", Endpoint("2001:db8::1", 53, "udp", "127.0.0.1")),
    ],
)
def test_an_endpoint_is_read_and_written(text: str, endpoint: Endpoint) -> None:
    assert Endpoint.parse(text) == endpoint
    assert Endpoint.parse(str(endpoint)) == endpoint


def test_without_a_port_the_usual_ones_are_meant() -> None:
    assert Endpoint.parse("github.com").ports == (22, 80, 443, 9418)
    assert Endpoint.parse("github.com:8080").ports == (8080,)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "the host is missing"),
        (":443", "the host is missing"),
        ("host:", "'' is not a port"),
        ("host:0", "'0' is not a port"),
        ("host:65536", "is not a port"),
        ("host:https", "is not a port"),
        ("host:²", "is not a port"),
        ("https://github.com", "it is a URL, name the host alone"),
        ("a b", "neither a host name nor an address"),
        ("-a.com", "neither a host name nor an address"),
        ("a..b", "neither a host name nor an address"),
        ("a.*.b", "neither a host name nor an address"),
        ("**.b", "neither a host name nor an address"),
        ("*", "the network cannot be opened as a whole"),
        ("*:443", "the network cannot be opened as a whole"),
        ("[2001:db8::1", "brackets enclose an IPv6 address"),
        ("[host]:1", "brackets enclose an IPv6 address"),
        ("[2001:db8::1]443", "brackets enclose an IPv6 address"),
        ("[2001:db8::1]:x", "is not a port"),
        ("1:2:3:zz", "neither a host name nor an address"),
        ("fe80::1%eth0", "neither a host name nor an address"),
        ("ü.example", "neither a host name nor an address"),
        ("a" * 64, "neither a host name nor an address"),
        (".".join(["abcdefgh"] * 30), "neither a host name nor an address"),
        ("127.1", "neither a host name nor an address"),
        ("0x7f000001", "neither a host name nor an address"),
        ("2130706433", "neither a host name nor an address"),
        ("localhost", "the sandbox's own loopback"),
        ("db.localhost:5432", "the sandbox's own loopback"),
        ("127.0.0.1:80", "the sandbox's own loopback"),
        ("::1", "the sandbox's own loopback"),
        ("0.0.0.0", "not the address of one host"),
        ("224.0.0.1", "not the address of one host"),
        ("255.255.255.255", "not the address of one host"),
        ("::", "not the address of one host"),
        ("ff02::1", "not the address of one host"),
        ("::ffff:10.0.0.1", "not the address of one host"),
        ("198.18.0.1", "stand for allowed names"),
        ("10.0.0.0/8", "a range of addresses cannot be allowed"),
        ("ntp.example/udp", "udp needs a port"),
        ("a.example:1/sctp", "behind the slash stands tcp or udp"),
        ("a.example=elsewhere", "behind '=' stands an address"),
        ("a.example=", "behind '=' stands an address"),
        ("a.example=127.0.0.1:x", "is not a port"),
    ],
)
def test_what_is_no_endpoint_is_refused_in_one_sentence(text: str, why: str) -> None:
    with pytest.raises(SpecError) as caught:
        NetworkPolicy.allow_hosts([text])

    assert caught.value.code == "spec.endpoint-invalid"
    assert repr(text) in caught.value.message
    assert why in caught.value.message
    assert caught.value.hint


def test_the_same_endpoint_cannot_lead_to_two_places() -> None:
    with pytest.raises(SpecError, match=r"it is allowed as a:1=10\.0\.0\.1 as well"):
        NetworkPolicy.allow_hosts(["a:1=10.0.0.2", "a:1=10.0.0.1"])


def test_one_text_is_not_a_list_of_hosts() -> None:
    with pytest.raises(TypeError):
        NetworkPolicy.allow_hosts("github.com")
