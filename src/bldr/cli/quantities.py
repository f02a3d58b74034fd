"""Numbers as they are written on the command line and in settings; an error begins with where the text stands."""

from __future__ import annotations

from bldr.cli.options import UsageError

__all__ = ["count", "duration", "size", "whole"]


def size(text: str, origin: str) -> int:
    """A number of bytes.

    Raises:
        UsageError: The text is no size; the message begins with where it stands.
    """
    from bldr.errors import InvalidLimitError
    from bldr.model.limits import parse_size

    try:
        return parse_size(text)
    except InvalidLimitError as error:
        raise UsageError(f"{origin}: {error.message}", hint=error.hint) from error


def duration(text: str, origin: str) -> float:
    """A number of seconds.

    Raises:
        UsageError: The text is no duration; the message begins with where it stands.
    """
    from bldr.errors import InvalidLimitError
    from bldr.model.limits import parse_duration

    try:
        return parse_duration(text)
    except InvalidLimitError as error:
        raise UsageError(f"{origin}: {error.message}", hint=error.hint) from error


def count(text: str, origin: str) -> int:
    """A whole number above zero.

    Raises:
        UsageError: The text is none; the message begins with where it stands.
    """
    number = whole(text, origin)
    if number < 1:
        raise UsageError(f"{origin}: {text!r} is not a whole number above 0")
    return number


def whole(text: str, origin: str) -> int:
    """A whole number, zero included.

    Raises:
        UsageError: The text is none; the message begins with where it stands.
    """
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise UsageError(f"{origin}: {text!r} is not a whole number")
    return int(text)
