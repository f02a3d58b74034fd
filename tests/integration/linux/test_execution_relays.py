"""Output that goes through the session on to the caller: as it would have been without."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator

import pytest

from tests.processes import BOUND, until

pytestmark = pytest.mark.needs("user-namespaces")

PROGRAM = """
import signal, sys
from bldr import HermeticExecutor, SandboxSpecBuilder
spec = SandboxSpecBuilder.create().with_toolchain("system").build()
executor = HermeticExecutor.create(spec)
with executor.start(sys.argv[1:], stdout="relay", stderr="relay") as session:
    signal.signal(signal.SIGWINCH, lambda *_: session.follow_size())
    signal.signal(signal.SIGUSR1, lambda *_: session.ended and session.kill())
    result = session.wait()
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # an interpreter that ends takes back its handlers, and not this
sys.exit(result.exit_code)
"""
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def start(*argv: str, stdout: int, stderr: int) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *argv], stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def everything(fd: int) -> bytes:
    """Read a terminal until nobody has it open."""
    seen = b""
    while select.select([fd], [], [], BOUND)[0]:
        try:
            seen += os.read(fd, 65536)
        except OSError:
            return seen
    raise AssertionError(f"no end after {seen[-200:]!r}")


PRINT = "import sys; b = bytes(range(256)) * 40000; sys.stdout.buffer.write(b); sys.stderr.buffer.write(b[::-1])"


def test_pipes_get_every_byte(start: Start) -> None:
    process = start("/usr/bin/python3", "-I", "-S", "-c", PRINT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    stdout, stderr = process.communicate(timeout=BOUND)

    assert stdout == bytes(range(256)) * 40000
    assert stderr == stdout[::-1]
    assert process.returncode == 0


@pytest.mark.needs("terminal")
def test_a_terminal_shows_what_it_would_have_shown(start: Start) -> None:
    """Line feeds become line ends once, both streams are terminals, and they keep their order."""
    leader, follower = pty.openpty()
    fcntl.ioctl(leader, termios.TIOCSWINSZ, struct.pack("HHHH", 41, 97, 0, 0))
    script = "for i in 1 2 3; do echo out $i; echo err $i >&2; done; test -t 1 && test -t 2 && stty size <&1"
    process = start("sh", "-c", script, stdout=follower, stderr=follower)
    os.close(follower)

    shown = everything(leader)

    assert shown == b"out 1\r\nerr 1\r\nout 2\r\nerr 2\r\nout 3\r\nerr 3\r\n41 97\r\n"
    assert process.wait(BOUND) == 0
    os.close(leader)


@pytest.mark.needs("terminal")
def test_a_new_size_reaches_the_command(start: Start) -> None:
    leader, follower = pty.openpty()
    program = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGWINCH, lambda *_: None)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGWINCH])\n"
        "print('ready', flush=True)\n"
        "signal.sigwait([signal.SIGWINCH])\n"
        "print(*os.get_terminal_size(1), flush=True)"
    )
    process = start("/usr/bin/python3", "-I", "-c", program, stdout=follower, stderr=follower)
    assert os.read(leader, 100) == b"ready\r\n"

    fcntl.ioctl(leader, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 132, 0, 0))
    process.send_signal(signal.SIGWINCH)
    os.close(follower)

    assert everything(leader) == b"132 50\r\n"
    os.close(leader)


def test_a_reader_that_leaves_ends_the_command_with_sigpipe(start: Start) -> None:
    reading, writing = os.pipe()
    process = start("sh", "-c", "exec yes", stdout=writing, stderr=subprocess.DEVNULL)
    os.close(writing)
    assert os.read(reading, 2) == b"y\n"
    os.close(reading)

    assert process.wait(BOUND) == 128 + signal.SIGPIPE


def test_a_slow_reader_gets_everything_after_the_end(start: Start) -> None:
    reading, writing = os.pipe()
    process = start("sh", "-c", "head -c 180000 /dev/zero", stdout=writing, stderr=subprocess.DEVNULL)
    os.close(writing)
    assert until(lambda: fcntl.ioctl(reading, termios.FIONREAD, bytes(4)) == struct.pack("i", 65536))

    with open(reading, "rb") as file:
        assert len(file.read()) == 180_000
    assert process.wait(BOUND) == 0


def test_a_reader_that_never_reads_can_be_given_up(start: Start) -> None:
    reading, writing = os.pipe()
    size = fcntl.fcntl(writing, fcntl.F_GETPIPE_SZ)
    os.write(writing, bytes(size))
    process = start("sh", "-c", "echo done >&2; echo nobody reads this", stdout=writing, stderr=subprocess.PIPE)
    assert process.stderr is not None
    assert process.stderr.readline() == b"done\n"

    def given_up() -> bool:
        process.send_signal(signal.SIGUSR1)  # nothing happens before the command has ended
        return process.poll() is not None

    assert until(given_up)
    assert process.returncode == 0
    os.close(reading)
    os.close(writing)


def test_a_full_disk_is_an_error_and_not_a_success(start: Start) -> None:
    with open("/dev/full", "wb") as full:
        process = start("echo", "x", stdout=full.fileno(), stderr=subprocess.PIPE)
        _, said = process.communicate(timeout=BOUND)

    assert process.returncode == 1
    assert b"No space left on device" in said
