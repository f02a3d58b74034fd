"""``bldr shell``: an interactive shell in exactly the sandbox that the same options give to ``run``.

The shell has a terminal of its own (a pty in a session of its own), so job control works inside and nothing inside can
type into the caller's terminal. bldr only carries bytes between the two: the caller's terminal is in raw mode
meanwhile, so that Ctrl-C and Ctrl-Z are keys that the inner terminal turns into signals.
"""

from __future__ import annotations

import _signal
import os
import select
import time

from bldr.cli.messages import say
from bldr.cli.options import UsageError, parse
from bldr.cli.request import caller_directory, request
from bldr.cli.run import audit_log, noting_refusals, waited
from bldr.cli.settings import load
from bldr.cli.verbs import SHELL
from bldr.model.spec import Access

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType
    from typing import Protocol, Self

    from bldr.model.spec import SandboxSpec

    class TerminalSession(Protocol):
        """What the relay needs of an execution on a pty."""

        @property
        def pty_fd(self) -> int: ...
        def resize(self, rows: int, columns: int) -> None: ...
        def signal(self, signum: int) -> None: ...
        def kill(self) -> None: ...


__all__ = ["Terminal", "main", "relay"]

_STDIN, _STDOUT = 0, 1
_CHUNK = 65536  # bytes
# Milliseconds: a signal that arrives right before poll(2) is handled when that returns.
_TICK = 1000
_MOST_TYPED = 1 << 20  # bytes that wait for the shell to read them; then the terminal has to wait


def main(arguments: Sequence[str]) -> int:
    """``bldr shell``; returns the status of the shell."""
    parsed = parse(SHELL, arguments)
    from bldr.sandbox.select import refuse_without_backend

    refuse_without_backend()
    if not os.isatty(_STDIN):
        raise UsageError("shell needs a terminal, and standard input is none", hint="bldr run -- sh < script")
    directory = caller_directory()
    settings = load(os.environ, directory)
    if not settings.hermetic:
        raise UsageError(
            f"there is no sandbox to open a shell in: {settings.hermetic_origin} is set to false",
            hint="unset it, or start your shell as usual",
        )
    if "TERM" in os.environ:
        parsed.values.setdefault("env", []).insert(0, "TERM")  # first, so that -e TERM=... counts
    with noting_refusals(parsed, settings):
        asked = request(parsed, settings, directory, os.environ)
    if parsed.given("fetch"):
        from bldr.cli.fetch import obtain_all

        obtain_all(parsed, os.environ)

    from bldr.execution.executor import HermeticExecutor

    executor = HermeticExecutor.create(asked.spec, audit=audit_log(parsed, settings))
    argv = parsed.rest or [_shell(asked.spec)]
    with (
        Terminal(_STDIN) as terminal,
        executor.start(argv, cwd=asked.cwd, timeout=asked.timeout, pty=True, list_outputs=False) as session,
    ):
        ended_by = relay(session, terminal, _STDOUT, timeout=asked.timeout)
        result = waited(session)
    if ended_by:
        return 128 + ended_by
    if parsed.given("verbose"):
        from bldr.cli.receipt import show

        show(result)
    elif not result.hermetic and not parsed.given("quiet"):
        say(f"this sandbox was not hermetic: it lacked {', '.join(result.receipt.missing)}")
    return result.exit_code


def _shell(spec: SandboxSpec) -> str:
    """Bash where the sandbox shows one, else sh."""
    bash = "/bin/bash"
    visible = spec.access(bash) != Access.NONE and os.path.exists(spec.host_path(bash) or bash)
    return bash if visible else "/bin/sh"


class Terminal:
    """The caller's terminal in raw mode; whatever happens, it is left as it was found."""

    def __init__(self, fd: int) -> None:
        import termios

        self.fd = fd
        self._termios = termios
        self._found = termios.tcgetattr(fd)

    def __enter__(self) -> Self:
        self.make_raw()
        return self

    def __exit__(self, *_error: object) -> None:
        self.restore()

    def make_raw(self) -> None:
        """Give every key to the reader."""
        import tty

        tty.setraw(self.fd, self._termios.TCSADRAIN)

    def restore(self) -> None:
        """Put the settings back."""
        try:
            self._termios.tcsetattr(self.fd, self._termios.TCSADRAIN, self._found)
        except self._termios.error:  # the terminal is gone
            pass

    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        try:
            size = os.get_terminal_size(self.fd)
        except OSError:
            return 24, 80
        return size.lines, size.columns


class _EndedError(Exception):
    """SIGTERM or SIGHUP: the shell has to end."""


def relay(session: TerminalSession, terminal: Terminal, output_fd: int, *, timeout: float | None = None) -> int:
    """Carry bytes between the two terminals until the inner one is closed or the timeout, in seconds, has passed.

    What the timeout means is the session's business: it ends the shell when it is waited for.

    Returns:
        0, or the number of the signal that ended it.
    """

    def resized(_signum: int, _frame: FrameType | None) -> None:
        session.resize(*terminal.size())

    def ended(signum: int, _frame: FrameType | None) -> None:
        raise _EndedError(signum)

    def forward(signum: int, _frame: FrameType | None) -> None:
        session.signal(signum)

    def stopped(_signum: int, _frame: FrameType | None) -> None:
        terminal.restore()
        os.kill(os.getpid(), _signal.SIGSTOP)
        terminal.make_raw()
        session.resize(*terminal.size())

    before = [
        (signum, _signal.signal(signum, handler))
        for signum, handler in (
            (_signal.SIGWINCH, resized),
            (_signal.SIGTERM, ended),
            (_signal.SIGHUP, ended),
            (_signal.SIGINT, forward),
            (_signal.SIGTSTP, stopped),
        )
    ]
    try:
        session.resize(*terminal.size())
        _carry(session.pty_fd, terminal.fd, output_fd, timeout)
    except _EndedError as error:
        session.kill()
        return int(error.args[0])
    except OSError:  # the caller's terminal is gone
        session.kill()
        return int(_signal.SIGHUP)
    finally:
        for signum, handler in before:
            _signal.signal(signum, handler)
    return 0


def _carry(pty_fd: int, input_fd: int, output_fd: int, timeout: float | None) -> None:
    """Move bytes both ways until nobody holds the inner terminal open, or time is up.

    Writing to the inner terminal must not block: while its reader is busy writing to us, both would wait for ever.
    """
    os.set_blocking(pty_fd, False)
    poller = select.poll()
    poller.register(input_fd, select.POLLIN)
    typed = b""
    input_open = True
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            return
        poller.register(pty_fd, select.POLLIN | (select.POLLOUT if typed else 0))
        if input_open:
            poller.register(input_fd, select.POLLIN if len(typed) < _MOST_TYPED else 0)
        for fd, events in poller.poll(_TICK if left is None else min(_TICK, int(left * 1000) + 1)):
            if fd == input_fd:
                data = os.read(input_fd, _CHUNK) if events & select.POLLIN else b""
                typed += data
                if not data:
                    input_open = False
                    poller.unregister(input_fd)
                continue
            if events & select.POLLOUT:
                typed = typed[_write_some(pty_fd, typed) :]
            if events & ~select.POLLOUT:
                shown = _read_some(pty_fd)
                if shown == b"":
                    return
                _write_all(output_fd, shown or b"")


def _read_some(pty_fd: int) -> bytes | None:
    """Bytes of the inner terminal; empty at its end, None when there are none right now."""
    try:
        return os.read(pty_fd, _CHUNK)
    except BlockingIOError:
        return None
    except OSError:  # EIO: the last process that had it open is gone
        return b""


def _write_some(pty_fd: int, data: bytes) -> int:
    try:
        return os.write(pty_fd, data)
    except BlockingIOError:
        return 0
    except OSError:  # the end is noticed by reading
        return len(data)


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
