"""What an execution did over time: totals at each moment, and its processes. Read when somebody watches."""

from __future__ import annotations

from bldr.model.paths import printable
from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PostMortem", "ProcessRecord", "ProcessSnapshot", "Sample", "Timeline"]


@value
class Sample:
    """The totals of all processes at one moment.

    Args:
        time: Seconds since the start of the command.
        cpu_time: Seconds of CPU time so far, user and system.
        memory: Bytes in use now.
        processes: Processes now.
        threads: Threads of all processes now.
        disk_read: Bytes read from disks so far; ``None`` where nobody may count.
        disk_write: Bytes written to disks so far; ``None`` where nobody may count.
    """

    time: float
    cpu_time: float
    memory: int
    processes: int
    threads: int = 0
    disk_read: int | None = None
    disk_write: int | None = None


@value
class ProcessRecord:
    """One process from the first to the last moment at which it was seen.

    Args:
        pid: Its number on the host.
        parent: The number of its parent when it was first seen.
        argv: Its arguments when it was last seen; empty while nothing had been executed, and where they cannot be read.
        begun: Seconds from the start of the command to its own start, as the kernel dates it.
        ended: Seconds at which it was last seen.
        cpu_time: Seconds of CPU time of itself, without its children.
        peak_memory: Bytes of resident memory, the largest that was seen.
    """

    pid: int
    parent: int
    argv: tuple[str, ...]
    begun: float
    ended: float
    cpu_time: float = 0.0
    peak_memory: int = 0

    def to_dict(self) -> dict[str, object]:
        """Return the record for JSON."""
        return _with_plain_argv({name: getattr(self, name) for name in self.__match_args__}, self.argv)


@value
class Timeline:
    """Samples in order of time, at most a few thousand: in a long run every second one is dropped again and again.

    Args:
        interval: Seconds between two samples as they were kept.
        samples: The totals.
        processes: Every process that was seen, in order of its start. One that lived shorter than the interval may be
            missing.
    """

    interval: float
    samples: tuple[Sample, ...] = ()
    processes: tuple[ProcessRecord, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return the timeline for JSON: a column a measure."""
        return {
            "interval": self.interval,
            "samples": {name: [getattr(one, name) for one in self.samples] for name in Sample.__match_args__},
            "processes": [record.to_dict() for record in self.processes],
        }


@value
class ProcessSnapshot:
    """One process just before the end of its sandbox.

    Args:
        pid: Its number on the host.
        parent: That of its parent.
        argv: Its arguments.
        state: ``R`` runs, ``S`` sleeps, ``D`` waits for a device, ``T`` is stopped, ``Z`` has ended (proc(5)).
        memory: Bytes of resident memory.
        cpu_time: Seconds of CPU time.
        waits_in: The function of the kernel that it waited in; empty when it ran, or when the kernel does not tell.
    """

    pid: int
    parent: int
    argv: tuple[str, ...]
    state: str
    memory: int
    cpu_time: float
    waits_in: str = ""

    def to_dict(self) -> dict[str, object]:
        """Return the snapshot for JSON."""
        return _with_plain_argv({name: getattr(self, name) for name in self.__match_args__}, self.argv)


@value
class PostMortem:
    """What was running when bldr ended everything, and what it suffered from.

    Args:
        time: Seconds since the start of the command.
        processes: Parents before children.
        pressure: Stall in percent of the last ten seconds, by resource (``cpu``, ``memory``, ``io``), where the kernel
            tells (PSI).
    """

    time: float
    processes: tuple[ProcessSnapshot, ...] = ()
    pressure: tuple[tuple[str, float], ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return the post-mortem for JSON."""
        return {
            "time": self.time,
            "processes": [one.to_dict() for one in self.processes],
            "pressure": dict(self.pressure),
        }


def _with_plain_argv(fields: Mapping[str, object], argv: tuple[str, ...]) -> dict[str, object]:
    return {**fields, "argv": [printable(word) for word in argv]}
