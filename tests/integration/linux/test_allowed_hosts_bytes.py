"""How bytes move between a sandbox and the hosts that it may reach: all of them, in both directions, side by side."""

from __future__ import annotations

import hashlib
import os
import socket
import struct

import pytest

from bldr.sandbox.linux.launcher import Launcher
from tests.dialling import printed, run
from tests.far_hosts import stream_server
from tests.processes import until

pytestmark = [pytest.mark.needs("user-namespaces", "system-python")]


def test_each_side_may_close_its_half_first(launcher: Launcher) -> None:
    def first(connection: socket.socket) -> None:
        connection.sendall(b"bye")
        connection.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: connection.recv(100), b""))
        seen.append(received)

    seen: list[bytes] = []
    program = """
with dial("far.test", 80) as link:
    print(b"".join(iter(lambda: link.recv(100), b"")))
    for part in b"after", b"wards":
        link.sendall(part)
"""
    with stream_server(first) as port:
        result = run(launcher, [f"far.test:80=127.0.0.1:{port}"], program)
        assert until(lambda: bool(seen))

    assert printed(result) == ["b'bye'"]
    assert seen == [b"afterwards"]


def test_what_the_command_sent_last_arrives_although_it_has_ended(launcher: Launcher) -> None:
    received: list[int] = []

    def count(connection: socket.socket) -> None:
        received.append(sum(map(len, iter(lambda: connection.recv(65536), b""))))

    with stream_server(count) as port:
        program = "link = dial('far.test', 80); link.sendall(bytes(300_000))"
        result = run(launcher, [f"far.test:80=127.0.0.1:{port}"], program)
        assert until(lambda: bool(received))

    assert result.exit_code == 0
    assert received == [300_000]


def test_a_reset_stays_a_reset_in_both_directions(launcher: Launcher) -> None:
    felt: list[str] = []

    def reset(connection: socket.socket) -> None:
        if connection.recv(1) == b"r":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        try:
            connection.sendall(b"!")
            connection.recv(1)
            felt.append("end")
        except ConnectionResetError:
            felt.append("reset")

    program = """
import struct
link = dial("far.test", 80)
link.sendall(b"r")
print(failure(link.recv, 1))
link = dial("far.test", 80)
link.sendall(b"s")
link.recv(1)
link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
link.close()
"""
    with stream_server(reset) as port:
        result = run(launcher, [f"far.test:80=127.0.0.1:{port}"], program)
        assert until(lambda: bool(felt))

    assert printed(result) == ["ConnectionResetError"]
    assert felt == ["reset"]


def test_much_data_arrives_unaltered_both_ways(launcher: Launcher) -> None:
    size = 64 << 20
    block = os.urandom(1 << 20)

    def mirror(connection: socket.socket) -> None:
        for _ in range(64):
            connection.sendall(block)
        digest = hashlib.sha256()
        while data := connection.recv(1 << 20):
            digest.update(data)
        uploaded.append(digest.hexdigest())

    uploaded: list[str] = []
    program = """
import hashlib
link = dial("far.test", 80)
digest, left, kept = hashlib.sha256(), 64 << 20, b""
while left:
    data = link.recv(1 << 20)
    digest.update(data)
    left -= len(data)
    kept = (kept + data)[:1 << 20]
print(digest.hexdigest())
for _ in range(64):
    link.sendall(kept)
"""
    with stream_server(mirror) as port:
        result = run(launcher, [f"far.test:80=127.0.0.1:{port}"], program)
        assert until(lambda: bool(uploaded))

    expected = hashlib.sha256(block * 64).hexdigest()
    assert printed(result) == [expected]
    assert uploaded == [expected]
    assert result.usage.network == 2 * size


def test_who_reads_slowly_holds_up_nobody_else(launcher: Launcher, echo_port: int) -> None:
    def flood(connection: socket.socket) -> None:
        connection.sendall(bytes(32 << 20))

    program = """
slow = dial("flood.test", 80)
print(ask("far.test", 80))
total = 0
while data := slow.recv(1 << 16):
    total += len(data)
print(total)
"""
    with stream_server(flood) as port:
        result = run(launcher, [f"far.test:80=127.0.0.1:{echo_port}", f"flood.test:80=127.0.0.1:{port}"], program)

    assert printed(result) == ["b'HELLO'", str(32 << 20)]


def test_many_connections_at_the_same_time(launcher: Launcher, echo_port: int) -> None:
    program = """
import asyncio
async def one(number):
    reader, writer = await asyncio.open_connection("far.test", 80)
    writer.write(b"n%d" % number)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer == b"N%d" % number
async def everything():
    return await asyncio.gather(*[one(number) for number in range(300)])
print(sum(asyncio.run(everything())))
"""

    result = run(launcher, [f"far.test:80=127.0.0.1:{echo_port}"], program)

    assert printed(result) == ["300"]
    assert result.hosts[0].connections == 300


def test_programs_that_wait_with_epoll_before_they_connect_are_told(launcher: Launcher, echo_port: int) -> None:
    program = """
import select
link = socket.socket()
link.setblocking(False)
waiting = select.epoll()
waiting.register(link, select.EPOLLOUT)
copy = socket.socket(fileno=__import__("os").dup(link.fileno()))
link.connect_ex((socket.gethostbyname("far.test"), 80))
print(waiting.poll(20)[0][1] & select.EPOLLOUT)
copy.setblocking(True)
copy.sendall(b"x")
print(copy.recv(1))
"""

    result = run(launcher, [f"far.test:80=127.0.0.1:{echo_port}"], program)

    assert printed(result) == ["4", "b'X'"]
