"""What bldr says, and where: its own words on stderr, each line prefixed, and pages on stdout.

Text from outside (paths, commands) may hold anything. Control characters, undecodable bytes and the characters that
reorder a line are shown escaped, so that a file name cannot write on the caller's terminal.
"""

from __future__ import annotations

import os
import sys

from bldr.model.text import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class _Complaint(Protocol):
        message: str
        hint: str


__all__ = ["OutputClosedError", "complain", "has_colour", "page", "report", "say", "say_in", "visible"]

_STDOUT = 1
_STDERR = 2


class OutputClosedError(Exception):
    """The reader of standard output has gone, as ``head`` does."""


def say(text: str) -> None:
    """Write one line (or a few) to stderr, prefixed."""
    _write(_STDERR, "".join(f"bldr: {visible(line)}\n" for line in text.split("\n")))


def say_in(style: str, text: str) -> None:
    """Write one line to stderr, prefixed, and coloured where colours are wanted.

    Args:
        style: ``good``, ``bad``, or empty.
        text: The line.
    """
    code = {"good": "32", "bad": "1;31"}.get(style, "")
    if not code or not has_colour(_STDERR):
        say(text)
    else:
        _write(_STDERR, f"bldr: \x1b[{code}m{visible(text)}\x1b[0m\n")


def complain(error: _Complaint) -> None:
    """Write an error: its sentence, then its hint."""
    _write(_STDERR, f"bldr: {visible(error.message)}\n")
    if error.hint:
        _write(_STDERR, "".join(f"bldr: hint: {visible(line)}\n" for line in error.hint.split("\n")))


def report(text: str) -> None:
    """Write finished lines to stderr as they are; used for tables whose cells were made visible before."""
    _write(_STDERR, text)


def page(text: str) -> None:
    """Write to stdout what the caller asked to see.

    Raises:
        OutputClosedError: Nobody reads it any more.
        OSError: It cannot be written, for example because the disk is full.
    """
    try:
        _write_all(_STDOUT, _encoded(text))
    except BrokenPipeError as error:
        raise OutputClosedError from error


def has_colour(fd: int) -> bool:
    """Whether colours are wanted there: a terminal, no ``NO_COLOR``, and not a dumb one."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb" and os.isatty(fd)


def _write(fd: int, text: str) -> None:
    try:
        _write_all(fd, _encoded(text))
    except OSError:
        # Nobody can be told that telling does not work; the exit status still says what happened.
        return


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _encoded(text: str) -> bytes:
    stream = sys.stderr or sys.stdout
    return text.encode(getattr(stream, "encoding", None) or "utf-8", "backslashreplace")
