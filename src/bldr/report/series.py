"""What a picture shows of a timeline: at most so many samples and processes, and lanes for the processes."""

from __future__ import annotations

from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bldr.model.timeline import ProcessRecord, Sample

__all__ = ["Placed", "place", "rates", "thinned"]


def thinned(samples: Sequence[Sample], most: int) -> tuple[Sample, ...]:
    """At most so many samples, in order: of each stretch of time its peaks and its end."""
    if len(samples) <= most:
        return tuple(samples)
    stretches = max(1, most // 3)
    kept: list[Sample] = []
    for number in range(stretches):
        begin = len(samples) * number // stretches
        stretch = range(begin, len(samples) * (number + 1) // stretches)
        chosen = {
            max(stretch, key=lambda index: samples[index].memory),
            max(stretch, key=lambda index: (samples[index].threads, samples[index].processes)),
            stretch[-1],
        }
        kept += [samples[index] for index in sorted(chosen)]
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
