"""What is known of an execution after its end."""

from __future__ import annotations

from bldr.model.paths import printable
from bldr.model.receipt import Receipt
from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.model.receipt import GuaranteeRecord

__all__ = ["Denial", "ExecutionResult", "ResourceUsage", "Termination", "Violation"]

_SCHEMA = 1


class Termination:
    """How an execution ended."""

    EXITED = "exited"
    SIGNALED = "signaled"
    TIMED_OUT = "timed-out"
    CANCELLED = "cancelled"


@value
class ResourceUsage:
    """What all processes of an execution used; ``None`` where it was not measured.

    Args:
        wall_time: Seconds from the start of the command to its end.
        cpu_time: Seconds of CPU time, user and system.
        user_time: Seconds of CPU time in user mode.
        system_time: Seconds of CPU time in the kernel.
        peak_memory: Bytes.
        disk_read: Bytes.
        disk_write: Bytes.
    """

    wall_time: float = 0.0
    cpu_time: float = 0.0
    user_time: float = 0.0
    system_time: float = 0.0
    peak_memory: int | None = None
    disk_read: int | None = None
    disk_write: int | None = None

    def to_dict(self) -> dict[str, object]:
        """Return the usage for JSON."""
        return {name: getattr(self, name) for name in _USAGE}


_USAGE = ("wall_time", "cpu_time", "user_time", "system_time", "peak_memory", "disk_read", "disk_write")


@value
class Violation:
    """A limit that was reached; ``actual`` and ``limit`` are in the unit of its kind: bytes, seconds or a count."""

    kind: str
    message: str
    actual: float
    limit: float

    def to_dict(self) -> dict[str, object]:
        """Return the violation for JSON."""
        return {
            "kind": self.kind,
            "message": printable(self.message),
            "actual": self.actual,
            "limit": self.limit,
        }


@value
class Denial:
    """An attempt that the sandbox blocked.

    Args:
        kind: What was attempted: ``read``, ``write``, ``connect``, ``syscall`` …
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
        exit_code: What a shell would report: the command's own status, 128 + n after signal n, 124 after the timeout.
        termination: One of the constants of :class:`Termination`.
        signal: The number of the signal that ended the command; ``None`` when it exited.
        stdout: What was captured; head and tail when ``stdout_dropped`` is not 0.
        stderr: As ``stdout``.
        stdout_dropped: Bytes that the capture limit left out.
        stderr_dropped: As ``stdout_dropped``.
        usage: What was used.
        violations: The limits that were reached.
        denials: What was blocked.
        receipt: What was enforced.
        output_files: The host paths of the files in O after the end, sorted, where the caller asked for them.
        reads: The inside paths that were read, sorted, where they were traced.
        started_at: Seconds since the epoch.
        duration: Seconds from the request to the end of the clean-up.
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
    output_files: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    started_at: float = 0.0
    duration: float = 0.0

    @property
    def success(self) -> bool:
        """Whether the command ended by itself with status 0."""
        return self.exit_code == 0 and self.termination == Termination.EXITED

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
            TimeLimitError: The wall-clock timeout ended it.
            CommandFailedError: It ended with another status than 0, by a signal, or because the caller cancelled it.
        """
        if self.success:
            return self
        from bldr.errors import CommandFailedError, TimeLimitError

        if self.termination == Termination.TIMED_OUT:
            raise TimeLimitError(
                f"the command {self._name()} was ended by its timeout after {self.usage.wall_time:.1f} s",
                result=self,
                hint="give it more time, or find out what it waits for",
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
            "output_files": [printable(path) for path in self.output_files],
            "reads": [printable(path) for path in self.reads],
            "started_at": self.started_at,
            "duration": self.duration,
        }

    def _name(self) -> str:
        return repr(self.argv[0]) if self.argv else "''"


def _signal_name(number: int) -> str:
    from signal import Signals

    try:
        return f"signal {number} ({Signals(number).name})"
    except ValueError:
        return f"signal {number}"
