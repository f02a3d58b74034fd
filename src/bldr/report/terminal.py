"""``--progress``: what a command does while it runs, on standard error, without a byte of its output being touched.

``rich`` keeps one line below the output up to date, ``plain`` writes a line every few seconds. Both write only where a
line begins, and for that the command's output is relayed (:mod:`bldr.execution.relay`). The library of the name is
imported after a second, so that short commands do not wait for it.
"""

from __future__ import annotations

import _thread
import os
import stat
import time

from bldr.execution.loop import shared_loop
from bldr.execution.relay import Outlet, same_file
from bldr.model.text import visible
from bldr.report.units import share_text, size_text, time_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from bldr.execution.relay import Observer

    class Now(Protocol):
        """What is used now."""

        @property
        def cpu_time(self) -> float: ...
        @property
        def memory(self) -> int: ...
        @property
        def processes(self) -> int: ...

    class Session(Protocol):
        """What is needed of an execution."""

        @property
        def reading(self) -> Now | None: ...
        def observe_output(self, observer: Observer) -> None: ...


__all__ = ["MODES", "Plain", "Progress", "Rich", "chosen"]

MODES = ("plain", "rich", "none")
_STDOUT, _STDERR = 1, 2
_PATIENCE = 1.0  # seconds without a live line: most commands are over then
_REDRAW = 0.2  # seconds
_EVERY = 5.0  # seconds between two plain lines
_TAIL = 4096  # bytes of the output in which the last line is looked for
_ROOM = 3  # columns that stay free, so that the "^C" of the terminal does not begin a line of its own
_ERASE = b"\r\x1b[2K"


def chosen(mode: str, *, quiet: bool) -> Progress | None:
    """Return what shows the progress; ``None`` for nothing.

    Args:
        mode: One of ``MODES``; empty for ``rich`` where standard error is a terminal and nothing else writes on it.
        quiet: Whether nothing was asked for, and nothing is wanted.
    """
    if not mode:
        mode = "rich" if not quiet and os.isatty(_STDERR) and not _is_piped(_STDOUT) else "none"
    if mode == "rich" and os.isatty(_STDERR):
        return Rich()
    return Plain() if mode == "plain" else None


def _is_piped(fd: int) -> bool:
    """What reads a pipe may write on the same terminal, as ``tee`` does, in the middle of our line."""
    return stat.S_ISFIFO(os.fstat(fd).st_mode)


class Progress:
    """Speaks between the lines of the command. The loop's thread draws, the session's thread passes output on."""

    def __init__(self, first: float) -> None:
        self.due = time.monotonic() + first
        self._begun = time.monotonic()
        self._lock = _thread.allocate_lock()
        self._outlet = Outlet(_STDERR)
        self._session: Session | None = None
        self._memory: int | None = None
        self._at_start = True  # of a line
        self._tail = b""
        self._last = (self._begun, 0.0)  # a moment, and the CPU time then
        self._closed = False

    @property
    def stdout(self) -> str:
        """What the session shall do with the command's standard output."""
        return "relay" if os.isatty(_STDOUT) or same_file(_STDOUT, _STDERR) else "inherit"

    def watch(self, session: Session, memory: int | None) -> None:
        """Begin.

        Args:
            session: What to watch.
            memory: The limit, in bytes.
        """
        self._session = session
        self._memory = memory
        session.observe_output(self)
        shared_loop().add(self)

    def close(self) -> None:
        """Leave the terminal to others; harmless the second time."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self.due = float("inf")
            self._clear()
            self._outlet.close()
        shared_loop().remove(self)

    def before_output(self) -> None:
        """Make way: see :class:`bldr.execution.relay.Observer`."""
        self._lock.acquire()  # until after_output
        self._clear()

    def after_output(self, data: memoryview) -> None:
        """Notice where the output stands now."""
        if data:
            self._at_start = data[-1] == 10  # a line feed
            self._tail = (self._tail + bytes(data[-_TAIL:]))[-_TAIL:]
            if self._at_start and not self._closed:
                self._put_back()
        self._lock.release()

    def look(self, now: float) -> None:
        """Write what there is to say; called by the loop."""
        with self._lock:
            if not self._closed:
                self.due = now + self._interval
                if self._at_start:
                    self._speak(now)

    _interval = _EVERY

    def _clear(self) -> None:
        """Take away what may not stay."""

    def _put_back(self) -> None:
        """Show again what made way."""

    def _speak(self, now: float) -> None:
        """Say what there is to say."""

    def _facts(self, now: float) -> list[str]:
        """Elapsed, CPU, memory, processes; what is not known is left out."""
        facts = [time_text(float(int(now - self._begun)))]
        reading = None if self._session is None else self._session.reading
        if reading is not None:
            before, cpu_time = self._last
            if now - before >= 0.05:
                cpus = max(0.0, reading.cpu_time - cpu_time) / (now - before)
                self._last = (now, reading.cpu_time)
                facts.append(f"{share_text(round(cpus, 1))} CPUs")
            limit = "" if self._memory is None else f" of {size_text(self._memory)}"
            facts.append(f"{size_text(reading.memory)}{limit}")
            facts.append(f"{reading.processes} process{'' if reading.processes == 1 else 'es'}")
        return facts

    def _write(self, data: bytes) -> bool:
        try:
            return self._outlet.write(data) == len(data)
        except OSError:  # it is held up, or nobody reads it: progress is not worth waiting for
            return False


class Plain(Progress):
    """A line every few seconds, for logs."""

    def __init__(self, interval: float = _EVERY) -> None:
        super().__init__(interval)
        self._interval = interval

    def _speak(self, now: float) -> None:
        self._write(f"bldr: {', '.join(self._facts(now))}\n".encode())


class Rich(Progress):
    """One line below the output, drawn again and again."""

    _interval = _REDRAW

    def __init__(self, patience: float = _PATIENCE) -> None:
        super().__init__(patience)
        self._shown = False
        self._line = b""  # as it was drawn last

    def _clear(self) -> None:
        if self._shown and self._write(_ERASE):
            self._shown = False

    def _put_back(self) -> None:
        if self._line and not self._shown:
            self._shown = self._write(self._line)

    def _speak(self, now: float) -> None:
        if not self._is_in_foreground():
            self._line = b""
            return
        self._line = _ERASE + self._drawn(now).encode("utf-8", "backslashreplace")
        self._shown = self._write(self._line) or self._shown

    def _is_in_foreground(self) -> bool:
        try:
            return os.tcgetpgrp(_STDERR) == os.getpgrp()
        except OSError:  # it is not the terminal that controls this process
            return True

    def _drawn(self, now: float) -> str:
        """The line, cut to the width of the terminal."""
        from rich.console import Console
        from rich.text import Text

        try:
            columns = os.get_terminal_size(_STDERR).columns
        except OSError:
            columns = 80
        elapsed, *facts = self._facts(now)
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(elapsed, "bold")
        for fact in facts:
            line.append(" · ", "dim")
            line.append(fact)
        if spoken := last_line(self._tail):
            line.append(" · ", "dim")
            line.append(spoken, "dim")
        line.truncate(max(10, columns - _ROOM), overflow="ellipsis")
        console = Console(force_terminal=True, width=max(10, columns), highlight=False, legacy_windows=False)
        with console.capture() as drawn:
            console.print(line, end="", soft_wrap=True)
        return drawn.get()


def last_line(tail: bytes) -> str:
    """The last line that says something, without the sequences that colour it or move the cursor."""
    import re

    plain = re.sub(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])", b"", tail)
    lines = [line.strip() for line in re.split(rb"[\r\n]+", plain)]
    return visible(next((line for line in reversed(lines) if line), b"").decode("utf-8", "surrogateescape"))
