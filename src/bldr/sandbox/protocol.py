"""What an execution asks of a sandbox that runs: the same few verbs on every platform."""

from __future__ import annotations

from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from bldr.model.receipt import GuaranteeRecord
    from bldr.model.spec import SandboxSpec
    from bldr.sandbox.linux.launcher import Launcher
    from bldr.sandbox.linux.plan import Plan

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

        def start(
            self, argv: tuple[str, ...], cwd: str, streams: Streams, *, terminal: bool, timeout: bool
        ) -> RunningSandbox:
            """Start a command."""

    class RunningSandbox(Protocol):
        """One command in its sandbox, seen from the supervisor."""

        backend: str
        """The name of the backend."""

        def fileno(self) -> int:
            """Return a descriptor that is readable when :meth:`poll` has something to do."""

        def poll(self) -> Ended | None:
            """Take the report that made the descriptor readable; the end of the command, or ``None`` before it."""

        def signal(self, number: int) -> None:
            """Send a signal to the command's process group; nothing happens when it has ended."""

        def kill(self) -> None:
            """End every process of the sandbox at once."""

        def close(self) -> None:
            """Wait until no process is left, and remove the temps."""

        @property
        def terminal_fd(self) -> int:
            """The controlling side of the command's terminal, which the caller owns; -1 without one."""

        def records(self) -> tuple[GuaranteeRecord, ...]:
            """Return what became of each guarantee; complete after :meth:`close`."""

        def notes(self) -> tuple[str, ...]:
            """Return remarks for people."""


__all__ = ["Ended", "Streams"]


@value
class Streams:
    """Descriptors that become the command's standard streams; the sandbox copies them."""

    stdin: int
    stdout: int
    stderr: int


@value
class Ended:
    """How the command ended.

    Args:
        status: Wait status as of waitpid(2); ``None`` when the sandbox was killed before the command could end.
        user_time: Seconds of CPU time in user mode, of the command and the children that it waited for.
        system_time: Seconds of CPU time in the kernel, as above.
        peak_memory: Bytes of the largest process that was waited for.
    """

    status: int | None
    user_time: float = 0.0
    system_time: float = 0.0
    peak_memory: int | None = None
