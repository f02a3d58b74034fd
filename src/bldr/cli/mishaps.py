"""Turn what went wrong into one sentence and an exit status; loaded when something has."""

from __future__ import annotations

import os

from bldr.cli.messages import OutputClosedError, complain, say
from bldr.cli.options import UsageError
from bldr.errors import BldrError

__all__ = ["USAGE", "status_of"]

USAGE = 2  # the command line or a setting cannot be understood
TIMED_OUT = 124  # as timeout(1); it passed while the sandbox was made, otherwise there is a result
FAILED = 125  # bldr itself failed; the command did not start
NOT_EXECUTABLE = 126
NOT_FOUND = 127
OUTPUT_CLOSED = 141  # 128 + SIGPIPE, what a program in C would report
_STATUS = {
    "action.timed-out": TIMED_OUT,
    "spec.command-not-executable": NOT_EXECUTABLE,
    "spec.command-not-found": NOT_FOUND,
}


def status_of(error: Exception) -> int:
    """Say what went wrong, and return the exit status for it."""
    if isinstance(error, OutputClosedError):
        return OUTPUT_CLOSED
    if isinstance(error, UsageError):
        complain(error)
        return USAGE
    status = FAILED
    if isinstance(error, BldrError):
        complain(error)
        status = _STATUS.get(error.code, FAILED)
    elif isinstance(error, OSError):
        what = f" {error.filename!r}" if error.filename else ""
        say(f"{error.strerror or error}{what}")
    else:
        say(f"internal error: {type(error).__name__}: {error}")
        say("hint: BUILDER_HERMETIC_DEBUG=true shows where; please report it")
    _show_traceback(error)
    return status


def _show_traceback(error: Exception) -> None:
    if os.environ.get("BUILDER_HERMETIC_DEBUG", "").lower() in ("true", "1", "yes", "on"):
        import traceback

        for line in "".join(traceback.format_exception(error)).rstrip().split("\n"):
            say(line)
