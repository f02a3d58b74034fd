"""What bldr says cannot be forged by a file name, and never ends in a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bldr.cli.messages import complain, has_colour, say, visible
from bldr.cli.options import UsageError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 日本", "plain é 日本"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("caf\udce9", "caf\\xe9"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\x7f\x9b", "\\x7f\\x9b"),
    ],
)
def test_what_is_not_printable_is_escaped(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text())
def test_visible_text_is_printable_and_stays_as_it_is(text: str) -> None:
    assert visible(text).isprintable()
    assert visible(visible(text)) == visible(text)


def test_every_line_of_ours_has_the_prefix(capfd: pytest.CaptureFixture[str]) -> None:
    say("one\ntwo")
    complain(UsageError("it is wrong", hint="mend it\nor leave it"))
    complain(UsageError("no remedy"))

    out, err = capfd.readouterr()
    assert out == ""
    assert err == (
        "bldr: one\nbldr: two\nbldr: it is wrong\nbldr: hint: mend it\nbldr: hint: or leave it\nbldr: no remedy\n"
    )


def test_a_sentence_is_one_line_whatever_a_name_holds(capfd: pytest.CaptureFixture[str]) -> None:
    complain(UsageError("no file a\nbldr: all is well"))

    assert capfd.readouterr().err == "bldr: no file a\\nbldr: all is well\n"


def test_a_closed_reader_of_a_page_is_told_apart() -> None:
    program = """
import os
from bldr.cli.messages import OutputClosedError, page, say
reading, writing = os.pipe()
os.close(reading)
os.dup2(writing, 1)
try:
    page("text")
except OutputClosedError:
    say("told apart")
os.close(2)
say("nobody hears this, and nobody minds")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=True)

    assert done.stderr == b"bldr: told apart\n"


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    leader, follower = os.openpty()
    try:
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.delenv("NO_COLOR", raising=False)
        assert has_colour(follower)
        monkeypatch.setenv("NO_COLOR", "1")
        assert not has_colour(follower)
        monkeypatch.delenv("NO_COLOR")
        monkeypatch.setenv("TERM", "dumb")
        assert not has_colour(follower)
        monkeypatch.setenv("TERM", "xterm")
        with (tmp_path / "file").open("w") as file:
            assert not has_colour(file.fileno())
    finally:
        os.close(leader)
        os.close(follower)
