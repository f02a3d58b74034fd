"""Numbers as they are written on the command line and in settings.

``origin`` is where the text stands (``--memory``, ``BUILDER_HERMETIC_MEMORY``, ``.builderrc:3: ...``); it begins the
message. A number that cannot be read is a mistake of the command line, not of the spec: exit status 2.
"""

from __future__ import annotations

from bldr.cli.options import UsageError
from bldr.errors import InvalidLimitError
from bldr.model.limits import ResourceLimits, parse_count, parse_duration, parse_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Number = TypeVar("Number", int, float)

__all__ = ["FALSE", "TRUE", "count", "duration", "limit", "size", "truth", "user_id"]

TRUE = ("true", "1", "yes", "on")
FALSE = ("false", "0", "no", "off")
_LARGEST_ID = 2**32 - 2  # (uid_t)-1 means "no change"


def size(text: str, origin: str) -> int:
    """A number of bytes.

    Raises:
        UsageError: The text is no size.
    """
    return _read(parse_size, text, origin)


def duration(text: str, origin: str) -> float:
    """A number of seconds.

    Raises:
        UsageError: The text is no duration.
    """
    return _read(parse_duration, text, origin)


def count(text: str, origin: str, *, minimum: int = 1) -> int:
    """A number of things.

    Raises:
        UsageError: The text is no such number.
    """
    return _read(parse_count, text, origin, minimum=minimum)


def limit(name: str, text: str, origin: str) -> ResourceLimits:
    """One limit, by the name of its field.

    Raises:
        UsageError: The text is not what that limit takes.
    """
    try:
        return ResourceLimits(**{name: text})  # type: ignore[arg-type]  # every field reads text
    except InvalidLimitError as error:
        message = error.message.replace(name, origin, 1)  # the field's name begins the message
        raise UsageError(message, hint=error.hint) from error


def _read(parse: Callable[..., Number], text: str, origin: str, **bounds: int) -> Number:
    try:
        return parse(text, what=origin, **bounds)
    except InvalidLimitError as error:
        raise UsageError(error.message, hint=error.hint) from error


def truth(text: str, origin: str) -> bool:
    """Yes or no.

    Raises:
        UsageError: The text is neither.
    """
    if text.lower() in TRUE:
        return True
    if text.lower() in FALSE:
        return False
    raise UsageError(f"{origin}: {text!r} is neither true nor false")


def user_id(text: str, origin: str) -> int:
    """A numeric user id.

    Raises:
        UsageError: The text is none.
    """
    if not (text.isascii() and text.isdecimal()) or len(text) > 10 or int(text) > _LARGEST_ID:
        raise UsageError(f"{origin} {text!r} is not a numeric user id", hint=f"write a number from 0 to {_LARGEST_ID}")
    return int(text)
