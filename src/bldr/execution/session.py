"""A running execution: streams its output, can be signalled and killed, and is waited for."""

from __future__ import annotations

import _signal
import _thread
import os
import select
import time

from bldr.model.receipt import Receipt
from bldr.model.result import ExecutionResult, ResourceUsage, Termination

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO, Self

    from bldr.execution.streams import Plumbing
    from bldr.sandbox.protocol import Ended, RunningSandbox

__all__ = ["Sandbox"]

TIMED_OUT = 124  # as timeout(1)
SIGNALED = 128


class Sandbox:
    """One command that runs in its sandbox. Made by ``HermeticExecutor.start``; use it as a context manager.

    ``stdin``, ``stdout`` and ``stderr`` are binary files where ``"pipe"`` was asked for, else ``None``. Leaving the
    context kills what still runs. One thread waits or streams; any thread and any signal handler may send signals,
    terminate and kill meanwhile.
    """

    _wake = -1  # until the constructor has come that far

    def __init__(
        self,
        running: RunningSandbox,
        plumbing: Plumbing,
        argv: tuple[str, ...],
        *,
        deadline: float | None,
        grace: float,
        backend: str,
        outputs: Callable[[], tuple[str, ...]],
    ) -> None:
        self._lock = _thread.RLock()  # a signal handler may come while the same thread holds it
        self._running = running
        self._plumbing = plumbing
        self._argv = argv
        self._grace = grace
        self._backend = backend
        self._outputs = outputs
        self._started_at = time.time()
        self._begun = time.monotonic()
        self._deadline = deadline  # monotonic time
        self._kill_at: float | None = None
        self._termination = ""
        self._ended: Ended | None = None
        self._wall = 0.0
        self._result: ExecutionResult | None = None
        self._wake, self._wake_end = os.pipe()
        self._poller = select.poll()
        self._poller.register(self._wake, select.POLLIN)
        self._poller.register(running.fileno(), select.POLLIN)
        self._readers = {capture.fd: (name, capture) for name, capture in plumbing.captures.items()}
        for fd in self._readers:
            self._poller.register(fd, select.POLLIN)
        if plumbing.feed is not None:
            self._poller.register(plumbing.feed.fd, select.POLLOUT)
        self.stdin = self._file("stdin", "wb")
        self.stdout = self._file("stdout", "rb")
        self.stderr = self._file("stderr", "rb")

    def _file(self, name: str, mode: str) -> BinaryIO | None:
        fd = self._plumbing.pipes.pop(name, -1)
        if fd < 0:
            return None
        return open(fd, mode, buffering=0 if name == "stdin" else -1)  # type: ignore[return-value]  # binary mode

    @property
    def pty_fd(self) -> int:
        """The controlling side of the terminal of ``pty=True``; -1 without one. The session closes it."""
        return self._running.terminal_fd

    @property
    def ended(self) -> bool:
        """Whether the command is known to have ended."""
        return self._ended is not None

    def signal(self, number: int) -> None:
        """Send a signal to the command's process group; nothing happens when it has ended."""
        with self._lock:
            self._running.signal(number)

    def kill(self) -> None:
        """End every process of the sandbox at once; the result says *cancelled*."""
        with self._lock:
            if self._ended is None:
                self._termination = self._termination or Termination.CANCELLED
                self._running.kill()

    def terminate(self) -> None:
        """Ask the command to end with SIGTERM, and kill everything after the grace; the result says *cancelled*.

        The grace is counted by who waits or streams.
        """
        with self._lock:
            if self._ended is None and not self._termination and self._wake >= 0:
                self._termination = Termination.CANCELLED
                self._ask(time.monotonic())
                os.write(self._wake_end, b"x")  # who waits knows of no deadline yet

    def resize(self, rows: int, columns: int) -> None:
        """Tell the command's terminal its size; it gets SIGWINCH."""
        import fcntl
        import struct
        import termios

        fcntl.ioctl(self.pty_fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def stream(self) -> Iterator[tuple[str, bytes]]:
        """Yield ``(stream name, bytes)`` of the captured streams as they arrive, until the command has ended."""
        arrived: list[tuple[str, bytes]] = []
        while self._ended is None:
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
        """
        if self._result is not None:
            return self._result
        until = None if timeout is None else time.monotonic() + timeout
        while (ended := self._ended) is None:
            try:
                self._turn(until, None)
            except Exception:
                self.close()
                raise
            if not self.ended and until is not None and time.monotonic() >= until:
                raise TimeoutError(f"the command {self._argv[0]!r} still runs after {timeout:g} s")
        self._drain(None)
        self.close()
        self._result = self._make_result(ended)
        return self._result

    def close(self) -> None:
        """Kill what still runs and release everything; harmless the second time."""
        with self._lock:
            self._running.close()
            self._plumbing.close()
            if self._wake >= 0:
                os.close(self._wake)
                os.close(self._wake_end)
                self._wake = -1

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
        now = time.monotonic()
        times = [moment for moment in (self._deadline, self._kill_at, until) if moment is not None]
        wait_ms = max(0, int((min(times) - now) * 1000) + 1) if times else None
        for fd, _event in self._poller.poll(wait_ms):
            if fd == self._running.fileno():
                self._ended = self._running.poll()
                self._wall = time.monotonic() - self._begun
            elif fd == self._wake:
                os.read(fd, 1)
            elif fd in self._readers:
                self._read(fd, arrived)
            elif self._plumbing.feed is not None and not self._plumbing.feed.write():
                self._poller.unregister(fd)
        if self._ended is None:  # a report that came in the same moment as the deadline wins
            self._enforce_timeout(time.monotonic())

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
                pass
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

    def _enforce_timeout(self, now: float) -> None:
        if self._deadline is not None and now >= self._deadline:
            self._deadline = None
            self._termination = self._termination or Termination.TIMED_OUT
            self._ask(now)
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_at = None
            self._running.kill()

    def _ask(self, now: float) -> None:
        self._deadline = None
        self._kill_at = now + self._grace
        self._running.signal(_signal.SIGTERM)

    def _make_result(self, ended: Ended) -> ExecutionResult:
        code, number = _exit_code(ended.status)
        termination = self._termination
        if not termination:
            termination = Termination.EXITED if number is None else Termination.SIGNALED
        if termination == Termination.TIMED_OUT:
            code = TIMED_OUT
        captures = self._plumbing.captures
        usage = ResourceUsage(
            wall_time=self._wall,
            cpu_time=ended.user_time + ended.system_time,
            user_time=ended.user_time,
            system_time=ended.system_time,
            peak_memory=ended.peak_memory,
        )
        return ExecutionResult(
            argv=self._argv,
            exit_code=code,
            termination=termination,
            signal=number,
            stdout=captures["stdout"].content() if "stdout" in captures else b"",
            stderr=captures["stderr"].content() if "stderr" in captures else b"",
            stdout_dropped=captures["stdout"].dropped if "stdout" in captures else 0,
            stderr_dropped=captures["stderr"].dropped if "stderr" in captures else 0,
            usage=usage,
            receipt=Receipt(self._running.records(), self._backend, self._running.notes()),
            output_files=self._outputs(),
            started_at=self._started_at,
            duration=time.monotonic() - self._begun,
        )


def _exit_code(status: int | None) -> tuple[int, int | None]:
    """Translate a wait status to ``(what a shell reports, signal)``; ``None`` is a sandbox that was killed."""
    if status is None:
        return SIGNALED + _signal.SIGKILL, _signal.SIGKILL
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return SIGNALED + number, number
    return os.WEXITSTATUS(status), None
