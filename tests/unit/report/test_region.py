"""The lines below the messages of a build: nothing above them is ever touched, and they fit every terminal."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bldr.report.region import Region, View, cut, lines_of, seconds_text
from tests.screens import Screen

RUNNING = (("//lib:util compile src/a/long/way/to/the/end/main.c", 12.34), ("//:app link bin/app", 0.4))
VIEW = View(40, 12, RUNNING, cached=5, failed=1, elapsed=83.0)


def words(view: View, columns: int, rows: int = 24) -> list[str]:
    return [line.plain for line in lines_of(view, columns, rows)]


def test_the_lines_of_a_usual_terminal() -> None:
    assert words(VIEW, 100) == [
        "━━━━━━────────────── 12/40 · 1 failed · 1 min 23 s · 2 running · 26 waiting · 5 cached",
        "  12.3 s  //lib:util compile src/a/long/way/to/the/end/main.c",
        "   0.4 s  //:app link bin/app",
    ]


def test_what_failed_stands_first_and_nothing_is_told_that_is_not() -> None:
    assert words(View(3, 1, (("a", 0.0),), elapsed=1.0), 50) == ["1/3 · 1.0 s · 1 running · 1 waiting", "  0.0 s  a"]
    assert words(View(3, 2, (), failed=2, elapsed=1.0, asked=1), 50)[0].startswith("2/3 · 2 failed · stopping, Ctrl-C")
    assert "killing" in words(View(3, 2, (), elapsed=1.0, asked=2), 50)[0]


def test_a_name_is_cut_in_its_middle() -> None:
    assert cut("short", 30) == "short"
    assert words(VIEW, 43)[1] == "  12.3 s  //lib:uti…ay/to/the/end/main.c"
    assert all(len(cut("//a:b compile " + "x" * 90, width)) == width for width in range(12, 90))


@given(st.integers(1, 200), st.integers(1, 60), st.integers(0, 40), st.booleans())
def test_lines_fit_whatever_the_size(columns: int, rows: int, count: int, wide: bool) -> None:
    running = tuple(
        (f"//日本:{'語' if wide else 'x'}{number} {'y' * number * 3}", number * 9.7) for number in range(count)
    )

    lines = lines_of(View(count * 2 + 1, count, running, 3, 2, 5000.0, 1), columns, rows)

    assert 1 <= len(lines) <= max(1, min(rows - 2, 12))
    assert all(line.cell_len <= max(20, columns - 3) for line in lines)
    shown = sum("//" in line.plain for line in lines)
    if shown < count and len(lines) > 1:
        assert lines[-1].plain == f"  and {count - shown} more"


def test_a_name_cannot_write_on_the_terminal() -> None:
    (_, line) = words(View(1, 0, (("//:a\x1b[2J\nb", 1.0),)), 80)

    assert "\\x1b[2J" in line
    assert line.isprintable()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (59.94, "59.9 s"), (60.0, "1 min"), (3725, "1 h 2 min")]
)
def test_seconds_that_are_counted(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """In place of a terminal: what is written at once can be read at once."""
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


def drawn(region: Region, view: View, reading: int) -> bytes:
    region.show(view)
    return os.read(reading, 65536)


def test_messages_stay_and_the_region_goes(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    reading, writing = pipe
    region, screen = Region(writing, lambda _fd: (80, 10)), Screen(80, 10)
    for number in range(20):
        running = tuple((f"//:t{one} run", float(one)) for one in range(number % 7))
        screen.feed(drawn(region, View(20, number, running, elapsed=number), reading))
        assert screen.lines[number].startswith("━" * number + "─" * (20 - number))
        assert screen.lines[number + 1 :] == [f"  {float(one):.1f} s  //:t{one} run" for one in range(number % 7)]
        region.clear()
        os.write(writing, b"message %d\n" % number)
        screen.feed(b"\r" + os.read(reading, 65536).replace(b"\n", b"\r\n"))
    region.show(View(20, 20))
    region.close()
    screen.feed(os.read(reading, 65536))

    assert screen.lines == [f"message {number}" for number in range(20)]


def test_a_terminal_without_colours_gets_none(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    reading, writing = pipe
    region = Region(writing, lambda _fd: (80, 10))
    coloured = drawn(region, VIEW, reading)
    monkeypatch.setenv("NO_COLOR", "1")
    plain = drawn(region, VIEW, reading)
    region.close()

    assert b"\x1b[31m" in coloured or b";31m" in coloured
    assert b"31m" not in plain
    assert b"1 failed" in plain


def test_a_terminal_that_takes_nothing_holds_nothing_up(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    region = Region(writing, lambda _fd: (80, 10))
    for _ in range(1000):
        region.show(VIEW)  # nobody reads: the pipe is full long before
    screen = Screen()
    screen.feed(os.read(reading, 1 << 20))

    assert screen.lines == words(VIEW, 80)


def test_what_a_terminal_did_not_take_comes_first(pipe: tuple[int, int]) -> None:
    class Slow:
        """Takes seven bytes at a time."""

        def __init__(self) -> None:
            self.taken = b""

        def write(self, data: bytes) -> int:
            self.taken += data[:7]
            return len(data[:7])

    region, slow = Region(pipe[1], lambda _fd: (80, 10)), Slow()
    region._outlet = slow  # type: ignore[assignment]
    for _ in range(200):
        region.show(VIEW)
    region.clear()
    screen = Screen()
    screen.feed(slow.taken + os.read(pipe[0], 65536))

    assert screen.lines == []
