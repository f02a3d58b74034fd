"""Time several things in one run, in turns, so that whatever else the machine does hits all of them alike."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Mapping


def in_turns(cases: Mapping[str, Callable[[], object]], rounds: int, *, pause: float = 0.0) -> dict[str, list[float]]:
    """Run each case once per round and return the milliseconds of each, in the order in which they were taken.

    Each round starts with another case. One round before is not counted.

    Args:
        cases: What to time, by name.
        rounds: How often each case is timed.
        pause: Seconds of idleness before each case.
    """
    names = list(cases)
    times: dict[str, list[float]] = {name: [] for name in names}
    gc.collect()
    gc.disable()
    try:
        for turn in range(-1, rounds):
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                if pause:
                    time.sleep(pause)
                started = time.perf_counter()
                cases[name]()
                taken = (time.perf_counter() - started) * 1e3
                if turn >= 0:
                    times[name].append(taken)
            gc.collect()
    finally:
        gc.enable()
    return times


def summary(times: list[float]) -> dict[str, float]:
    """Median, minimum and 95th percentile of milliseconds."""
    ordered = sorted(times)
    return {
        "median_ms": round(statistics.median(ordered), 3),
        "min_ms": round(ordered[0], 3),
        "p95_ms": round(ordered[math.ceil(len(ordered) * 0.95) - 1], 3),
        "runs": len(ordered),
    }


def ratio(measured: dict[str, dict[str, float]], name: str, base: str) -> dict[str, float] | None:
    """How many times as long ``name`` took as ``base``; ``None`` where one of them was not measured."""
    if name not in measured or base not in measured:
        return None
    return {key: round(measured[name][f"{key}_ms"] / measured[base][f"{key}_ms"], 3) for key in ("median", "min")}


def budget(got: float | None, limit: float) -> dict[str, object] | None:
    """A number beside the budget that it has."""
    return None if got is None else {"got": round(got, 3), "budget": limit, "kept": got <= limit}
