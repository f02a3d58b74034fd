"""Thinning keeps what matters; lanes never overlap and lie below the parent's."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bldr.model.timeline import ProcessRecord, Sample
from bldr.report.series import lanes_of, place, rates, thinned

SAMPLES = st.lists(st.tuples(st.integers(0, 1 << 40), st.integers(1, 500)), max_size=2000).map(
    lambda pairs: [
        Sample(number / 10, number / 7, memory, count, count) for number, (memory, count) in enumerate(pairs)
    ]
)
RECORDS = st.lists(st.tuples(st.integers(0, 30), st.floats(0, 50), st.floats(0, 10)), max_size=60).map(
    lambda items: [ProcessRecord(100 + n, 70 + p, (), b, b + d) for n, (p, b, d) in enumerate(items)]
)


@given(SAMPLES, st.integers(3, 600))
def test_peaks_and_ends_survive(samples: list[Sample], most: int) -> None:
    kept = thinned(samples, most, lambda one: one.memory, lambda one: one.threads)

    assert len(kept) <= max(most, 3)
    assert list(kept) == sorted(kept, key=lambda one: one.time)
    if samples:
        assert max(one.memory for one in kept) == max(one.memory for one in samples)
        assert max(one.threads for one in kept) == max(one.threads for one in samples)
        assert kept[-1] == samples[-1]


def test_a_rate_is_the_growth_since_the_sample_before() -> None:
    samples = [Sample(1.0, 0.5, 0, 1), Sample(3.0, 4.5, 0, 1, disk_read=100), Sample(3.0, 4.5, 0, 1)]

    assert rates(samples, lambda one: one.cpu_time) == [0.5, 2.0, 0.0]
    assert rates(samples, lambda one: one.disk_read) == [None, 100 / 3, None]


@given(RECORDS, st.integers(1, 80), st.integers(1, 20))
def test_lanes(records: list[ProcessRecord], most: int, lanes: int) -> None:
    placed = place(records, most=most, lanes=lanes)

    assert len(placed) <= most
    lane_of = {one.record.pid: one.lane for one in placed}
    for lane in range(lanes):
        here = [one.record for one in placed if one.lane == lane]
        assert all(first.ended <= second.begun for first, second in pairwise(here))
    for index, one in enumerate(placed):
        if one.record.parent in {other.record.pid for other in placed[:index]}:
            assert one.lane > lane_of[one.record.parent]


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0, 10)), max_size=60))
def test_spans_get_as_few_lanes_as_overlap_at_one_time(pairs: list[tuple[float, float]]) -> None:
    spans = [(begun, begun + lasted) for begun, lasted in pairs]
    lanes = lanes_of(spans)

    for lane in set(lanes):
        inside = sorted(span for span, number in zip(spans, lanes, strict=True) if number == lane)
        assert all(before[1] <= after[0] for before, after in pairwise(inside))
    long = [(begun, begun + 1) for begun, _ in pairs]
    most = max((sum(one <= begun < end for one, end in long) for begun, _ in long), default=0)
    assert len(set(lanes_of(long))) == most
