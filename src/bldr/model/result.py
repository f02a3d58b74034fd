"""What is known of an execution after its end."""

from __future__ import annotations

from bldr.model.paths import printable
from bldr.model.receipt import Receipt
from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.model.receipt import GuaranteeRecord
    from bldr.model.timeline import PostMortem, Timeline
    from bldr.model.trace import Trace, TraceEvent
    from bldr.model.traffic import HostTraffic

__all__ = ["Denial", "ExecutionResult", "ResourceUsage", "Termination", "Violation"]

_SCHEMA = 1
_TRACED = ("reads", "listings", "probes", "writes", "deletes", "endpoints", "unused_inputs")


class Termination:
    """How an execution ended."""

    EXITED = "exited"
    SIGNALED = "signaled"
    TIMED_OUT = "timed-out"
    LIMIT_REACHED = "limit-reached"
    CANCELLED = "cancelled"


@value
class ResourceUsage:
    """What all processes of an execution used, without bldr's own; ``None`` where it was not measured.

    Args:
        wall_time: Seconds from the start of the command to its end.
        cpu_time: Seconds of CPU time, user and system.
        user_time: Seconds of CPU time in user mode.
        system_time: Seconds of CPU time in the kernel.
        peak_memory: Bytes. Of all processes together where a cgroup or samples tell, else of the largest process;
            ``None`` when nobody sampled and none was larger than bldr's own process in the sandbox (about 10 MiB).
        disk_read: Bytes read from disks.
        disk_write: Bytes written to disks.
        processes: How many processes were started, the command included, as far as they were seen.
        peak_processes: The most processes and threads at one time.
        context_switches: How often a CPU changed to another task, voluntarily or not.
        stalled: Seconds in which some process waited for CPU, memory or disk because others used them (PSI).
        network: Bytes that crossed the border of the sandbox's network.
        measured_by: ``cgroup``, ``sampling`` or ``rusage``: what told CPU time and memory.
    """

    wall_time: float = 0.0
    cpu_time: float = 0.0
    user_time: float = 0.0
    system_time: float = 0.0
    peak_memory: int | None = None
    disk_read: int | None = None
    disk_write: int | None = None
    processes: int | None = None
    peak_processes: int | None = None
    context_switches: int | None = None
    stalled: float | None = None
    network: int | None = None
    measured_by: str = ""

    def to_dict(self) -> dict[str, object]:
        """Return the usage for JSON."""
        return {name: getattr(self, name) for name in self.__match_args__}


@value
class Violation:
    """A limit that was reached, or a rule for processes that was run against.

    ``actual`` and ``limit`` are in the unit of the kind: bytes, seconds or a count. A limit ends everything; a process
    or a program that is refused does not, the command is told EPERM and goes on.

    Args:
        kind: The name of the limit, as in :class:`bldr.ResourceLimits`; or ``wall_time``, ``silence``, ``fork``,
            ``exec``.
        message: One sentence.
        actual: What was used.
        limit: What was allowed.
        time: Seconds since the start of the command.
        pid: The process that used most, by its number on the host; 0 when unknown.
        argv: Its arguments.
    """

    kind: str
    message: str
    actual: float
    limit: float
    time: float = 0.0
    pid: int = 0
    argv: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return the violation for JSON."""
        return {
            "kind": self.kind,
            "message": printable(self.message),
            "actual": self.actual,
            "limit": self.limit,
            "time": self.time,
            "pid": self.pid,
            "argv": [printable(word) for word in self.argv],
        }


@value
class Denial:
    """An attempt that the sandbox blocked.

    Args:
        kind: What was attempted: ``read``, ``write``, ``connect``, ``resolve``, ``syscall`` …
        subject: On what: an inside path, an endpoint, the name of a system call.
        message: One sentence.
        pid: The process inside the sandbox; 0 when unknown.
    """

    kind: str
    subject: str
    message: str = ""
    pid: int = 0

    def to_dict(self) -> dict[str, object]:
        """Return the denial for JSON."""
        return {
            "kind": self.kind,
            "subject": printable(self.subject),
            "message": printable(self.message),
            "pid": self.pid,
        }


@value
class ExecutionResult:
    """The result of one execution.

    Args:
        argv: The command.
        exit_code: What a shell would report: the command's own status, 128 + n after signal n, 124 when bldr ended it
            because of a timeout or a limit.
        termination: One of the constants of :class:`Termination`.
        signal: The number of the signal that ended the command; ``None`` when it exited.
        stdout: What was captured; head and tail when ``stdout_dropped`` is not 0.
        stderr: As ``stdout``.
        stdout_dropped: Bytes that the capture limit left out.
        stderr_dropped: As ``stdout_dropped``.
        usage: What was used.
        violations: The limits that were reached, and what the policy for processes refused.
        denials: What was blocked.
        receipt: What was enforced.
        hosts: What was exchanged with the hosts that the network policy allows.
        output_files: The host paths of the files in O after the end, sorted, where the caller asked for them.
        trace: What the command did, where that was traced.
        unused_inputs: The declared inputs, by their inside paths, in which the command found nothing that it asked for,
            sorted; only where files were traced.
        timeline: What it did over time, where that was asked for or had to be watched.
        post_mortem: What was running when bldr ended it because of a timeout or a limit.
        started_at: Seconds since the epoch.
        duration: Seconds from the request to the end of the clean-up.
        action: The SHA-256 of the action in hexadecimal, where the cache was asked; empty otherwise.
        cached: Whether the command did not run, because its result was in the cache. The receipt is that of the run
            that made it then.
    """

    argv: tuple[str, ...]
    exit_code: int
    termination: str = Termination.EXITED
    signal: int | None = None
    stdout: bytes = b""
    stderr: bytes = b""
    stdout_dropped: int = 0
    stderr_dropped: int = 0
    usage: ResourceUsage = ResourceUsage()
    violations: tuple[Violation, ...] = ()
    denials: tuple[Denial, ...] = ()
    receipt: Receipt = Receipt()
    hosts: tuple[HostTraffic, ...] = ()
    output_files: tuple[str, ...] = ()
    trace: Trace | None = None
    unused_inputs: tuple[str, ...] = ()
    timeline: Timeline | None = None
    post_mortem: PostMortem | None = None
    started_at: float = 0.0
    duration: float = 0.0
    action: str = ""
    cached: bool = False

    @property
    def success(self) -> bool:
        """Whether the command ended by itself with status 0."""
        return self.exit_code == 0 and self.termination == Termination.EXITED

    @property
    def reads(self) -> tuple[str, ...]:
        """The inside paths of the files that were read, sorted, where they were traced; see :class:`bldr.Trace`."""
        return () if self.trace is None else self.trace.reads

    @property
    def listings(self) -> tuple[str, ...]:
        """The inside paths of the directories that were listed, sorted, where they were traced."""
        return () if self.trace is None else self.trace.listings

    @property
    def probes(self) -> tuple[str, ...]:
        """The inside paths where something was looked for and nothing was, sorted, where they were traced."""
        return () if self.trace is None else self.trace.probes

    @property
    def writes(self) -> tuple[str, ...]:
        """The inside paths that were made or changed, sorted, where they were traced."""
        return () if self.trace is None else self.trace.writes

    @property
    def deletes(self) -> tuple[str, ...]:
        """The inside paths that were deleted or renamed away, sorted, where they were traced."""
        return () if self.trace is None else self.trace.deletes

    @property
    def executions(self) -> tuple[TraceEvent, ...]:
        """The programs that were executed, in their order, where they were traced."""
        return () if self.trace is None else self.trace.executions

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The addresses that were tried and the names that were asked for, sorted, where they were traced."""
        return () if self.trace is None else self.trace.endpoints

    @property
    def hermetic(self) -> bool:
        """Whether every guarantee of the hermetic profile was enforced; it follows from the receipt."""
        return self.receipt.hermetic

    @property
    def guarantees(self) -> tuple[GuaranteeRecord, ...]:
        """What became of each guarantee."""
        return self.receipt.records

    def check(self) -> ExecutionResult:
        """Return the result itself when the command succeeded.

        Raises:
            TimeLimitError: The timeout or the silence ended it.
            LimitReachedError: A limit ended it.
            CommandFailedError: It ended with another status than 0, by a signal, or because the caller cancelled it.
        """
        if self.success:
            return self
        from bldr.errors import CommandFailedError, LimitReachedError, TimeLimitError

        if self.termination == Termination.TIMED_OUT:
            raise TimeLimitError(
                f"the command {self._name()} was ended by its timeout after {self.usage.wall_time:.1f} s",
                result=self,
                hint="give it more time, or find out what it waits for",
            )
        if self.termination == Termination.LIMIT_REACHED:
            what = self.violations[0].message if self.violations else "a limit was reached"
            raise LimitReachedError(
                f"the command {self._name()} was ended: {what}",
                result=self,
                hint="raise the limit, or find out what uses so much",
            )
        if self.termination == Termination.CANCELLED:
            raise CommandFailedError(f"the command {self._name()} was cancelled", result=self, code="action.cancelled")
        if self.signal is not None:
            raise CommandFailedError(
                f"the command {self._name()} was ended by {_signal_name(self.signal)}",
                result=self,
                code="action.signal",
            )
        raise CommandFailedError(f"the command {self._name()} ended with status {self.exit_code}", result=self)

    def to_dict(self) -> dict[str, object]:
        """Return the result for JSON.

        Keys are only added within one ``schema``. All text can be encoded: undecodable bytes of paths and output become
        backslash escapes; ``stdout_size`` and ``stderr_size`` count the captured bytes before that.
        """
        return {
            "schema": _SCHEMA,
            "argv": [printable(item) for item in self.argv],
            "exit_code": self.exit_code,
            "termination": self.termination,
            "signal": self.signal,
            "success": self.success,
            "hermetic": self.hermetic,
            "stdout": self.stdout.decode("utf-8", "backslashreplace"),
            "stdout_size": len(self.stdout),
            "stdout_dropped": self.stdout_dropped,
            "stderr": self.stderr.decode("utf-8", "backslashreplace"),
            "stderr_size": len(self.stderr),
            "stderr_dropped": self.stderr_dropped,
            "usage": self.usage.to_dict(),
            "violations": [violation.to_dict() for violation in self.violations],
            "denials": [denial.to_dict() for denial in self.denials],
            "receipt": self.receipt.to_dict(),
            "hosts": [host.to_dict() for host in self.hosts],
            "output_files": [printable(path) for path in self.output_files],
            **{name: [printable(path) for path in getattr(self, name)] for name in _TRACED},
            "trace": None if self.trace is None else self.trace.to_dict(),
            "post_mortem": None if self.post_mortem is None else self.post_mortem.to_dict(),
            "started_at": self.started_at,
            "duration": self.duration,
            "action": self.action or None,
            "cached": self.cached,
        }

    def _name(self) -> str:
        return repr(self.argv[0]) if self.argv else "''"


def _signal_name(number: int) -> str:
    from signal import Signals

    try:
        return f"signal {number} ({Signals(number).name})"
    except ValueError:
        return f"signal {number}"
