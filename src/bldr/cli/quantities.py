"""Numbers as they are written on the command line and in settings.

``origin`` is where the text stands (``--memory``, ``BUILDER_HERMETIC_MEMORY``, ``.builderrc:3: ...``); it begins the
message. A number that cannot be read is a mistake of the command line, not of the spec: exit status 2.
"""

from __future__ import annotations

from bldr.cli.options import UsageError
from bldr.errors import InvalidLimitError
from bldr.model.limits import parse_count, parse_duration, parse_size

__all__ = ["count", "duration", "size", "user_id"]

_LARGEST_ID = 2**32 - 2  # (uid_t)-1 means "no change"


def size(text: str, origin: str) -> int:
    """A number of bytes.

    Raises:
        UsageError: The text is no size.
    """
    try:
        return parse_size(text, what=origin)
    except InvalidLimitError as error:
        raise UsageError(error.message, hint=error.hint) from error


def duration(text: str, origin: str) -> float:
    """A number of seconds.

    Raises:
        UsageError: The text is no duration.
    """
    try:
        return parse_duration(text, what=origin)
    except InvalidLimitError as error:
        raise UsageError(error.message, hint=error.hint) from error


def count(text: str, origin: str) -> int:
    """A number of things, at least one.

    Raises:
        UsageError: The text is no such number.
    """
    try:
        return parse_count(text, what=origin)
    except InvalidLimitError as error:
        raise UsageError(error.message, hint=error.hint) from error


def user_id(text: str, origin: str) -> int:
    """A numeric user id.

    Raises:
        UsageError: The text is none.
    """
    if not (text.isascii() and text.isdecimal()) or len(text) > 10 or int(text) > _LARGEST_ID:
        raise UsageError(f"{origin} {text!r} is not a numeric user id", hint=f"write a number from 0 to {_LARGEST_ID}")
    return int(text)
