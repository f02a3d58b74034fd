"""``--profile FILE`` of a build: its actions in lanes, the critical path, and how many ran and were ready."""

from __future__ import annotations

from bldr.engine.outcome import Status
from bldr.model.text import visible
from bldr.report.build_series import course_of, ran_in
from bldr.report.markup import clipped
from bldr.report.trace_events import complete, counter, instant, lane, named, to_trace, words, written

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.engine.result import BuildResult
    from bldr.report.build_series import Ran
    from bldr.report.trace_events import Event

__all__ = ["render", "to_dict"]

_BUILD, _CRITICAL, _LANES = 0, 1, 2  # tracks


def render(build: BuildResult, *, version: str) -> str:
    """Return the trace as JSON, one event a line."""
    return written(to_dict(build, version=version))


def to_dict(build: BuildResult, *, version: str) -> Event:
    """Return the trace for JSON."""
    command = words(("bldr", build.verb, *build.asked))
    ran = ran_in(build)
    first = min((one.begun for one in ran), default=build.duration)
    about = {"exit_status": build.exit_status, "jobs": build.jobs}
    about |= {status: build.count(status) for status in Status.ALL}
    events = [
        named("process_name", _BUILD, clipped(command, 200)),
        named("process_labels", _BUILD, build.status, key="labels"),
        *lane(_BUILD, "build"),
        complete(_BUILD, "prepare", 0.0, first, {}, category="build"),
        complete(_BUILD, "actions", first, build.duration, about, category="build"),
        *lane(_CRITICAL, "critical path"),
    ]
    for number in range(1 + max((one.lane for one in ran), default=-1)):
        events += lane(_LANES + number, f"actions {number + 1}")
    for one in ran:
        events.append(_slice(one, _LANES + one.lane))
        if one.is_critical:
            events.append(_slice(one, _CRITICAL))
        if one.outcome.status == Status.FAILED:
            told = {"message": clipped(visible(one.outcome.problem), 2000)}
            events.append(instant(f"{_name(one)} failed", one.ended, "failure", told))
    for moment in course_of(build, ran):
        events.append(counter("actions", moment.time, {"running": moment.running, "ready": moment.ready}))
        events.append(counter("ended", moment.time, {"actions": moment.done}))
    return to_trace(events, command, build.started_at, version)


def _slice(one: Ran, tid: int) -> Event:
    outcome, result = one.outcome, one.outcome.result
    told: dict[str, object] = {
        "target": visible(str(outcome.action.target)),
        "status": outcome.status,
        "reason": clipped(visible(outcome.reason), 2000),
        "argv": words(outcome.action.argv),
    }
    if result is not None:
        told["exit_code"] = result.exit_code
        if not result.cached:
            told |= {"cpu_time": round(result.usage.cpu_time, 6), "peak_memory": result.usage.peak_memory}
    kinds = ["action", outcome.status, *(["critical"] if one.is_critical else [])]
    return complete(tid, _name(one), one.begun, one.ended, told, category=",".join(kinds))


def _name(one: Ran) -> str:
    return clipped(visible(str(one.outcome.action)), 200)
