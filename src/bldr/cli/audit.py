"""``bldr audit``: show, filter, follow and verify an audit log."""

from __future__ import annotations

import os

from bldr.cli.messages import has_colour, page, visible
from bldr.cli.options import UsageError, nearest, parse
from bldr.cli.quantities import count
from bldr.cli.tables import BAD, DOUBTFUL, GOOD, aligned, coloured
from bldr.cli.verbs import AUDIT, KINDS
from bldr.model.limits import parse_duration
from bldr.model.paths import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bldr.audit.events import AuditEvent
    from bldr.audit.reader import Verification
    from bldr.cli.options import Parsed

__all__ = ["main", "matcher", "moment"]

_STDOUT = 1
_BROKEN = 1
_FORMATS = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d")


def main(arguments: Sequence[str]) -> int:
    """``bldr audit``; 1 when the chain is broken."""
    parsed = parse(AUDIT, arguments)
    path = os.path.realpath(_file(parsed))
    if parsed.given("expect") and not parsed.given("verify"):
        raise UsageError("--expect belongs to --verify", hint="bldr audit --verify --expect NUMBER:DIGEST FILE")
    if parsed.given("verify"):
        return _verify(parsed, path)
    if parsed.given("head"):
        return _head(path)
    _show(parsed, path)
    return 0


def _file(parsed: Parsed) -> str:
    if len(parsed.rest) > 1:
        raise UsageError(f"audit takes one file, got {parsed.rest[1]!r} as well", hint="bldr help audit")
    if parsed.rest:
        return parsed.rest[0]
    from bldr.cli.request import caller_directory
    from bldr.cli.settings import load

    path = load(os.environ, caller_directory()).audit_log
    if not path:
        raise UsageError("audit needs a file", hint="bldr audit FILE, or set BUILDER_HERMETIC_AUDIT_LOG")
    return path


def _verify(parsed: Parsed, path: str) -> int:
    from bldr.audit.reader import verify

    found = verify(path, expected=parsed.last("expect") or "")
    if parsed.given("json"):
        from bldr.cli.resultfile import to_json

        page(to_json(_verification(found)))
    else:
        page("".join(f"{visible(line)}\n" for line in _told(found)))
    return 0 if found.intact else _BROKEN


def _verification(found: Verification) -> dict[str, object]:
    return {
        "schema": 1,
        "intact": found.intact,
        "events": found.events,
        "first": found.first,
        "last": found.last,
        "digest": found.digest,
        "torn": found.torn,
        "findings": [{"file": printable(one.file), "line": one.line, "message": one.message} for one in found.findings],
    }


def _told(found: Verification) -> list[str]:
    lines = [f"{one.file}{f':{one.line}' if one.line else ''}: {one.message}" for one in found.findings]
    if not found.events:
        return [*lines, "no events"]
    which = f"event {found.first}" if found.events == 1 else f"{found.events} events, {found.first} to {found.last}"
    torn = f"; {found.torn} incomplete, of writers that died" if found.torn else ""
    return [*lines, f"{'intact' if found.intact else 'BROKEN'}: {which}{torn}"]


def _head(path: str) -> int:
    from bldr.audit.reader import files_of, read_head

    files_of(path)
    found = read_head(path)
    page("" if found is None else f"{found[0]}:{found[1]}\n")
    return 0


def _show(parsed: Parsed, path: str) -> None:
    from bldr.audit.reader import follow, read

    matches = matcher(parsed)
    follows = parsed.given("follow")
    try:
        known = [] if follows and not os.path.lexists(path) else list(read(path))
        found = [event for event in known if matches(event)]
        if (text := parsed.last("last")) is not None:
            number = count(text, "--last", minimum=0)
            found = found[len(found) - number :] if number < len(found) else found
        _print(found, as_json=parsed.given("json"))
        for event in follow(path, after=known[-1].sequence if known else -1) if follows else ():
            if matches(event):
                _print([event], as_json=parsed.given("json"))
    except KeyboardInterrupt:
        if not follows:
            raise


def _print(events: Iterable[AuditEvent], *, as_json: bool) -> None:
    if as_json:
        from json import dumps

        page("".join(dumps(event.to_dict(), ensure_ascii=True) + "\n" for event in events))
        return
    enabled = has_colour(_STDOUT)
    rows = [_row(event) for event in events]
    page("".join(f"{_tinted(line, enabled=enabled)}\n" for line in aligned(rows)))


def _row(event: AuditEvent) -> tuple[str, ...]:
    from time import localtime, strftime

    when = strftime("%Y-%m-%d %H:%M:%S", localtime(event.time))
    command = " ".join(event.argv)
    return (
        when,
        event.kind,
        event.run,
        visible(f"{event.message}  [{command[:60]}{'...' if len(command) > 60 else ''}]"),
    )


def _tinted(line: str, *, enabled: bool) -> str:
    kind = line[21:].split(" ", 1)[0]
    return coloured(line, {"limit": DOUBTFUL, "timeout": DOUBTFUL, "other": GOOD}.get(kind, BAD), enabled=enabled)


def matcher(parsed: Parsed) -> Callable[[AuditEvent], bool]:
    """What the options ask for.

    Raises:
        UsageError: A value cannot be read.
    """
    from fnmatch import fnmatchcase

    kinds = parsed.all("kind")
    for kind in kinds:
        if kind not in KINDS:
            near = nearest(kind, KINDS)
            raise UsageError(
                f"--kind {kind}: there is no such kind", hint=f"did you mean {near}?" if near else ", ".join(KINDS)
            )
    runs, subjects = parsed.all("run"), parsed.all("subject")
    since, until = (_moment(parsed, name) for name in ("since", "until"))

    def matches(event: AuditEvent) -> bool:
        return (
            (not kinds or event.kind in kinds)
            and (not runs or event.run in runs)
            and (not subjects or any(fnmatchcase(event.subject, pattern) for pattern in subjects))
            and (since is None or event.time >= since)
            and (until is None or event.time < until)
        )

    return matches


def _moment(parsed: Parsed, name: str) -> float | None:
    text = parsed.last(name)
    if text is None:
        return None
    from time import time

    found = moment(text, time())
    if found is None:
        raise UsageError(
            f"--{name} {text}: this is no time", hint="2026-11-24, 2026-11-24T13:00, or 90m for a while ago"
        )
    return found


def moment(text: str, now: float) -> float | None:
    """Read a point in time, in seconds since the epoch: a date, with or without a time of day, or a duration ago."""
    from time import mktime, strptime

    for form in _FORMATS:
        try:
            return mktime(strptime(text, form))
        except ValueError:
            continue
    try:
        return now - parse_duration(text.removesuffix(" ago"), what="time")
    except ValueError:
        return None
