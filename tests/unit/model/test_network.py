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
    ("text", "host", "port"),
    [
        ("github.com", "github.com", None),
        ("github.com:443", "github.com", 443),
        ("10.0.0.1:1", "10.0.0.1", 1),
        ("localhost:65535", "localhost", 65535),
        ("::1", "::1", None),
        ("[::1]", "::1", None),
        ("[2001:db8::1]:443", "2001:db8::1", 443),
        ("my_host-1.example.", "my_host-1.example.", None),
    ],
)
def test_a_host_may_have_a_port(text: str, host: str, port: int | None) -> None:
    assert Endpoint.parse(text) == Endpoint(host, port)
    assert Endpoint.parse(str(Endpoint(host, port))) == Endpoint(host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":443",
        "host:",
        "host:0",
        "host:65536",
        "host:https",
        "host:²",
        "https://github.com",
        "a b",
        "*.example.com",
        "-a.com",
        "a..b",
        "[::1",
        "[host]:1",
        "[::1]443",
        "[::1]:x",
        "1:2:3:zz",
        "ü.example",
        "a" * 64,
        ".".join(["abcdefgh"] * 30),
    ],
)
def test_what_is_no_endpoint_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(SpecError) as caught:
        NetworkPolicy.allow_hosts([text])

    assert caught.value.code == "spec.endpoint-invalid"
    assert repr(text) in caught.value.message
    assert "github.com:443" in caught.value.hint


def test_one_text_is_not_a_list_of_hosts() -> None:
    with pytest.raises(TypeError):
        NetworkPolicy.allow_hosts("github.com")
