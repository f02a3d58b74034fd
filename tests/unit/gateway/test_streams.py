"""Bytes go from one socket to another, and so does their end, however they arrive."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from _bldr_launcher.gateway.ledger import Ledger
from _bldr_launcher.gateway.loop import Loop
from _bldr_launcher.gateway.streams import Connection
from tests.far_hosts import stream_server

CHUNK = 4096  # bytes; each piece is smaller than what a pipe holds, so each may be one to move
BOUND = 20.0


def joined() -> tuple[socket.socket, socket.socket]:
    """Two ends of a connection, the second one as the gateway accepts it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        inside, _ = server.accept()
    inside.setblocking(False)
    return client, inside


@pytest.mark.parametrize("count", [0, 1, *range(4, 40)])
def test_the_end_is_passed_on_whatever_came_before_it(tmp_path: Path, count: int) -> None:
    """Nothing would announce an end that has been read and was not passed on at once."""
    received: list[int] = []
    done = threading.Event()

    def serve(connection: socket.socket) -> None:
        received.append(sum(map(len, iter(lambda: connection.recv(1 << 16), b""))))
        done.set()

    def give_up() -> None:
        raise TimeoutError("the connection hangs")

    numbers = os.open(tmp_path / "numbers", os.O_CREAT | os.O_RDWR)
    ledger, loop = Ledger(numbers, None), Loop()
    closed: list[Connection] = []
    client, inside = joined()
    with client, stream_server(serve) as port:
        connection = Connection(inside, loop, ledger, ledger.traffic("a", 1, "tcp"), closed.append)
        connection.dial(["127.0.0.1"], port)
        loop.at("bound", BOUND, give_up)
        for _ in range(count):
            client.sendall(bytes(CHUNK))
            loop.turn()
        client.shutdown(socket.SHUT_WR)
        while not closed:
            loop.turn()
        assert done.wait(BOUND)

    os.close(numbers)
    assert received == [CHUNK * count]
    assert ledger.traffic("a", 1, "tcp").sent == CHUNK * count


def test_the_end_is_passed_on_when_it_is_the_last_that_a_turn_may_move(tmp_path: Path) -> None:
    """Many chunks wait already, so that every position of the end among those of one turn is met."""
    numbers = os.open(tmp_path / "numbers", os.O_CREAT | os.O_RDWR)
    for count in range(1, 24):
        received: list[int] = []
        done = threading.Event()

        def serve(connection: socket.socket, received: list[int] = received, done: threading.Event = done) -> None:
            received.append(sum(map(len, iter(lambda: connection.recv(1 << 20), b""))))
            done.set()

        ledger, loop = Ledger(numbers, None), Loop()
        closed: list[Connection] = []
        client, inside = joined()
        inside.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        with client, stream_server(serve) as port:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 20)
            client.sendall(bytes(65536 * count))
            client.shutdown(socket.SHUT_WR)
            connection = Connection(inside, loop, ledger, ledger.traffic("a", 1, "tcp"), closed.append)
            connection.dial(["127.0.0.1"], port)

            def give_up(count: int = count) -> None:
                raise TimeoutError(f"the connection hangs after {count} chunks")

            loop.at("bound", BOUND, give_up)
            while not closed:
                loop.turn()
            assert done.wait(BOUND)
        assert received == [65536 * count]
    os.close(numbers)
