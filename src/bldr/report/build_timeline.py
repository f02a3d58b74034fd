"""The pictures of a build: its actions in lanes, and how many ran and were ready."""

from __future__ import annotations

from bldr.engine.outcome import Status
from bldr.engine.showing import shown_words
from bldr.model.text import visible
from bldr.report.build_series import course_of, ran_in
from bldr.report.charts import Bar, Ceiling, Curve, Frame, bars, data, figure, plot
from bldr.report.markup import clipped, note, section, text
from bldr.report.series import thinned
from bldr.report.units import count_text, size_text, time_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from bldr.engine.result import BuildResult
    from bldr.report.build_series import Moment, Ran

__all__ = ["STYLES", "timeline"]

_BARS, _LANES, _MOMENTS = 1000, 64, 600  # that are drawn
_PREPARING = "bldr looks at the files and at the toolchain"
_ARGUMENTS = 600  # characters of a command that are shown beside its bar
STYLES = {Status.CACHED: "cached", Status.FAILED: "bad", Status.CANCELLED: "bad"}


def timeline(build: BuildResult) -> tuple[str, str]:
    """Return the section, and JSON for the script."""
    ran = ran_in(build)
    if not ran:
        return section("Timeline", note("There was nothing to do.")), "{}"
    frame = Frame(max([build.duration, 0.001, *[one.ended for one in ran]]))
    drawn = _chosen(ran)
    course = thinned(course_of(build, ran), _MOMENTS, lambda one: one.running, lambda one: one.ready)
    running, ready = _curves(course, frame.end)
    content = "\n".join([_actions(frame, ran, drawn), *_counts(frame, course, running, ready, build.jobs)])
    pictures = (
        '<div class="charts" tabindex="0" role="group"'
        f' aria-label="Pictures over time; the arrow keys move through them">\n{content}\n</div>'
    )
    return section("Timeline", pictures), data(
        frame,
        {"running": ("count", [running]), "ready": ("count", [ready])},
        [*map(_tip, drawn), (_PREPARING, f"until {time_text(ran[0].begun)}")],
    )


def _chosen(ran: Sequence[Ran]) -> list[Ran]:
    """Those that are drawn: all of the critical path, then those that took longest."""
    kept = [one for one in ran if one.lane < _LANES]
    if len(kept) > _BARS:
        kept.sort(key=lambda one: (not one.is_critical, one.begun - one.ended))
        kept = sorted(kept[:_BARS], key=lambda one: one.begun)
    return kept


def _actions(frame: Frame, ran: Sequence[Ran], drawn: Sequence[Ran]) -> str:
    remark = f"{count_text(len(ran))} were worked on"
    if len(drawn) < len(ran):
        remark += f", {count_text(len(drawn))} drawn: those that took longest"
    kinds = [("critical", "critical path", True)]
    kinds += [
        (STYLES.get(status, "built"), words, False)
        for status, words in ((Status.BUILT, "built"), (Status.CACHED, "from the cache"), (Status.FAILED, "failed"))
        if any(one.outcome.status == status for one in drawn)
    ]
    legends = [f'<span class="key {style}">{text(words)}</span>' for style, words, _ in kinds]
    picture = bars(frame, [_bar(one) for one in drawn] + _preparing(ran), f"{len(drawn)} actions over time, in lanes")
    return figure("actions", "Actions", remark, picture, legends)


def _preparing(ran: Sequence[Ran]) -> list[Bar]:
    """What bldr did before the first action."""
    first = ran[0].begun
    return [Bar(0.0, first, 0, "preparing", _PREPARING, "idle")] if first else []


def _bar(one: Ran) -> Bar:
    name = visible(str(one.outcome.action))
    style = " ".join(filter(None, [STYLES.get(one.outcome.status, ""), "critical" if one.is_critical else ""]))
    return Bar(one.begun, one.ended, one.lane, clipped(name, 200), ": ".join(_tip(one)[:2]), style)


def _tip(one: Ran) -> tuple[str, ...]:
    outcome, result = one.outcome, one.outcome.result
    lines = [
        clipped(visible(str(outcome.action)), _ARGUMENTS),
        f"{outcome.status} in {time_text(one.ended - one.begun)}, from {time_text(one.begun)} to {time_text(one.ended)}"
        + (", on the critical path" if one.is_critical else ""),
        clipped(visible(outcome.reason), _ARGUMENTS),
        clipped(visible(shown_words(outcome.action.argv)), _ARGUMENTS),
    ]
    if result is not None and not result.cached and result.usage.measured_by:
        memory = result.usage.peak_memory
        used = f"{time_text(result.usage.cpu_time)} of CPU time"
        lines.append(used + (f", {size_text(memory)} of memory at most" if memory is not None else ""))
    return tuple(filter(None, lines))


def _curves(course: Sequence[Moment], end: float) -> tuple[Curve, Curve]:
    times = (0.0, *(one.time for one in course), end)
    running = Curve("running", times, (0, *(one.running for one in course), 0), stepped="after")
    return running, Curve("ready", times, (0, *(one.ready for one in course), 0), stepped="after")


def _counts(frame: Frame, course: Sequence[Moment], running: Curve, ready: Curve, jobs: int) -> list[str]:
    """Two pictures, because thousands may be ready where two run."""
    ceiling = Ceiling(jobs, f"{jobs} job{'s' * (jobs != 1)}")
    most = max(one.running for one in course)
    told = f"{most} at one time at most"
    figures = [
        figure("running", "Running", told, plot(frame, f"Running: {told}", [running], count_text, ceiling, whole=True))
    ]
    if most := max(one.ready for one in course):
        told = f"up to {count_text(most)} had all that they need, and waited for their turn"
        picture = plot(frame, f"Ready: {told}", [ready], count_text, whole=True)
        figures.append(figure("ready", "Ready", told, picture))
    return figures
