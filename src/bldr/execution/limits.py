"""Decide whether an execution has reached a limit, and say so. Nothing here looks at the host."""

from __future__ import annotations

from bldr.model.result import Violation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from bldr.model.limits import ResourceLimits
    from bldr.sandbox.protocol import ProcessReading, Reading, Refusal

__all__ = ["NEAR", "in_words", "is_near", "reached", "refused", "violation"]

NEAR = 0.5  # of the memory limit; from there on samples are taken more often
_COUNTED = ("processes",)
_TIMES = ("cpu_time", "wall_time", "silence")
_WORDS = {
    "memory": "memory",
    "cpu_time": "CPU time",
    "processes": "process",
    "file_size": "file size",
    "disk_io": "disk I/O",
    "network_io": "network I/O",
}


def reached(limits: ResourceLimits, reading: Reading) -> tuple[str, float, float] | None:
    """Find the first limit that a reading has reached.

    Args:
        limits: The ceilings; ``processes`` counts threads as well, as the kernel does.
        reading: What is used.

    Returns:
        The name of the limit, what is used and what is allowed; or ``None``.
    """
    if limits.memory is not None and (reading.out_of_memory or reading.memory > limits.memory):
        # After the kernel's kill nothing is in use, and before Linux 5.19 nobody remembers the peak.
        least = limits.memory if reading.out_of_memory else 0
        return "memory", max(reading.memory, reading.peak_memory or 0, least), limits.memory
    if limits.processes is not None and (reading.fork_refused or reading.threads > limits.processes):
        return "processes", max(reading.threads, limits.processes + 1), limits.processes
    if limits.cpu_time is not None and reading.cpu_time >= limits.cpu_time:
        return "cpu_time", reading.cpu_time, limits.cpu_time
    if limits.disk_io is not None:
        used = (reading.disk_read or 0) + (reading.disk_write or 0)
        if used > limits.disk_io:
            return "disk_io", used, limits.disk_io
    if limits.network_io is not None and reading.network > limits.network_io:
        return "network_io", reading.network, limits.network_io
    return None


def is_near(limits: ResourceLimits, reading: Reading) -> bool:
    """Whether the memory may reach its limit before the next sample would be taken."""
    return limits.memory is not None and reading.memory > limits.memory * NEAR


def violation(
    kind: str, actual: float, limit: float, *, time: float, processes: Sequence[ProcessReading] = ()
) -> Violation:
    """Describe a limit that was reached.

    Args:
        kind: Its name.
        actual: What was used.
        limit: What was allowed.
        time: Seconds since the start of the command.
        processes: What each process uses, to name the one that uses most.
    """
    if kind == "wall_time":
        message = f"timed out after {limit:g} s"
    elif kind == "silence":
        message = f"nothing was printed for {limit:g} s"
    elif kind == "processes":
        message = f"process limit reached: more than {limit:g} processes and threads"
    else:
        message = f"{_WORDS[kind]} limit reached: {in_words(kind, actual)} used, {in_words(kind, limit)} allowed"
    culprit = _culprit(kind, processes)
    if culprit is not None:
        message += f", most by {culprit.name} (process {culprit.pid})"
    return Violation(kind, message, actual, limit, time, 0 if culprit is None else culprit.pid)


def refused(refusal: Refusal) -> Violation:
    """Describe what the policy for processes has refused."""
    what = {"fork": "process", "exec": "execution of a program"}.get(refusal.kind, refusal.kind)
    times = "" if refusal.count == 1 else f", {refusal.count} times"
    name = f" to {refusal.argv[0]}" if refusal.argv else ""
    message = f"a further {what} was refused{name}{times}"
    return Violation(refusal.kind, message, refusal.count, 0, refusal.time, refusal.pid, refusal.argv)


def _culprit(kind: str, processes: Sequence[ProcessReading]) -> ProcessReading | None:
    if kind == "memory":
        return max(processes, key=lambda one: one.memory, default=None)
    if kind == "cpu_time":
        return max(processes, key=lambda one: one.cpu_time, default=None)
    return None


def in_words(kind: str, number: float) -> str:
    """Write a quantity with its unit."""
    if kind in _COUNTED:
        return f"{number:g}"
    if kind in _TIMES:
        return f"{number:.1f} s" if number < 600 else f"{number / 60:.1f} min"
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number:g} bytes"
