"""``bldr``: find the verb, run it, turn what went wrong into one sentence and an exit status."""

from __future__ import annotations

import atexit
import gc
import os
import sys

from bldr.cli.messages import OutputClosedError, complain, say
from bldr.cli.options import HelpAskedError, UsageError
from bldr.errors import BldrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

__all__ = ["main", "start"]

USAGE = 2  # the command line or a setting cannot be understood
TIMED_OUT = 124  # as timeout(1); it passed while the sandbox was made, otherwise there is a result
FAILED = 125  # bldr itself failed; the command did not start
NOT_EXECUTABLE = 126
NOT_FOUND = 127
INTERRUPTED = 130  # 128 + SIGINT
OUTPUT_CLOSED = 141  # 128 + SIGPIPE, what a program in C would report


def start() -> NoReturn:
    """Be the process of ``bldr``: run it, then end at once. Never returns.

    Nothing is left to finalise when the exit functions have run, and taking the interpreter apart takes 4 ms of the
    30 that ``bldr run -- true`` takes. The cycle collector finds nothing in so short a life, either (1 ms).
    """
    gc.disable()
    status = FAILED
    try:
        status = main()
        atexit._run_exitfuncs()  # noqa: SLF001 - what the interpreter calls, too; it ends the launcher
    finally:
        os._exit(status)


def main(arguments: Sequence[str] | None = None, *, dispatch: Callable[[list[str]], int] | None = None) -> int:
    """Run ``bldr`` and return its exit status.

    Args:
        arguments: Those of the process by default.
        dispatch: What runs the verb; a test gives one that fails.
    """
    _open_missing_streams()
    try:
        return (dispatch or _dispatch)(list(sys.argv[1:] if arguments is None else arguments))
    except UsageError as error:
        complain(error)
        return USAGE
    except BldrError as error:
        complain(error)
        _show_traceback()
        return _STATUS.get(error.code, FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED
    except OutputClosedError:
        return OUTPUT_CLOSED
    except OSError as error:
        what = f" {error.filename!r}" if error.filename else ""
        say(f"{error.strerror or error}{what}")
        _show_traceback()
        return FAILED
    except Exception as error:  # noqa: BLE001 - the status of the command must not be confused with our own defect
        say(f"internal error: {type(error).__name__}: {error}")
        say("hint: BUILDER_HERMETIC_DEBUG=true shows where; please report it")
        _show_traceback()
        return FAILED


_STATUS = {
    "action.timed-out": TIMED_OUT,
    "spec.command-not-executable": NOT_EXECUTABLE,
    "spec.command-not-found": NOT_FOUND,
}


def _dispatch(arguments: list[str]) -> int:
    if not arguments:
        from bldr.cli.help import overview
        from bldr.cli.messages import report

        report(overview())
        return USAGE
    first, rest = arguments[0], arguments[1:]
    if first in ("-h", "--help"):
        return _help([])
    if first in ("-V", "--version"):
        return _version()
    module = _MODULES.get(first)
    if module is None:
        from bldr.cli.help import unknown_verb

        raise unknown_verb(first)
    verb: Callable[[Sequence[str]], int] = __import__(f"bldr.cli.{module}", fromlist=["main"]).main
    try:
        return verb(rest)
    except HelpAskedError as asked:
        from bldr.cli.help import verb_page
        from bldr.cli.messages import page

        page(verb_page(asked.verb))
        return 0


# The module of each verb; it is imported only when it is asked for.
_MODULES = {
    "audit": "audit",
    "build": "glance",
    "cache": "cache",
    "clean": "clean",
    "completion": "completion",
    "doctor": "doctor",
    "explain": "explain",
    "fmt": "fmt",
    "help": "help",
    "learn": "learn",
    "plan": "plan",
    "query": "query",
    "run": "run",
    "shell": "shell",
    "test": "test",
    "try": "trial",
}


def _help(arguments: Sequence[str]) -> int:
    from bldr.cli.help import main as show

    return show(arguments)


def _version() -> int:
    from bldr import __version__
    from bldr.cli.messages import page

    page(f"bldr {__version__}\n")
    return 0


def _open_missing_streams() -> None:
    """Open ``/dev/null`` where the caller closed a standard stream.

    Otherwise the next file that bldr opens would get the number of that stream, and the command or a message would
    write into it.
    """
    for fd, flags in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(fd)
        except OSError:
            os.set_inheritable(os.open(os.devnull, flags), True)  # it gets the lowest free number, which is this one


def _show_traceback() -> None:
    if os.environ.get("BUILDER_HERMETIC_DEBUG", "").lower() in ("true", "1", "yes", "on"):
        import traceback

        for line in traceback.format_exc().rstrip().split("\n"):
            say(line)
