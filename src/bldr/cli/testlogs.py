"""What is kept of tests below ``.builder``: what each printed, and what became of its cases."""

from __future__ import annotations

import os

from bldr.engine.testing import Case

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["read", "report_of", "write"]

_SCHEMA = 1


def write(folder: str, cases: Iterable[Case], seconds: float, log: bytes) -> None:
    """Keep what a test printed and what became of it.

    Args:
        folder: The folder of the test.
        cases: Its cases.
        seconds: How long it took.
        log: What it printed.

    Raises:
        OSError: The folder cannot be written.
    """
    from json import dumps

    os.makedirs(folder, exist_ok=True)
    rows = [[getattr(case, name) for name in Case.__match_args__] for case in cases]
    told = dumps({"schema": _SCHEMA, "cases": rows, "seconds": seconds})
    for name, data in (("log", log), ("cases.json", told.encode("ascii"))):
        draft = os.path.join(folder, f".{name}.part")
        with open(draft, "wb") as file:
            file.write(data)
        os.replace(draft, os.path.join(folder, name))


def read(folder: str) -> tuple[tuple[Case, ...], float, bytes]:
    """Return the cases, the seconds and the log that were kept; nothing where nothing is."""
    from json import loads

    try:
        with open(os.path.join(folder, "cases.json"), "rb") as file:
            told = loads(file.read())
        with open(os.path.join(folder, "log"), "rb") as file:
            log = file.read()
        if told["schema"] != _SCHEMA:
            return (), 0.0, b""
        return tuple([Case(*row) for row in told["cases"]]), float(told["seconds"]), log
    except (OSError, ValueError, KeyError, TypeError):
        return (), 0.0, b""


def report_of(root: str, reports: Sequence[str]) -> bytes | None:
    """Return the report that a test has written."""
    for path in reports:
        try:
            with open(os.path.join(root, path), "rb") as file:
                return file.read()
        except OSError:
            continue
    return None
