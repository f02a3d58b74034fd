"""The records of failed runs, for ``bldr explain``: in the user's state directory, the last twenty."""

from __future__ import annotations

import os

from bldr.explain.cause import Cause
from bldr.model.paths import printable
from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bldr.model.result import ExecutionResult

__all__ = ["Record", "load", "save", "state_directory"]

_SCHEMA = 1
_KEPT = 20
_LARGEST = 16 * 1024 * 1024  # bytes of a record that is read


@value
class Record:
    """A failed run.

    Args:
        name: What ``bldr explain NAME`` calls it.
        argv: The command.
        exit_code: Its status.
        level: How much was traced.
        causes: The likeliest first.
        unused: The declared inputs in which nothing was found, where that was traced.
    """

    name: str
    argv: tuple[str, ...]
    exit_code: int
    level: str
    causes: tuple[Cause, ...]
    unused: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return the record for JSON."""
        return {
            "schema": _SCHEMA,
            "argv": [printable(word) for word in self.argv],
            "exit_code": self.exit_code,
            "level": self.level,
            "causes": [cause.to_dict() for cause in self.causes],
            "unused_inputs": [printable(path) for path in self.unused],
        }


def state_directory(environment: Mapping[str, str]) -> str:
    """Where records are; empty when the caller has no home."""
    base = environment.get("XDG_STATE_HOME", "")
    if not os.path.isabs(base):
        home = environment.get("HOME", "")
        if not os.path.isabs(home):
            return ""
        base = f"{home}/.local/state"
    return f"{base}/bldr/runs"


def save(result: ExecutionResult, causes: Sequence[Cause], environment: Mapping[str, str]) -> str:
    """Write the record of a failed run, for its user only, and remove those that are too many.

    Returns:
        Its name; empty where it cannot be kept, which must not change what a run means.
    """
    from json import dumps

    directory = state_directory(environment)
    if not directory:
        return ""
    name = f"{int(result.started_at * 1000)}-{os.getpid()}"
    level = "off" if result.trace is None else result.trace.level
    record = Record(name, result.argv, result.exit_code, level, tuple(causes), result.unused_inputs)
    draft = f"{directory}/.{name}.part"
    try:
        os.makedirs(directory, 0o700, exist_ok=True)
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(fd, "w", encoding="ascii") as file:
            file.write(dumps(record.to_dict()))
        os.rename(draft, f"{directory}/{name}.json")
        for old in _names(directory)[:-_KEPT]:
            os.unlink(f"{directory}/{old}.json")
    except OSError:
        return ""
    return name


def load(name: str, environment: Mapping[str, str]) -> Record | None:
    """Read a record; the last one without a name. ``None`` when there is none.

    Raises:
        ValueError: It is no record.
        OSError: It cannot be read.
    """
    from json import loads

    directory = state_directory(environment)
    names = _names(directory) if directory else []
    if not name and names:
        name = names[-1]
    if name not in names:
        return None
    with open(f"{directory}/{name}.json", encoding="ascii") as file:
        document = loads(file.read(_LARGEST))
    try:
        if document["schema"] != _SCHEMA:
            raise ValueError(f"schema {document['schema']!r}")
        causes = tuple([Cause.from_dict(one) for one in document["causes"]])
        unused = tuple(map(str, document.get("unused_inputs", ())))
        return Record(name, tuple(document["argv"]), int(document["exit_code"]), str(document["level"]), causes, unused)
    except (KeyError, TypeError) as error:
        raise ValueError(f"it is no record of a run: {error}") from error


def _names(directory: str) -> list[str]:
    try:
        found = [name.removesuffix(".json") for name in os.listdir(directory) if name.endswith(".json")]
    except OSError:
        return []
    return sorted([name for name in found if name[:1].isdigit()], key=_moment)


def _moment(name: str) -> tuple[int, str]:
    first = name.partition("-")[0]
    return int(first) if first.isdigit() else 0, name
