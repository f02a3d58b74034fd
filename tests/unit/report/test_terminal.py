"""What the live line takes from the output."""

from __future__ import annotations

import pytest

from bldr.report.terminal import last_line


@pytest.mark.parametrize(
    ("tail", "line"),
    [
        (b"", ""),
        (b"one\ntwo\n", "two"),
        (b"one\n\n  \n", "one"),
        (b"10%\r20%\r\n", "20%"),
        (b"\x1b[1;31mred\x1b[0m text\x1b[K\n", "red text"),
        (b"\x1b]0;title\x07after\n", "after"),
        (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\\n", "link"),
        (b"caf\xe9 \x07bell\n", "caf\\xe9 \\x07bell"),
    ],
)
def test_the_last_line_in_plain_words(tail: bytes, line: str) -> None:
    assert last_line(tail) == line
