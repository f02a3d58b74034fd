"""``bldr``: find the verb, run it, turn what went wrong into one sentence and an exit status."""

from __future__ import annotations

import sys

from bldr.cli.entry import open_missing_streams
from bldr.cli.options import HelpAskedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["main"]

INTERRUPTED = 130  # 128 + SIGINT


def main(
    arguments: Sequence[str] | None = None,
    *,
    dispatch: Callable[[list[str]], int] | None = None,
    begun: tuple[int, int] | None = None,
) -> int:
    """Run ``bldr`` and return its exit status.

    Args:
        arguments: Those of the process by default.
        dispatch: What runs the verb; a test gives one that fails.
        begun: The launcher of ``bldr run`` that was forked ahead: its number and the descriptor of the socket to it.
    """
    open_missing_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _dispatch(words, begun) if dispatch is None else dispatch(words)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the status of the command must not be confused with our own defect
        from bldr.cli.mishaps import status_of

        return status_of(error)


def _dispatch(arguments: list[str], begun: tuple[int, int] | None) -> int:
    if not arguments:
        from bldr.cli.help import overview
        from bldr.cli.messages import report
        from bldr.cli.mishaps import USAGE

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
        if begun is not None:
            from bldr.cli.run import main as run

            return run(rest, begun=begun)
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
