"""``bldr shell`` on a real terminal: job control, sizes, big amounts, and the caller's terminal afterwards."""

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
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.needs("user-namespaces", "terminal")

PATIENCE = 30  # seconds until a text has to have appeared
# The child makes the terminal its own before it becomes bldr, as a login does.
LOGIN = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"


class Person:
    """Somebody at a terminal, who types and reads."""

    def __init__(self, argv: list[str], directory: Path) -> None:
        self.fd, self.other = pty.openpty()
        self.resize(33, 101)
        self.before = termios.tcgetattr(self.other)
        environment = {**os.environ, "TERM": "dumb", "LANG": "C.UTF-8"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", LOGIN, *argv],
            stdin=self.other,
            stdout=self.other,
            stderr=self.other,
            start_new_session=True,
            cwd=directory,
            env=environment,
        )
        self.seen = b""

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def types(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def reads(self, text: str) -> str:
        """Read until the text appears; returns what came before it."""
        deadline = time.monotonic() + PATIENCE
        while text.encode() not in self.seen:
            ready, _, _ = select.select([self.fd], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"{text!r} did not appear, but {self.seen[-2000:]!r}"
            self.seen += os.read(self.fd, 65536)
        before, _, self.seen = self.seen.partition(text.encode())
        return before.decode("utf-8", "replace")

    def leaves(self) -> int:
        """Wait for the end; the terminal must be as it was found."""
        status = self.process.wait(PATIENCE)
        assert termios.tcgetattr(self.other) == self.before
        return status

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.fd)
        os.close(self.other)


Sit = Callable[..., Person]


@pytest.fixture
def sit_down(bldr_argv: list[str], host_dir: Path) -> Iterator[Sit]:
    people: list[Person] = []

    def sit(*arguments: str) -> Person:
        people.append(Person([*bldr_argv, *arguments], host_dir))
        return people[-1]

    yield sit
    for person in people:
        person.close()


@pytest.fixture
def shell(sit_down: Sit) -> Person:
    person = sit_down("shell", "-i", ".", "--", "/bin/sh")
    person.types("PS1=; echo re''ady\n")
    person.reads("ready\r\n")
    return person


def test_it_is_the_sandbox_of_run(shell: Person, host_dir: Path) -> None:
    shell.types("pwd; hostname; id -u; echo $TERM $HOME; ls /root || echo no''thing\n")

    assert shell.reads("nothing\r\n").split("\r\n")[-6:-2] == [str(host_dir), "bldr", "0", "dumb /tmp"]
    shell.types("exit 7\n")
    assert shell.leaves() == 7


def test_the_default_is_bash_where_it_is_visible(sit_down: Sit) -> None:
    person = sit_down("shell")
    person.types("echo bash${BASH_VERSION:+ is} here\n")
    person.reads("bash is here")
    person.types("exit\n")

    assert person.leaves() == 0


def test_end_of_file_ends_it(shell: Person) -> None:
    shell.types("\x04")

    assert shell.leaves() == 0


def test_the_size_of_the_terminal_is_passed_on_and_kept_up(shell: Person) -> None:
    shell.types("stty size; echo fi''rst\n")
    assert "33 101" in shell.reads("first\r\n")

    wait = "signal.pthread_sigmask(0, {28}); print('wait' 'ing', flush=True); signal.sigwait({28}); print(os.get_terminal_size(0))"
    shell.types(f'/usr/bin/python3 -I -c "import os, signal; {wait}"\n')
    shell.reads("waiting\r\n")
    shell.resize(20, 77)
    shell.reads("os.terminal_size(columns=77, lines=20)\r\n")
    shell.types("exit\n")
    shell.leaves()


STOPPABLE = (  # SIGCONT continues a process even where it is blocked, and is then there to be waited for
    "import signal as s; s.signal(s.SIGINT, s.SIG_DFL); s.pthread_sigmask(s.SIG_BLOCK, {s.SIGCONT}); "
    'print("it", "waits", flush=True); s.sigwait({s.SIGCONT}); print("it goes", "on", flush=True); s.pause()'
)


def test_keys_are_signals_of_the_terminal_inside(sit_down: Sit) -> None:
    person = sit_down("shell", "--", "/bin/bash", "--norc", "-i")
    person.types("PS1=; set -m; echo re''ady\n")
    person.reads("ready\r\n")

    person.types(f"python3 -c '{STOPPABLE}'\n")
    person.reads("it waits\r\n")
    person.types("\x1a")
    person.reads("Stopped")
    person.types("jobs; fg\n")
    person.reads("it goes on\r\n")
    person.types("\x03")
    person.types("echo st''ill here\n")
    person.reads("still here")
    person.types("exit 3\n")

    assert person.leaves() == 3


def test_nothing_inside_reaches_the_callers_terminal(shell: Person) -> None:
    """The inner terminal is another one, of another session, and typing into a terminal is filtered."""
    code = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSTI, b'x')"
    shell.types(f'tty; /usr/bin/python3 -I -c "{code}"; echo en""ded\n')
    text = shell.reads("ended\r\n")

    assert "/dev/pts/0" in text
    assert "PermissionError" in text
    shell.types("exit\n")
    shell.leaves()


def test_a_megabyte_each_way_at_the_same_time(shell: Person) -> None:
    """A shell that prints while somebody pastes must not stop either of them."""
    data = b"0123456789abcde\n" * 65536
    shell.types(f"stty -echo raw; echo g''o; head -c {len(data)}; echo en''d\n")
    shell.reads("go\n")
    received, rest = bytearray(shell.seen), memoryview(data)
    os.set_blocking(shell.fd, False)
    deadline = time.monotonic() + PATIENCE
    while not received.endswith(b"end\n") and time.monotonic() < deadline:
        readable, writable, _ = select.select([shell.fd], [shell.fd] if rest else [], [], 1)
        if readable:
            received += os.read(shell.fd, 65536)
        if writable:
            rest = rest[os.write(shell.fd, rest[:4096]) :]

    assert received == data + b"end\n"


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_the_terminal_is_put_back(shell: Person, signum: int) -> None:
    shell.process.send_signal(signum)

    assert shell.leaves() == 128 + signum


def test_an_interrupt_from_elsewhere_is_passed_on(shell: Person) -> None:
    shell.types("trap 'echo caugh''t' INT; echo lo''op; while :; do sleep 0.01; done\n")
    shell.reads("loop\r\n")
    shell.process.send_signal(signal.SIGINT)

    shell.reads("caught\r\n")
    shell.process.send_signal(signal.SIGTERM)
    shell.leaves()


def test_stopping_it_gives_the_terminal_back_meanwhile(shell: Person) -> None:
    shell.process.send_signal(signal.SIGTSTP)
    _, status = os.waitpid(shell.process.pid, os.WUNTRACED)

    assert os.WIFSTOPPED(status)
    assert termios.tcgetattr(shell.other) == shell.before
    shell.resize(10, 50)
    shell.process.send_signal(signal.SIGCONT)
    shell.types("stty size; echo ba''ck\n")
    assert "10 50" in shell.reads("back\r\n")
    shell.types("exit\n")
    shell.leaves()


def test_a_timeout_ends_it(sit_down: Sit) -> None:
    person = sit_down("shell", "--timeout", "300ms")

    assert person.leaves() == 124


def test_what_keeps_it_from_starting_leaves_the_terminal_alone(sit_down: Sit) -> None:
    person = sit_down("shell", "--", "/no/such/shell")

    assert person.leaves() == 127
    assert "bldr: the command '/no/such/shell' is not in the sandbox" in person.reads("\n")


def test_a_background_process_does_not_keep_it_open(shell: Person) -> None:
    shell.types("sleep 1000 & exit 4\n")

    assert shell.leaves() == 4


def test_without_a_sandbox_there_is_no_shell(sit_down: Sit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILDER_HERMETIC", "false")
    person = sit_down("shell")

    assert person.leaves() == 2
    person.reads("there is no sandbox to open a shell in")
