"""Numbers as people read them, and the round numbers of an axis."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["axis", "count_text", "share_text", "size_text", "time_axis", "time_text"]

_SIZES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_KIB = 1024
_NOTHING = 1e-12  # far below any unit, far above what a float divides to 0


def size_text(size: float) -> str:
    """Bytes with the unit that leaves up to four digits.

    Example:
        >>> size_text(900), size_text(1536), size_text(4 * 1024**3)
        ('900 B', '1.5 KiB', '4 GiB')
    """
    power = 0
    while abs(size) >= _KIB and power < len(_SIZES) - 1:
        size /= _KIB
        power += 1
    return f"{_short(size)} {_SIZES[power]}"


def time_text(seconds: float) -> str:
    """Seconds as ``12 ms``, ``3.4 s``, ``2 min 5 s`` or ``1 h 3 min``."""
    if seconds < 0:
        return "-" + time_text(-seconds)
    if seconds < 0.9995:
        return f"{_short(seconds * 1000)} ms" if seconds else "0 s"
    if seconds < 59.95:
        return f"{_short(seconds)} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    minutes = round(seconds / 60)
    return f"{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")


def count_text(number: float) -> str:
    """A whole number with a comma between its thousands."""
    return f"{round(number):,}"


def share_text(number: float) -> str:
    """A number of CPUs, or another one with a fraction."""
    return _short(number)


def _short(number: float) -> str:
    digits = 0 if abs(number) >= 99.95 else 1 if abs(number) >= 9.995 else 2
    text = f"{number:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def axis(top: float, *, steps: int, binary: bool = False, whole: bool = False) -> list[float]:
    """Round numbers from 0 to at least ``top``: the first and the last are the ends of the axis.

    Args:
        top: What has to fit; 0, and less than can be told from it, makes an axis of its own.
        steps: About how many intervals.
        binary: Whether the round numbers are those of bytes.
        whole: Whether there is nothing between 0 and 1.
    """
    if top <= _NOTHING:
        top = _KIB**2 if binary else 1.0
    step = _next_round(top / steps, binary=binary)
    if whole:
        step = max(1.0, step)
    ticks = [0.0]
    while ticks[-1] < top * 0.9999:
        ticks.append(step * len(ticks))
    return ticks


def _next_round(number: float, *, binary: bool) -> float:
    """The least of the round numbers that is not below: 1, 2, 5 times a power of ten, or 1, 2, 4, 8 … of 1024."""
    if binary:
        unit = 1.0
        while number > unit * 512:
            unit *= _KIB
        return next(unit * power for power in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512) if unit * power >= number)
    unit = 1.0
    while unit > number:
        unit /= 10
    while unit * 10 <= number:
        unit *= 10
    return next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= number * 0.9999)


def time_axis(end: float) -> tuple[list[float], Callable[[float], str]]:
    """Round moments within ``[0, end]``, and how to write them."""
    for step in (60.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 21600.0, 86400.0):
        if end >= 300 and end / step <= 10:
            break
    else:
        step = _next_round(end / 8, binary=False)
    moments = [step * number for number in range(int(end / step * 1.0001) + 1)]
    if step >= 60:
        return (
            moments,
            lambda moment: (
                f"{int(moment // 3600)}:{int(moment // 60 % 60):02}" if end >= 3600 else (f"{int(moment // 60)} min")
            ),
        )
    if end < 1:
        return moments, lambda moment: f"{round(moment * 1000, 3):g} ms"
    return moments, lambda moment: f"{round(moment, 3):g} s"
