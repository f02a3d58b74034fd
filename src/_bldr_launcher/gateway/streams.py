"""One TCP connection of the sandbox, and the one to the real host that it is joined with."""

from __future__ import annotations

import _socket
import errno
import os
import struct

from _bldr_launcher.gateway.loop import ALWAYS, BROKEN, READ, WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from _bldr_launcher.gateway.ledger import Ledger, Traffic
    from _bldr_launcher.gateway.loop import Loop

__all__ = ["Connection"]

CHUNK = 1 << 18
TURNS = 8  # chunks that one direction may move before others have their turn
LAST_ADDRESS, ONE_OF_MANY = 60.0, 8.0  # seconds for an address to answer
LINGER_RESET = struct.pack("ii", 1, 0)  # socket(7): closing resets the connection
_GONE = (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN)


class _Direction:
    """Moves bytes from one socket to another through a pipe, without seeing them."""

    def __init__(self, source: _socket.socket, target: _socket.socket, ledger: Ledger) -> None:
        self._source = source
        self._target = target
        self._ledger = ledger
        self._pipe: tuple[int, int] | None = None
        self.pending = 0  # bytes in the pipe
        self.moved = 0
        self.finished = False  # the source has said that nothing more will come, and the target has been told

    def move(self) -> None:
        """Move what can be moved now.

        Raises:
            OSError: One of the sockets is broken.
        """
        for _ in range(TURNS):
            try:
                if self.pending:
                    self._write()
                if self.finished or self._ledger.is_full:
                    return
                self._read()
            except BlockingIOError:
                return

    def _read(self) -> None:
        if self._pipe is None:
            self._pipe = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        size = os.splice(self._source.fileno(), self._pipe[1], CHUNK, flags=os.SPLICE_F_NONBLOCK)
        self.pending = size
        self._ledger.count(size)
        if size == 0:  # everything before has been written
            self.finished = True
            self._target.shutdown(_socket.SHUT_WR)

    def _write(self) -> None:
        assert self._pipe is not None
        while self.pending:
            size = os.splice(self._pipe[0], self._target.fileno(), self.pending, flags=os.SPLICE_F_NONBLOCK)
            self.pending -= size
            self.moved += size

    def close(self) -> None:
        """Release the pipe."""
        pipe, self._pipe = self._pipe, None
        for fd in pipe or ():
            os.close(fd)


class Connection:
    """Joins a connection that was accepted from the sandbox with one to the real host.

    Args:
        inside: The accepted socket, which is owned from now on.
        loop: Tells when something can be done.
        ledger: Counts the bytes.
        traffic: Counts them for this endpoint.
        closed: Called once at the end.
    """

    def __init__(
        self, inside: _socket.socket, loop: Loop, ledger: Ledger, traffic: Traffic, closed: Callable[[Connection], None]
    ) -> None:
        self._inside = inside
        self._outside: _socket.socket | None = None
        self._loop = loop
        self._ledger = ledger
        self._traffic = traffic
        self._closed = closed
        self._up: _Direction | None = None
        self._down: _Direction | None = None
        self._addresses: list[str] = []
        self._port = 0
        self.is_closed = False
        loop.watch(inside.fileno(), ALWAYS, self._left)

    @property
    def is_sent(self) -> bool:
        """Whether everything that the sandbox has sent has been passed on."""
        return self._up is not None and self._up.finished

    def dial(self, addresses: list[str], port: int) -> None:
        """Connect to the first address that answers."""
        self._addresses = list(addresses)
        self._port = port
        self._try_next(None)

    def _try_next(self, error: OSError | None) -> None:
        if self.is_closed:
            return
        self._drop_outside()
        if not self._addresses:
            self.fail(os.strerror(error.errno) if error is not None and error.errno else "no address answers")
            return
        address = self._addresses.pop(0)
        family = _socket.AF_INET6 if ":" in address else _socket.AF_INET
        try:
            self._outside = _socket.socket(family, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK)
            self._outside.connect((address, self._port))
        except BlockingIOError:
            pass  # under way; the loop tells when it is made or refused
        except OSError as error_:
            refusal = error_
            self._loop.at(self, 0, lambda: self._try_next(refusal))  # not deeper and deeper
            return
        assert self._outside is not None
        self._loop.watch(self._outside.fileno(), WRITE, self._dialled)
        patience = ONE_OF_MANY if self._addresses else LAST_ADDRESS
        self._loop.at(self, patience, lambda: self._try_next(OSError(errno.ETIMEDOUT, "")))

    def _dialled(self, _events: int) -> None:
        assert self._outside is not None
        self._loop.call_off(self)
        number = self._outside.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
        if number:
            self._try_next(OSError(number, os.strerror(number)))
            return
        for socket in (self._inside, self._outside):
            socket.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        self._up = _Direction(self._inside, self._outside, self._ledger)
        self._down = _Direction(self._outside, self._inside, self._ledger)
        self._move(0)

    def _left(self, events: int) -> None:
        """The sandbox has given the connection up before there was another one."""
        if events & ALWAYS:
            self.close()

    def _move(self, events: int) -> None:
        assert self._up is not None
        assert self._down is not None
        if events & BROKEN:
            self.reset()
            return
        try:
            self._up.move()
            self._down.move()
        except OSError as error:
            if error.errno not in _GONE:
                self._traffic.failure = os.strerror(error.errno or 0)
            self.reset()
            return
        if self._up.finished and self._down.finished:
            self.close()
            return
        self._await(self._inside, self._up, self._down)
        assert self._outside is not None
        self._await(self._outside, self._down, self._up)

    def _await(self, socket: _socket.socket, outgoing: _Direction, incoming: _Direction) -> None:
        """Wait for what one of the sockets can do next.

        A socket that has nothing more to do is not waited for: its hang-up would be told again and again.
        """
        events = 0
        if not outgoing.finished and not outgoing.pending and not self._ledger.is_full:
            events |= READ
        if incoming.pending:
            events |= WRITE
        if outgoing.finished and incoming.finished:
            self._loop.forget(socket.fileno())
        else:
            self._loop.watch(socket.fileno(), events, self._move)

    def fail(self, why: str) -> None:
        """The host cannot be reached: note it, and reset the connection, which was accepted before this was known."""
        self._traffic.failure = why
        self.reset()

    def reset(self) -> None:
        """End both connections in the way that tells both sides that something went wrong."""
        for socket in (self._inside, self._outside):
            if socket is not None and socket.fileno() >= 0:
                socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, LINGER_RESET)
        self.close()

    def close(self) -> None:
        """Release everything; harmless the second time."""
        if self.is_closed:
            return
        self.is_closed = True
        self._loop.call_off(self)
        self._drop_outside()
        self._loop.forget(self._inside.fileno())
        self._inside.close()
        for direction in (self._up, self._down):
            if direction is not None:
                direction.close()
        if self._up is not None and self._down is not None:
            self._traffic.sent += self._up.moved
            self._traffic.received += self._down.moved
        self._closed(self)

    def _drop_outside(self) -> None:
        socket, self._outside = self._outside, None
        if socket is not None:
            self._loop.forget(socket.fileno())
            socket.close()
