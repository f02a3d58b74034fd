"""A few lines at the end of a terminal that change while a build goes on.

The cursor rests at the beginning of the first of them. Whatever a terminal makes of lines that no longer fit when its
size changes, everything from the cursor on is ours: it is erased and drawn again, and nothing above is touched. Who
says something else clears the region before. ``rich`` is imported when something is drawn for the first time.
"""

from __future__ import annotations

import os

from bldr.execution.relay import Outlet
from bldr.model.text import visible
from bldr.model.value import value
from bldr.report.units import time_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.text import Text

__all__ = ["Region", "View", "cut", "lines_of", "seconds_text"]

_ERASE = b"\r\x1b[J"
_ROOM = 3  # columns that stay free, so that the "^C" of the terminal does not begin a line of its own
_MOST = 12  # lines, however many actions run
_LEAST = 20  # columns that are drawn for, however narrow the terminal is
_BAR = 20
_WITH_BAR = 60  # columns from which there is room for a bar
_LONG = 10.0  # seconds after which an action is worth looking at


@value
class View:
    """What there is to see of a build at one moment.

    Args:
        total: How many actions there are.
        done: How many of them have ended, in whatever way.
        running: What runs: its name, and since how many seconds.
        cached: How many came from the cache.
        failed: How many failed.
        elapsed: Seconds since the build began.
        asked: How often somebody asked for the end.
    """

    total: int
    done: int = 0
    running: tuple[tuple[str, float], ...] = ()
    cached: int = 0
    failed: int = 0
    elapsed: float = 0.0
    asked: int = 0


def seconds_text(seconds: float) -> str:
    """Seconds that are still counted: ``0.4 s``, ``12.0 s``, then as :func:`bldr.report.units.time_text`."""
    return f"{seconds:.1f} s" if seconds < 59.95 else time_text(float(int(seconds)))


def cut(text: str, width: int) -> str:
    """Return a text that has room: what is left out is in its middle, because its ends say most.

    Example:
        >>> cut("//lib:util compile src/a/very/long/way/to/main.c", 30)
        '//lib:uti…y/long/way/to/main.c'
    """
    if not text.isascii() or len(text) <= width or width < 12:
        return text  # wide characters are cut at the end, by who knows how wide they are
    head = (width - 1) // 3
    return f"{text[:head]}…{text[len(text) - (width - 1 - head) :]}"


def lines_of(view: View, columns: int, rows: int) -> list[Text]:
    """Return the lines for a terminal of some size: at most as many as it has, less one."""
    from rich.text import Text

    width = max(_LEAST, columns - _ROOM)
    lines = [_summary(view, width)]
    room = max(0, min(rows - 2, _MOST) - 1)
    shown = view.running if len(view.running) <= room else view.running[: max(0, room - 1)]
    times = [seconds_text(seconds) for _, seconds in shown]
    space = max(map(len, times), default=0)
    for (name, seconds), time in zip(shown, times, strict=True):
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(f"  {time:>{space}}  ", "bold yellow" if seconds >= _LONG else "dim")
        line.append(cut(visible(name), width - len(line)))
        line.truncate(width, overflow="ellipsis")
        lines.append(line)
    if len(shown) < len(view.running) and room:
        lines.append(Text(f"  and {len(view.running) - len(shown)} more", "dim"))
    return lines


def _summary(view: View, width: int) -> Text:
    """The first line; what has to be known most of all stands first, because a narrow terminal shows no more."""
    from rich.text import Text

    line = Text(no_wrap=True, overflow="ellipsis")
    if width >= _WITH_BAR:
        filled = _BAR * view.done // view.total if view.total else 0
        line.append("━" * filled, "red" if view.failed else "cyan")
        line.append("─" * (_BAR - filled), "dim")
        line.append(" ")
    line.append(f"{view.done}/{view.total}", "bold")
    waiting = view.total - view.done - len(view.running)
    facts = [
        (f"{view.failed} failed", "bold red", view.failed),
        (_stopping(view), "bold yellow", view.asked),
        (seconds_text(view.elapsed), "", 1),
        (f"{len(view.running)} running", "", view.running),
        (f"{waiting} waiting", "", waiting),
        (f"{view.cached} cached", "", view.cached),
    ]
    for words, style, is_told in facts:
        if is_told:
            line.append(" · ", "dim")
            line.append(words, style)
    line.truncate(width, overflow="ellipsis")
    return line


def _stopping(view: View) -> str:
    return "killing" if view.asked > 1 else "stopping, Ctrl-C again kills"


class Region:
    """The lines at the end of a terminal.

    Args:
        fd: The terminal.
        size: Says how many columns and rows it has.
    """

    def __init__(self, fd: int, size: Callable[[int], tuple[int, int]] = os.get_terminal_size) -> None:
        self._fd = fd
        self._size = size
        self._outlet = Outlet(fd)
        self._pending = b""  # what a terminal that was held up did not take of what was drawn
        self._shown = False

    def show(self, view: View) -> None:
        """Draw it, over what was drawn before."""
        if not self._is_in_foreground():
            return
        try:
            columns, rows = self._size(self._fd)
        except OSError:
            columns, rows = 80, 24
        drawn = _drawn(lines_of(view, columns or 80, rows or 24), columns or 80)
        try:
            if not self._pending:
                self._pending = drawn
            self._pending = self._pending[self._outlet.write(self._pending) :]
            self._shown = True
        except OSError:  # it is held up, or nobody reads it: progress is not worth waiting for
            return

    def clear(self) -> None:
        """Make way for what others say."""
        if not self._shown:
            return
        data, self._pending, self._shown = self._pending + _ERASE, b"", False
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError:  # nobody reads it
            return

    def close(self) -> None:
        """Leave the terminal to others."""
        self.clear()
        self._outlet.close()

    def _is_in_foreground(self) -> bool:
        try:
            return os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError:  # it is not the terminal that controls this process
            return True


def _drawn(lines: Sequence[Text], columns: int) -> bytes:
    from rich.console import Console

    console = Console(force_terminal=True, width=max(_LEAST, columns), highlight=False, legacy_windows=False)
    with console.capture() as captured:
        for line in lines:
            console.print(line, soft_wrap=True)
    drawn = captured.get().rstrip("\n").encode("utf-8", "backslashreplace").split(b"\n")
    up = b"\x1b[%dA" % (len(drawn) - 1) if len(drawn) > 1 else b""
    return b"\r" + b"\x1b[K\r\n".join(drawn) + b"\x1b[J\r" + up
