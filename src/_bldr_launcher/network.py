"""What stands for allowed hosts inside: addresses of our own, and sockets that listen there for the gateway.

Runs in init, in a network namespace that nothing of the host is in. The sockets are made here and passed out; who
accepts on them is the gateway, another process in the host's network. No socket of the host comes in.
"""

from __future__ import annotations

import _socket
import errno
import os
import struct

from _bldr_launcher import channel, netlink, syscalls, wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _bldr_launcher.steps import State

__all__ = ["NAME_SERVER", "canary_unlisted", "hand_over", "names", "pool", "stand_in", "watch"]

NAME_SERVER = "198.18.0.1"
BACKLOG = 1024
SOCKETS_PER_MESSAGE = 64  # see init.TREES_PER_MESSAGE
SO_ATTACH_FILTER = 26  # <asm-generic/socket.h>
IPV6_RECVPKTINFO, IPV6_FREEBIND = 49, 78  # <linux/in6.h>
# <linux/bpf_common.h>: BPF_LD|BPF_W|BPF_ABS, BPF_LDX|BPF_B|BPF_MSH, BPF_LD|BPF_B|BPF_IND, BPF_LD|BPF_B|BPF_ABS,
# BPF_ALU|BPF_AND|BPF_K, BPF_JMP|BPF_JEQ|BPF_K, BPF_RET|BPF_K
LD_WORD, LDX_HEADER, LD_AT_X, LD_BYTE, AND, JEQ, RET = 0x20, 0xB1, 0x50, 0x30, 0x54, 0x15, 0x06
NET_OFFSET = 0xFFF00000  # SKF_NET_OFF of <linux/filter.h>: relative to the IP header
SYN, SYN_OR_ACK = 0x02, 0x12
FLAGS_AT = 13  # in the header of TCP


def names(state: State, *literals: bytes) -> None:
    """Bring up the addresses that stand for allowed names, and the sockets of the name server.

    Args:
        state: Collects the sockets.
        literals: Allowed addresses, which keep their own.
    """
    netlink.add_address(NAME_SERVER)
    netlink.add_local_route("198.18.0.0", 15)
    for literal in literals:
        netlink.add_local_route(literal.decode(), 128 if b":" in literal else 32)
    for kind in (_socket.SOCK_DGRAM, _socket.SOCK_STREAM):
        state.passed_out.append(_bound(kind, NAME_SERVER, 53))


def stand_in(state: State, protocol: bytes, address: bytes, port: bytes) -> None:
    """Listen where an allowed endpoint seems to be."""
    kind = _socket.SOCK_DGRAM if protocol == b"udp" else _socket.SOCK_STREAM
    state.passed_out.append(_bound(kind, address.decode(), int(port)))


def pool(state: State, first: bytes, count: bytes, *places: bytes) -> None:
    """Listen at addresses in a row, for names that are not known yet; ``places`` are ``protocol:port``."""
    packed = int.from_bytes(_socket.inet_pton(_socket.AF_INET, first.decode()), "big")
    for number in range(packed, packed + int(count)):
        address = _socket.inet_ntop(_socket.AF_INET, number.to_bytes(4, "big")).encode()
        for place in places:
            protocol, _, port = place.partition(b":")
            stand_in(state, protocol, address, port)


def _bound(kind: int, address: str, port: int) -> int:
    family = _socket.AF_INET6 if ":" in address else _socket.AF_INET
    socket = _socket.socket(family, kind | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK)
    try:
        socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        if family == _socket.AF_INET6:
            socket.setsockopt(_socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)  # a route alone makes it ours, but not to bind(2)
        socket.bind((address, port))
        if kind == _socket.SOCK_STREAM:
            socket.listen(BACKLOG)
    except OSError as error:
        socket.close()
        raise OSError(error.errno, f"{address} port {port}: {error.strerror}") from error
    return socket.detach()


def watch(state: State, *literals: bytes) -> None:
    """Make the sockets on which the gateway sees attempts to connect to what is not allowed.

    They get a copy of the first packet of every connection but those to the loopback.
    """
    ours = [(literal.decode(), 32) for literal in literals if b":" not in literal]
    if not netlink.trap_refused(NAME_SERVER, [("198.18.0.0", 15), *ours]):
        return
    for family in (_socket.AF_INET, _socket.AF_INET6):
        try:
            raw = _socket.socket(
                family, _socket.SOCK_RAW | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK, _socket.IPPROTO_TCP
            )
        except OSError as error:
            if family == _socket.AF_INET6 and error.errno == errno.EAFNOSUPPORT:
                return
            raise
        _attach(raw, _first_packets(family))
        if family == _socket.AF_INET6:
            raw.setsockopt(_socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
        state.passed_out.append(raw.detach())


def _first_packets(family: int) -> list[tuple[int, int, int, int]]:
    """A filter that lets through what opens a connection to somewhere else than the loopback."""
    if family == _socket.AF_INET:
        return [
            (LD_WORD, 0, 0, NET_OFFSET + 16),
            (AND, 0, 0, 0xFF000000),
            (JEQ, 5, 0, 0x7F000000),
            (LDX_HEADER, 0, 0, 0),
            (LD_AT_X, 0, 0, FLAGS_AT),
            (AND, 0, 0, SYN_OR_ACK),
            (JEQ, 0, 1, SYN),
            (RET, 0, 0, 0xFFFF),
            (RET, 0, 0, 0),
        ]
    return [
        (LD_WORD, 0, 0, NET_OFFSET + 24),
        (JEQ, 0, 6, 0),
        (LD_WORD, 0, 0, NET_OFFSET + 28),
        (JEQ, 0, 4, 0),
        (LD_WORD, 0, 0, NET_OFFSET + 32),
        (JEQ, 0, 2, 0),
        (LD_WORD, 0, 0, NET_OFFSET + 36),
        (JEQ, 4, 0, 1),
        (LD_BYTE, 0, 0, FLAGS_AT),
        (AND, 0, 0, SYN_OR_ACK),
        (JEQ, 0, 1, SYN),
        (RET, 0, 0, 0xFFFF),
        (RET, 0, 0, 0),
    ]


def _attach(socket: _socket.socket, program: list[tuple[int, int, int, int]]) -> None:
    """Let the socket receive only what the filter lets through: setsockopt(2) with ``struct sock_fprog``."""
    code = b"".join([struct.pack("=HBBI", *line) for line in program])
    socket.setsockopt(_socket.SOL_SOCKET, SO_ATTACH_FILTER, bytes(syscalls.sock_fprog(len(program), code)))


def hand_over(status: int, sockets: list[int]) -> None:
    """Pass the sockets out and wait until the gateway serves them. No copy stays: it would outlive the gateway's.

    Args:
        status: Descriptor of the socket to the supervisor.
        sockets: Their descriptors, which are closed.
    """
    while sockets:
        part = sockets[:SOCKETS_PER_MESSAGE]
        del sockets[:SOCKETS_PER_MESSAGE]
        channel.send(status, wire.pack([b"sockets", b"0" if sockets else b"1"]), part)
        for fd in part:
            os.close(fd)
    if not channel.receive(status, 1)[0]:
        os._exit(0)  # the supervisor is gone


def canary_unlisted(address: str) -> None:
    """Try to reach an address that is not allowed; a datagram socket sends nothing when it is connected.

    Raises:
        OSError: It is out of reach.
    """
    outward = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        outward.connect((address, 9))
    finally:
        outward.close()
