"""What is allowed, and which address inside stands for which host. Pure."""

from __future__ import annotations

import _socket

from _bldr_launcher import wire

__all__ = ["Rule", "Rules"]

_PRIVATE = "private"


class Rule:
    """One allowed endpoint, seen from inside.

    Args:
        host: A name, ``*.`` and a name, or an address.
        protocol: ``tcp`` or ``udp``.
        port: Its port.
        leads_to: The address where connections go; empty to ask the resolver, and ``private`` likewise.
        target_port: The port there.
    """

    __slots__ = ("host", "leads_to", "port", "private", "protocol", "target_port")

    def __init__(self, host: str, protocol: str, port: int, leads_to: str, target_port: int) -> None:
        self.host = host
        self.protocol = protocol
        self.port = port
        self.private = leads_to == _PRIVATE
        self.leads_to = "" if self.private else leads_to
        self.target_port = target_port


class Rules:
    """The allowed endpoints, by name and by address inside.

    Args:
        names: The address inside of each allowed name or address.
        rules: The endpoints.
        first: The first address for names that only a wildcard allows; empty without wildcards.
        count: How many such addresses there are.
        own: The host name of the sandbox.
    """

    def __init__(self, names: dict[str, str], rules: list[Rule], first: str, count: int, own: str) -> None:
        self.own = own
        self._rules = rules
        self._names = names
        self._hosts = {address: name for name, address in names.items()}
        self._free = _in_a_row(first, count) if first else []
        self._free.reverse()

    @staticmethod
    def parse(text: bytes) -> Rules:
        """Decode what ``bldr.sandbox.linux.gateway`` encodes."""
        own, first, count, names, fields = wire.unpack(text)
        words = [word.decode() for word in wire.unpack(names)]
        items = [word.decode() for word in wire.unpack(fields)]
        rules = [
            Rule(items[at], items[at + 1], int(items[at + 2]), items[at + 3], int(items[at + 4]))
            for at in range(0, len(items), 5)
        ]
        pairs = dict(zip(words[::2], words[1::2], strict=True))
        return Rules(pairs, rules, first.decode(), int(count), own.decode())

    def of_name(self, name: str) -> list[Rule]:
        """Return the endpoints that a name has, by itself or by a wildcard."""
        return [rule for rule in self._rules if _matches(rule.host, name)]

    def find(self, name: str, protocol: str, port: int) -> Rule | None:
        """Return the endpoint that allows a port of a host; the most particular one."""
        found = [rule for rule in self.of_name(name) if (rule.protocol, rule.port) == (protocol, port)]
        return max(found, key=lambda rule: (rule.host == name, len(rule.host)), default=None)

    def host_at(self, address: str) -> str:
        """Return the host for which an address stands; the address itself when it stands for none."""
        return self._hosts.get(address, address)

    def address_of(self, name: str) -> str:
        """Return the address that stands for a name, if need be a new one; empty when all are in use."""
        if name not in self._names and self._free:
            self._names[name] = self._free.pop()
            self._hosts[self._names[name]] = name
        return self._names.get(name, "")


def _matches(pattern: str, name: str) -> bool:
    return name == pattern or (pattern.startswith("*.") and name.endswith(pattern[1:]) and len(name) >= len(pattern))


def _in_a_row(first: str, count: int) -> list[str]:
    start = int.from_bytes(_socket.inet_pton(_socket.AF_INET, first), "big")
    return [_socket.inet_ntop(_socket.AF_INET, (start + one).to_bytes(4, "big")) for one in range(count)]
