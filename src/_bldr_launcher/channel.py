"""Datagrams with descriptors over a SOCK_SEQPACKET socket that is known by its descriptor."""

from __future__ import annotations

import _socket
import _struct as struct
import os

from _bldr_launcher import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["pair", "receive", "refuse", "send"]


def pair() -> tuple[int, int]:
    """Make two connected sockets; returns their descriptors, close-on-exec."""
    ends = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    return ends[0].detach(), ends[1].detach()


def _socket_of(fd: int) -> _socket.socket:
    # With family and type given, nothing is asked of the kernel.
    return _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, fd)


def send(fd: int, data: bytes, fds: Sequence[int] = (), *, wait: bool = True) -> None:
    """Send one datagram.

    Args:
        fd: Descriptor of the socket.
        data: At most ``wire.LARGEST_INLINE`` bytes, so that it fits the socket's buffer.
        fds: Descriptors to send along; they stay the sender's to close.
        wait: Wait for room in the socket's buffer.

    Raises:
        BlockingIOError: There is no room, and nobody waits for it.
        BrokenPipeError: The other end is closed; no SIGPIPE is raised.
        ConnectionResetError: The other end was closed with something unread.
    """
    link = _socket_of(fd)
    try:
        ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack(f"{len(fds)}i", *fds))] if fds else []
        link.sendmsg([data], ancillary, _socket.MSG_NOSIGNAL | (0 if wait else _socket.MSG_DONTWAIT))
    finally:
        link.detach()


def refuse(fd: int) -> None:
    """Let the other end see the end, and its sends fail; what has arrived can still be received.

    Closing would do that only when no fork of this process holds a copy.
    """
    link = _socket_of(fd)
    try:
        link.shutdown(_socket.SHUT_RDWR)
    finally:
        link.detach()


def receive(fd: int, size: int, most: int = 8) -> tuple[bytes, list[int]]:
    """Receive one datagram and its descriptors.

    Args:
        fd: Descriptor of the socket.
        size: Bytes that are taken at most.
        most: Descriptors that are taken at most.

    Returns:
        The data and the descriptors, which are close-on-exec and now the caller's; ``(b"", [])`` at the end of the
        stream.

    Raises:
        wire.WireError: The datagram or its descriptors do not fit into ``size`` and ``most``.
    """
    link = _socket_of(fd)
    try:
        data, ancillary, flags, _ = link.recvmsg(size, _socket.CMSG_SPACE(4 * most), _socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:  # the other end died with something unread
        return b"", []
    finally:
        link.detach()
    fds: list[int] = []
    for level, kind, payload in ancillary:
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
            fds += struct.unpack(f"{len(payload) // 4}i", payload[: len(payload) // 4 * 4])
    if flags & (_socket.MSG_TRUNC | _socket.MSG_CTRUNC):
        for extra in fds:
            os.close(extra)
        raise wire.WireError("a datagram was cut")
    return data, fds
