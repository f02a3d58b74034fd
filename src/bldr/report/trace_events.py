"""Events of the Trace Event Format, which Perfetto and ``chrome://tracing`` load.

The format is described in the document "Trace Event Format" of the Chromium project: complete events (``X``) with a
start and a duration, counters (``C``), instants (``i``) and names (``M``); times are microseconds.
"""

from __future__ import annotations

from bldr.model.text import visible
from bldr.report.markup import clipped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Event", "complete", "counter", "instant", "lane", "named", "to_trace", "words", "written"]

Event = dict[str, object]

_PID = 1  # the whole execution is one process of the trace: its lanes are the threads, its totals the counters
_ARGUMENTS = 4000  # characters


def named(kind: str, tid: int, content: object, *, key: str = "name") -> Event:
    """Give a track, or the whole, a name or another property."""
    return {"name": kind, "ph": "M", "pid": _PID, "tid": tid, "args": {key: content}}


def lane(tid: int, name: str) -> list[Event]:
    """Give a track a name, and its place below those with smaller numbers."""
    return [named("thread_name", tid, name), named("thread_sort_index", tid, tid, key="sort_index")]


def complete(
    tid: int, name: str, begun: float, ended: float, arguments: Mapping[str, object], *, category: str = "process"
) -> Event:
    """Something that took time, in seconds since the beginning."""
    start = _microseconds(begun)
    duration = max(0, _microseconds(ended) - start)
    return {
        "name": name, "cat": category, "ph": "X", "ts": start, "dur": duration, "pid": _PID, "tid": tid,
        "args": arguments,
    }  # fmt: skip


def counter(name: str, moment: float, values: Mapping[str, float]) -> Event:
    """Values at a moment."""
    return {"name": name, "ph": "C", "ts": _microseconds(moment), "pid": _PID, "tid": 0, "args": values}


def instant(name: str, moment: float, category: str, arguments: Mapping[str, object]) -> Event:
    """Something that happened at a moment, drawn through every track."""
    return {
        "name": name, "cat": category, "ph": "i", "s": "g", "ts": _microseconds(moment), "pid": _PID, "tid": 0,
        "args": arguments,
    }  # fmt: skip


def to_trace(events: Sequence[Event], command: str, started_at: float, version: str) -> Event:
    """Return a trace for JSON."""
    return {
        "displayTimeUnit": "ms",
        "otherData": {"program": f"bldr {version}", "started_at": started_at, "command": clipped(command, 2000)},
        "traceEvents": events,
    }


def written(trace: Event) -> str:
    """Return a trace as JSON, one event a line."""
    from json import dumps

    rest = dict(trace)
    events = ",\n".join(dumps(event, ensure_ascii=True) for event in rest.pop("traceEvents"))  # type: ignore[attr-defined]
    return f'{{{dumps(rest, ensure_ascii=True)[1:-1]},"traceEvents":[\n{events}\n]}}\n'


def words(argv: tuple[str, ...]) -> str:
    """Return a command as a shell reads it, not too long."""
    from shlex import join

    return clipped(visible(join(argv)), _ARGUMENTS)


def _microseconds(seconds: float) -> int:
    return max(0, round(seconds * 1e6))
