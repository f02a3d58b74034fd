"""What an audit log holds: one event for each violation and each denial, and how it is written as a line.

A line is canonical JSON in ASCII (sorted keys, no spaces), so that there is one spelling of every event: whoever
changes a byte of it changes its digest. ``digest`` is the SHA-256 of the line without that key, and ``previous`` is the
digest of the event before it. Undecodable bytes of paths and arguments are escapes of surrogates, as in every text of
Python.
"""

from __future__ import annotations

from bldr.model.value import replace, value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from bldr.model.result import Denial, ExecutionResult, Violation

__all__ = ["FIRST", "LONGEST", "SCHEMA", "AuditEvent", "EventKind", "events_of", "from_line", "to_line"]

SCHEMA = 1
FIRST = "0" * 64
"""What stands in place of the digest of an event before the first one."""
LONGEST = 65536  # bytes of a line; what is longer loses arguments
_LARGEST = float("inf")
_LONGEST_TEXT = 4096  # characters of a text that had to be shortened


class EventKind:
    """What an event is about."""

    FILESYSTEM_READ = "filesystem-read"
    FILESYSTEM_WRITE = "filesystem-write"
    NETWORK = "network"
    PROCESS = "process"
    LIMIT = "limit"
    TIMEOUT = "timeout"
    PRIVILEGE = "privilege"
    REFUSAL = "refusal"
    """The command was not started: the request is wrong, or a guarantee cannot be had."""
    OTHER = "other"

    ALL = (FILESYSTEM_READ, FILESYSTEM_WRITE, NETWORK, PROCESS, LIMIT, TIMEOUT, PRIVILEGE, REFUSAL, OTHER)


_OF_DENIALS = {
    "read": EventKind.FILESYSTEM_READ,
    "list": EventKind.FILESYSTEM_READ,
    "look": EventKind.FILESYSTEM_READ,
    "write": EventKind.FILESYSTEM_WRITE,
    "rename": EventKind.FILESYSTEM_WRITE,
    "delete": EventKind.FILESYSTEM_WRITE,
    "link": EventKind.FILESYSTEM_WRITE,
    "connect": EventKind.NETWORK,
    "bind": EventKind.NETWORK,
    "send": EventKind.NETWORK,
    "resolve": EventKind.NETWORK,
    "execute": EventKind.PROCESS,
    "fork": EventKind.PROCESS,
    "syscall": EventKind.PRIVILEGE,
    "privilege": EventKind.PRIVILEGE,
}
_TIMEOUTS = ("wall_time", "silence")


@value
class AuditEvent:
    """One violation or denial.

    Args:
        kind: One of the constants of :class:`EventKind`.
        subject: What it is about: the name of a limit, an inside path, an endpoint, a system call, an error's code.
        message: One sentence.
        denial: Whether an attempt was blocked; otherwise something went beyond what is allowed.
        run: Identifies the execution; the same for all its events.
        argv: The command of the execution.
        pid: The process; 0 when unknown.
        actual: What was used, for limits and timeouts, in bytes, seconds or a count.
        limit: What was allowed, in the same unit.
        moment: Seconds since the start of the command; ``None`` when unknown.
        time: Seconds since the epoch; set when it is recorded.
        uid: Who ran it; set when it is recorded.
        sequence: Its number in the log; -1 before it is recorded.
        previous: The digest of the event before it.
        digest: Its own; both are empty before it is recorded.
        torn: When it follows a line that was left incomplete: the bytes and the SHA-256 of that, with a colon between.
    """

    kind: str
    subject: str
    message: str
    denial: bool = False
    run: str = ""
    argv: tuple[str, ...] = ()
    pid: int = 0
    actual: float | None = None
    limit: float | None = None
    moment: float | None = None
    time: float = 0.0
    uid: int = -1
    sequence: int = -1
    previous: str = ""
    digest: str = ""
    torn: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the event for JSON."""
        found: dict[str, Any] = {name: getattr(self, name) for name in self.__match_args__}
        found["argv"] = list(self.argv)
        return {"schema": SCHEMA, **found}


def events_of(result: ExecutionResult, *, run: str) -> tuple[AuditEvent, ...]:
    """Return the events of an execution: its violations, then its denials."""
    return (
        *[_of_violation(one, result.argv, run) for one in result.violations],
        *[_of_denial(one, result.argv, run) for one in result.denials],
    )


def _of_violation(one: Violation, argv: tuple[str, ...], run: str) -> AuditEvent:
    return AuditEvent(
        EventKind.TIMEOUT if one.kind in _TIMEOUTS else EventKind.LIMIT,
        one.kind,
        one.message,
        run=run,
        argv=argv,
        pid=one.pid,
        actual=_finite(one.actual),
        limit=_finite(one.limit),
        moment=_finite(one.time),
    )


def _of_denial(one: Denial, argv: tuple[str, ...], run: str) -> AuditEvent:
    kind = _OF_DENIALS.get(one.kind, EventKind.OTHER)
    message = one.message or f"{one.kind} of {one.subject} was denied"
    return AuditEvent(kind, one.subject, message, denial=True, run=run, argv=argv, pid=one.pid)


def to_line(event: AuditEvent) -> tuple[AuditEvent, bytes]:
    """Return an event with its digest, and its line with the newline.

    Args:
        event: It has a sequence and the digest of its predecessor already.
    """
    content = event.to_dict()
    del content["digest"]
    text = _canonical(content)
    if len(text) >= LONGEST - 128:
        return to_line(_shortened(event))
    content["digest"] = _digest(text)
    return replace(event, digest=content["digest"]), _canonical(content).encode("ascii") + b"\n"


def from_line(line: bytes) -> AuditEvent | None:
    """Return the event of a line without its newline; ``None`` when it is none, or not the one that was written."""
    import json

    try:
        content = json.loads(line)
        if content["schema"] != SCHEMA or _canonical(content).encode("ascii") != line:
            return None
        digest = content.pop("digest")
        if digest != _digest(_canonical(content)):
            return None
        del content["schema"]
        content["argv"] = tuple(content["argv"])
        return AuditEvent(**content, digest=digest)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _shortened(event: AuditEvent) -> AuditEvent:
    """An event must fit into a line of a known size; what a command was can be told without all its arguments."""
    words = [word[:200] for word in event.argv[:8]]
    return replace(
        event,
        kind=event.kind[:100],
        subject=_cut(event.subject),
        message=_cut(event.message),
        run=event.run[:100],
        argv=(*words, "...") if len(event.argv) > len(words) else tuple(words),
    )


def _finite(number: float | None) -> float | None:
    """JSON has no infinity."""
    return number if number is None or -_LARGEST < number < _LARGEST else None


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 3] + "..."


def _canonical(content: dict[str, Any]) -> str:
    import json

    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _digest(text: str) -> str:
    from hashlib import sha256

    return sha256(text.encode("ascii")).hexdigest()
