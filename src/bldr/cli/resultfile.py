"""``--json FILE`` and the like: what is written appears whole or not at all."""

from __future__ import annotations

import os
import stat

from bldr.cli.options import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from bldr.errors import BldrError

__all__ = ["ResultFile", "WholeFile", "to_json"]


def to_json(content: object) -> str:
    """JSON in the order of the object; an undecodable byte of a path becomes the escape of its surrogate."""
    from json import dumps

    return dumps(content, indent=2, ensure_ascii=True) + "\n"


class WholeFile:
    """A file that is opened before the command starts and appears under its name when it is complete.

    That it cannot be written is found out before anything has run. A name that is no regular file (a pipe,
    ``/dev/fd/3``) is written directly.

    Args:
        path: Its name.
        option: The option that gave it.
        what: What it will hold, for errors.
    """

    def __init__(self, path: str, option: str, what: str) -> None:
        if path in ("", "-"):
            raise UsageError(
                f"{option} {path}: standard output belongs to the command", hint="name a file, or /dev/fd/3 with 3>&1"
            )
        self._path = path
        self._what = what
        self._target = path
        self._draft = ""
        self._fd = -1

    def __enter__(self) -> Self:
        try:
            if _is_special(self._path):
                self._fd = os.open(self._path, os.O_WRONLY | getattr(os, "O_NOCTTY", 0))
            else:
                self._target = os.path.realpath(self._path)  # a link stays a link, and its target is replaced
                head, tail = os.path.split(self._target)
                draft = os.path.join(head, f".{tail}.{os.getpid()}.part")
                self._fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
                self._draft = draft
        except OSError as error:
            raise OSError(error.errno, f"cannot write {self._what}: {error.strerror}", self._path) from error
        return self

    def __exit__(self, *_error: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._draft:
            os.unlink(self._draft)

    def write_text(self, text: str) -> None:
        """Write everything and give the file its name."""
        try:
            data = text.encode()
            while data:
                data = data[os.write(self._fd, data) :]
            fd, self._fd = self._fd, -1
            os.close(fd)
            if self._draft:
                os.rename(self._draft, self._target)
                self._draft = ""
        except OSError as error:
            raise OSError(error.errno, f"cannot write {self._what}: {error.strerror}", self._path) from error


class ResultFile(WholeFile):
    """The file of ``--json``."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "--json", "the result")

    def write(self, content: object) -> None:
        """Write the result."""
        self.write_text(to_json(content))

    def write_error(self, error: BldrError) -> None:
        """Write that, and why, the command did not start."""
        self.write({"error": {"code": error.code, "message": error.message, "hint": error.hint}})


def _is_special(path: str) -> bool:
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        return False
