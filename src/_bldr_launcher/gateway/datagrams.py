"""Datagrams between the sandbox and an allowed host: for each sender inside, a socket of its own outside."""

from __future__ import annotations

import _socket

from _bldr_launcher.gateway.loop import READ

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from _bldr_launcher.gateway.ledger import Ledger, Traffic
    from _bldr_launcher.gateway.loop import Loop
    from _bldr_launcher.gateway.resolver import Answer

    Address: TypeAlias = tuple[str, int]

__all__ = ["Flow"]

LARGEST = 65535
IDLE = 120.0  # seconds; RFC 4787 asks a translator for two minutes
WAITING = 16  # datagrams that are kept while the host's address is being looked up
TURNS = 64


class Flow:
    """What one sender inside exchanges with one endpoint.

    Args:
        inside: The socket that stands for the endpoint inside; it is shared by all senders.
        sender: The address of the sender.
        port: The port of the real host.
        loop: Tells when something can be done.
        ledger: Counts the bytes.
        traffic: Counts them for this endpoint.
    """

    def __init__(
        self, inside: _socket.socket, sender: Address, port: int, loop: Loop, ledger: Ledger, traffic: Traffic
    ) -> None:
        self._inside = inside
        self._sender = sender
        self._port = port
        self._loop = loop
        self._ledger = ledger
        self._traffic = traffic
        self._outside: _socket.socket | None = None
        self._waiting: list[bytes] = []
        self.is_closed = False

    def resolved(self, answer: Answer) -> None:
        """Send what has waited for the address."""
        if self.is_closed:
            return
        if not answer.addresses:
            self._traffic.failure = answer.failure
            self.close()
            return
        address = answer.addresses[0]
        family = _socket.AF_INET6 if ":" in address else _socket.AF_INET
        try:
            self._outside = _socket.socket(family, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK)
            self._outside.connect((address, self._port))
        except OSError as error:
            self._traffic.failure = str(error.args[-1])
            self.close()
            return
        self._loop.watch(self._outside.fileno(), READ, self._bring)
        for data in self._waiting:
            self.send(data)
        self._waiting.clear()

    def send(self, data: bytes) -> None:
        """Pass a datagram on; one that does not fit is lost, as datagrams may be."""
        if self._ledger.is_full or self.is_closed:
            return
        self._loop.at(self, IDLE, self.close)
        if self._outside is None:
            if len(self._waiting) < WAITING:
                self._waiting.append(data)
            return
        self._ledger.count(len(data))
        try:
            self._outside.send(data)
        except OSError:
            return
        self._traffic.sent += len(data)

    def _bring(self, _events: int) -> None:
        assert self._outside is not None
        self._loop.at(self, IDLE, self.close)
        for _ in range(TURNS):
            try:
                data = self._outside.recv(LARGEST)
            except BlockingIOError:
                return
            except OSError:  # the host refuses: there is nobody at the port
                return
            if self._ledger.is_full:
                return
            self._ledger.count(len(data))
            try:
                self._inside.sendto(data, self._sender)
            except OSError:
                continue
            self._traffic.received += len(data)

    def close(self) -> None:
        """Release the socket; harmless the second time."""
        self.is_closed = True
        self._loop.call_off(self)
        socket, self._outside = self._outside, None
        if socket is not None:
            self._loop.forget(socket.fileno())
            socket.close()
