"""One sandbox that the launcher has started, seen from the supervisor."""

from __future__ import annotations

import _signal
import errno
import os
import select
import time

from _bldr_launcher import channel, wire
from bldr.errors import BldrError, InvalidCommandError, SandboxLostError, SandboxSetupError, TimeLimitError
from bldr.model.value import replace
from bldr.sandbox.linux.launcher import await_ready, end_process
from bldr.sandbox.protocol import Ended, Recording, Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from bldr.model.receipt import GuaranteeRecord
    from bldr.model.result import Denial
    from bldr.model.traffic import HostTraffic
    from bldr.sandbox.linux.gateway import Gateway
    from bldr.sandbox.linux.launcher import Status
    from bldr.sandbox.protocol import Meter

__all__ = ["Facts", "LinuxSandbox"]

_BLOCK = 512  # bytes of a block of ru_inblock and ru_oublock (getrusage(2), task_io_accounting_ops.h)
_STEP = "start the init"
_TRACER_LOST = "the sandbox or its tracer was ended from outside while the command ran"


class Facts:
    """What only the sandbox itself could say about its own making."""

    __slots__ = (
        "ended_clean", "fresh_proc", "group", "group_files", "kept_outputs", "landlock_abi", "temps_removed",
        "unmapped",
    )  # fmt: skip

    def __init__(self) -> None:
        self.group = ""  # directory of the cgroup; empty without one
        self.group_files: frozenset[str] = frozenset()  # those that were written into
        self.landlock_abi = 0
        self.fresh_proc = True
        self.unmapped: tuple[int, ...] = ()
        self.kept_outputs: dict[str, str] = {}  # that could not be given back to the caller, and why
        self.ended_clean = False
        self.temps_removed = False

    @property
    def decisive(self) -> tuple[object, ...]:
        """What of it decides what a receipt says of guarantees."""
        return (
            bool(self.group), self.group_files, self.landlock_abi, self.fresh_proc, self.ended_clean,
            self.temps_removed,
        )  # fmt: skip


class LinuxSandbox:
    """Waits for reports of init, signals it, and cleans up behind it.

    Args:
        status: The socket on which init reports.
        argv: The command, for errors.
        failure: Makes the error of a step that failed, from its number, operation, errno and text.
        receipt: Makes the records from the facts.
        notes: Makes the remarks from the facts.
        backend: The name of the backend.
        outputs: Host paths of outputs that the launcher may have given to the sandbox's host id, by number of step.
        traced: Whether its calls are traced.
        gateway: Connects it with the allowed hosts; it is owned from now on.
    """

    def __init__(
        self,
        status: Status,
        argv: tuple[str, ...],
        *,
        failure: Callable[[int, str, int, str], BldrError],
        receipt: Callable[[Facts], tuple[GuaranteeRecord, ...]],
        notes: Callable[[Facts], tuple[str, ...]],
        backend: str,
        outputs: dict[int, str] | None = None,
        traced: bool = False,
        gateway: Gateway | None = None,
    ) -> None:
        self._status = status
        self._argv = argv
        self._failure = failure
        self._receipt = receipt
        self._notes = notes
        self.backend = backend
        self._outputs = outputs or {}
        self._traced = traced
        self._recording = -1  # descriptor of what the tracer wrote
        self._counts: tuple[int, ...] = ()
        self._refusals = -1  # descriptor of what init writes of refused calls
        self.gateway = gateway
        self._facts = Facts()
        self._pidfd = -1
        self._started = False
        self._killed = False
        self._ended: Ended | None = None
        self._meter: Meter | None = None  # of the cgroup
        self.alarms: list[int] = []
        self.terminal_fd = -1

    def await_start(self, until: float | None, meanwhile: Callable[[], None]) -> None:
        """Wait until the command has been started; what there is of the sandbox is released when it cannot be.

        Args:
            until: Monotonic time when the timeout of the execution passes.
            meanwhile: Called first.

        Raises:
            TimeLimitError: The timeout passed first.
            SandboxSetupError: A step failed. Nothing ran.
            InvalidCommandError: The command is not there or cannot be executed.
            SandboxLostError: Init died without a word.
        """
        try:
            meanwhile()
            self._await_report(until)
        except BaseException:
            self.close()
            raise

    def _next_report(self, until: float | None) -> tuple[list[bytes], list[int]]:
        report = None
        while report is None:  # a command that ends at once may have been traced before its start is reported
            if not self._status.await_report(until):
                if until is not None and time.monotonic() >= until:
                    hint = "allow more time for the sandbox"
                    raise TimeLimitError("timed out before the command was started", hint=hint)
                raise SandboxLostError(
                    f"cannot {_STEP}: the sandbox was not made within {self._status.patience:g} s",
                    step=_STEP,
                    hint="a declared path may lie on a file system that does not answer (findmnt lists them)",
                )
            try:
                report = self._receive()
            except SandboxLostError as error:
                raise SandboxLostError(f"cannot {_STEP}: {error}", step=_STEP) from error
        return report

    def _receive(self) -> tuple[list[bytes], list[int]] | None:
        """Return the next report and its descriptors; ``None`` when it was the tracer's, which is kept."""
        items, fds = self._status.receive()
        if not (items and items[0] == b"traced" and len(items) == 3 and len(fds) == 1 and self._recording < 0):
            return items, fds
        self._recording = fds[0]
        self._counts = tuple([int(word) if word.isdigit() else 0 for word in items[1:]])
        return None

    def recording(self) -> Recording | None:
        """Return what the tracer wrote; ``None`` where nothing was traced.

        The command has ended, so the tracer is about to.

        Raises:
            SandboxLostError: What arrived is not a report; or the tracer is gone, and what the command did may be the
                consequence of that.
        """
        while self._traced and self._recording < 0 and self._status.fd >= 0:
            if not await_ready(self._status.fd, select.POLLIN, self._status.patience):
                break
            report = self._receive()
            for fd in report[1] if report is not None else ():
                os.close(fd)
            if report is not None and not report[0]:
                break  # it has been killed
        if self._recording < 0:
            if self._traced and not self._killed and self._ended is not None and self._ended.status is not None:
                raise SandboxLostError(_TRACER_LOST)
            return None
        calls, dropped = self._counts
        return Recording(os.pread(self._recording, os.fstat(self._recording).st_size, 0), calls, dropped)

    def _await_report(self, until: float | None) -> None:
        items, fds = self._next_report(until)
        kind = items[0] if items else b""
        base = 0
        while kind == b"cgroup" and len(items) >= 3 and items[2].isdigit() and not fds:  # again, if that init had died
            self._facts.group, base = os.fsdecode(items[1]), int(items[2])
            self._facts.group_files = frozenset([os.fsdecode(name) for name in items[3:]])
            items, fds = self._next_report(until)
            kind = items[0] if items else b""
        while kind == b"sockets" and self.gateway is not None:
            self._hand_over(self.gateway, items, fds)
            items, fds = self._next_report(until)
            kind = items[0] if items else b""
        if kind == b"refusals" and len(fds) == 1:
            (self._refusals,) = fds
            items, fds = self._next_report(until)
            kind = items[0] if items else b""
        if kind == b"started" and fds:
            self._pidfd, *rest = fds
            self.terminal_fd, *fds = rest or [-1]
        for fd in fds if self._pidfd < 0 or self.terminal_fd >= 0 else ():
            os.close(fd)
        try:
            if kind == b"started" and self._pidfd >= 0 and len(items) >= 3:
                self._started = True
                self._facts.landlock_abi = int(items[1])
                self._facts.fresh_proc = items[2] == b"1"
                self._facts.unmapped = tuple(int(number) for number in items[3:])
                if self._facts.group:
                    self._meter, self.alarms = _group_meter(self._facts.group, base)
                return
            if kind == b"failed" and len(items) == 5:
                raise self._failure(int(items[1]), items[2].decode(), int(items[3]), os.fsdecode(items[4]))
            if kind == b"absent" and len(items) == 3:
                raise _not_executable(self._argv[0], int(items[1]), os.fsdecode(items[2]), traced=self._traced)
        except ValueError as error:
            if isinstance(error, BldrError):
                raise
            raise SandboxLostError(f"cannot {_STEP}: it broke the protocol: {error}", step=_STEP) from error
        if kind:
            what = f"a report {os.fsdecode(kind)!r} of {len(items)} words"
            raise SandboxLostError(f"cannot {_STEP}: it broke the protocol: {what}", step=_STEP)
        raise SandboxLostError(
            f"cannot {_STEP}: the sandbox ended before the command was started", step=_STEP, hint="try again"
        )

    def _hand_over(self, gateway: Gateway, items: list[bytes], fds: list[int]) -> None:
        """Give the gateway what init has passed out, and let init go on when it is being served."""
        try:
            if gateway.take(items, fds):
                channel.send(self._status.fd, b"g")
        except (BrokenPipeError, ConnectionResetError):
            pass  # init is gone; the next report says so
        finally:
            for fd in fds:
                os.close(fd)

    def fileno(self) -> int:
        """Return the descriptor of the status socket."""
        return self._status.fd

    def has_report(self) -> bool:
        """Whether init has said that the command has ended, or is gone."""
        if self._status.fd < 0:
            return True
        poller = select.poll()
        poller.register(self._status.fd, select.POLLIN)
        return bool(poller.poll(0))

    def rings(self, alarm: int) -> bool:
        """Whether the kernel has done something for a limit; see :class:`bldr.sandbox.protocol.RunningSandbox`."""
        from bldr.sandbox.linux.cgroup import rings

        return rings(alarm)

    def poll(self) -> Ended | None:
        """Take one report; see :class:`bldr.sandbox.protocol.RunningSandbox`.

        Raises:
            SandboxLostError: Init is gone, and nobody here has killed it.
        """
        report = self._receive()
        if report is None:
            return None
        items, fds = report
        for fd in fds:
            os.close(fd)
        if items and items[0] == b"exited" and len(items) == 10:
            try:
                status, user, system, peak, blocks_in, blocks_out, switches, started, left = map(int, items[1:])
            except ValueError as error:
                raise SandboxLostError(f"init broke the protocol: {error}") from error
            self._facts.ended_clean = True
            self._status.temps = ()  # init has removed them, and somebody else may have made such ones
            self._ended = Ended(
                status,
                user / 1e6,
                system / 1e6,
                peak * 1024,
                disk_read=blocks_in * _BLOCK,
                disk_write=blocks_out * _BLOCK,
                processes=started if started >= 0 else None,
                context_switches=switches,
                left=left,
            )
        elif not items and (self._killed or self._is_out_of_memory()):
            self._ended = Ended(None)
        elif self._traced and self._recording < 0:
            raise SandboxLostError(_TRACER_LOST)
        else:
            raise SandboxLostError("the sandbox was ended from outside while the command ran")
        if self._meter is not None:
            self._ended = replace(self._ended, reading=self._meter.look()[0])
        if self._refusals >= 0:
            self._ended = replace(self._ended, refusals=_read_refusals(self._refusals))
        return self._ended

    def _is_out_of_memory(self) -> bool:
        """Whether the kernel has killed everybody, our init too, because the cgroup's memory was used up."""
        return self._meter is not None and self._meter.look()[0].out_of_memory

    def signal(self, number: int) -> None:
        """Send a signal to init, which passes it on to the command's process group."""
        if self._pidfd >= 0 and self._ended is None:
            try:
                _signal.pidfd_send_signal(self._pidfd, number)
            except ProcessLookupError:
                pass  # it has ended; its report is on the way

    def kill(self) -> None:
        """End init, and with it everybody in its namespace, or whom it has adopted; by the cgroup, all at once."""
        self._killed = True
        if self._facts.group and self._ended is None:
            kill_group(self._facts.group)
        self.signal(self._status.ending)

    def close(self) -> None:
        """Release everything; kills first when the command has not ended. Harmless the second time."""
        pidfd, self._pidfd = self._pidfd, -1  # a signal handler must not meet a closed descriptor
        # A kill may come between init's report and its end; the launcher cares for those that end by themselves.
        left_to_us = (self._killed or not self._facts.ended_clean) and self._status.owner == os.getpid()
        if "io.max" in self._facts.group_files:
            lift_rates(self._facts.group)
        if pidfd >= 0:
            if left_to_us:
                end_process(pidfd, self._status.ending)
            os.close(pidfd)
            self._status.close()
        self._status.abandon()  # closes it, too, when the start has not been reported
        if self._facts.group and left_to_us:
            remove_group(self._facts.group)  # else the launcher does
        if self._outputs:
            self._take_outputs_back()
        self._facts.temps_removed = True
        if self.gateway is not None:
            self.gateway.finish()
        alarms, self.alarms = self.alarms, []
        for alarm in alarms:
            os.close(alarm)
        terminal, self.terminal_fd = self.terminal_fd, -1
        recording, self._recording = self._recording, -1
        refusals, self._refusals = self._refusals, -1
        for fd in (terminal, recording, refusals):
            if fd >= 0:
                os.close(fd)

    def _take_outputs_back(self) -> None:
        outputs, self._outputs = self._outputs, {}
        given = list(outputs)  # unknown if it was not started
        if self._started:
            given = [number for number in self._facts.unmapped if number in outputs]
        if not given or self._status.owner != os.getpid():
            return
        from _bldr_launcher import ownership, wire

        for path in [outputs[number] for number in given]:
            try:
                own = os.geteuid(), os.getegid()
                ownership.hand_over(os.fsencode(path), wire.SANDBOX_ID, own, linked=True)
            except OSError as error:
                self._facts.kept_outputs[path] = error.strerror or str(error)

    def __del__(self) -> None:
        """An exception in the wrong moment (Ctrl-C) may have left it to nobody."""
        if "terminal_fd" in vars(self):  # else the constructor was interrupted
            self.close()

    def meter(self) -> Meter:
        """Return what measures the processes of the sandbox."""
        if self._meter is not None:
            return self._meter
        from bldr.sandbox.linux.processes import TreeMeter, host_pid

        return TreeMeter(host_pid(self._pidfd))

    def moved(self) -> int:
        """Return how many bytes have crossed the border of its network so far."""
        return 0 if self.gateway is None else self.gateway.moved

    def hosts(self) -> tuple[HostTraffic, ...]:
        """Return what was exchanged with allowed hosts."""
        return () if self.gateway is None else self.gateway.hosts

    def denials(self) -> tuple[Denial, ...]:
        """Return what was refused."""
        return () if self.gateway is None else self.gateway.denials

    def records(self) -> tuple[GuaranteeRecord, ...]:
        """Return what became of each guarantee."""
        return self._receipt(self._facts)

    def notes(self) -> tuple[str, ...]:
        """Return remarks for people."""
        lost = ("the gateway ended early: from then on no host could be reached",)
        return self._notes(self._facts) + (lost if self.gateway is not None and self.gateway.was_lost else ())


def _read_refusals(record: int) -> tuple[Refusal, ...]:
    """Read what init has written of refused calls: kind, how often, milliseconds, process, arguments between NULs.

    Raises:
        SandboxLostError: It is something else.
    """
    data = os.pread(record, wire.LARGEST_INLINE, 0)
    try:
        return _refusals(wire.unpack(data) if data else [])
    except ValueError as error:
        raise SandboxLostError(f"init broke the protocol: {error}") from error


def _refusals(items: list[bytes]) -> tuple[Refusal, ...]:
    found = []
    for place in range(0, len(items), 5):
        kind, count, milliseconds, pid, words = items[place : place + 5]
        argv = tuple([os.fsdecode(word) for word in words.rstrip(b"\0").split(b"\0")]) if words else ()
        found.append(Refusal(kind.decode("ascii"), int(count), int(milliseconds) / 1000, int(pid), argv))
    return tuple(found)


def _group_meter(path: str, base: int) -> tuple[Meter, list[int]]:
    from bldr.sandbox.linux.cgroup import Before, CgroupMeter, open_alarms

    return CgroupMeter(path, Before.of(path, base)), open_alarms(path)


def kill_group(path: str) -> None:
    """Kill everybody in a cgroup with one write; Linux 5.14, and before it the death of process 1 does the same."""
    from _bldr_launcher.pseudofile import write

    try:
        write(f"{path}/cgroup.kill", b"1")
    except OSError:
        pass  # older; or it has been removed, and nobody is left


def lift_rates(path: str) -> None:
    """Lift the rates of disks: a file stays the cgroup's that wrote it, and has its rate even when that is removed."""
    from _bldr_launcher.pseudofile import read, write

    try:
        for line in read(f"{path}/io.max").splitlines():
            write(f"{path}/io.max", line.partition(b" ")[0] + b" rbps=max wbps=max")
    except OSError:
        pass  # it has been removed


def remove_group(path: str) -> None:
    """Remove a cgroup in which nobody is left."""
    try:
        os.rmdir(path)
    except OSError:
        pass  # the launcher does it when it ends


def _not_executable(name: str, number: int, path: str, *, traced: bool) -> BldrError:
    if traced and number == errno.ENOSYS:  # what a traced call gets without a tracer
        return SandboxLostError(_TRACER_LOST)
    if number in (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC):
        text = os.strerror(number)
        return SandboxSetupError(
            f"cannot start the command: {text}",
            step="start the command",
            errno=number,
            strerror=text,
            hint="free memory or processes, or run fewer at a time",
        )
    if number == errno.ELIBACC:
        return InvalidCommandError(
            f"the interpreter of {path!r} is not in the sandbox",
            code="spec.command-not-found",
            hint="declare the interpreter or the loader that it names as an input",
        )
    if number in (errno.ENOENT, errno.ENOTDIR):
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
