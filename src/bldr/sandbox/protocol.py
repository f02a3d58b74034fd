"""What an execution asks of a sandbox that runs: the same few verbs on every platform."""

from __future__ import annotations

from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from bldr.model.limits import ResourceLimits
    from bldr.model.receipt import GuaranteeRecord
    from bldr.model.result import Denial
    from bldr.model.spec import SandboxSpec
    from bldr.model.timeline import ProcessSnapshot
    from bldr.model.traffic import HostTraffic
    from bldr.sandbox.command import Command
    from bldr.sandbox.linux.launcher import Launcher
    from bldr.sandbox.linux.plan import Plan

    class Meter(Protocol):
        """Measures the processes of one sandbox, without bldr's own."""

        mechanism: str

        def look(self, *, closely: bool = False) -> tuple[Reading, tuple[ProcessReading, ...]]:
            """Measure now; closely, also each process, parents before children."""

        def proportional_memory(self) -> int | None:
            """Memory without counting a page twice, where :meth:`look` estimates; ``None`` where it is exact."""

        def examine(self) -> tuple[tuple[ProcessSnapshot, ...], tuple[tuple[str, float], ...]]:
            """Say what each process is about, and what they wait for in percent of the last ten seconds."""

        def argv_of(self, pid: int) -> tuple[str, ...]:
            """Return the arguments of a process; empty when it is gone or nobody may know."""

        def clock(self) -> float:
            """Return the seconds since boot, as the starts of processes are dated."""

        def calm(self) -> None:
            """Let a command that was slowed down near its memory limit go on."""

    class Backend(Protocol):
        """A spec made ready for a platform, to be started as often as wanted."""

        @property
        def spec(self) -> SandboxSpec:
            """The spec."""

        @property
        def plan(self) -> Plan:
            """The steps that make each sandbox."""

        @property
        def launcher(self) -> Launcher:
            """The fork server."""

        def start(self, command: Command) -> RunningSandbox:
            """Start a command."""

        def watched_limits(self) -> ResourceLimits:
            """The limits that have to be looked after while a command runs."""

    class RunningSandbox(Protocol):
        """One command in its sandbox, seen from the supervisor."""

        backend: str
        """The name of the backend."""

        def fileno(self) -> int:
            """Return a descriptor that is readable when :meth:`poll` has something to do."""

        def poll(self) -> Ended | None:
            """Take the report that made the descriptor readable; the end of the command, or ``None`` before it."""

        def has_report(self) -> bool:
            """Whether :meth:`poll` has something to do."""

        @property
        def alarms(self) -> Sequence[int]:
            """Descriptors that raise POLLPRI when the kernel has done something for a limit; the sandbox owns them."""

        def rings(self, alarm: int) -> bool:
            """Whether it has really, so that a look is due; such an alarm rings no second time."""

        def signal(self, number: int) -> None:
            """Send a signal to the command's process group; nothing happens when it has ended."""

        def kill(self) -> None:
            """End every process of the sandbox at once."""

        def recording(self) -> Recording | None:
            """Return what was traced; after the end of the command, before :meth:`close`."""

        def close(self) -> None:
            """Wait until no process is left, and remove the temps."""

        @property
        def terminal_fd(self) -> int:
            """The controlling side of the command's terminal, which the caller owns; -1 without one."""

        def meter(self) -> Meter:
            """Return what measures the processes of the sandbox; it holds nothing open."""

        def moved(self) -> int:
            """Return how many bytes have crossed the border of its network so far."""

        def hosts(self) -> tuple[HostTraffic, ...]:
            """Return what was exchanged with allowed hosts; complete after :meth:`close`."""

        def denials(self) -> tuple[Denial, ...]:
            """Return what was refused; complete after :meth:`close`."""

        def records(self) -> tuple[GuaranteeRecord, ...]:
            """Return what became of each guarantee; complete after :meth:`close`."""

        def notes(self) -> tuple[str, ...]:
            """Return remarks for people."""


__all__ = ["Ended", "ProcessReading", "Reading", "Recording", "Refusal"]


@value
class Reading:
    """What the processes of a sandbox have used so far, and use now.

    Args:
        user_time: Seconds of CPU time in user mode.
        system_time: Seconds of CPU time in the kernel.
        memory: Bytes now.
        processes: Processes now.
        threads: Threads of all of them now.
        disk_read: Bytes read from disks; ``None`` where nobody may count.
        disk_write: Bytes written to disks; ``None`` where nobody may count.
        peak_memory: The most bytes so far, where the kernel keeps it.
        peak_threads: The most threads so far, where the kernel keeps it.
        out_of_memory: Whether the kernel has killed for the memory limit.
        near_memory: Whether the memory came close to the limit.
        fork_refused: Whether the kernel has refused a process for the limit.
        stalled: Seconds in which somebody waited for CPU, memory or disk, where the kernel keeps it.
        network: Bytes that have crossed the border of the network, where that is limited.
    """

    user_time: float = 0.0
    system_time: float = 0.0
    memory: int = 0
    processes: int = 0
    threads: int = 0
    disk_read: int | None = None
    disk_write: int | None = None
    peak_memory: int | None = None
    peak_threads: int | None = None
    out_of_memory: bool = False
    near_memory: bool = False
    fork_refused: bool = False
    stalled: float | None = None
    network: int = 0

    @property
    def cpu_time(self) -> float:
        """Seconds of CPU time, user and system."""
        return self.user_time + self.system_time


@value
class ProcessReading:
    """What one process uses.

    Args:
        pid: Its number on the host.
        parent: That of its parent.
        name: What it calls itself.
        cpu_time: Seconds of CPU time, of all its threads, without its children.
        memory: Bytes of resident memory, shared ones too.
        begun: Seconds since boot.
    """

    pid: int
    parent: int
    name: str
    cpu_time: float
    memory: int
    begun: float


@value
class Recording:
    """What a tracer has recorded.

    Args:
        data: The records, as ``bldr.trace.decode`` reads them.
        calls: How many calls it has looked at.
        dropped: How many records did not fit.
    """

    data: bytes
    calls: int = 0
    dropped: int = 0


@value
class Refusal:
    """Something that the policy for processes has refused.

    Args:
        kind: ``fork`` or ``exec``.
        count: How often.
        time: Seconds since the start of the command, of the first one.
        pid: Who tried first, by its number on the host; 0 when unknown.
        argv: Its arguments.
    """

    kind: str
    count: int
    time: float
    pid: int = 0
    argv: tuple[str, ...] = ()


@value
class Ended:
    """How the command ended.

    Args:
        status: Wait status as of waitpid(2); ``None`` when the sandbox was killed before the command could end.
        user_time: Seconds of CPU time in user mode, of every process that was waited for.
        system_time: Seconds of CPU time in the kernel, as above.
        peak_memory: Bytes of the largest process that was waited for; 0 when that cannot be told from what started it.
        disk_read: Bytes that they read from disks.
        disk_write: Bytes that they wrote to disks.
        processes: How many processes and threads were started, the command included.
        context_switches: How often a CPU went from one of them to another task.
        left: How many processes and threads were still there when the command had ended; they are gone now.
        reading: The last of a meter that the kernel keeps beyond the end of the processes (a cgroup).
        refusals: What the policy for processes has refused, the first of each kind.
    """

    status: int | None
    user_time: float = 0.0
    system_time: float = 0.0
    peak_memory: int | None = None
    disk_read: int | None = None
    disk_write: int | None = None
    processes: int | None = None
    context_switches: int | None = None
    left: int = 0
    reading: Reading | None = None
    refusals: tuple[Refusal, ...] = ()
