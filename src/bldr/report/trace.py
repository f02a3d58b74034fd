"""``--profile FILE``: one execution as a trace."""

from __future__ import annotations

from bldr.model.text import visible
from bldr.report.markup import clipped
from bldr.report.series import place, rates
from bldr.report.trace_events import complete, counter, instant, lane, named, to_trace, words, written

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from bldr.model.result import ExecutionResult
    from bldr.model.timeline import Timeline
    from bldr.report.trace_events import Event

__all__ = ["render", "to_dict"]

_ENDLESS = 1 << 30


def render(result: ExecutionResult, *, version: str) -> str:
    """Return the trace as JSON, one event a line."""
    return written(to_dict(result, version=version))


def to_dict(result: ExecutionResult, *, version: str) -> Event:
    """Return the trace for JSON."""
    command = words(result.argv)
    events: list[Event] = [
        named("process_name", 0, clipped(command, 200)),
        named("process_labels", 0, result.termination, key="labels"),
        complete(0, "command", 0.0, result.usage.wall_time, {"argv": command, "exit_code": result.exit_code}),
        named("thread_name", 0, "command"),
    ]
    if result.timeline is not None:
        events += _processes(result.timeline)
        events += _counters(result.timeline)
    events += [
        instant(
            f"{one.kind} limit reached",
            one.time,
            "violation",
            {"message": visible(one.message), "actual": one.actual, "limit": one.limit, "process": one.pid},
        )
        for one in result.violations
    ]
    return to_trace(events, command, result.started_at, version)


def _processes(timeline: Timeline) -> Iterator[Event]:
    """A slice for each process, in lanes: on one track of the format slices may not overlap."""
    placed = place(timeline.processes, most=_ENDLESS, lanes=_ENDLESS)
    for number in range(1 + max((one.lane for one in placed), default=-1)):
        yield from lane(number + 1, f"processes {number + 1}")
    for one in placed:
        record = one.record
        name = visible(record.argv[0].rpartition("/")[2]) if record.argv else f"process {record.pid}"
        arguments = {
            "argv": words(record.argv),
            "process": record.pid,
            "parent": record.parent,
            "cpu_time": round(record.cpu_time, 6),
            "peak_memory": record.peak_memory,
        }
        yield complete(one.lane + 1, clipped(name, 200), record.begun, record.ended, arguments)


def _counters(timeline: Timeline) -> Iterator[Event]:
    samples = timeline.samples
    series = zip(
        samples,
        rates(samples, lambda one: one.cpu_time),
        rates(samples, lambda one: one.disk_read),
        rates(samples, lambda one: one.disk_write),
        strict=True,
    )
    for sample, cpus, read, write in series:
        yield counter("memory", sample.time, {"bytes": sample.memory})
        yield counter("CPUs in use", sample.time, {"CPUs": round(cpus or 0.0, 3)})
        yield counter("tasks", sample.time, {"processes": sample.processes, "threads": sample.threads})
        disk = {name: round(rate) for name, rate in (("read", read), ("write", write)) if rate is not None}
        if disk:
            yield counter("disk, bytes a second", sample.time, disk)
