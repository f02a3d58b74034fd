"""Addresses, routes and rules of this process's network namespace, by rtnetlink(7). Needs the rights of its root."""

from __future__ import annotations

import _socket
import errno
import os
import struct

__all__ = ["add_address", "add_local_route", "trap_refused"]

# <linux/rtnetlink.h>, <linux/netlink.h>
RTM_NEWADDR, RTM_NEWROUTE, RTM_NEWRULE, RTM_DELRULE = 20, 24, 32, 33
NLM_F_REQUEST, NLM_F_ACK, NLM_F_EXCL, NLM_F_CREATE = 0x1, 0x4, 0x200, 0x400
RTA_DST, RTA_OIF, RTA_PREFSRC, RTA_TABLE = 1, 4, 7, 15
RTPROT_BOOT, RTN_LOCAL, RT_SCOPE_HOST, RT_TABLE_LOCAL = 3, 2, 254, 255
# <linux/if_addr.h>
IFA_ADDRESS, IFA_LOCAL = 1, 2
# <linux/fib_rules.h>
FRA_PRIORITY, FRA_TABLE, FRA_IP_PROTO, FR_ACT_TO_TBL = 6, 15, 22, 1
NETLINK_ROUTE = 0
LOOPBACK = 1  # lo is the first interface of every network namespace
INSIDE_TABLE = 100  # what is ours, for every protocol but TCP


def _ask(kind: int, body: bytes, flags: int = NLM_F_EXCL | NLM_F_CREATE) -> None:
    """Send one request and wait for what the kernel answers.

    Raises:
        OSError: It refuses.
    """
    link = _socket.socket(_socket.AF_NETLINK, _socket.SOCK_RAW | _socket.SOCK_CLOEXEC, NETLINK_ROUTE)
    try:
        link.send(struct.pack("=IHHII", 16 + len(body), kind, flags | NLM_F_REQUEST | NLM_F_ACK, 1, 0) + body)
        (code,) = struct.unpack_from("=i", link.recv(4096), 16)
    finally:
        link.close()
    if code:
        raise OSError(-code, os.strerror(-code))


def _attribute(kind: int, payload: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def _number(kind: int, number: int) -> bytes:
    return _attribute(kind, struct.pack("=I", number))


def add_address(address: str) -> None:
    """Give ``lo`` one more address (IPv4).

    With no other address than those of the loopback, resolvers that look for configured addresses (AI_ADDRCONFIG of
    getaddrinfo(3)) find that there is no IPv4.
    """
    packed = _socket.inet_pton(_socket.AF_INET, address)
    body = struct.pack("=BBBBI", _socket.AF_INET, 32, 0, 0, LOOPBACK)
    _ask(RTM_NEWADDR, body + _attribute(IFA_LOCAL, packed) + _attribute(IFA_ADDRESS, packed))


def add_local_route(address: str, bits: int, table: int = RT_TABLE_LOCAL, source: str = "") -> None:
    """Make every address of a range one of our own, so that sockets can be bound to it.

    Args:
        address: The first one.
        bits: How many bits of it they share; 0 for all addresses.
        table: The table of routes.
        source: The address from which connections come; by default the one that they lead to.
    """
    family = _socket.AF_INET6 if ":" in address else _socket.AF_INET
    kind = (RTPROT_BOOT, RT_SCOPE_HOST, RTN_LOCAL)
    body = struct.pack("=BBBBBBBBI", family, bits, 0, 0, table, *kind, 0) + _number(RTA_OIF, LOOPBACK)
    if bits:
        body += _attribute(RTA_DST, _socket.inet_pton(family, address))
    if source:
        body += _attribute(RTA_PREFSRC, _socket.inet_pton(family, source))
    _ask(RTM_NEWROUTE, body + _number(RTA_TABLE, table))


def _rule(family: int, table: int, priority: int, protocol: int = 0) -> bytes:
    header = struct.pack("=BBBBBBBBI", family, 0, 0, 0, table, 0, 0, FR_ACT_TO_TBL, 0)
    rule = header + _number(FRA_TABLE, table)
    if priority:
        rule += _number(FRA_PRIORITY, priority)
    return rule + (_attribute(FRA_IP_PROTO, struct.pack("=B", protocol)) if protocol else b"")


def trap_refused(source: str, ours: list[tuple[str, int]]) -> bool:
    """Let TCP connections to every other address arrive here, where nobody listens: they are refused and can be seen.

    Only TCP: a datagram that is not refused by a missing route would be lost without a word.

    Args:
        source: An address of our own (IPv4), from which those connections come.
        ours: Ranges of addresses (IPv4) that are ours for every protocol.

    Returns:
        Whether the kernel has rules for single protocols; without them there is no route, and nobody sees who tries.
    """
    try:
        # To be answered, a packet has to be addressed to something in the table of local addresses.
        _ask(RTM_NEWRULE, _rule(_socket.AF_INET, RT_TABLE_LOCAL, 1, _socket.IPPROTO_TCP))
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EAFNOSUPPORT, errno.EINVAL):
            return False
        raise
    add_local_route("127.0.0.0", 8, INSIDE_TABLE, "127.0.0.1")
    for address, bits in ours:
        add_local_route(address, bits, INSIDE_TABLE)
    _ask(RTM_NEWRULE, _rule(_socket.AF_INET, INSIDE_TABLE, 2))
    _ask(RTM_DELRULE, _rule(_socket.AF_INET, RT_TABLE_LOCAL, 0), 0)  # the first one, which is for every protocol
    add_local_route("0.0.0.0", 0, RT_TABLE_LOCAL, source)  # noqa: S104  every address, to be refused
    try:
        _ask(RTM_NEWRULE, _rule(_socket.AF_INET6, INSIDE_TABLE, 40000, _socket.IPPROTO_TCP))
        add_local_route("::", 0, INSIDE_TABLE)
    except OSError:
        pass  # no IPv6, and nothing to be seen of it
    return True
