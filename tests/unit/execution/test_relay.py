"""Relays: bytes, their order and the pressure of a slow reader, through pipes and terminals, without a sandbox."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import select
import socket
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bldr.execution.relay import Relay
from bldr.execution.streams import Plumbing
from tests.processes import descriptors


class Pair:
    """The caller's stream: what a relay writes to, and the end at which it arrives."""

    def __init__(self, kind: str) -> None:
        if kind == "terminal":
            self.end, self.target = pty.openpty()
            settings = termios.tcgetattr(self.target)
            settings[1] &= ~termios.OPOST
            termios.tcsetattr(self.target, termios.TCSANOW, settings)
        elif kind == "socket":
            one, other = socket.socketpair()
            self.end, self.target = one.detach(), other.detach()
        else:
            self.end, self.target = os.pipe()

    def close(self) -> None:
        os.close(self.end)
        os.close(self.target)


@pytest.fixture(params=["pipe", "terminal", "socket"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    pair = Pair(request.param)
    yield pair
    pair.close()


def carried(relay: Relay, pair: Pair, data: bytes) -> bytes:
    """Print data at the command's end as fast as it is taken; returns what arrives at the caller's."""
    os.set_blocking(relay.command_end, False)
    os.set_blocking(pair.end, False)
    rest, arrived = memoryview(data), b""
    while len(arrived) < len(data):
        if rest:
            try:
                rest = rest[os.write(relay.command_end, rest) :]
            except BlockingIOError:
                pass
        relay.move()
        try:
            arrived += os.read(pair.end, 1 << 20)
        except BlockingIOError:
            pass
    return arrived


def test_every_byte_arrives_as_it_was(pair: Pair) -> None:
    data = bytes(range(256)) * 1500
    relay = Relay(pair.target)
    try:
        assert carried(relay, pair, data) == data
        assert relay.last > 0
    finally:
        relay.close()


@given(st.binary(min_size=1, max_size=3000))
def test_a_terminal_changes_nothing(data: bytes) -> None:
    pair = Pair("terminal")
    relay = Relay(pair.target)
    try:
        assert os.isatty(relay.command_end)
        assert carried(relay, pair, data) == data
    finally:
        relay.close()
        pair.close()


def test_nothing_is_read_while_the_caller_does_not_take_it(pair: Pair) -> None:
    """A command that prints into the void of a reader who sleeps is stopped by its full pipe."""
    relay = Relay(pair.target)
    os.set_blocking(relay.command_end, False)
    written = 0
    try:
        for _ in range(2000):
            try:
                written += os.write(relay.command_end, bytes(4096))
            except BlockingIOError:
                if not relay.move() and relay.pending:
                    break
            else:
                relay.move()
        else:
            raise AssertionError("it was never stopped")
        assert relay.wants()[1] == select.POLLOUT
        assert written < 2 << 20
    finally:
        relay.close()


def test_the_callers_descriptor_stays_as_it_was(pair: Pair) -> None:
    before = fcntl.fcntl(pair.target, fcntl.F_GETFL)
    relay = Relay(pair.target)

    assert fcntl.fcntl(pair.target, fcntl.F_GETFL) == before
    relay.close()
    relay.close()
    assert os.fstat(pair.target)


def test_a_relay_leaves_no_descriptor(pair: Pair) -> None:
    before = descriptors()
    relay = Relay(pair.target)
    assert descriptors() != before
    relay.close()

    assert descriptors() == before


def test_the_end_is_the_end(pair: Pair) -> None:
    relay = Relay(pair.target)
    os.write(relay.command_end, b"last words")
    relay.close_command_end()

    while relay.open:
        relay.move()

    assert os.read(pair.end, 100) == b"last words"
    assert relay.wants()[0] == -1
    relay.close()


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_command_notices_that_the_reader_has_gone(kind: str) -> None:
    pair = Pair(kind)
    relay = Relay(pair.target)
    os.close(pair.end)
    os.write(relay.command_end, b"x")
    relay.move()
    relay.move()

    with pytest.raises(BrokenPipeError):
        os.write(relay.command_end, b"y")
    assert relay.error is None
    relay.close()
    os.close(pair.target)


def test_a_full_disk_is_remembered() -> None:
    with open("/dev/full", "wb", buffering=0) as full:
        relay = Relay(full.fileno())
        os.write(relay.command_end, b"x")
        relay.move()

        assert relay.error is not None
        assert relay.error.errno == errno.ENOSPC
        assert not relay.open
        relay.close()


def test_a_terminal_has_the_size_of_the_callers() -> None:
    pair = Pair("terminal")
    fcntl.ioctl(pair.end, termios.TIOCSWINSZ, struct.pack("HHHH", 31, 99, 0, 0))
    relay = Relay(pair.target)
    assert os.get_terminal_size(relay.command_end) == (99, 31)

    fcntl.ioctl(pair.end, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    relay.resize()

    assert os.get_terminal_size(relay.command_end) == (120, 40)
    relay.close()
    pair.close()


def test_an_observer_hears_of_each_write_around_it() -> None:
    pair = Pair("pipe")
    relay = Relay(pair.target)
    heard: list[object] = []

    class Observer:
        def before_output(self) -> None:
            heard.append("before")

        def after_output(self, data: memoryview) -> None:
            heard.append(bytes(data))

    relay.observer = Observer()
    os.write(relay.command_end, b"one\n")
    relay.move()

    assert heard == ["before", b"one\n"]
    relay.close()
    pair.close()


def test_streams_to_the_same_place_share_a_relay(tmp_path: Path) -> None:
    """Otherwise what the command printed on one could overtake what it printed on the other."""
    program = (
        "import os, sys\nfrom bldr.execution.streams import Plumbing\n"
        "plumbing = Plumbing(None, 'relay', 'relay', None)\n"
        "print(len(plumbing.relays), plumbing.streams.stdout == plumbing.streams.stderr)"
    )

    def run(stderr: int) -> str:
        argv = [sys.executable, "-c", program]
        return subprocess.run(argv, stdout=subprocess.PIPE, stderr=stderr, text=True, check=True).stdout

    assert run(subprocess.STDOUT) == "1 True\n"
    assert run(subprocess.DEVNULL) == "2 False\n"


def test_plumbing_knows_when_something_was_printed_last() -> None:
    plumbing = Plumbing(None, "capture", "relay", None)
    assert plumbing.last_output == 0.0

    os.write(plumbing.streams.stdout, b"x")
    plumbing.captures["stdout"].read()

    assert plumbing.last_output > 0
    plumbing.close()
