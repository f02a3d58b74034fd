"""``--events FILE``: what happens in a build, a line of JSON each, for programs that follow it or read it afterwards.

Each line is one write to the end of the file, so that it is whole or not there, whatever happens to bldr. The lines and
their keys are described in ``docs/build.md``; within one ``schema``, events and keys are only added.
"""

from __future__ import annotations

import os
import stat
import time
from json import dumps  # noqa: TID253  # only who asks for events imports it

from bldr.cli.messages import say
from bldr.cli.options import UsageError
from bldr.engine.outcome import Observer
from bldr.engine.result import SCHEMA, action_to_dict, counts_of
from bldr.model.paths import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Self

    from bldr.engine.action import Action
    from bldr.engine.outcome import Outcome
    from bldr.engine.result import BuildResult

__all__ = ["EventFile"]


class EventFile(Observer):
    """Writes events. A file that cannot be written any more is said once, and the build goes on.

    Args:
        path: The file, which is emptied; a pipe or ``/dev/fd/3`` is written as it is.
        more: Whether events are added to those of an earlier build.
    """

    def __init__(self, path: str, *, more: bool = False) -> None:
        if path in ("", "-"):
            raise UsageError(f"--events {path}: that is no file", hint="name a file, or /dev/fd/3 with 3>&1")
        self._path = path
        self._more = more
        self._fd = -1
        self._is_regular = False
        self._sequence = 0
        self._began = time.monotonic()
        self._head: dict[str, object] = {}
        self._root = ""
        self._say: Callable[[str], None] = say

    def __enter__(self) -> Self:
        flags = os.O_WRONLY | os.O_APPEND | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOCTTY", 0)
        try:
            self._fd = os.open(self._path, flags | os.O_CREAT, 0o666)
            self._is_regular = stat.S_ISREG(os.fstat(self._fd).st_mode)
            if self._is_regular and not self._more:
                os.ftruncate(self._fd, 0)
        except OSError as error:
            raise OSError(error.errno, f"cannot write the events: {error.strerror}", self._path) from error
        return self

    def __exit__(self, *_error: object) -> None:
        self._close()

    def prepare(
        self, root: str, verb: str, targets: Sequence[str], *, hermetic: bool, say: Callable[[str], None]
    ) -> None:
        """Note what is built; the first event tells it.

        Args:
            root: The absolute path of the workspace.
            verb: ``build`` or ``test``.
            targets: The labels that were asked for.
            hermetic: Whether there are sandboxes.
            say: Says a sentence.
        """
        from bldr import __version__

        self._root = root
        self._say = say
        self._head = {
            "schema": SCHEMA,
            "bldr": __version__,
            "process": os.getpid(),
            "verb": verb,
            "workspace": printable(root),
            "targets": [printable(label) for label in targets],
            "hermetic": hermetic,
        }

    def begun(self, total: int, jobs: int) -> None:
        """A build begins."""
        self._began = time.monotonic()
        self._write("build-began", self._head | {"actions": total, "jobs": jobs})

    def started(self, action: Action, reason: str) -> None:
        """An action is stale."""
        told: dict[str, object] = {
            "action": printable(str(action)),
            "target": printable(str(action.target)),
            "name": printable(action.name),
            "mnemonic": action.mnemonic,
            "reason": printable(reason),
        }
        self._write("action-began", told)

    def finished(self, outcome: Outcome) -> None:
        """Something became of an action."""
        self._write("action-ended", action_to_dict(outcome, self._root, self._began))

    def ended(self, result: BuildResult) -> None:
        """The build has ended."""
        told: dict[str, object] = {
            "status": result.status,
            "exit_status": result.exit_status,
            "duration": round(result.duration, 6),
            "counts": counts_of(result.outcomes),
        }
        for test in result.tests:
            self._write("test-ended", test.to_dict())
        self._write("build-ended", told)

    def _write(self, event: str, told: dict[str, object]) -> None:
        if self._fd < 0:
            return
        self._sequence += 1
        head = {
            "event": event,
            "sequence": self._sequence,
            "time": round(time.time(), 6),
            "elapsed": round(time.monotonic() - self._began, 6),
        }
        data = dumps(head | told, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
        try:
            self._write_whole(data)
        except OSError as error:
            self._say(f"no more events are written to {self._path!r}: {error.strerror}")
            self._close()

    def _write_whole(self, data: bytes) -> None:
        done = os.write(self._fd, data)
        if done < len(data) and self._is_regular:  # the disk is full: nothing but whole lines stays
            os.ftruncate(self._fd, os.fstat(self._fd).st_size - done)
            raise OSError(28, os.strerror(28))
        while done < len(data):
            done += os.write(self._fd, data[done:])

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
