"""Watch what processes use, without ending them: for executions, and for processes that bldr did not start."""

from __future__ import annotations

import errno
import os
import threading  # noqa: TID253  -- not on the path of bldr run
import time

from bldr.errors import InvalidCommandError
from bldr.execution.limits import reached, violation
from bldr.execution.loop import shared_loop
from bldr.execution.pace import Pace
from bldr.execution.recorder import Recorder
from bldr.model.limits import parse_duration
from bldr.model.result import ResourceUsage
from bldr.sandbox.linux.processes import TreeMeter, argv_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from bldr.execution.session import Sandbox
    from bldr.model.limits import Duration, ResourceLimits
    from bldr.model.result import Violation
    from bldr.model.timeline import Timeline
    from bldr.sandbox.linux.processes import Stat
    from bldr.sandbox.protocol import Meter, Reading

__all__ = ["ResourceMonitor", "create_monitor"]

_NEVER = float("inf")
_INIT = "bldr-init"


class ResourceMonitor:
    """Samples processes until it is stopped, and remembers the limits that they reached.

    It ends nobody: an execution enforces its own limits. CPU time and disk traffic of a process that nobody waited for
    are lost with it, as /proc loses them (proc(5)); an execution's cgroup, where it has one, loses nothing.

    Args:
        limits: The ceilings.
        interval: Seconds between two samples; more, up to a second, where samples would take over 1 % of a CPU.
    """

    def __init__(self, limits: ResourceLimits, *, interval: Duration = 0.1) -> None:
        self._limits = limits
        self._interval = parse_duration(interval, what="interval")
        self._pace = Pace(self._interval)
        self._lock = threading.Lock()
        self._meter: Meter | None = None
        self._recorder: Recorder | None = None
        self._reading: Reading | None = None
        self._begun = self._ended = 0.0
        self._peak_memory = self._peak_threads = 0
        self._violations: dict[str, Violation] = {}
        self.due = _NEVER

    def start(self, target: int | Sandbox | None = None) -> None:
        """Begin to sample.

        Args:
            target: A process, which counts with everything below it; an execution, without bldr's own processes; or
                ``None`` for everything that this process starts, without itself.

        Raises:
            InvalidCommandError: The number is not one of a process.
            ProcessLookupError: There is no such process.
            RuntimeError: It was started before.
        """
        meter = self._meter_of(target)
        with self._lock:
            if self._meter is not None:
                raise RuntimeError("a monitor is started once")
            self._meter = meter
            self._begun = self.due = time.monotonic()
            self._recorder = Recorder(self._interval, meter.clock(), meter.argv_of)
        shared_loop().add(self)

    @staticmethod
    def _meter_of(target: int | Sandbox | None) -> Meter:
        if target is None:
            return TreeMeter(os.getpid(), skips=_is_ours)
        if not isinstance(target, int):
            return target.meter()
        if isinstance(target, bool) or target <= 0:
            raise InvalidCommandError(f"{target!r} is not the number of a process", code="spec.pid-invalid")
        if not os.path.exists(f"/proc/{target}"):  # kill(2) would ask whose it is
            raise ProcessLookupError(errno.ESRCH, f"there is no process {target}")
        return TreeMeter(target, includes_root=True)

    def snapshot(self) -> ResourceUsage:
        """Measure now, and return what was used so far; after :meth:`stop`, what was used until then."""
        with self._lock:
            if self._meter is not None and not self._ended:
                self._sample(time.monotonic())
            return self._usage()

    def stop(self) -> ResourceUsage:
        """Measure for the last time and stop; harmless the second time."""
        shared_loop().remove(self)
        with self._lock:
            if self._meter is not None and not self._ended:
                self._sample(time.monotonic())
                self._ended = time.monotonic()
            self.due = _NEVER
            return self._usage()

    def is_violated(self) -> bool:
        """Whether a limit was reached since the start."""
        return bool(self._violations)

    def violations(self) -> tuple[Violation, ...]:
        """Return the limits that were reached, each once, in the order in which they were."""
        return tuple(self._violations.values())

    def timeline(self) -> Timeline | None:
        """Return the samples; ``None`` before the start."""
        with self._lock:
            return None if self._recorder is None else self._recorder.timeline()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def look(self, now: float) -> None:
        """Take a sample; called by the loop."""
        with self._lock:
            if self._ended:
                return
            started = time.thread_time()
            self._sample(now)
            self.due = now + self._pace.after(time.thread_time() - started)

    def _sample(self, now: float) -> None:
        assert self._meter is not None
        assert self._recorder is not None
        moment = now - self._begun
        reading, processes = self._meter.look(closely=True)
        if reading.processes == 0 and self._reading is not None and reading.cpu_time < self._reading.cpu_time:
            return  # everybody is gone, and what they had used went with them
        self._reading = reading
        self._peak_memory = max(self._peak_memory, reading.peak_memory or reading.memory)
        self._peak_threads = max(self._peak_threads, reading.threads)
        self._recorder.add(moment, reading, processes)
        hit = reached(self._limits, reading)
        if hit is not None and hit[0] not in self._violations:
            self._violations[hit[0]] = violation(*hit, time=moment, processes=processes)

    def _usage(self) -> ResourceUsage:
        reading = self._reading
        if reading is None or self._meter is None:
            return ResourceUsage()
        return ResourceUsage(
            wall_time=(self._ended or time.monotonic()) - self._begun,
            cpu_time=reading.cpu_time,
            user_time=reading.user_time,
            system_time=reading.system_time,
            peak_memory=self._peak_memory,
            disk_read=reading.disk_read,
            disk_write=reading.disk_write,
            peak_processes=self._peak_threads,
            stalled=reading.stalled,
            measured_by=self._meter.mechanism,
        )


def _is_ours(process: Stat) -> bool:
    """Whether a process below this one is bldr's own: an init, or the launcher, which has the same arguments."""
    return process.name == _INIT or (process.name.startswith("python") and argv_of(process.pid) == (_INIT,))


def create_monitor(limits: ResourceLimits, *, interval: Duration = 0.1) -> ResourceMonitor:
    """Return a monitor; see :class:`ResourceMonitor`."""
    return ResourceMonitor(limits, interval=interval)
