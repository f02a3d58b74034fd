"""A stream of the command that goes through the session on to the caller, byte for byte.

The command gets a pipe, or a terminal where the caller has one, so that ``isatty`` stays true. What is gained over a
stream that is inherited: the session knows when something was printed, and can write beside it. What must not be lost:
the bytes, their order, and the pressure that a slow reader puts on the command.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import time

from bldr.errors import InvalidCommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Observer(Protocol):
        """Somebody who has to know of each write, for example because of a line that must not be torn."""

        def before_output(self) -> None:
            """Called before an attempt to write."""

        def after_output(self, data: memoryview) -> None:
            """Called after it, with what was written; empty when nothing was."""


__all__ = ["Outlet", "Relay", "same_file"]

_CHUNK = 1 << 16  # bytes; the default capacity of a pipe, and all that is held back while the caller does not read
_ATOMIC = 4096  # bytes: PIPE_BUF. A pipe that is ready takes them at once (pipe(7))


class Outlet:
    """Writes to a descriptor of the caller without ever waiting.

    The descriptor is shared with other programs, so it is never made non-blocking: a pipe or a terminal is opened a
    second time for that. Where this is not possible, no more is written at a time than fits.

    Args:
        target: The descriptor, which stays open.
    """

    def __init__(self, target: int) -> None:
        self._own = -1
        self._target = target
        self._own = _opened_again(target)
        self._most = _CHUNK if self._own >= 0 or stat.S_ISREG(os.fstat(target).st_mode) else _ATOMIC

    @property
    def fd(self) -> int:
        """The descriptor that is written to."""
        return self._own if self._own >= 0 else self._target

    def write(self, data: bytes | memoryview) -> int:
        """Write what is taken at once; returns how many bytes.

        Raises:
            BlockingIOError: Nothing is taken now.
            OSError: Nothing will be taken any more.
        """
        if self._own < 0 and not _is_ready(self._target):
            raise BlockingIOError
        return os.write(self.fd, data[: self._most])

    def close(self) -> None:
        """Close what was opened; harmless the second time."""
        if self._own >= 0:
            os.close(self._own)
            self._own = -1


class Relay:
    """Reads what the command prints and writes it to a descriptor of the caller.

    Args:
        target: The caller's descriptor, which stays open.

    Raises:
        InvalidCommandError: There is no terminal to be had for the command.
    """

    def __init__(self, target: int) -> None:
        self.last = 0.0  # when the last byte came, as of time.monotonic()
        self.error: OSError | None = None
        self.observer: Observer | None = None
        self.keep = 0  # bytes of the end that are kept
        self.kept = b""
        self.pty = os.isatty(target)
        self._pending = memoryview(b"")
        self.target = target
        self.command_end = self.fd = -1
        self._outlet = Outlet(target)
        try:
            self.fd, self.command_end = _terminal_like(target) if self.pty else os.pipe()
            os.set_blocking(self.fd, False)
        except BaseException:
            self.close()
            raise

    @property
    def open(self) -> bool:
        """Whether the command may still print something."""
        return self.fd >= 0

    @property
    def pending(self) -> bool:
        """Whether the caller has to take something before more is read."""
        return bool(self._pending)

    def wants(self) -> tuple[int, int]:
        """Return the descriptor to wait for and the event, as of poll(2); -1 when there is nothing to wait for."""
        if self._pending:
            return self._outlet.fd, select.POLLOUT
        return self.fd, select.POLLIN

    def move(self) -> bool:
        """Read or write what is possible without waiting; False when nothing was."""
        if self._pending:
            return self._write()
        if self.fd < 0:
            return False
        try:
            data = os.read(self.fd, _CHUNK)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno != errno.EIO:  # the last process that had the terminal open has gone
                raise
            data = b""
        if not data:
            self._stop_reading()
            return False
        self.last = time.monotonic()
        if self.keep:
            self.kept = (self.kept + data)[-self.keep :]
        self._pending = memoryview(data)
        self._write()
        return True

    def _write(self) -> bool:
        count = 0
        if self.observer is not None:
            self.observer.before_output()
        try:
            count = self._outlet.write(self._pending)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):  # the reader has gone, as the command will notice itself
                self.error = error
            self.abandon()
            return False
        finally:
            if self.observer is not None:
                self.observer.after_output(self._pending[:count])
        self._pending = self._pending[count:]
        return True

    def resize(self) -> None:
        """Give the command's terminal the size of the caller's."""
        if self.pty and self.fd >= 0:
            _copy_size(self.target, self.fd)

    def abandon(self) -> None:
        """Pass nothing on any more; a command that goes on printing meets a closed pipe."""
        self._pending = memoryview(b"")
        self._stop_reading()

    def _stop_reading(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def close_command_end(self) -> None:
        """Close the command's end: the sandbox has its own copy."""
        if self.command_end >= 0:
            os.close(self.command_end)
            self.command_end = -1

    def close(self) -> None:
        """Close everything but the caller's descriptor; harmless the second time."""
        self.abandon()
        self.close_command_end()
        self._outlet.close()


def same_file(one: int, other: int) -> bool:
    """Whether two descriptors lead to the same pipe, terminal or file."""
    return os.path.samestat(os.fstat(one), os.fstat(other))


def _is_ready(target: int) -> bool:
    poller = select.poll()
    poller.register(target, select.POLLOUT)
    return bool(poller.poll(0))


def _opened_again(target: int) -> int:
    """A non-blocking descriptor of our own for a pipe or a terminal; -1 for other things, or where it is not allowed.

    A file opened again would have a position of its own, and a socket cannot be opened.
    """
    if not (os.isatty(target) or stat.S_ISFIFO(os.fstat(target).st_mode)):
        return -1
    try:
        return os.open(f"/dev/fd/{target}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:  # it belongs to another user, as after su
        return -1


def _terminal_like(target: int) -> tuple[int, int]:
    """A pseudo-terminal with the settings and the size of the caller's, that leaves the output as it is."""
    import termios

    try:
        controlling, command_end = os.openpty()
    except OSError as error:
        raise InvalidCommandError(
            f"there is no terminal for the command: {error.strerror}",
            code="spec.stream-invalid",
            hint="pass the output through a pipe: bldr run … | cat",
        ) from error
    settings = termios.tcgetattr(target)
    settings[1] &= ~termios.OPOST  # c_oflag: the caller's terminal turns line feeds into line ends, once
    termios.tcsetattr(command_end, termios.TCSANOW, settings)
    _copy_size(target, controlling)
    return controlling, command_end


def _copy_size(source: int, target: int) -> None:
    import fcntl
    import termios

    try:
        fcntl.ioctl(target, termios.TIOCSWINSZ, fcntl.ioctl(source, termios.TIOCGWINSZ, bytes(8)))
    except OSError:  # the caller's terminal has gone, which writing to it will show
        return
