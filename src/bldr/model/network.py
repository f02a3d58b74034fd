"""N: the endpoints that a command can reach; empty by default."""

from __future__ import annotations

from bldr.errors import SpecError
from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Endpoint", "NetworkPolicy"]

_LONGEST_NAME = 253  # RFC 1035 allows 255 bytes on the wire, which are 253 characters
_LONGEST_LABEL = 63
_ACCEPTED = (
    "write a name or an address, with a port if only one is meant: github.com, github.com:443, [2001:db8::1]:443"
)


@value
class Endpoint:
    """One host, by name or address, and one port of it; ``None`` stands for every port."""

    host: str
    port: int | None = None

    @staticmethod
    def parse(text: str) -> Endpoint:
        """Read ``HOST[:PORT]``; an IPv6 address with a port stands in brackets.

        Raises:
            SpecError: The text is not an endpoint.
        """
        host, port = _split(text)
        if not _is_host(host):
            raise _invalid(text, f"{host!r} is neither a host name nor an address" if host else "the host is missing")
        if port is None:
            return Endpoint(host.lower())
        if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 0 < int(port) < 65536):
            raise _invalid(text, f"{port!r} is not a port between 1 and 65535")
        return Endpoint(host.lower(), int(port))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host and self.port is not None else self.host
        return host if self.port is None else f"{host}:{self.port}"


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
            hosts: Each ``HOST`` or ``HOST:PORT``.

        Raises:
            SpecError: One of them is not an endpoint.
            TypeError: A single ``str`` was given instead of several.

        Example:
            >>> [str(endpoint) for endpoint in NetworkPolicy.allow_hosts(["github.com:443", "::1"]).endpoints]
            ['::1', 'github.com:443']
        """
        if isinstance(hosts, str):
            raise TypeError(f"allow_hosts takes a list of hosts, not the text {hosts!r}")
        found = {Endpoint.parse(host) for host in hosts}
        return NetworkPolicy(tuple(sorted(found, key=lambda endpoint: (endpoint.host, endpoint.port or 0))))

    @property
    def is_hermetic(self) -> bool:
        """Whether nothing can be reached."""
        return not self.endpoints


def _split(text: str) -> tuple[str, str | None]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or ":" not in host or (rest and not rest.startswith(":")):
            raise _invalid(text, "brackets enclose an IPv6 address")
        return host, rest[1:] if rest else None
    if text.count(":") > 1:
        return text, None
    host, colon, port = text.partition(":")
    return host, port if colon else None


def _is_host(host: str) -> bool:
    if ":" in host:
        import _socket

        try:
            _socket.inet_pton(_socket.AF_INET6, host)
        except (OSError, ValueError):
            return False
        return True
    labels = host.removesuffix(".").split(".")
    return len(host) <= _LONGEST_NAME and all(
        0 < len(label) <= _LONGEST_LABEL
        and label.isascii()
        and label.replace("-", "").replace("_", "").isalnum()
        and label[0] != "-" != label[-1]
        for label in labels
    )


def _invalid(text: str, why: str) -> SpecError:
    return SpecError(f"the host {text!r} cannot be allowed: {why}", code="spec.endpoint-invalid", hint=_ACCEPTED)
