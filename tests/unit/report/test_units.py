"""Numbers as people read them, and axes."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bldr.report.units import axis, count_text, size_text, time_axis, time_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (0.0004, "0.4 ms"), (0.0123, "12.3 ms"), (0.9994, "999 ms"), (0.9996, "1 s"), (3.456, "3.46 s"),
        (59.94, "59.9 s"), (59.96, "1 min"), (125, "2 min 5 s"), (3600, "1 h"), (3780, "1 h 3 min"), (-2, "-2 s"),
    ],
)  # fmt: skip
def test_times(seconds: float, text: str) -> None:
    assert time_text(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1 << 40, "1 TiB"), (1 << 62, "4096 PiB")]
)
def test_sizes(size: int, text: str) -> None:
    assert size_text(size) == text


def test_counts() -> None:
    assert count_text(1234567) == "1,234,567"


@given(st.floats(0, 1e16), st.booleans(), st.booleans())
@example(5e-324, False, False)
def test_an_axis_holds_everything_in_few_steps(top: float, binary: bool, whole: bool) -> None:
    ticks = axis(top, steps=4, binary=binary, whole=whole)

    assert ticks[0] == 0
    assert ticks[-1] >= top * 0.9998
    assert 2 <= len(ticks) <= 6
    assert ticks == sorted(set(ticks))


@given(st.floats(0.0005, 1e7))
def test_moments_lie_within_the_time(end: float) -> None:
    moments, written = time_axis(end)

    assert 2 <= len(moments) <= 120
    assert moments[-1] <= end * 1.001
    assert len({written(moment) for moment in moments}) == len(moments)
