"""The section with the pictures, and the data that its script reads."""

from __future__ import annotations

from bldr.model.text import visible
from bldr.report.charts import Bar, Ceiling, Curve, Frame, Mark, bars, data, figure, plot
from bldr.report.markup import clipped, folded, note, section, table, text
from bldr.report.series import place, rates, thinned
from bldr.report.units import count_text, share_text, size_text, time_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bldr.model.limits import ResourceLimits
    from bldr.model.result import ExecutionResult
    from bldr.model.spec import SandboxSpec
    from bldr.model.timeline import Sample, Timeline
    from bldr.report.series import Placed

__all__ = ["timeline"]

_SAMPLES = 600  # that are drawn: more than one a pixel cannot be seen
_ROWS = 60  # of the table of samples
_PROCESSES, _LANES = 500, 48  # that are drawn
_ARGUMENTS = 600  # characters of a command that are shown beside its bar


def timeline(result: ExecutionResult, spec: SandboxSpec | None) -> tuple[str, str]:
    """Return the section, and JSON for the script."""
    lived = result.timeline
    if lived is None or not (lived.samples or lived.processes):
        return section("Timeline", note("Nobody watched this execution, or it was too short to be seen.")), "{}"
    end = max(
        [result.usage.wall_time, 0.001]
        + [sample.time for sample in lived.samples[-1:]]
        + [record.ended for record in lived.processes]
    )
    marks = tuple(Mark(one.time, one.kind.replace("_", " ") + " limit reached") for one in result.violations[:20])
    frame = Frame(end, marks)
    samples = thinned(lived.samples, _SAMPLES, lambda one: one.memory, lambda one: max(one.threads, one.processes))
    placed = place(lived.processes, most=_PROCESSES, lanes=_LANES)
    plots = _plots(samples, spec.limits if spec is not None else None)
    figures = [_processes(lived, placed, frozenset(one.pid for one in result.violations), frame)]
    figures += [one.figure(frame) for one in plots]
    content = "\n".join(filter(None, figures))
    pictures = (
        '<div class="charts" tabindex="0" role="group"'
        f' aria-label="Pictures over time; the arrow keys move through them">\n{content}\n</div>'
    )
    remark = f"A sample every {time_text(lived.interval)}, {count_text(len(lived.samples))} in all"
    remark += f", {len(samples)} of them drawn with all peaks." if len(samples) < len(lived.samples) else "."
    return section("Timeline", pictures, note(remark), _table(lived.samples)), data(
        frame, {one.name: (one.unit, one.curves) for one in plots}, map(_tip, placed)
    )


class _Plot:
    """One picture: its words, its curves, its limit, and the unit in which the script writes values."""

    def __init__(
        self,
        name: str,
        title: str,
        remark: str,
        curves: Sequence[Curve],
        unit: str,
        ceiling: Ceiling | None,
    ) -> None:
        self.name = name
        self.title = title
        self.remark = remark
        self.curves = curves
        self.unit = unit
        self.ceiling = ceiling

    def figure(self, frame: Frame) -> str:
        if not any(number is not None for curve in self.curves for number in curve.values):
            return ""
        written: Callable[[float], str] = {"size": size_text, "rate": _rate, "cpus": share_text, "count": count_text}[
            self.unit
        ]
        picture = plot(
            frame,
            f"{self.title}: {self.remark}",
            self.curves,
            written,
            self.ceiling,
            binary=self.unit in ("size", "rate"),
            whole=self.unit == "count",
        )
        styles = {"main": "legend", "second": "legend second"}
        legends = [f'<span class="{styles[one.style]}">{text(one.name)}</span>' for one in self.curves]
        return figure(self.name, self.title, self.remark, picture, legends if len(legends) > 1 else [])


def _plots(samples: Sequence[Sample], limits: ResourceLimits | None) -> list[_Plot]:
    if not samples:
        return []
    times = tuple(sample.time for sample in samples)
    cpus = tuple(rates(samples, lambda one: one.cpu_time))
    read = tuple(rates(samples, lambda one: one.disk_read))
    write = tuple(rates(samples, lambda one: one.disk_write))
    threads = tuple(max(one.threads, one.processes) for one in samples)
    last = samples[-1]
    return [
        _Plot(
            "memory",
            "Memory",
            f"{size_text(max(one.memory for one in samples))} at most",
            [Curve("memory", times, tuple(one.memory for one in samples))],
            "size",
            _ceiling(limits.memory if limits else None, size_text),
        ),
        _Plot(
            "cpu",
            "CPUs in use",
            f"{time_text(last.cpu_time)} of CPU time",
            [Curve("", times, cpus, stepped="before")],
            "cpus",
            _ceiling(limits.cpus if limits else None, lambda number: f"{share_text(number)} CPUs"),
        ),
        _Plot(
            "count",
            "Number of processes",
            f"{max(one.processes for one in samples)} at most, with their threads {max(threads)}",
            [
                Curve("processes", times, tuple(one.processes for one in samples), stepped="after"),
                Curve("threads", times, threads, "second", stepped="after"),
            ],
            "count",
            _ceiling(
                limits.processes if limits else None, lambda number: f"{count_text(number)} processes and threads"
            ),
        ),
        _Plot(
            "disk",
            "Disk",
            f"{size_text(last.disk_read or 0)} read, {size_text(last.disk_write or 0)} written",
            [Curve("write", times, write, stepped="before"), Curve("read", times, read, "second", stepped="before")],
            "rate",
            _ceiling(limits.disk_rate if limits else None, _rate),
        ),
    ]


def _rate(number: float) -> str:
    return f"{size_text(number)}/s"


def _ceiling(limit: float | None, written: Callable[[float], str]) -> Ceiling | None:
    return None if limit is None else Ceiling(limit, f"limit {written(limit)}")


def _processes(lived: Timeline, placed: Sequence[Placed], worst: frozenset[int], frame: Frame) -> str:
    if not placed:
        return ""
    count, whole = len(placed), len(lived.processes)
    remark = (
        f"{count_text(whole)} seen"
        if count == whole
        else (f"{count_text(whole)} seen, {count_text(count)} drawn: those that ran longest")
    )
    drawn = [_bar(one, is_worst=one.record.pid in worst) for one in placed]
    picture = bars(frame, drawn, f"{count} processes over time, each below the one that started it")
    return figure("processes", "Processes", f"{remark}; the strip below a bar is its share of a CPU", picture)


def _bar(one: Placed, *, is_worst: bool) -> Bar:
    record = one.record
    lived = record.ended - record.begun
    word = record.argv[0].rpartition("/")[2] if record.argv else ""
    share = min(1.0, record.cpu_time / lived) if lived > 0 else 0.0
    return Bar(record.begun, record.ended, one.lane, word, _in_full(one), "bad" if is_worst else "", share)


def _command(argv: tuple[str, ...], most: int) -> str:
    """Words with spaces between them: to be read, so that nothing is quoted."""
    kept: list[str] = []
    size = 0
    for word in argv:
        kept.append(word)
        size += len(word) + 1
        if size > most:
            break
    return clipped(visible(" ".join(kept)), most) if len(kept) == len(argv) else visible(" ".join(kept))[:most] + "…"


def _in_full(one: Placed) -> str:
    record = one.record
    return (
        f"{_command(record.argv, 200) or 'nothing executed yet'}: process {record.pid}, started by {record.parent} at "
        f"{time_text(record.begun)}, seen for {time_text(record.ended - record.begun)}, "
        f"{time_text(record.cpu_time)} of CPU time, {size_text(record.peak_memory)}"
    )


def _table(samples: Sequence[Sample]) -> str:
    """The samples in numbers, a few of them in a long run."""
    if not samples:
        return ""
    step = -(-len(samples) // _ROWS)
    chosen = samples[step - 1 :: step]
    rows = [
        (
            time_text(one.time),
            time_text(one.cpu_time),
            size_text(one.memory),
            count_text(one.processes),
            count_text(one.threads),
            "&ndash;" if one.disk_read is None else size_text(one.disk_read),
            "&ndash;" if one.disk_write is None else size_text(one.disk_write),
        )
        for one in chosen
    ]
    head = ("time", "CPU time", "memory", "processes", "threads", "read", "written")
    caption = "Samples" if step == 1 else f"Every {step}th sample"
    return folded("The samples in numbers", table(caption, head, rows, numbers=range(7)))


def _tip(one: Placed) -> tuple[str, ...]:
    record = one.record
    lived = time_text(record.ended - record.begun)
    return (
        _command(record.argv, _ARGUMENTS) or "(nothing executed yet)",
        f"process {record.pid}, started by {record.parent} at {time_text(record.begun)}, seen for {lived}",
        f"{time_text(record.cpu_time)} of CPU time, {size_text(record.peak_memory)} of memory at most",
    )
