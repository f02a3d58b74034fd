"""End one execution in time: when its time is up, when it was silent for too long, when it has reached a limit.

Who waits for the command need not be there for it: the loop's thread looks, see ``loop``.
"""

from __future__ import annotations

import _signal
import time

from bldr.model.result import Termination
from bldr.model.value import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _thread
    from collections.abc import Callable

    from bldr.execution.loop import Loop
    from bldr.execution.pace import Pace
    from bldr.execution.recorder import Recorder
    from bldr.model.limits import ResourceLimits
    from bldr.model.result import Violation
    from bldr.model.timeline import PostMortem, Timeline
    from bldr.sandbox.protocol import Meter, ProcessReading, Reading, RunningSandbox

__all__ = ["Guard"]

_NEVER = float("inf")
_INTERVAL = 0.1  # seconds between two samples
_HASTE = 0.02  # seconds between two samples when a limit is near
_BUSY = 0.005  # seconds until the next look when somebody else acts on the execution in this moment


class Guard:
    """Watches one execution. ``termination``, ``violations`` and ``post_mortem`` say why it ended it, if it did.

    Args:
        running: The sandbox.
        lock: Held while it acts; the session holds it while it closes the sandbox.
        limits: The ceilings that bldr itself has to watch.
        begun: ``time.monotonic()`` at the start of the command.
        timeout: Seconds that the execution may take, the making of its sandbox included.
        deadline: ``time.monotonic()`` when they have passed.
        silence: Seconds without output until everything is ended.
        grace: Seconds between SIGTERM and SIGKILL.
        last_output: Tells the ``time.monotonic()`` of the last output.
        records: Whether a timeline is kept.
    """

    def __init__(
        self,
        running: RunningSandbox,
        lock: _thread.RLock,
        limits: ResourceLimits,
        *,
        begun: float,
        timeout: float | None,
        deadline: float | None,
        silence: float | None,
        grace: float,
        last_output: Callable[[], float],
        records: bool,
    ) -> None:
        self._running = running
        self._lock = lock
        self.limits = limits
        self._begun = begun
        self._timeout = timeout
        self._silence = silence
        self._grace = grace
        self._last_output = last_output
        self._records = records
        self._deadline = _NEVER if deadline is None else deadline
        self._silent_at = _NEVER if silence is None else begun + silence
        self._kill_at = _NEVER
        self._pace: Pace | None = None
        self._sample_at = begun + _INTERVAL if records or _is_sampled(limits) else _NEVER
        self._meter: Meter | None = None
        self._recorder: Recorder | None = None
        self._closed = False
        self._watched = False
        self._processes: tuple[ProcessReading, ...] = ()
        self.reading: Reading | None = None
        self.peak_memory = 0
        self.peak_threads = 0
        self.termination = ""
        self.error: Exception | None = None
        self.violations: tuple[Violation, ...] = ()
        self.post_mortem: PostMortem | None = None
        self.due = min(self._deadline, self._silent_at, self._sample_at)

    def start(self) -> None:
        """Begin to watch, if there is anything to watch."""
        if self.due < _NEVER:
            self._watched = True
            _loop().add(self)

    def hasten(self) -> None:
        """Sample now: the kernel has done something for a limit. The caller holds the lock."""
        if self._sample_at < _NEVER and not self._closed:
            self._sample_at = self.due = time.monotonic()
            _loop().hurry(self)

    def ask(self, termination: str) -> None:
        """Ask the command to end, and kill everything after the grace. The caller holds the lock."""
        if self.termination or self._closed:
            return
        self.termination = termination
        self._deadline = self._silent_at = _NEVER
        self._kill_at = time.monotonic() + self._grace
        self._running.signal(_signal.SIGTERM)
        self.due = min(self.due, self._kill_at)
        if self._watched:
            _loop().hurry(self)
        else:
            self._watched = True
            _loop().add(self)

    def kill(self, termination: str) -> None:
        """End every process at once. The caller holds the lock."""
        self.termination = self.termination or termination
        self._running.kill()

    def close(self) -> None:
        """Watch no longer; the caller holds the lock. Harmless the second time."""
        if self._closed:
            return
        self._closed = True
        self.due = _NEVER
        if self._watched:
            _loop().remove(self)

    def look(self, now: float) -> None:
        """Do what is due; called by the loop, which nothing may end: what goes wrong here ends the sandbox.

        Nothing may delay the loop, either, which has others to look at: a sandbox that is being closed is locked until
        its last process is gone.
        """
        if not self._lock.acquire(blocking=False):
            self.due = now + _BUSY
            return
        try:
            if not self._closed:
                self._look(now)
        except Exception as error:  # noqa: BLE001  raised where somebody waits
            self.error = error
            self.due = _NEVER
            self._running.kill()
        finally:
            self._lock.release()

    def _look(self, now: float) -> None:
        if self._running.has_report():
            self.due = _NEVER  # it has ended, and whoever waits has not noticed yet: nothing came too late
            return
        if now >= self._kill_at:
            self._kill_at = _NEVER
            self._running.kill()
        if not self.termination:
            self._look_at_the_clock(now)
        if now >= self._sample_at:
            self._sample(now)
        self.due = min(self._deadline, self._silent_at, self._kill_at, self._sample_at)

    def _look_at_the_clock(self, now: float) -> None:
        if self._silence is not None and now >= self._silent_at:
            self._silent_at = max(self._begun, self._last_output()) + self._silence
        if now >= self._deadline and self._timeout is not None:
            self._end("wall_time", now - self._deadline + self._timeout, self._timeout)
        elif now >= self._silent_at and self._silence is not None:
            self._end("silence", now - self._silent_at + self._silence, self._silence)

    def _sample(self, now: float) -> None:
        """Measure, record, and end everything when a limit was reached."""
        from bldr.execution.limits import is_near, reached

        if self._pace is None:
            from bldr.execution.pace import Pace

            self._pace = Pace(_INTERVAL)
        started = time.thread_time()
        meter = self._meter = self._meter or self._running.meter()
        reading, processes = meter.look(closely=self._records)
        if self.limits.network_io is not None:
            reading = replace(reading, network=self._running.moved())
        moment = now - self._begun
        if reading.near_memory:
            # While the kernel holds it back: when it goes on, there may be nobody left to look at.
            self._processes = processes or meter.look(closely=True)[1]
            self._examine(moment)
            meter.calm()
        hit = None if self.termination else reached(self.limits, reading)
        if hit is not None and hit[0] == "memory":  # shared pages count once before anybody is ended for them
            exact = meter.proportional_memory()
            if exact is not None:
                reading = replace(reading, memory=exact)
                hit = reached(self.limits, reading)
        self._note(moment, reading, processes)
        if hit is not None:
            self._processes = processes or meter.look(closely=True)[1] or self._processes
            self._end(*hit)
        pause = self._pace.after(time.thread_time() - started)
        if is_near(self.limits, reading) and meter.mechanism == "sampling":
            pause = _HASTE
        if self.limits.cpu_time is not None:  # however many CPUs there are, it cannot be used up earlier
            pause = min(pause, max(_HASTE, (self.limits.cpu_time - reading.cpu_time) / _cpus()))
        self._sample_at = now + pause

    def _note(self, moment: float, reading: Reading, processes: tuple[ProcessReading, ...]) -> None:
        self.reading = reading
        self.peak_memory = max(self.peak_memory, reading.memory)
        self.peak_threads = max(self.peak_threads, reading.threads)
        if self._records:
            if self._recorder is None:
                self._recorder = self._new_recorder()
            self._recorder.add(moment, reading, processes)

    def _new_recorder(self) -> Recorder:
        from bldr.execution.recorder import Recorder

        if self._meter is None:
            self._meter = self._running.meter()
        age = time.monotonic() - self._begun
        return Recorder(_INTERVAL, self._meter.clock() - age, self._meter.argv_of)

    def _end(self, kind: str, actual: float, limit: float) -> None:
        from bldr.execution.limits import violation

        moment = time.monotonic() - self._begun
        self._examine(moment)
        self._violate(violation(kind, actual, limit, time=moment, processes=self._processes))
        if kind in ("wall_time", "silence"):
            self.ask(Termination.TIMED_OUT)
        elif kind == "cpu_time":
            self.ask(Termination.LIMIT_REACHED)
        else:
            self.kill(Termination.LIMIT_REACHED)

    def _violate(self, violation: Violation) -> None:
        """Take note of a violation, with the arguments of who used most, as they were seen before the end."""
        seen = () if self.post_mortem is None else self.post_mortem.processes
        for process in seen:
            if process.pid == violation.pid:
                violation = replace(violation, argv=process.argv)
        self.violations = (violation,)

    def _examine(self, moment: float) -> None:
        from bldr.model.timeline import PostMortem

        if self._meter is None:
            self._meter = self._running.meter()
        processes, pressure = self._meter.examine()
        if processes or self.post_mortem is None:
            self.post_mortem = PostMortem(moment, processes, pressure)

    def timeline(self) -> Timeline | None:
        """Return what was recorded; ``None`` when nothing was to be."""
        if not self._records:
            return None
        if self._recorder is None:
            from bldr.model.timeline import Timeline

            return Timeline(_INTERVAL)
        return self._recorder.timeline()

    def conclude(self, kind: str, actual: float, limit: float) -> None:
        """Take note, after the end, of a limit that the kernel has enforced alone."""
        from bldr.execution.limits import violation

        if not self.violations:
            moment = time.monotonic() - self._begun
            self._violate(violation(kind, actual, limit, time=moment, processes=self._processes))
            self.termination = self.termination or Termination.LIMIT_REACHED


def _is_sampled(limits: ResourceLimits) -> bool:
    watched = (limits.memory, limits.cpu_time, limits.processes, limits.disk_io, limits.network_io)
    return watched.count(None) < len(watched)


def _loop() -> Loop:
    from bldr.execution.loop import shared_loop

    return shared_loop()


def _cpus() -> int:
    import os

    return os.cpu_count() or 1
