"""The name server of the sandbox: it knows the allowed names, and what the real resolver says of them."""

from __future__ import annotations

import _socket

from _bldr_launcher.gateway import dns
from _bldr_launcher.gateway.loop import ALWAYS, READ

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from _bldr_launcher.gateway.ledger import Ledger
    from _bldr_launcher.gateway.loop import Loop
    from _bldr_launcher.gateway.resolver import Answer, Resolver
    from _bldr_launcher.gateway.rules import Rules

__all__ = ["NameServer"]

LARGEST = 4096  # bytes of a query
TURNS = 64
IDLE = 30.0  # seconds for a query over TCP
_LOOPBACK, _LOOPBACK_V6 = b"\x7f\0\0\1", bytes(15) + b"\1"
_ADDRESSES = (dns.A, dns.AAAA, dns.ANY)


class NameServer:
    """Answers queries; what is not allowed does not exist.

    Args:
        rules: The allowed endpoints.
        resolver: Asks the host's resolver.
        ledger: Notes what was refused.
        loop: Tells when something can be done.
    """

    def __init__(self, rules: Rules, resolver: Resolver, ledger: Ledger, loop: Loop) -> None:
        self._rules = rules
        self._resolver = resolver
        self._ledger = ledger
        self._loop = loop

    def receive(self, socket: _socket.socket) -> None:
        """Take queries that have come as datagrams."""
        for _ in range(TURNS):
            try:
                data, sender = socket.recvfrom(LARGEST)
            except OSError:
                return
            self.reply(data, _sender(socket, sender))

    def accept(self, socket: _socket.socket) -> None:
        """Take a connection over which queries come."""
        Conversation(socket, self, self._loop)

    def reply(self, data: bytes, send: Callable[[bytes], None]) -> None:
        """Answer one query, now or when the host's resolver has answered."""
        question = dns.parse(data)
        if question is None:
            return  # RFC 1035 knows nothing to say to what is no query
        name = question.name
        if name in ("localhost", self._rules.own) or name.endswith(".localhost"):
            send(dns.answer(question, 0, _LOOPBACK_V6 if question.kind == dns.AAAA else _LOOPBACK))
            return
        rules = self._rules.of_name(name)
        if not rules:
            if question.kind in _ADDRESSES and not name.endswith(".arpa"):  # others ask for services, as apt does
                self._ledger.refuse("resolve", name, 0, "it is not allowed")
            send(dns.answer(question, dns.NO_SUCH_NAME))
            return
        if any(rule.leads_to for rule in rules):
            send(self._stand_in(question))
            return
        self._resolver.ask(
            name,
            lambda found: send(self._answered(question, found)),
            private=any(rule.private for rule in rules),
        )

    def _answered(self, question: dns.Question, found: Answer) -> bytes:
        if found.addresses:
            return self._stand_in(question)
        if question.kind in _ADDRESSES:
            self._ledger.refuse("resolve", question.name, 0, found.failure)
        return dns.answer(question, dns.FAILURE if found.code == "failed" else dns.NO_SUCH_NAME)

    def _stand_in(self, question: dns.Question) -> bytes:
        """The address that stands for the name: IPv4, whatever the real one is."""
        address = self._rules.address_of(question.name)
        if not address:
            self._ledger.refuse("resolve", question.name, 0, "too many names are in use that a wildcard allows")
            return dns.answer(question, dns.FAILURE)
        return dns.answer(question, 0, _socket.inet_pton(_socket.AF_INET, address))


def _sender(socket: _socket.socket, address: tuple[str, int]) -> Callable[[bytes], None]:
    def send(data: bytes) -> None:
        try:
            socket.sendto(data, address)
        except OSError:
            pass  # it does not wait any more, and asks again if it does

    return send


class Conversation:
    """Queries over TCP: each message behind its length (RFC 1035, 4.2.2)."""

    def __init__(self, socket: _socket.socket, server: NameServer, loop: Loop) -> None:
        self._socket = socket
        self._server = server
        self._loop = loop
        self._buffer = b""
        loop.watch(socket.fileno(), READ, self._ready)
        loop.at(self, IDLE, self._close)

    def _ready(self, events: int) -> None:
        try:
            data = self._socket.recv(LARGEST)
        except BlockingIOError:
            if not events & ALWAYS:
                return
            data = b""
        except OSError:
            data = b""
        self._buffer += data
        while len(self._buffer) >= 2:
            end = 2 + int.from_bytes(self._buffer[:2], "big")
            if len(self._buffer) < end:
                break
            message, self._buffer = self._buffer[2:end], self._buffer[end:]
            self._server.reply(message, self._send)
        if not data:
            self._close()

    def _send(self, data: bytes) -> None:
        if self._socket.fileno() >= 0:
            try:
                self._socket.send(len(data).to_bytes(2, "big") + data)
            except OSError:
                self._close()

    def _close(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.call_off(self)
            self._loop.forget(self._socket.fileno())
            self._socket.close()
