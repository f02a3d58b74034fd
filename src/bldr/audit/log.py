"""Write an audit log: append-only, one line an event, by any number of processes at the same time.

Beside ``FILE`` there is ``FILE.head``: its lock makes writers take turns, and it holds the number and the digest of the
last event and the number of the first one that is kept, so that a log that was cut short is noticed. A full log is
renamed to ``FILE.`` and the number of its first event, in twelve digits; the chain goes on in the next one. A writer
that dies in the middle of a line leaves a torn one: the next writer ends it, and its event names the bytes that it
found.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time

from bldr.audit.events import FIRST, LONGEST, AuditEvent, EventKind, events_of, from_line, to_line
from bldr.errors import AuditError
from bldr.model.limits import parse_size
from bldr.model.value import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    from bldr.audit.reader import Verification
    from bldr.errors import BldrError
    from bldr.model.limits import Size
    from bldr.model.paths import AnyPath
    from bldr.model.result import ExecutionResult

    Hook = Callable[[AuditEvent], object]

__all__ = ["AuditLog", "logging_hook", "number_of", "parse_head", "rotated"]

_DIGITS = 12
_PATIENCE = 30.0  # seconds for which another writer may have the log for itself
_OPEN = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
_MODE = 0o600


class AuditLog:
    """A log of everything that was refused or went beyond what was allowed.

    Nothing is kept open between two events, so that an object can be shared by threads and inherited by forks.

    Args:
        path: The file; its directory has to exist.
        max_size: Bytes from which on a new file is begun.
        keep: How many full files are kept; ``None`` keeps all.
        hook: Called with each event after it was written, for example :func:`logging_hook`.
        sync: Whether each event is on disk before the call returns.

    Raises:
        InvalidLimitError: ``max_size`` is not a size.
        AuditError: ``keep`` is negative.
    """

    def __init__(
        self,
        path: AnyPath,
        *,
        max_size: Size = "16M",
        keep: int | None = 8,
        hook: Hook | None = None,
        sync: bool = True,
    ) -> None:
        self.path = os.path.realpath(os.fsdecode(path))
        self._max_size = parse_size(max_size, what="max_size")
        if keep is not None and keep < 0:
            raise AuditError(f"keep is {keep}, which is no number of files", code="audit.invalid", hint="0 or more")
        self._keep = keep
        self._hook = hook
        self._sync = sync

    def prepare(self) -> None:
        """Make the log where it does not exist yet.

        Raises:
            AuditError: It cannot be written.
        """
        try:
            with _Turn(self.path):
                pass
        except OSError as error:
            raise self._failure(error) from error

    def record(self, *events: AuditEvent) -> tuple[AuditEvent, ...]:
        """Append events; either all of them are written, or those that come after the first one that cannot be are not.

        Returns:
            The events as they were written.

        Raises:
            AuditError: They cannot be written, for example because the disk is full.
        """
        if not events:
            return ()
        written: list[AuditEvent] = []
        try:
            with _Turn(self.path) as turn:
                try:
                    for event in events:
                        if turn.size >= self._max_size:
                            turn.rotate(self._keep)
                        written.append(turn.append(replace(event, time=time.time(), uid=os.getuid())))
                finally:
                    if written:
                        turn.finish(sync=self._sync)
        except OSError as error:
            raise self._failure(error) from error
        if self._hook is not None:
            for event in written:
                self._hook(event)
        return tuple(written)

    def record_result(self, result: ExecutionResult) -> tuple[AuditEvent, ...]:
        """Append an event for each violation and denial of an execution.

        Raises:
            AuditError: They cannot be written; ``result`` is set.
        """
        events = events_of(result, run=os.urandom(8).hex())
        try:
            return self.record(*events)
        except AuditError as error:
            error.result = result
            raise

    def record_late_start(self, argv: tuple[str, ...], timeout: float | None) -> tuple[AuditEvent, ...]:
        """Append the event of a timeout that passed before the command was started."""
        message = "timed out before the command was started"
        return self.record(
            AuditEvent(EventKind.TIMEOUT, "wall_time", message, run=os.urandom(8).hex(), argv=argv, limit=timeout)
        )

    def record_refusal(self, error: BldrError, argv: tuple[str, ...] = ()) -> tuple[AuditEvent, ...]:
        """Append the event of a command that was not started; its subject is the code of the error.

        Returns:
            The event; nothing where it cannot be written, because the error itself is what has to be told.
        """
        event = AuditEvent(
            EventKind.REFUSAL, error.code, error.message, denial=True, run=os.urandom(8).hex(), argv=argv
        )
        try:
            return self.record(event)
        except AuditError:
            return ()

    def read(self) -> Iterator[AuditEvent]:
        """Yield all events, oldest first, full files included. What is no event any more is left out."""
        from bldr.audit.reader import read

        return read(self.path)

    def verify(self, *, expected: str = "") -> Verification:
        """Check the chain.

        Args:
            expected: ``NUMBER:DIGEST`` of an event that was written down elsewhere and has to be there.
        """
        from bldr.audit.reader import verify

        return verify(self.path, expected=expected)

    def head(self) -> str:
        """Return ``NUMBER:DIGEST`` of the last event, to be written down elsewhere; empty before the first one."""
        from bldr.audit.reader import read_head

        found = read_head(self.path)
        return "" if found is None else f"{found[0]}:{found[1]}"

    def _failure(self, error: OSError) -> AuditError:
        return AuditError(
            f"cannot write the audit log {self.path!r}: {error.strerror or error}",
            code="audit.write-failed",
            hint="free some space, or name a file in a directory of yours",
        )


class _Turn:
    """The time in which one writer has the log for itself."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._head = -1
        self._log = -1
        self._sequence = 0
        self._previous = FIRST
        self._kept = 0  # number of the first event that is kept
        self._torn = ""
        self.size = 0

    def __enter__(self) -> Self:
        try:
            self._head = os.open(self._path + ".head", _OPEN & ~os.O_APPEND, _MODE)
            self._lock()
            self._open()
            self._continue()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        for fd in (self._log, self._head):
            if fd >= 0:
                os.close(fd)
        self._log = self._head = -1

    def _lock(self) -> None:
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(self._head, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.005)
            else:
                return

    def _open(self) -> None:
        self._log = os.open(self._path, _OPEN, _MODE)
        status = os.fstat(self._log)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, "it is not a regular file")
        self.size = status.st_size

    def _continue(self) -> None:
        """Find the last event, and end a line that a writer has left incomplete."""
        last, torn = _tail(self._log, self.size)
        if torn:
            self._write(b"\n")
        if last is None and (older := rotated(self._path)):
            # A writer may have died right after it had renamed a full file.
            fd = os.open(older[-1], os.O_RDONLY | os.O_CLOEXEC)
            try:
                last, _ = _tail(fd, os.fstat(fd).st_size)
            finally:
                os.close(fd)
        whole = from_line(torn)
        if whole is not None:  # only the newline was missing
            last, torn = whole, b""
        self._torn = _named(torn) if torn else ""
        if last is not None:
            self._sequence, self._previous = last.sequence + 1, last.digest
        known = parse_head(os.pread(self._head, 4096, 0))
        if known is None:
            return
        number, digest, self._kept = known
        if number >= self._sequence or (number == self._sequence - 1 and digest != self._previous):
            # The end is missing or another one. Going on from the head leaves a gap that verification shows.
            self._sequence, self._previous = number + 1, digest

    def append(self, event: AuditEvent) -> AuditEvent:
        """Write one event."""
        event, line = to_line(replace(event, sequence=self._sequence, previous=self._previous, torn=self._torn))
        self._write(line)
        self._sequence, self._previous, self._torn = event.sequence + 1, event.digest, ""
        return event

    def _write(self, data: bytes) -> None:
        """Write all of it, or take back what was written."""
        done = 0
        try:
            while done < len(data):
                done += os.write(self._log, data[done:])
        except OSError:
            os.ftruncate(self._log, self.size)
            raise
        self.size += len(data)

    def finish(self, *, sync: bool) -> None:
        """Write the head; a writer that dies before it leaves an older one, which the next writer mends."""
        if sync:
            os.fsync(self._log)
        self._write_head(sync=sync)

    def _write_head(self, *, sync: bool) -> None:
        """Always of one length, so that each write replaces all of the last one."""
        os.pwrite(self._head, f"{self._sequence - 1:>20} {self._previous} {self._kept:>20}\n".encode("ascii"), 0)
        if sync:
            os.fsync(self._head)

    def rotate(self, keep: int | None) -> None:
        """Begin a new file."""
        first = _first(self._log)
        os.fsync(self._log)
        os.rename(self._path, f"{self._path}.{first:0{_DIGITS}}")
        os.close(self._log)
        self._log = -1
        self._open()
        older = rotated(self._path)
        superfluous = older[: max(0, len(older) - keep)] if keep is not None else []
        if superfluous:
            rest = older[len(superfluous) :]
            self._kept = number_of(rest[0]) if rest else self._sequence
            self._write_head(sync=True)  # first: what is still there in spite of it is no gap
        for path in superfluous:
            os.unlink(path)


def _tail(fd: int, size: int) -> tuple[AuditEvent | None, bytes]:
    """Return the last event of a file, and what comes after the last newline."""
    start = max(0, size - 2 * LONGEST)
    data = os.pread(fd, size - start, start)
    *lines, rest = data.split(b"\n")
    for line in reversed(lines):
        event = from_line(line)
        if event is not None:
            return event, rest
    return None, rest


def _first(fd: int) -> int:
    """Return the number of the first event of a file; 0 where nobody can tell."""
    for line in os.pread(fd, 2 * LONGEST, 0).split(b"\n"):
        event = from_line(line)
        if event is not None:
            return event.sequence
    return 0


def _named(torn: bytes) -> str:
    from hashlib import sha256

    return f"{len(torn)}:{sha256(torn).hexdigest()}"


def number_of(path: str) -> int:
    """Return the number of the first event of a full file."""
    return int(path.rpartition(".")[2])


def parse_head(data: bytes) -> tuple[int, str, int] | None:
    """Return number and digest of the last event and the number of the first one that is kept; ``None`` if unknown."""
    words = data.split()
    if len(words) != 3 or not words[0].isdigit() or len(words[1]) != len(FIRST) or not words[2].isdigit():
        return None
    return int(words[0]), words[1].decode("ascii", "replace"), int(words[2])


def rotated(path: str) -> list[str]:
    """Return the full files of a log, oldest first."""
    directory, name = os.path.split(path)
    found = []
    for other in os.listdir(directory):
        digits = other[len(name) + 1 :]
        if other.startswith(name + ".") and len(digits) >= _DIGITS and digits.isascii() and digits.isdecimal():
            found.append((int(digits), os.path.join(directory, other)))
    return [other for _, other in sorted(found)]


def logging_hook(name: str = "bldr.audit") -> Hook:
    """Return a hook that passes events on to a logger of :mod:`logging`, as warnings.

    Args:
        name: The logger. ``record.audit`` is the event as a dictionary, for formatters that write structured logs.
    """
    from logging import getLogger

    logger = getLogger(name)

    def log(event: AuditEvent) -> None:
        logger.warning("%s: %s", event.kind, event.message, extra={"audit": event.to_dict()})

    return log
