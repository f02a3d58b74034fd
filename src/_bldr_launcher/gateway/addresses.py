"""Which addresses a name may lead to: a name that is allowed must not become a way into the host or its own network."""

from __future__ import annotations

import _socket

__all__ = ["why_not"]

_LOCAL = "an address of this machine"
_LINK = "a link-local address, where clouds keep their metadata"
_PRIVATE = "an address of a private network"
_NO_HOST = "not the address of a host"
_RANGES = (
    ("0.0.0.0", 8, _LOCAL),  # noqa: S104  a range, not a place to bind to
    ("10.0.0.0", 8, _PRIVATE),
    ("100.64.0.0", 10, _PRIVATE),
    ("127.0.0.0", 8, _LOCAL),
    ("169.254.0.0", 16, _LINK),
    ("172.16.0.0", 12, _PRIVATE),
    ("192.0.0.0", 24, _PRIVATE),
    ("192.168.0.0", 16, _PRIVATE),
    ("198.18.0.0", 15, _PRIVATE),
    ("224.0.0.0", 4, _NO_HOST),
    ("240.0.0.0", 4, _NO_HOST),
)
_RANGES_V6 = (
    ("::", 128, _LOCAL),
    ("::1", 128, _LOCAL),
    ("fc00::", 7, _PRIVATE),
    ("fe80::", 10, _LINK),
    ("fec0::", 10, _PRIVATE),
    ("ff00::", 8, _NO_HOST),
)
_HOLDS_V4 = (("::ffff:0:0", 96, 12), ("::", 96, 12), ("64:ff9b::", 96, 12), ("64:ff9b:1::", 48, 12), ("2002::", 16, 2))
"""IPv6 addresses that hold an IPv4 address, and where: mapped, compatible, NAT64 (RFC 6052, RFC 8215), 6to4."""


def why_not(address: str, *, private: bool) -> str:
    """Say why a name may not lead to an address; empty when it may.

    Args:
        address: What a resolver said.
        private: Whether addresses of private networks may be meant.
    """
    family = _socket.AF_INET6 if ":" in address else _socket.AF_INET
    try:
        packed = _socket.inet_pton(family, address)
    except OSError:  # fe80::1%eth0
        return _LINK
    ranges = _RANGES if family == _socket.AF_INET else _RANGES_V6
    for first, bits, what in ranges:
        if _is_in(packed, _socket.inet_pton(family, first), bits) and not (private and what == _PRIVATE):
            return what
    if family == _socket.AF_INET6:
        for first, bits, place in _HOLDS_V4:
            if _is_in(packed, _socket.inet_pton(family, first), bits):
                return why_not(_socket.inet_ntop(_socket.AF_INET, packed[place : place + 4]), private=private)
    return ""


def _is_in(packed: bytes, first: bytes, bits: int) -> bool:
    spare = len(packed) * 8 - bits
    return int.from_bytes(packed, "big") >> spare == int.from_bytes(first, "big") >> spare
