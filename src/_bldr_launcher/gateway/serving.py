"""The gateway itself: it owns the sockets, and brings together who asks, what is allowed and who answers."""

from __future__ import annotations

import _socket
import errno
import os
import resource
import struct

from _bldr_launcher import channel, wire
from _bldr_launcher.gateway.datagrams import LARGEST, Flow
from _bldr_launcher.gateway.ledger import Ledger
from _bldr_launcher.gateway.loop import READ, Loop
from _bldr_launcher.gateway.nameserver import NameServer
from _bldr_launcher.gateway.resolver import Answer, Resolver, look_up
from _bldr_launcher.gateway.rules import Rules
from _bldr_launcher.gateway.streams import Connection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from _bldr_launcher.gateway.ledger import Traffic
    from _bldr_launcher.gateway.resolver import Callback, Lookup
    from _bldr_launcher.gateway.rules import Rule

    Address: TypeAlias = tuple[str, int]

__all__ = ["Gateway", "serve"]

SOCKETS_PER_MESSAGE = 64  # see _bldr_launcher.network
TURNS = 64  # connections that are accepted before others have their turn
PAUSE = 0.1  # seconds without accepting when there are no descriptors left
LAST_WORDS = 2.0  # seconds to pass on what the sandbox had sent
NAMES_AT = 53
FLOWS = 512
_NOT_ALLOWED = "it is not allowed"
_FULL = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)


class Gateway:
    """Serves one sandbox.

    Args:
        control: Descriptor of the socket to the supervisor.
        rules: What is allowed.
        ledger: Counts.
        name_server: The address inside at which names are asked for.
        lookup: Asks for the addresses of a name; a test puts a table in its place.
    """

    def __init__(self, control: int, rules: Rules, ledger: Ledger, name_server: str, lookup: Lookup = look_up) -> None:
        self._control = control
        self._rules = rules
        self._ledger = ledger
        self._name_server = name_server
        self._loop = Loop()
        self._resolver = Resolver(lookup)
        self._names = NameServer(rules, self._resolver, ledger, self._loop)
        self._listeners: list[_socket.socket] = []
        self._places: set[Address] = set()  # where somebody listens
        self._connections: set[Connection] = set()
        self._flows: dict[tuple[int, Address], Flow] = {}
        self._ending = False
        self.is_done = False
        self._loop.watch(control, READ, self._told)
        self._loop.watch(self._resolver.fileno(), READ, lambda _events: self._resolver.finish())
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def follow(self, pidfd: int) -> None:
        """End when a process does: the supervisor, of which a fork may hold a copy of the socket."""
        self._loop.watch(pidfd, READ, lambda _events: self._stop())

    def run(self) -> None:
        """Serve until the supervisor says that it is over, or is gone."""
        while not self.is_done:
            self._loop.turn()
            if self._ending and (self._ledger.is_full or all(one.is_sent for one in self._connections)):
                self._finish()

    def _stop(self) -> None:
        self.is_done = True

    def _told(self, _events: int) -> None:
        try:
            data, fds = channel.receive(self._control, wire.LARGEST_INLINE, SOCKETS_PER_MESSAGE)
        except OSError:
            data, fds = b"", []
        words = wire.unpack(data) if data else [b""]
        if words[0] == b"sockets":
            for fd in fds:
                self._serve(fd)
            if words[1] == b"1":
                channel.send(self._control, wire.pack([b"ready"]))
        elif words[0] == b"end":
            self._ending = True
            self._loop.at(self, LAST_WORDS, self._finish)
        else:
            self._stop()

    def _finish(self) -> None:
        """Report, once."""
        if self.is_done:
            return
        self._stop()
        for connection in list(self._connections):
            connection.close()
        self._ledger.report()
        channel.send(self._control, wire.pack([b"done"]))

    def _serve(self, fd: int) -> None:
        """Take a socket of the sandbox's network into use; itself it says what it is for."""
        socket = _socket.socket(fileno=fd)
        socket.setblocking(False)
        self._listeners.append(socket)
        if socket.type == _socket.SOCK_RAW:
            self._loop.watch(fd, READ, lambda _events: self._see_attempts(socket))
            return
        address, port = socket.getsockname()[:2]
        is_stream = socket.type == _socket.SOCK_STREAM
        if is_stream:
            self._places.add((address, port))
        names = (address, port) == (self._name_server, NAMES_AT)
        if not is_stream:
            take = self._names.receive if names else self._take_datagrams
            self._loop.watch(fd, READ, lambda _events: take(socket))
        else:
            self._loop.watch(fd, READ, lambda _events: self._accept(socket, names=names))

    def _accept(self, listener: _socket.socket, *, names: bool) -> None:
        for _ in range(TURNS):
            if self._ledger.is_full:
                self._pause(listener, names=names)
                return
            try:
                fd, _ = listener._accept()  # type: ignore[attr-defined]  # noqa: SLF001  what socket.accept() calls
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _FULL:
                    self._pause(listener, names=names)
                return
            inside = _socket.socket(listener.family, _socket.SOCK_STREAM, 0, fd)
            inside.setblocking(False)
            if names:
                self._names.accept(inside)
            else:
                self._join(inside)

    def _pause(self, listener: _socket.socket, *, names: bool) -> None:
        """Accept nothing for a moment: nothing can be taken, and the listener would be ready all the time."""
        fd = listener.fileno()
        self._loop.forget(fd)

        def resume() -> None:
            self._loop.watch(fd, READ, lambda _events: self._accept(listener, names=names))

        self._loop.at(listener, PAUSE, resume)

    def _find(self, socket: _socket.socket, protocol: str) -> Rule | None:
        """The endpoint that allows what has come to a socket; what nobody allows is noted."""
        address, port = socket.getsockname()[:2]
        host = self._rules.host_at(address)
        rule = self._rules.find(host, protocol, port)
        if rule is None:
            self._ledger.refuse("connect", host, port, _NOT_ALLOWED)
        return rule

    def _traffic(self, rule: Rule, socket: _socket.socket) -> tuple[str, Traffic]:
        host = self._rules.host_at(socket.getsockname()[0])
        traffic = self._ledger.traffic(host, rule.port, rule.protocol)
        traffic.connections += 1
        return host, traffic

    def _join(self, inside: _socket.socket) -> None:
        rule = self._find(inside, "tcp")
        if rule is None:
            inside.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, struct.pack("ii", 1, 0))
            inside.close()
            return
        host, traffic = self._traffic(rule, inside)
        connection = Connection(inside, self._loop, self._ledger, traffic, self._connections.discard)
        self._connections.add(connection)

        def dial(answer: Answer) -> None:
            if answer.addresses:
                connection.dial(answer.addresses, rule.target_port)
            elif not connection.is_closed:
                connection.fail(answer.failure)

        self._resolve(host, rule, dial)

    def _resolve(self, host: str, rule: Rule, found: Callback) -> None:
        if rule.leads_to:
            found(Answer([rule.leads_to]))
        elif rule.host == host and _is_address(host):
            found(Answer([host]))
        else:
            self._resolver.ask(host, found, private=rule.private)

    def _take_datagrams(self, socket: _socket.socket) -> None:
        for _ in range(TURNS):
            try:
                data, sender = socket.recvfrom(LARGEST)
            except OSError:
                return
            key = (socket.fileno(), sender)
            flow = self._flows.get(key)
            if flow is None or flow.is_closed:
                rule = self._find(socket, "udp")
                if rule is None:
                    continue
                self._make_room()
                host, traffic = self._traffic(rule, socket)
                flow = self._flows[key] = Flow(socket, sender, rule.target_port, self._loop, self._ledger, traffic)
                self._resolve(host, rule, flow.resolved)
            flow.send(data)

    def _make_room(self) -> None:
        """Forget flows that have ended, and the oldest one when there are too many."""
        if len(self._flows) < FLOWS:
            return
        self._flows = {key: flow for key, flow in self._flows.items() if not flow.is_closed}
        if len(self._flows) >= FLOWS:
            self._flows.pop(next(iter(self._flows))).close()

    def _see_attempts(self, socket: _socket.socket) -> None:
        """Note connections that the kernel has refused, because nobody listens where they lead."""
        for _ in range(TURNS):
            try:
                packet, ancillary, _, _ = socket.recvmsg(2048, 256)
            except OSError:
                return
            if socket.family == _socket.AF_INET:
                address = _socket.inet_ntop(_socket.AF_INET, packet[16:20])
                packet = packet[(packet[0] & 15) * 4 :]
            else:
                address = next((_socket.inet_ntop(_socket.AF_INET6, info[:16]) for *_, info in ancillary), "::")
            port = int.from_bytes(packet[2:4], "big")
            if (address, port) not in self._places and address != self._name_server:
                self._ledger.refuse("connect", self._rules.host_at(address), port, _NOT_ALLOWED)


def _is_address(host: str) -> bool:
    try:
        _socket.inet_pton(_socket.AF_INET6 if ":" in host else _socket.AF_INET, host)
    except OSError:
        return False
    return True


def serve(control: int) -> None:
    """Serve the sandbox of the supervisor at the other end of a socket; returns when it is over."""
    data, fds = channel.receive(control, wire.LARGEST_INLINE)
    if not data:
        return
    config, numbers = fds
    text = os.pread(config, os.fstat(config).st_size, 0)
    os.close(config)
    rules, limit, name_server = wire.unpack(text)
    ledger = Ledger(numbers, int(limit) if limit else None)
    gateway = Gateway(control, Rules.parse(rules), ledger, name_server.decode())
    parent = os.getppid()
    if parent:  # 0 when it is in another process namespace
        gateway.follow(os.pidfd_open(parent))
    gateway.run()
