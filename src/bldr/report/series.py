"""What a picture shows of a timeline: at most so many samples and processes, and lanes for the processes."""

from __future__ import annotations

from heapq import heappop, heappush

from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    from bldr.model.timeline import ProcessRecord, Sample

    T = TypeVar("T")

__all__ = ["Placed", "lanes_of", "place", "rates", "thinned"]


def thinned(items: Sequence[T], most: int, *peaks: Callable[[T], float]) -> tuple[T, ...]:
    """At most so many items, in order: of each stretch its end, and its peaks of some measures."""
    if len(items) <= most:
        return tuple(items)
    stretches = max(1, most // (len(peaks) + 1))
    kept: list[T] = []
    for number in range(stretches):
        begin = len(items) * number // stretches
        stretch = range(begin, len(items) * (number + 1) // stretches)
        chosen = {stretch[-1]}
        for measure in peaks:
            chosen.add(max(stretch, key=lambda index: measure(items[index])))
        kept += [items[index] for index in sorted(chosen)]
    return tuple(kept)


def rates(samples: Sequence[Sample], total: Callable[[Sample], float | None]) -> list[float | None]:
    """How fast a total grew up to each sample, a second; ``None`` where it is not known."""
    found: list[float | None] = []
    before_time, before = 0.0, 0.0
    for sample in samples:
        now = total(sample)
        passed = sample.time - before_time
        if now is None:
            found.append(None)
            continue
        found.append(max(0.0, now - before) / passed if passed > 0 else 0.0)
        before_time, before = sample.time, now
    return found


@value
class Placed:
    """A process and the lane that it is drawn in; 0 is the uppermost."""

    record: ProcessRecord
    lane: int


def place(records: Sequence[ProcessRecord], *, most: int, lanes: int) -> tuple[Placed, ...]:
    """Give each process a lane below that of its parent, in which it overlaps with none.

    Args:
        records: All processes.
        most: At most so many are placed: those that ran longest.
        lanes: A process that does not fit in so many lanes is left out.
    """
    chosen = sorted(records, key=lambda one: one.begun - one.ended)[:most]
    chosen.sort(key=lambda one: (one.begun, one.pid))
    ends: list[float] = []
    lane_of: dict[int, int] = {}
    placed = []
    for record in chosen:
        lane = lane_of.get(record.parent, -1) + 1
        while lane < len(ends) and ends[lane] > record.begun:
            lane += 1
        if lane >= lanes:
            continue
        ends += [0.0] * (lane + 1 - len(ends))
        ends[lane] = max(record.begun, record.ended)
        lane_of[record.pid] = lane
        placed.append(Placed(record, lane))
    return tuple(placed)


def lanes_of(spans: Sequence[tuple[float, float]]) -> list[int]:
    """Return a lane for each span of time, in which it overlaps with none; 0 is the uppermost."""
    lanes = [0] * len(spans)
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    count = 0
    for index in sorted(range(len(spans)), key=lambda number: spans[number][0]):
        begun, ended = spans[index]
        while busy and busy[0][0] <= begun:
            heappush(free, heappop(busy)[1])
        if free:
            lane = heappop(free)
        else:
            lane, count = count, count + 1
        lanes[index] = lane
        heappush(busy, (max(begun, ended), lane))
    return lanes
