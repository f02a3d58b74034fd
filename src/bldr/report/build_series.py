"""A build over time: when each action ran and in which lane, and how many ran and were ready at each moment. Pure."""

from __future__ import annotations

from bldr.model.value import value
from bldr.report.series import lanes_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.engine.outcome import Outcome
    from bldr.engine.result import BuildResult

__all__ = ["Moment", "Ran", "course_of", "ran_in"]


@value
class Ran:
    """An action that was worked on.

    Args:
        number: Its number in the build.
        outcome: What became of it.
        begun: Seconds since the build began.
        ended: Likewise.
        lane: A lane in which it overlaps with none; 0 is the first.
        is_critical: Whether it is on the critical path.
    """

    number: int
    outcome: Outcome
    begun: float
    ended: float
    lane: int
    is_critical: bool


@value
class Moment:
    """How many actions ran at a moment, and how many more could have.

    Args:
        time: Seconds since the build began; it was so until the next one.
        running: How many were worked on.
        ready: How many had everything that they need, and waited for their turn.
        done: How many had ended.
    """

    time: float
    running: int
    ready: int
    done: int


def ran_in(build: BuildResult) -> list[Ran]:
    """Return what was worked on, in the order of its beginnings."""
    chosen = [
        (number, outcome, build.begin_of(outcome), max(0.0, outcome.ended - build.began))
        for number, outcome in enumerate(build.outcomes)
        if outcome.ended > 0
    ]
    chosen.sort(key=lambda one: (one[2], one[0]))
    lanes = lanes_of([(begun, ended) for _, _, begun, ended in chosen])
    critical = frozenset(build.critical_path())
    return [
        Ran(number, outcome, begun, max(begun, ended), lane, number in critical)
        for (number, outcome, begun, ended), lane in zip(chosen, lanes, strict=True)
    ]


def course_of(build: BuildResult, ran: list[Ran]) -> list[Moment]:
    """Return the moments at which something changed, in order."""
    first = min((one.begun for one in ran), default=0.0)
    changes: dict[float, list[int]] = {}

    def change(time: float, running: int, ready: int, done: int) -> None:
        at = changes.setdefault(time, [0, 0, 0])
        for index, by in enumerate((running, ready, done)):
            at[index] += by

    for one in ran:
        needs = [build.outcomes[need].ended - build.began for need in build.needs[one.number]]
        ready = min(one.begun, max([first, *needs]))
        if ready < one.begun:
            change(ready, 0, 1, 0)
            change(one.begun, 1, -1, 0)
        else:
            change(one.begun, 1, 0, 0)
        change(one.ended, -1, 0, 1)
    found = []
    running = ready = done = 0
    for time in sorted(changes):
        by = changes[time]
        running, ready, done = running + by[0], ready + by[1], done + by[2]
        found.append(Moment(time, running, ready, done))
    return found
