"""Which address inside stands for which host, said by the plan and understood by the gateway."""

from __future__ import annotations

from _bldr_launcher import wire
from _bldr_launcher.gateway.rules import Rules
from bldr.model.limits import ResourceLimits
from bldr.model.network import NetworkPolicy
from bldr.model.spec import SandboxSpecBuilder
from bldr.sandbox.linux.gateway import encode
from bldr.sandbox.linux.standins import names_of, stand_ins, wildcard_places


def rules(*hosts: str) -> Rules:
    spec = SandboxSpecBuilder.create().with_network(NetworkPolicy.allow_hosts(hosts)).build()
    return Rules.parse(wire.unpack(encode(spec))[0])


def test_a_name_has_an_address_and_an_address_keeps_its_own() -> None:
    found = rules("b.test:1", "a.test", "203.0.113.7", "2001:db8::1")

    assert [found.address_of(name) for name in ("a.test", "b.test")] == ["198.18.1.1", "198.18.1.2"]
    assert found.address_of("203.0.113.7") == "203.0.113.7"
    assert found.host_at("198.18.1.2") == "b.test"
    assert found.host_at("198.18.1.3") == "198.18.1.3"
    assert found.address_of("c.test") == ""


def test_the_most_particular_endpoint_decides_where_a_connection_leads() -> None:
    found = rules("*.test:80=10.0.0.1", "*.b.test:80=10.0.0.2", "a.b.test:80=10.0.0.3:81", "a.b.test:443")

    assert [
        (rule.leads_to, rule.target_port)
        for name in ("x.test", "x.b.test", "a.b.test")
        if (rule := found.find(name, "tcp", 80))
    ] == [
        ("10.0.0.1", 80),
        ("10.0.0.2", 80),
        ("10.0.0.3", 81),
    ]
    assert found.find("a.b.test", "udp", 80) is None
    assert found.find("test", "tcp", 80) is None


def test_names_below_a_wildcard_get_addresses_until_there_are_no_more() -> None:
    found = rules("*.test:80")
    addresses = [found.address_of(f"n{number}.test") for number in range(129)]

    assert addresses[:2] == ["198.19.0.1", "198.19.0.2"]
    assert addresses[127:] == ["198.19.0.128", ""]
    assert len(set(addresses)) == 129
    assert found.address_of("n0.test") == "198.19.0.1"


def test_private_networks_are_asked_for_by_name() -> None:
    rule = rules("a.test:80=private").find("a.test", "tcp", 80)

    assert rule is not None
    assert (rule.private, rule.leads_to) == (True, "")


def test_no_address_of_a_name_ends_with_0_or_255() -> None:
    names = names_of(NetworkPolicy.allow_hosts([f"n{number:04}.test" for number in range(600)]))

    assert len(set(names.values())) == 600
    assert {address.rpartition(".")[2] for address in names.values()}.isdisjoint({"0", "255"})


def test_every_port_has_a_place() -> None:
    policy = NetworkPolicy.allow_hosts(["a.test:1", "a.test:2/udp", "*.test:3", "b.example"])

    assert [(one.host, one.protocol, one.port) for one in stand_ins(policy)] == [
        ("a.test", "tcp", 3),
        ("a.test", "tcp", 1),
        ("a.test", "udp", 2),
        ("b.example", "tcp", 22),
        ("b.example", "tcp", 80),
        ("b.example", "tcp", 443),
        ("b.example", "tcp", 9418),
    ]
    assert wildcard_places(policy) == (("tcp", 3),)


def test_the_limit_travels_with_the_rules() -> None:
    spec = (
        SandboxSpecBuilder.create()
        .with_network(NetworkPolicy.allow_hosts(["a.test"]))
        .with_limits(ResourceLimits(network_io=7))
        .build()
    )

    assert wire.unpack(encode(spec))[1] == b"7"
