"""A running execution: streams its output, can be signalled and killed, and is waited for."""

from __future__ import annotations

import _signal
import _thread
import os
import select
import time

from bldr.execution.guard import Guard
from bldr.model.receipt import Receipt
from bldr.model.result import ExecutionResult, ResourceUsage, Termination
from bldr.sandbox.protocol import Reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO, Self, TypeAlias

    from bldr.audit.log import AuditLog
    from bldr.execution.relay import Observer, Relay
    from bldr.execution.streams import Plumbing
    from bldr.model.limits import ResourceLimits
    from bldr.model.result import Denial, Violation
    from bldr.model.trace import Trace
    from bldr.sandbox.protocol import Ended, Meter, Recording, RunningSandbox

    Interpret: TypeAlias = Callable[[Recording], tuple[Trace, tuple[Denial, ...], tuple[str, ...]]]

__all__ = ["Sandbox"]

ENDED_BY_BLDR = 124  # as timeout(1)
SIGNALED = 128
_PATIENCE = 100  # milliseconds between two looks at whether a caller who does not read is given up


class Sandbox:
    """One command that runs in its sandbox. Made by ``HermeticExecutor.start``; use it as a context manager.

    ``stdin``, ``stdout`` and ``stderr`` are binary files where ``"pipe"`` was asked for, else ``None``. Leaving the
    context kills what still runs. One thread waits or streams; any thread and any signal handler may send signals,
    terminate and kill meanwhile.
    """

    _guard: Guard = None  # type: ignore[assignment]  # until the constructor has come that far

    def __init__(
        self,
        running: RunningSandbox,
        plumbing: Plumbing,
        argv: tuple[str, ...],
        *,
        timeout: float | None,
        deadline: float | None,
        silence: float | None,
        grace: float,
        limits: ResourceLimits,
        timeline: bool,
        backend: str,
        outputs: Callable[[], tuple[str, ...]],
        audit: AuditLog | None = None,
        interpret: Interpret | None = None,
    ) -> None:
        self._lock = _thread.RLock()  # a signal handler may come while the same thread holds it
        self._running = running
        self._plumbing = plumbing
        self._argv = argv
        self._backend = backend
        self._outputs = outputs
        self._audit = audit
        self._interpret = interpret
        self._started_at = time.time()
        self._begun = time.monotonic()
        self._given_up = False
        self._ended: Ended | None = None
        self._wall = 0.0
        self._result: ExecutionResult | None = None
        self._poller = select.poll()
        self._poller.register(running.fileno(), select.POLLIN)
        self._readers = {capture.fd: (name, capture) for name, capture in plumbing.captures.items()}
        for fd in self._readers:
            self._poller.register(fd, select.POLLIN)
        for fd in running.alarms:
            self._poller.register(fd, select.POLLPRI)
        self._relay_fds: dict[int, Relay] = {}
        self._wakes = -1
        if plumbing.feed is not None:
            self._poller.register(plumbing.feed.fd, select.POLLOUT)
        self.stdin = self._file("stdin", "wb")
        self.stdout = self._file("stdout", "rb")
        self.stderr = self._file("stderr", "rb")
        self._guard = Guard(
            running,
            self._lock,
            limits,
            begun=self._begun,
            timeout=timeout,
            deadline=deadline,
            silence=silence,
            grace=grace,
            last_output=lambda: plumbing.last_output,
            records=timeline,
        )
        self._guard.start()

    def _file(self, name: str, mode: str) -> BinaryIO | None:
        fd = self._plumbing.pipes.pop(name, -1)
        if fd < 0:
            return None
        return open(fd, mode, buffering=0 if name == "stdin" else -1)  # type: ignore[return-value]  # binary mode

    @property
    def pty_fd(self) -> int:
        """The controlling side of the terminal of ``pty=True``; -1 without one. The session closes it."""
        return self._running.terminal_fd

    def meter(self) -> Meter:
        """Return what measures the processes of the sandbox; the monitor of an execution uses it."""
        return self._running.meter()

    @property
    def ended(self) -> bool:
        """Whether the command is known to have ended."""
        return self._ended is not None

    @property
    def last_output(self) -> float:
        """When the command last printed something on a captured or relayed stream, as of ``time.monotonic()``.

        Its start until it does.
        """
        return max(self._begun, self._plumbing.last_output)

    def wake_by(self, fd: int) -> None:
        """Wait for this descriptor as well, and empty it: signal.set_wakeup_fd(3) makes it readable, and handlers run.

        Args:
            fd: The reading end of a pipe that does not block, which the caller keeps open and owns.
        """
        self._wakes = fd
        self._poller.register(fd, select.POLLIN)

    def signal(self, number: int) -> None:
        """Send a signal to the command's process group; nothing happens when it has ended."""
        with self._lock:
            self._running.signal(number)

    def kill(self) -> None:
        """End every process of the sandbox at once; the result says *cancelled*.

        When the command has ended, and what it printed waits for a caller who does not read, that is given up.
        """
        with self._lock:
            if self._ended is None:
                self._guard.kill(Termination.CANCELLED)
            else:
                self._given_up = True

    def terminate(self) -> None:
        """Ask the command to end with SIGTERM, and kill everything after the grace; the result says *cancelled*."""
        with self._lock:
            if self._ended is None:
                self._guard.ask(Termination.CANCELLED)

    def resize(self, rows: int, columns: int) -> None:
        """Tell the command's terminal its size; it gets SIGWINCH."""
        import fcntl
        import struct
        import termios

        fcntl.ioctl(self.pty_fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    @property
    def reading(self) -> Reading | None:
        """What is used now, as of the last sample; ``None`` before the first one, or when nobody samples."""
        return self._guard.reading

    @property
    def has_terminals(self) -> bool:
        """Whether a relayed stream is a terminal, whose size has to be followed."""
        return any(relay.pty for relay in self._plumbing.relays)

    def keep_output(self, size: int) -> None:
        """Keep the last bytes of each relay for :attr:`kept_output`."""
        for relay in self._plumbing.relays:
            relay.keep = size

    @property
    def kept_output(self) -> bytes:
        """The end of what was relayed, where it was kept."""
        return b"\n".join([relay.kept for relay in self._plumbing.relays])

    def observe_output(self, observer: Observer) -> None:
        """Tell somebody of each write of a relay."""
        for relay in self._plumbing.relays:
            relay.observer = observer

    def follow_size(self) -> None:
        """Give the terminals of relayed streams the size of the caller's; the command gets SIGWINCH."""
        for relay in self._plumbing.relays:
            relay.resize()
        self.signal(_signal.SIGWINCH)

    def stream(self) -> Iterator[tuple[str, bytes]]:
        """Yield ``(stream name, bytes)`` of the captured streams as they arrive, until the command has ended."""
        arrived: list[tuple[str, bytes]] = []
        while not self._finished():
            self._turn(None, arrived)
            yield from arrived
            arrived.clear()
        self._drain(arrived)
        yield from arrived

    def wait(self, timeout: float | None = None) -> ExecutionResult:
        """Wait for the end and return the result; the same one every time.

        Args:
            timeout: Seconds to wait at most; the execution goes on when they pass.

        Raises:
            TimeoutError: ``timeout`` passed first.
            SandboxLostError: The sandbox was ended from outside.
            AuditError: Violations could not be written to the audit log; the next call returns the result.
        """
        if self._result is not None:
            return self._result
        until = None if timeout is None else time.monotonic() + timeout
        while (ended := self._ended) is None or not self._finished():
            try:
                self._turn(until, None)
            except Exception:
                self.close()
                raise
            if not self._finished() and until is not None and time.monotonic() >= until:
                raise TimeoutError(f"the command {self._argv[0]!r} still runs after {timeout:g} s")
        self._drain(None)
        try:
            recording = self._running.recording()
        finally:
            self.close()
        if self._guard.error is not None:
            raise self._guard.error
        for relay in self._plumbing.relays:
            if relay.error is not None:
                raise OSError(relay.error.errno, f"cannot pass the output on: {relay.error.strerror}") from relay.error
        self._result = self._make_result(ended, recording)
        if self._audit is not None:
            self._audit.record_result(self._result)
        return self._result

    def close(self) -> None:
        """Kill what still runs and release everything; harmless the second time."""
        with self._lock:
            if self._guard is not None:
                self._guard.close()
            self._running.close()
            self._plumbing.close()

    def __del__(self) -> None:
        """Nobody can end it any more, so it is ended now."""
        if "_plumbing" in vars(self):  # else the constructor was interrupted, and who called it ends the sandbox
            self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._ended is None:
            self.kill()
        self.close()
        for file in (self.stdin, self.stdout, self.stderr):
            if file is not None:
                file.close()

    def _turn(self, until: float | None, arrived: list[tuple[str, bytes]] | None) -> None:
        """Wait for one thing to happen and deal with it."""
        wait_ms = None if until is None else max(0, int((until - time.monotonic()) * 1000) + 1)
        if self._ended is not None:  # the caller does not read; whether that is given up has to be noticed
            wait_ms = _PATIENCE if wait_ms is None else min(wait_ms, _PATIENCE)
        self._watch_relays()
        for fd, _event in self._poller.poll(wait_ms):
            if fd == self._running.fileno():
                self._take_report()
                if self._ended is not None:
                    self._poller.unregister(fd)
            elif fd in self._readers:
                self._read(fd, arrived)
            elif fd == self._wakes:
                os.read(fd, 512)
            elif fd in self._relay_fds:
                self._relay_fds[fd].move()
            elif fd in self._running.alarms:
                self._heed(fd)
            elif self._plumbing.feed is not None and not self._plumbing.feed.write():
                self._poller.unregister(fd)

    def _heed(self, alarm: int) -> None:
        """Let the guard look now instead of at its next sample, once."""
        if self._running.rings(alarm):
            self._poller.unregister(alarm)
            with self._lock:
                self._guard.hasten()

    def _take_report(self) -> None:
        """From the end on nobody is asked or killed any more: a deadline that passes in this moment comes too late."""
        with self._lock:
            self._ended = self._running.poll()
            self._wall = time.monotonic() - self._begun
            self._guard.close()

    def _watch_relays(self) -> None:
        """Wait for the readers of relays that hold something, and for the command where they hold nothing."""
        for fd in self._relay_fds:
            try:
                self._poller.unregister(fd)
            except KeyError:
                pass  # an interrupt came between this and what follows from it
        self._relay_fds.clear()
        for relay in self._plumbing.relays:
            fd, event = relay.wants()
            if fd >= 0:
                self._relay_fds[fd] = relay
                self._poller.register(fd, event)

    def _finished(self) -> bool:
        """Whether the command has ended and the caller has taken what it printed.

        A copy of the writing end in some fork of the supervisor would keep the end of the stream away for ever, so an
        empty pipe is the end as well.
        """
        if self._ended is None:
            return False
        if self._given_up:
            return True
        for relay in self._plumbing.relays:
            while relay.move():
                pass
            if relay.pending:
                return False
        return True

    def _read(self, fd: int, arrived: list[tuple[str, bytes]] | None) -> bool:
        name, capture = self._readers[fd]
        chunk = b""
        if capture.fd >= 0:  # else an interrupt came between the end of the stream and what follows from it
            try:
                chunk = capture.read()
            except BlockingIOError:
                return False
        if not chunk:
            try:
                self._poller.unregister(fd)
            except KeyError:
                pass  # an interrupt came between this and what follows from it
            del self._readers[fd]
        elif arrived is not None:
            arrived.append((name, chunk))
        return bool(chunk)

    def _drain(self, arrived: list[tuple[str, bytes]] | None) -> None:
        """Read what is left in the pipes.

        No process of the sandbox lives any more. A copy of the writing end in some fork of the supervisor would keep
        the end of the stream away for ever, so an empty pipe is the end as well.
        """
        for fd in list(self._readers):
            while self._read(fd, arrived):
                pass

    def _note_kernel_limits(self, ended: Ended, number: int | None) -> None:
        """Tell a limit that the kernel enforced alone from an ordinary end."""
        limits = self._guard.limits
        status = ended.status
        last = ended.reading
        if limits.network_io is not None and self._running.moved() > limits.network_io:
            self._guard.conclude("network_io", self._running.moved(), limits.network_io)
        if last is not None and last.out_of_memory and limits.memory is not None:
            self._guard.conclude("memory", max(last.peak_memory or 0, limits.memory), limits.memory)
        elif last is not None and last.fork_refused and limits.processes is not None:
            self._guard.conclude("processes", limits.processes + 1, limits.processes)
        elif limits.processes is not None and ended.left + 1 > limits.processes:
            self._guard.conclude("processes", ended.left + 1, limits.processes)
        elif status is None:
            return
        elif limits.file_size is not None and _was_ended_by(_signal.SIGXFSZ, status, number):
            self._guard.conclude("file_size", limits.file_size, limits.file_size)
        elif limits.cpu_time is not None and _was_ended_by(_signal.SIGXCPU, status, number):
            used = ended.user_time + ended.system_time
            if used >= limits.cpu_time:  # else somebody sent the signal, or chose the status
                self._guard.conclude("cpu_time", used, limits.cpu_time)

    def _make_result(self, ended: Ended, recording: Recording | None) -> ExecutionResult:
        code, number = _exit_code(ended.status)
        guard = self._guard
        self._note_kernel_limits(ended, number)
        termination = guard.termination
        if not termination:
            termination = Termination.EXITED if number is None else Termination.SIGNALED
        if termination in (Termination.TIMED_OUT, Termination.LIMIT_REACHED):
            code = ENDED_BY_BLDR
        captures = self._plumbing.captures
        trace: Trace | None = None
        denials: tuple[Denial, ...] = ()
        unused: tuple[str, ...] = ()
        if recording is not None and self._interpret is not None:
            trace, denials, unused = self._interpret(recording)
        return ExecutionResult(
            argv=self._argv,
            exit_code=code,
            termination=termination,
            signal=number,
            stdout=captures["stdout"].content() if "stdout" in captures else b"",
            stderr=captures["stderr"].content() if "stderr" in captures else b"",
            stdout_dropped=captures["stdout"].dropped if "stdout" in captures else 0,
            stderr_dropped=captures["stderr"].dropped if "stderr" in captures else 0,
            usage=usage_of(ended, guard, self._wall, self._running.moved()),
            violations=guard.violations + _refused_to(ended),
            denials=(*denials, *self._refused_hosts(trace)),
            trace=trace,
            unused_inputs=unused,
            hosts=self._running.hosts(),
            receipt=Receipt(self._running.records(), self._backend, self._running.notes()),
            output_files=self._outputs(),
            timeline=guard.timeline(),
            post_mortem=guard.post_mortem if guard.violations else None,
            started_at=self._started_at,
            duration=time.monotonic() - self._begun,
        )

    def _refused_hosts(self, trace: Trace | None) -> tuple[Denial, ...]:
        refused = self._running.denials()
        if trace is None or not refused:
            return refused
        from bldr.trace.denials import with_processes

        return with_processes(refused, trace)


def usage_of(ended: Ended, guard: Guard, wall_time: float, network: int) -> ResourceUsage:
    """Put together what the kernel said at the end and what was seen before; the kernel is exact where both tell."""
    exact, seen = ended.reading, guard.reading
    user, system = ended.user_time, ended.system_time
    if exact is not None or (ended.status is None and seen is not None):  # who was killed could not sum up
        told = exact or seen or Reading()
        user, system = told.user_time, told.system_time
    peaks = [peak for peak in (ended.peak_memory, guard.peak_memory) if peak]
    kept, sampled = exact or Reading(), seen or Reading()
    return ResourceUsage(
        wall_time=wall_time,
        cpu_time=user + system,
        user_time=user,
        system_time=system,
        peak_memory=_first(kept.peak_memory, max(peaks, default=None)),
        disk_read=_first(kept.disk_read, ended.disk_read, sampled.disk_read),
        disk_write=_first(kept.disk_write, ended.disk_write, sampled.disk_write),
        processes=ended.processes,
        peak_processes=_first(kept.peak_threads, guard.peak_threads or None),
        context_switches=ended.context_switches,
        stalled=kept.stalled,
        network=network,
        measured_by="cgroup" if exact is not None else "sampling" if seen is not None else "rusage",
    )


def _refused_to(ended: Ended) -> tuple[Violation, ...]:
    """Describe what the policy for processes has refused."""
    if not ended.refusals:
        return ()
    from bldr.execution.limits import refused

    return tuple([refused(one) for one in ended.refusals])


def _first(*numbers: int | None) -> int | None:
    for number in numbers:  # no generator: Ctrl-C in one is printed instead of raised
        if number is not None:
            return number
    return None


def _was_ended_by(signal: int, status: int, number: int | None) -> bool:
    """Whether a signal ended the command, or a child of the shell that is the command."""
    return number == signal or (number is None and os.WEXITSTATUS(status) == SIGNALED + signal)


def _exit_code(status: int | None) -> tuple[int, int | None]:
    """Translate a wait status to ``(what a shell reports, signal)``; ``None`` is a sandbox that was killed."""
    if status is None:
        return SIGNALED + _signal.SIGKILL, _signal.SIGKILL
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return SIGNALED + number, number
    return os.WEXITSTATUS(status), None
