"""One sandbox that the launcher has started, seen from the supervisor."""

from __future__ import annotations

import _signal
import os
import select

from _bldr_launcher import scratch
from bldr.errors import InvalidCommandError, SandboxLostError
from bldr.sandbox.protocol import Ended

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from bldr.errors import BldrError
    from bldr.model.receipt import GuaranteeRecord
    from bldr.sandbox.linux.launcher import Status

__all__ = ["Facts", "LinuxSandbox"]


class Facts:
    """What only the sandbox itself could say about its own making."""

    __slots__ = ("ended_clean", "fresh_proc", "landlock_abi", "temps_removed", "unmapped")

    def __init__(self) -> None:
        self.landlock_abi = 0
        self.fresh_proc = True
        self.unmapped: tuple[int, ...] = ()
        self.ended_clean = False
        self.temps_removed = False


class LinuxSandbox:
    """Waits for reports of init, signals it, and cleans up behind it.

    Args:
        status: The socket on which init reports.
        place: Host directory of the temps, removed at the end; empty when there is none.
        argv: The command, for errors.
        failure: Makes the error of a step that failed, from its number, operation, errno and text.
        receipt: Makes the records from the facts.
        notes: Makes the remarks from the facts.
    """

    def __init__(
        self,
        status: Status,
        place: str,
        argv: tuple[str, ...],
        *,
        failure: Callable[[int, str, int, str], BldrError],
        receipt: Callable[[Facts], tuple[GuaranteeRecord, ...]],
        notes: Callable[[Facts], tuple[str, ...]],
    ) -> None:
        self._status = status
        self._place = place
        self._argv = argv
        self._failure = failure
        self._receipt = receipt
        self._notes = notes
        self._facts = Facts()
        self._pidfd = -1
        self._killed = False
        self._ended: Ended | None = None
        self.terminal_fd = -1

    def await_start(self) -> None:
        """Wait until the command has been started.

        Raises:
            SandboxSetupError: A step failed. Nothing ran.
            InvalidCommandError: The command is not there or cannot be executed.
            SandboxLostError: Init died without a word.
        """
        items, fds = self._status.receive()
        kind = items[0] if items else b""
        if kind == b"started" and fds:
            self._pidfd = fds[0]
            self.terminal_fd = fds[1] if len(fds) > 1 else -1
            self._facts.landlock_abi = int(items[1])
            self._facts.fresh_proc = items[2] == b"1"
            self._facts.unmapped = tuple(int(number) for number in items[3:])
            return
        for fd in fds:
            os.close(fd)
        if kind == b"failed" and len(items) == 5:
            raise self._failure(int(items[1]), items[2].decode(), int(items[3]), os.fsdecode(items[4]))
        if kind == b"absent" and len(items) == 3:
            raise _not_executable(self._argv[0], int(items[1]), os.fsdecode(items[2]))
        raise SandboxLostError("the sandbox ended before the command was started", hint="try again")

    def fileno(self) -> int:
        """Return the descriptor of the status socket."""
        return self._status.fd

    def poll(self) -> Ended | None:
        """Take one report; see :class:`bldr.sandbox.protocol.RunningSandbox`.

        Raises:
            SandboxLostError: Init is gone, and nobody here has killed it.
        """
        items, fds = self._status.receive()
        for fd in fds:
            os.close(fd)
        if items and items[0] == b"exited" and len(items) == 5:
            self._facts.ended_clean = True
            self._ended = Ended(int(items[1]), int(items[2]) / 1e6, int(items[3]) / 1e6, int(items[4]) * 1024)
        elif not items and self._killed:
            self._ended = Ended(None)
        else:
            raise SandboxLostError("the sandbox was ended from outside while the command ran")
        return self._ended

    def signal(self, number: int) -> None:
        """Send a signal to init, which passes it on to the command's process group."""
        if self._pidfd >= 0 and self._ended is None:
            try:
                _signal.pidfd_send_signal(self._pidfd, number)
            except ProcessLookupError:
                pass  # it has ended; its report is on the way

    def kill(self) -> None:
        """Kill init, and with it, by the kernel, everybody in its process namespace."""
        self._killed = True
        self.signal(_signal.SIGKILL)

    def close(self) -> None:
        """Release everything; kills first when the command has not ended. Harmless the second time."""
        if self._ended is None and self._pidfd >= 0:
            self.kill()
        if self._pidfd >= 0:
            if not self._facts.ended_clean:
                _wait(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
        self._status.close()
        if self.terminal_fd >= 0:
            os.close(self.terminal_fd)
            self.terminal_fd = -1
        if self._place:
            scratch.remove_tree(self._place)
            self._facts.temps_removed = True
            self._place = ""

    def records(self) -> tuple[GuaranteeRecord, ...]:
        """Return what became of each guarantee."""
        return self._receipt(self._facts)

    def notes(self) -> tuple[str, ...]:
        """Return remarks for people."""
        return self._notes(self._facts)


def _wait(pidfd: int) -> None:
    """Wait until a process is gone: a pidfd of process 1 is readable when its whole namespace is."""
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    poller.poll()


def _not_executable(name: str, number: int, path: str) -> InvalidCommandError:
    import errno

    if number in (errno.ENOENT, errno.ENOTDIR):
        if path and path != name and os.path.basename(path) != path:
            return InvalidCommandError(
                f"the interpreter of {path!r} is not in the sandbox",
                code="spec.command-not-found",
                hint="declare the interpreter or the loader that it names as an input",
            )
        return InvalidCommandError(
            f"the command {name!r} is not in the sandbox",
            code="spec.command-not-found",
            hint="declare it as an input, name it by its full path, or set PATH with -e PATH=…",
        )
    return InvalidCommandError(
        f"the command {path or name!r} cannot be executed: {os.strerror(number)}",
        code="spec.command-not-executable",
        hint="check that it is a program with the execute permission, for this kind of machine",
    )
