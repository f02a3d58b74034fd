"""Pictures as inline SVG: processes over time, and plots of measures with their limits drawn in.

All share one time axis, so that what lies below one another happened at the same time. A script may add a cross-hair;
everything is there without it.
"""

from __future__ import annotations

from bldr.model.value import value
from bldr.report.markup import text
from bldr.report.units import axis, time_axis, time_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = ["Bar", "Ceiling", "Curve", "Frame", "Mark", "bar", "bars", "data", "figure", "plot"]

WIDTH, LEFT, RIGHT = 1000, 66, 992  # of the view box, and of the plots in it
_TOP, _PLOT_HEIGHT, _AXIS_HEIGHT = 14, 104, 18
_LANE, _BAR = 19, 16
_LETTER = 6.7  # the width of a letter of the labels, about
_INSIDE = 4  # a limit is drawn to scale up to so many times the largest value, else named at the upper edge


@value
class Mark:
    """A moment that is drawn through every picture."""

    time: float
    label: str


@value
class Frame:
    """What all pictures share: the last moment, and the marks."""

    end: float
    marks: tuple[Mark, ...] = ()

    def x(self, moment: float) -> float:
        """Where a moment lies."""
        return LEFT + (RIGHT - LEFT) * min(max(moment / self.end, 0.0), 1.0)


@value
class Curve:
    """One measure.

    Args:
        name: What the readout calls it.
        times: Of each value.
        values: ``None`` where it was not measured.
        style: ``main`` or ``second``.
        stepped: ``""`` for a straight line between values, ``before`` for a value that held since the one before,
            ``after`` for one that holds until the next.
    """

    name: str
    times: tuple[float, ...]
    values: tuple[float | None, ...]
    style: str = "main"
    stepped: str = ""


@value
class Bar:
    """Something that took time.

    Args:
        begun: When it began.
        ended: When it ended.
        lane: Where it lies; 0 is the uppermost.
        word: What is written on it.
        title: What is said of it in full, where there is no script.
        style: Further classes of the page's style.
        share: How much of its time is drawn as a strip in it, from 0 to 1.
    """

    begun: float
    ended: float
    lane: int
    word: str
    title: str
    style: str = ""
    share: float = 0.0


@value
class Ceiling:
    """A limit, and how it is written."""

    value: float
    label: str


def plot(
    frame: Frame,
    label: str,
    curves: Sequence[Curve],
    written: Callable[[float], str],
    ceiling: Ceiling | None = None,
    *,
    binary: bool = False,
    whole: bool = False,
) -> str:
    """A picture of one or two measures."""
    largest = max((number for curve in curves for number in curve.values if number is not None), default=0.0)
    drawn = ceiling is not None and ceiling.value <= max(largest, 0) * _INSIDE
    ticks = axis(max(largest, ceiling.value if drawn and ceiling else 0.0), steps=4, binary=binary, whole=whole)
    floor = _TOP + _PLOT_HEIGHT

    def y(number: float) -> float:
        return floor - _PLOT_HEIGHT * number / ticks[-1]

    parts = [_svg(floor + _AXIS_HEIGHT, label)]
    for tick in ticks:
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        parts.append(
            f'<text class="tick" x="{LEFT - 8}" y="{y(tick) + 3.5:.1f}" text-anchor="end">{written(tick)}</text>'
        )
    parts += _moments(frame, floor)
    parts += [_curve(frame, curve, y, floor) for curve in curves]
    if ceiling is not None:
        parts += _ceiling(ceiling, y(ceiling.value) if drawn else None)
    parts += _marks(frame, floor)
    return "".join([*parts, _cursor(floor), "</svg>"])


def bars(frame: Frame, drawn: Sequence[Bar], label: str) -> str:
    """A picture of what took time, in lanes.

    Args:
        frame: The time axis.
        drawn: The bars.
        label: What a screen reader says.
    """
    lanes = max((one.lane for one in drawn), default=0) + 1
    floor = _TOP + lanes * _LANE
    parts = [_svg(floor + _AXIS_HEIGHT, label)]
    parts += _moments(frame, floor)
    for index, one in enumerate(drawn):
        left = frame.x(one.begun)
        width = max(1.5, frame.x(one.ended) - left)
        top = _TOP + one.lane * _LANE
        style = f"process {one.style}".strip()
        parts.append(f'<g class="{style}" data-index="{index}"><title>{text(one.title)}</title>')
        parts.append(f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{_BAR}" rx="1.5"/>')
        if one.share * width >= 0.5:
            parts.append(
                f'<rect class="busy" x="{left:.1f}" y="{top + _BAR - 3}" width="{one.share * width:.1f}" height="3"/>'
            )
        room = int((width - 8) / _LETTER)
        if room >= 2 and one.word:
            shown = one.word if len(one.word) <= room else one.word[: room - 1] + "…"
            parts.append(f'<text x="{left + 4:.1f}" y="{top + 10.5}">{text(shown)}</text>')
        parts.append("</g>")
    parts += _marks(frame, floor)
    return "".join([*parts, _cursor(floor), "</svg>"])


def figure(name: str, title: str, remark: str, picture: str, legends: Sequence[str] = ()) -> str:
    """A picture with its words; ``name`` is that of its curves in :func:`data`."""
    return (
        f'<figure data-plot="{name}"><figcaption><b>{text(title)}</b> <span>{text(remark)}</span> {" ".join(legends)}'
        f"<output></output></figcaption>{picture}</figure>"
    )


def data(frame: Frame, plots: Mapping[str, tuple[str, Sequence[Curve]]], tips: Iterable[tuple[str, ...]]) -> str:
    """What the script needs: JSON that is safe inside a script element, nothing but ASCII and no character of markup.

    Args:
        frame: The time axis.
        plots: The unit and the curves of each plot.
        tips: For each bar a command, and lines below it.
    """
    from json import dumps

    content = {
        "end": frame.end,
        "left": LEFT,
        "right": RIGHT,
        "width": WIDTH,
        "curves": {
            name: [
                {
                    "name": curve.name,
                    "unit": unit,
                    "stepped": curve.stepped,
                    "times": [round(moment, 4) for moment in curve.times],
                    "values": [None if number is None else round(number, 3) for number in curve.values],
                }
                for curve in curves
            ]
            for name, (unit, curves) in plots.items()
        },
        "tips": list(tips),
    }
    plain = dumps(content, ensure_ascii=True, separators=(",", ":"))
    return plain.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def bar(share: float) -> str:
    """How much of a limit was used, for a table that says it in words beside it."""
    full = share >= 1
    width = 100 * min(max(share, 0.0), 1.0)
    return (
        '<svg class="share" viewBox="0 0 100 6" aria-hidden="true"><rect class="rail" width="100" height="6"/>'
        f'<rect class="{"full" if full else "part"}" width="{width:.1f}" height="6"/></svg>'
    )


def _svg(height: int, label: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{text(label)}">'


def _moments(frame: Frame, floor: int) -> list[str]:
    moments, written = time_axis(frame.end)
    parts = []
    for moment in moments:
        x = frame.x(moment)
        anchor = "start" if moment == 0 else "end" if x > RIGHT - 20 else "middle"
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{floor + 4}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{floor + 15}" text-anchor="{anchor}">{written(moment)}</text>')
    return parts


def _marks(frame: Frame, floor: int) -> list[str]:
    parts = []
    for mark in frame.marks:
        x = frame.x(mark.time)
        title = f"{mark.label} at {time_text(mark.time)}"
        parts.append(
            f'<g class="mark"><title>{text(title)}</title>'
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 6}" y2="{floor}"/>'
            f'<path d="M{x - 4:.1f} {_TOP - 8}h8l-4 6z"/></g>'
        )
    return parts


def _ceiling(ceiling: Ceiling, y: float | None) -> list[str]:
    if y is None:
        return [f'<text class="limit" x="{RIGHT - 10}" y="{_TOP - 4}" text-anchor="end">{text(ceiling.label)} ↑</text>']
    return [
        f'<line class="limit" x1="{LEFT}" x2="{RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>',
        f'<text class="limit" x="{RIGHT - 10}" y="{y - 4:.1f}" text-anchor="end">{text(ceiling.label)}</text>',
    ]


def _curve(frame: Frame, curve: Curve, y: Callable[[float], float], floor: int) -> str:
    """The line, and for the main one the area below it; a measure that is missing interrupts them."""
    lines: list[list[str]] = [[]]
    ends: list[tuple[float, float]] = []
    before: tuple[float, float] | None = None
    for moment, number in zip(curve.times, curve.values, strict=True):
        if number is None:
            before = None
            continue
        x, height = frame.x(moment), y(number)
        if before is None:
            lines.append([f"M{x:.1f} {height:.1f}"])
            ends.append((x, x))
        elif curve.stepped == "before":
            lines[-1].append(f"V{height:.1f}H{x:.1f}")
        elif curve.stepped == "after":
            lines[-1].append(f"H{x:.1f}V{height:.1f}")
        else:
            lines[-1].append(f"L{x:.1f} {height:.1f}")
        ends[-1] = (ends[-1][0], x)
        before = (x, height)
    paths = ["".join(line) for line in lines if line]
    areas = [f"{path}V{floor}H{first:.1f}Z" for path, (first, _) in zip(paths, ends, strict=True)]
    filled = f'<path class="area" d="{"".join(areas)}"/>' if curve.style == "main" and areas else ""
    return f'{filled}<path class="curve {curve.style}" d="{"".join(paths)}"/>' if paths else ""


def _cursor(floor: int) -> str:
    return f'<line class="cursor" x1="0" x2="0" y1="{_TOP - 6}" y2="{floor}"/>'
