"""Decide how long to wait between two samples. Nothing here looks at a clock or at the host."""

from __future__ import annotations

__all__ = ["Pace"]

_COST = 100  # times what a look has taken pass before the next one, so that looking takes 1 % of a CPU at most
_SLOWEST = 1.0  # seconds between two samples, whatever they cost
_REMEMBERED = 3  # looks


class Pace:
    """Looks that cost much are taken less often, and no look is delayed because a few before it were unlucky.

    The first one loads modules, any may meet a cold cache, and a machine that is itself a guest counts time in which
    its processor was somebody else's. So the cheapest of the last looks tells what they cost, and the pause grows to
    at most its double from one look to the next: a process that begins to use memory is noticed before it is long.

    Args:
        interval: Seconds between two samples that cost little.
    """

    def __init__(self, interval: float) -> None:
        self._interval = self._pause = interval
        self._costs: list[float] = []

    def after(self, cost: float) -> float:
        """Return the seconds until the next look.

        Args:
            cost: Seconds of CPU time that the last look has taken.
        """
        self._costs = [*self._costs[1 - _REMEMBERED :], cost]
        if len(self._costs) == _REMEMBERED:
            self._pause = max(self._interval, min(_SLOWEST, _COST * min(self._costs), 2 * self._pause))
        return self._pause
