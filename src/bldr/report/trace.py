"""``--profile FILE``: one execution in the Trace Event Format, which Perfetto and ``chrome://tracing`` load.

The format is described in the document "Trace Event Format" of the Chromium project: complete events (``X``) with a
start and a duration, counters (``C``), instants (``i``) and names (``M``); times are microseconds.
"""

from __future__ import annotations

from bldr.model.text import visible
from bldr.report.markup import clipped
from bldr.report.series import place, rates

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bldr.model.result import ExecutionResult
    from bldr.model.timeline import Timeline

__all__ = ["render", "to_dict"]

_PID = 1  # the whole execution is one process of the trace: its lanes are the threads, its totals the counters
_ENDLESS = 1 << 30
_ARGUMENTS = 4000  # characters


def render(result: ExecutionResult, *, version: str) -> str:
    """Return the trace as JSON, one event a line."""
    from json import dumps

    trace = to_dict(result, version=version)
    events = ",\n".join(dumps(event, ensure_ascii=True) for event in trace.pop("traceEvents"))  # type: ignore[attr-defined]
    head = dumps(trace, ensure_ascii=True)[1:-1]
    return f'{{{head},"traceEvents":[\n{events}\n]}}\n'


def to_dict(result: ExecutionResult, *, version: str) -> dict[str, object]:
    """Return the trace for JSON."""
    command = _words(result.argv)
    events: list[dict[str, object]] = [
        _named("process_name", 0, clipped(command, 200)),
        _named("process_labels", 0, result.termination, key="labels"),
        _complete(0, "command", 0.0, result.usage.wall_time, {"argv": command, "exit_code": result.exit_code}),
        _named("thread_name", 0, "command"),
    ]
    if result.timeline is not None:
        events += _processes(result.timeline)
        events += _counters(result.timeline)
    events += [
        {
            "name": f"{one.kind} limit reached",
            "cat": "violation",
            "ph": "i",
            "s": "g",
            "ts": _microseconds(one.time),
            "pid": _PID,
            "tid": 0,
            "args": {"message": visible(one.message), "actual": one.actual, "limit": one.limit, "process": one.pid},
        }
        for one in result.violations
    ]
    return {
        "displayTimeUnit": "ms",
        "otherData": {"program": f"bldr {version}", "started_at": result.started_at, "command": clipped(command, 2000)},
        "traceEvents": events,
    }


def _processes(timeline: Timeline) -> Iterator[dict[str, object]]:
    """A slice for each process, in lanes: on one track of the format slices may not overlap."""
    placed = place(timeline.processes, most=_ENDLESS, lanes=_ENDLESS)
    for lane in range(1 + max((one.lane for one in placed), default=-1)):
        yield _named("thread_name", lane + 1, f"processes {lane + 1}")
        yield _named("thread_sort_index", lane + 1, lane + 1, key="sort_index")
    for one in placed:
        record = one.record
        name = visible(record.argv[0].rpartition("/")[2]) if record.argv else f"process {record.pid}"
        arguments = {
            "argv": _words(record.argv),
            "process": record.pid,
            "parent": record.parent,
            "cpu_time": round(record.cpu_time, 6),
            "peak_memory": record.peak_memory,
        }
        yield _complete(one.lane + 1, clipped(name, 200), record.begun, record.ended, arguments)


def _counters(timeline: Timeline) -> Iterator[dict[str, object]]:
    samples = timeline.samples
    series = zip(
        samples,
        rates(samples, lambda one: one.cpu_time),
        rates(samples, lambda one: one.disk_read),
        rates(samples, lambda one: one.disk_write),
        strict=True,
    )
    for sample, cpus, read, write in series:
        yield _counter("memory", sample.time, {"bytes": sample.memory})
        yield _counter("CPUs in use", sample.time, {"CPUs": round(cpus or 0.0, 3)})
        yield _counter("tasks", sample.time, {"processes": sample.processes, "threads": sample.threads})
        disk = {name: round(rate) for name, rate in (("read", read), ("write", write)) if rate is not None}
        if disk:
            yield _counter("disk, bytes a second", sample.time, disk)


def _named(kind: str, tid: int, content: object, *, key: str = "name") -> dict[str, object]:
    return {"name": kind, "ph": "M", "pid": _PID, "tid": tid, "args": {key: content}}


def _complete(tid: int, name: str, begun: float, ended: float, arguments: dict[str, object]) -> dict[str, object]:
    start = _microseconds(begun)
    duration = max(0, _microseconds(ended) - start)
    return {
        "name": name, "cat": "process", "ph": "X", "ts": start, "dur": duration, "pid": _PID, "tid": tid,
        "args": arguments,
    }  # fmt: skip


def _counter(name: str, moment: float, values: Mapping[str, float]) -> dict[str, object]:
    return {"name": name, "ph": "C", "ts": _microseconds(moment), "pid": _PID, "tid": 0, "args": values}


def _microseconds(seconds: float) -> int:
    return max(0, round(seconds * 1e6))


def _words(argv: tuple[str, ...]) -> str:
    from shlex import join

    return clipped(visible(join(argv)), _ARGUMENTS)
