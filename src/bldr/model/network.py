"""N: the endpoints that a command can reach; empty by default."""

from __future__ import annotations

from bldr.errors import SpecError
from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["PRIVATE", "USUAL_PORTS", "Endpoint", "NetworkPolicy"]

USUAL_PORTS = (22, 80, 443, 9418)
"""The ports of ssh, http, https and git, which are meant when none is named."""

PRIVATE = "private"
"""In place of an address: the name may lead to an address of a private network."""

_LONGEST_NAME = 253  # RFC 1035 allows 255 bytes on the wire, which are 253 characters
_LONGEST_LABEL = 63
_ACCEPTED = (
    "write a name or an address, with a port if only one is meant: github.com, github.com:443, [2001:db8::1]:443,"
    " *.cdn.example:443, ntp.example:123/udp"
)
_PROTOCOLS = ("tcp", "udp")


@value
class Endpoint:
    """One host and one port of it.

    Args:
        host: A name, ``*.`` and a name for every name below that one, or an address.
        port: ``None`` stands for the usual ports, see :data:`USUAL_PORTS`.
        protocol: ``tcp`` or ``udp``.
        leads_to: Where connections go instead of what the host's resolver says: an address; or :data:`PRIVATE`, so that
            the resolver may also name addresses of private networks. Empty for public addresses only.
        target_port: The port there, where it is another one.
    """

    host: str
    port: int | None = None
    protocol: str = "tcp"
    leads_to: str = ""
    target_port: int | None = None

    @staticmethod
    def parse(text: str) -> Endpoint:
        """Read ``HOST[:PORT][/udp][=ADDRESS[:PORT]]``; an IPv6 address with a port stands in brackets.

        ``=private`` in place of an address lets the name lead to addresses of private networks.

        Raises:
            SpecError: The text is not an endpoint.
        """
        if "://" in text:
            raise _invalid(text, "it is a URL, name the host alone")
        named, equals, target = text.partition("=")
        place, slash, protocol = named.partition("/")
        if slash and protocol.isdecimal():
            raise _invalid(text, "a range of addresses cannot be allowed, name each one")
        if slash and protocol not in _PROTOCOLS:
            raise _invalid(text, "behind the slash stands tcp or udp")
        host, port = _split(text, place)
        number = None if port is None else _port(text, port)
        leads_to, target_port = _target(text, target) if equals else ("", None)
        if protocol == "udp" and number is None:
            raise _invalid(text, "udp needs a port")
        return Endpoint(_host(text, host), number, protocol or "tcp", leads_to, target_port)

    @property
    def is_wildcard(self) -> bool:
        """Whether it stands for every name below one."""
        return self.host.startswith("*.")

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports that can be reached."""
        return USUAL_PORTS if self.port is None else (self.port,)

    def __str__(self) -> str:
        text = _joined(self.host, self.port)
        if self.protocol != "tcp":
            text += f"/{self.protocol}"
        return f"{text}={_joined(self.leads_to, self.target_port)}" if self.leads_to else text


@value
class NetworkPolicy:
    """Which endpoints can be reached. The private loopback is always up and is not network."""

    endpoints: tuple[Endpoint, ...] = ()

    @staticmethod
    def hermetic() -> NetworkPolicy:
        """Allow nothing."""
        return NetworkPolicy()

    @staticmethod
    def allow_hosts(hosts: Iterable[str]) -> NetworkPolicy:
        """Allow these hosts and nothing else.

        Args:
            hosts: Each ``HOST[:PORT][/udp][=ADDRESS[:PORT]]``, see :class:`Endpoint`.

        Raises:
            SpecError: One of them is not an endpoint, or two of them say different things of the same one.
            TypeError: A single ``str`` was given instead of several.

        Example:
            >>> [str(one) for one in NetworkPolicy.allow_hosts(["github.com:443", "*.cdn.example"]).endpoints]
            ['*.cdn.example', 'github.com:443']
        """
        if isinstance(hosts, str):
            raise TypeError(f"allow_hosts takes a list of hosts, not the text {hosts!r}")
        endpoints = sorted({Endpoint.parse(host) for host in hosts}, key=_order)
        seen: dict[tuple[str, int | None, str], Endpoint] = {}
        for one in endpoints:
            other = seen.setdefault((one.host, one.port, one.protocol), one)
            if other is not one:
                raise _invalid(str(one), f"it is allowed as {other} as well")
        return NetworkPolicy(tuple(endpoints))

    @property
    def is_hermetic(self) -> bool:
        """Whether nothing can be reached."""
        return not self.endpoints


def _order(endpoint: Endpoint) -> tuple[str, int, str, str, int]:
    return endpoint.host, endpoint.port or 0, endpoint.protocol, endpoint.leads_to, endpoint.target_port or 0


def _joined(host: str, port: int | None) -> str:
    if port is None:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _split(text: str, place: str) -> tuple[str, str | None]:
    if place.startswith("["):
        host, bracket, rest = place[1:].partition("]")
        if not bracket or ":" not in host or (rest and not rest.startswith(":")):
            raise _invalid(text, "brackets enclose an IPv6 address")
        return host, rest[1:] if rest else None
    if place.count(":") > 1:
        return place, None
    host, colon, port = place.partition(":")
    return host, port if colon else None


def _port(text: str, port: str) -> int:
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 0 < int(port) < 65536):
        raise _invalid(text, f"{port!r} is not a port between 1 and 65535")
    return int(port)


def _target(text: str, target: str) -> tuple[str, int | None]:
    if target == PRIVATE:
        return PRIVATE, None
    host, port = _split(text, target)
    address = _address(host)
    if not address:
        raise _invalid(text, f"behind '=' stands an address or {PRIVATE!r}")
    return address, None if port is None else _port(text, port)


def _host(text: str, host: str) -> str:
    """Return the canonical form of a host that can be allowed."""
    if address := _address(host):
        if why := _not_one_host(address):
            raise _invalid(text, why)
        return address
    name = host.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        raise _invalid(text, "that is the sandbox's own loopback", _OWN_NAME)
    if name == "*":
        raise _invalid(text, "the network cannot be opened as a whole")
    if not _is_name(name.removeprefix("*.")):
        raise _invalid(text, f"{host!r} is neither a host name nor an address" if host else "the host is missing")
    return name


_OWN_NAME = "to reach a service of this machine, give it a name: NAME:PORT=127.0.0.1"


def _address(host: str) -> str:
    """Return an address in its canonical form; empty for what is none."""
    import _socket

    family = _socket.AF_INET6 if ":" in host else _socket.AF_INET
    try:
        return _socket.inet_ntop(family, _socket.inet_pton(family, host))
    except (OSError, ValueError):
        return ""


def _not_one_host(address: str) -> str:
    """Why an address cannot stand for a host inside, or nothing."""
    if address == "::1" or address.startswith("127."):
        return f"{address} is the sandbox's own loopback; {_OWN_NAME}"
    if address.startswith(("198.18.", "198.19.")):
        return f"{address} is one of the addresses that stand for allowed names inside"
    if ":" in address:
        many = address.startswith(("::ffff:", "ff")) or address == "::"
    else:
        many = address.startswith("0.") or int(address.partition(".")[0]) >= 224
    return f"{address} is not the address of one host" if many else ""


def _is_name(name: str) -> bool:
    labels = name.split(".")
    return (
        len(name) <= _LONGEST_NAME
        and not labels[-1].isdecimal()  # the C library reads such a name as an address
        and all(
            0 < len(label) <= _LONGEST_LABEL
            and label.isascii()
            and label.replace("-", "").replace("_", "").isalnum()
            and label[0] != "-" != label[-1]
            and not label.startswith("0x")
            for label in labels
        )
    )


def _invalid(text: str, why: str, hint: str = _ACCEPTED) -> SpecError:
    return SpecError(f"the host {text!r} cannot be allowed: {why}", code="spec.endpoint-invalid", hint=hint)
