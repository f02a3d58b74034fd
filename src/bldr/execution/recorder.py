"""Keep what samples say: totals over time, processes, peaks."""

from __future__ import annotations

from bldr.model.timeline import ProcessRecord, Sample, Timeline

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bldr.sandbox.protocol import ProcessReading, Reading

__all__ = ["Recorder"]

_MOST_SAMPLES = 4000  # at 10 Hz that is 400 s, then every second one is dropped
_MOST_PROCESSES = 20_000


class Recorder:
    """Collects readings of one execution.

    Args:
        interval: Seconds between two samples.
        boot_time: The moment of the command's start on the clock that counts from boot, as process starts are dated.
        argv_of: Tells the arguments of a process.
    """

    def __init__(self, interval: float, boot_time: float, argv_of: Callable[[int], tuple[str, ...]]) -> None:
        self._interval = interval
        self._boot_time = boot_time
        self._argv_of = argv_of
        self._samples: list[Sample] = []
        self._stride = 1
        self._left_out = 0
        self._processes: dict[tuple[int, float], ProcessRecord] = {}
        self._names: dict[tuple[int, float], str] = {}

    def add(self, time: float, reading: Reading, processes: Iterable[ProcessReading]) -> None:
        """Take one reading.

        Args:
            time: Seconds since the start of the command.
            reading: The totals.
            processes: Each process.
        """
        self._left_out += 1
        if self._left_out >= self._stride:
            self._left_out = 0
            self._samples.append(sample_of(time, reading))
            if len(self._samples) > _MOST_SAMPLES:
                del self._samples[1::2]
                self._stride *= 2
        for one in processes:
            self._see(time, one)

    def _see(self, time: float, one: ProcessReading) -> None:
        key = (one.pid, one.begun)  # numbers are used again
        before = self._processes.get(key)
        if before is None and len(self._processes) >= _MOST_PROCESSES:
            return
        argv = before.argv if before is not None and self._names.get(key) == one.name else self._argv_of(one.pid)
        self._names[key] = one.name  # an execve(2) changes it, mostly
        self._processes[key] = ProcessRecord(
            one.pid,
            one.parent if before is None else before.parent,
            argv or (before.argv if before is not None else ()) or (one.name,),
            max(0.0, one.begun - self._boot_time),
            time,
            one.cpu_time,
            max(one.memory, 0 if before is None else before.peak_memory),
        )

    def timeline(self) -> Timeline:
        """Return what was collected."""
        records = sorted(self._processes.values(), key=lambda one: (one.begun, one.pid))
        return Timeline(self._interval * self._stride, tuple(self._samples), tuple(records))


def sample_of(time: float, reading: Reading) -> Sample:
    """The totals of a reading, dated."""
    return Sample(
        time,
        reading.cpu_time,
        reading.memory,
        reading.processes,
        reading.threads,
        reading.disk_read,
        reading.disk_write,
    )
