"""Datagrams with descriptors over a SOCK_SEQPACKET socket that is known by its descriptor."""

import _socket
import os
import struct

from _bldr_launcher import wire

__all__ = ["pair", "receive", "send"]


def pair():
    """Make two connected sockets; returns their descriptors, close-on-exec."""
    ends = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    return ends[0].detach(), ends[1].detach()


def _socket_of(fd):
    # With family and type given, nothing is asked of the kernel.
    return _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, fd)


def send(fd, data, fds=()):
    """Send one datagram; the descriptors stay the sender's to close."""
    link = _socket_of(fd)
    try:
        ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack(f"{len(fds)}i", *fds))] if fds else []
        link.sendmsg([data], ancillary, _socket.MSG_NOSIGNAL)
    finally:
        link.detach()


def receive(fd, size, most=8):
    """Receive one datagram and its descriptors, close-on-exec; ``(b"", [])`` at the end of the stream.

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
    fds = []
    for level, kind, payload in ancillary:
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
            fds += struct.unpack(f"{len(payload) // 4}i", payload[: len(payload) // 4 * 4])
    if flags & (_socket.MSG_TRUNC | _socket.MSG_CTRUNC):
        for extra in fds:
            os.close(extra)
        raise wire.WireError("a datagram was cut")
    return data, fds
