"""Read an audit log, follow it, and check its chain.

What the chain shows: every change of a line, every line that was removed, added or moved, and, against the head or an
event that was written down elsewhere, an end that was cut off. What it cannot show: that somebody who may write the
file has made the whole of it anew, head included. Full files that were removed because of their number are no gap: the
log begins later.
"""

from __future__ import annotations

import os
from hashlib import sha256

from bldr.audit.events import FIRST, AuditEvent, from_line
from bldr.audit.log import number_of, parse_head, rotated
from bldr.errors import AuditError
from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Finding", "Verification", "follow", "read", "read_head", "verify"]


@value
class Finding:
    """Something that is wrong with a log: in which file and line (from 1; 0 for none), and what, as a sentence."""

    file: str
    line: int
    message: str


@value
class Verification:
    """What the check of a chain found.

    Args:
        events: How many events are intact.
        first: The number of the first one; -1 without any.
        last: The number of the last one.
        digest: The digest of the last one.
        torn: How many lines were left incomplete by writers that died, which is no fault of the chain.
        findings: What is wrong.
    """

    events: int
    first: int
    last: int
    digest: str
    torn: int
    findings: tuple[Finding, ...]

    @property
    def intact(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


def files_of(path: str) -> list[str]:
    """Return the files of a log, oldest first.

    Raises:
        AuditError: There is none.
    """
    try:
        found = [*rotated(path), *([path] if os.path.lexists(path) else [])]
    except OSError as error:
        raise _unreadable(path, error) from error
    if not found:
        raise AuditError(f"there is no audit log {path!r}", code="audit.missing", hint="bldr run --audit-log FILE")
    return found


def _unreadable(path: str, error: OSError) -> AuditError:
    return AuditError(f"cannot read the audit log {path!r}: {error.strerror or error}", code="audit.unreadable")


def _lines(path: str) -> Iterator[tuple[bytes, bool]]:
    """Yield each line, and whether it has its newline."""
    try:
        with open(path, "rb") as file:
            for line in file:
                yield line.removesuffix(b"\n"), line.endswith(b"\n")
    except FileNotFoundError:
        return  # it was too many meanwhile
    except OSError as error:
        raise _unreadable(path, error) from error


def read(path: str) -> Iterator[AuditEvent]:
    """Yield all events of a log, oldest first; what is none is left out.

    Raises:
        AuditError: There is no log, or it cannot be read.
    """
    for file in files_of(path):
        for line, _ in _lines(file):
            event = from_line(line)
            if event is not None:
                yield event


def follow(path: str, *, after: int = -1, interval: float = 0.25) -> Iterator[AuditEvent]:
    """Yield the events after one, for ever, as they are written; a full file that is renamed is read to its end.

    Args:
        path: The log; it need not exist yet.
        after: The number of the last event that is known.
        interval: Seconds between two looks.
    """
    import time

    last = after
    while True:
        try:
            # Only the newest files can hold what is new; the others are skipped by their first number.
            older = [one for one in rotated(path) if number_of(one) > last]
            before = [one for one in rotated(path) if number_of(one) <= last][-1:]
            fresh = [event for one in (*before, *older, path) for event in _events(one) if event.sequence > last]
        except OSError:
            fresh = []
        for event in fresh:
            if event.sequence > last:
                last = event.sequence
                yield event
        time.sleep(interval)


def _events(path: str) -> list[AuditEvent]:
    return [event for line, whole in _lines(path) if whole and (event := from_line(line)) is not None]


def read_head(path: str) -> tuple[int, str, int] | None:
    """Return what the head of a log says, see :func:`bldr.audit.log.parse_head`.

    Raises:
        AuditError: It cannot be read.
    """
    try:
        with open(path + ".head", "rb") as file:
            return parse_head(file.read(4096))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path + ".head", error) from error


def verify(path: str, *, expected: str = "") -> Verification:
    """Check every line of a log and how they hang together.

    Args:
        path: The log.
        expected: ``NUMBER:DIGEST`` of an event that has to be there; empty for none.

    Raises:
        AuditError: There is no log, it cannot be read, or ``expected`` is not of that form.
    """
    wanted = _expectation(expected)
    lock = _share(path)
    try:
        files = files_of(path)
        head = read_head(path)
        work = _Check(wanted, number_of(files[0]) if files[0] != path else 0 if head is None else head[2])
        for file in files:
            work.add_file(file)
        return work.conclude(path)
    finally:
        if lock >= 0:
            os.close(lock)


def _share(path: str) -> int:
    """Keep writers away while the log is read; -1 where there is no head to be locked."""
    import fcntl

    try:
        fd = os.open(path + ".head", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1
    fcntl.flock(fd, fcntl.LOCK_SH)
    return fd


def _expectation(text: str) -> tuple[int, str] | None:
    if not text:
        return None
    number, _, digest = text.partition(":")
    if not number.isdecimal() or len(digest) != len(FIRST):
        raise AuditError(
            f"{text!r} is not NUMBER:DIGEST of an event", code="audit.invalid", hint="bldr audit --head prints one"
        )
    return int(number), digest


class _Check:
    """What is known so far."""

    def __init__(self, expected: tuple[int, str] | None, begins_at: int) -> None:
        self.findings: list[Finding] = []
        self.begins_at = begins_at
        self.expected = expected
        self.first: AuditEvent | None = None
        self.last: AuditEvent | None = None
        self.events = 0
        self.torn = 0
        self.broken: list[tuple[str, int, bytes]] = []  # lines that are no events; the next one may name one as torn
        self.digests: dict[int, str] = {}

    def add_file(self, file: str) -> None:
        for number, (line, whole) in enumerate(_lines(file), 1):
            event = from_line(line) if whole else None
            if event is None:
                self.broken.append((file, number, line))
                continue
            self._judge_broken(event, file, number)
            self._judge(event, file, number)

    def _judge_broken(self, event: AuditEvent, file: str, number: int) -> None:
        """Accept the one line that the event names as torn, and find fault with every other one."""
        named = [one for one in self.broken if event.torn == f"{len(one[2])}:{sha256(one[2]).hexdigest()}"]
        self.torn += len(named)
        if event.torn and not named:
            self.findings.append(Finding(file, number, f"the incomplete line before event {event.sequence} is missing"))
        self._refuse([one for one in self.broken if one not in named])
        self.broken = []

    def _refuse(self, lines: list[tuple[str, int, bytes]]) -> None:
        self.findings += [Finding(file, number, "the line is not what was written") for file, number, _ in lines]

    def _judge(self, event: AuditEvent, file: str, number: int) -> None:
        wanted, digest = (0, FIRST) if self.last is None else (self.last.sequence + 1, self.last.digest)
        begins = self.last is None and event.sequence == self.begins_at
        if not begins and (event.sequence != wanted or event.previous != digest):
            what = "does not follow the one before it"
            if event.sequence > wanted:
                what = f"comes after a gap of {event.sequence - wanted}"
            elif event.sequence < wanted:
                what = "stands in the wrong place"
            self.findings.append(Finding(file, number, f"event {event.sequence} {what}"))
        self.first = self.first or event
        self.last = event
        self.events += 1
        self.digests[event.sequence] = event.digest

    def conclude(self, path: str) -> Verification:
        """Judge the end."""
        unfinished = self.broken[-1:] if self.broken and not _ends_with_newline(self.broken[-1][0]) else []
        self.torn += len(unfinished)
        self._refuse([one for one in self.broken if one not in unfinished])
        first = -1 if self.first is None else self.first.sequence
        last, digest = (-1, FIRST) if self.last is None else (self.last.sequence, self.last.digest)
        head = read_head(path)
        if head is None and self.last is not None:
            self.findings.append(Finding(path + ".head", 0, "it does not say what the last event is"))
        if head is not None and first > head[2]:
            self.findings.append(Finding(path, 0, f"the log begins with event {first}, and {head[2]} was kept"))
        for known in (head, self.expected):
            if known is not None and self.digests.get(known[0]) != known[1]:
                if known[0] > last:
                    what = f"the log ends before event {known[0]}: its end was cut off"
                elif known[0] < first:
                    what = f"event {known[0]} is in a file that was removed"
                else:
                    what = f"event {known[0]} is another one"
                self.findings.append(Finding(path, 0, what))
        return Verification(self.events, first, last, digest, self.torn, tuple(self.findings))


def _ends_with_newline(file: str) -> bool:
    """Say whether the last line of a file is complete; else a writer died, and nobody has written since."""
    with open(file, "rb") as text:
        text.seek(-1, os.SEEK_END)
        return text.read(1) == b"\n"
