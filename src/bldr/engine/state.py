"""What was built: a record of each action that succeeded, so that the next build knows what is up to date.

The file ``state`` in ``.builder`` is a journal: a first line that says whose it is, then a line for each record, the
last one of an action counts. Each line begins with the CRC of the rest, so that one that was cut off by a crash, and
whatever follows it, is not believed. A record only says what inputs and outputs held; whether they still do is looked
at each time, so that a lost record costs time and never makes a wrong answer.

Nobody but bldr on this machine can have written it: it names the inode and the time of change of ``.gitignore`` beside
it, as the memory of Builderfiles does.
"""

from __future__ import annotations

import json  # noqa: TID253  # only who builds imports it
import os
from zlib import crc32

from bldr.builderfile.places import STATE
from bldr.engine.settled import forget as forget_settled
from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Self

__all__ = ["Record", "State", "prepare_folder"]

_SCHEMA = 3
_FILE = "state"
_WITNESS = ".gitignore"
_DRAFT = ".part"  # the ending of files in ``.builder`` that are not finished
_SPARE = 200  # outdated lines that a journal may have beside as many as there are records


@value
class Record:
    """How an action was when it succeeded last.

    Args:
        command: What its command, variables and outputs were, as one text that is compared.
        policy: What its sandbox was, likewise.
        toolchain: The identity of its toolchain.
        names: What the names of its inputs were, likewise.
        inputs: What those inputs held that it depends on.
        outputs: What it wrote.
    """

    command: str
    policy: str
    toolchain: str
    names: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


def prepare_folder(root: str) -> str:
    """Make ``.builder`` in a workspace, with a file that keeps version control out; returns its path.

    Raises:
        OSError: It cannot be made.
    """
    folder = os.path.join(root, STATE)
    if os.path.islink(folder):
        raise NotADirectoryError(20, "nothing is written behind a link, which may lead anywhere", folder)
    os.makedirs(folder, exist_ok=True)
    witness = os.path.join(folder, _WITNESS)
    if not os.path.exists(witness):
        with open(witness, "w", encoding="utf-8") as file:
            file.write("*\n")
    return folder


class State:
    """The records of a workspace. Use it as a context manager; one process at a time, which the lock takes care of.

    Args:
        root: The absolute path of the workspace.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._path = os.path.join(prepare_folder(root), _FILE)
        self._head = _head(root)
        self._lines: dict[str, bytes] = {}
        self._records: dict[str, Record] = {}
        self._file = -1
        self._written = 0
        self._load()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the journal; what is outdated in it is removed when that is worth it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        if self._written > 2 * len(self._lines) + _SPARE:
            try:
                self._rewrite()
            except OSError:
                pass  # there is no space; it stays as long as it is

    def record(self, action: str) -> Record | None:
        """Return what is known of an action, by its name."""
        found = self._records.get(action)
        if found is None and (line := self._lines.get(action)) is not None:
            found = self._records[action] = Record(*json.loads(line)[1:])
        return found

    def names(self) -> list[str]:
        """Return the names of all actions that are known, sorted."""
        return sorted(self._lines)

    def remember(self, action: str, record: Record) -> None:
        """Keep the record of an action that has succeeded.

        Raises:
            OSError: There is no space.
        """
        told = [action, *[getattr(record, name) for name in record.__match_args__]]
        line = json.dumps(told, ensure_ascii=True, separators=(",", ":")).encode()
        self._append(line)
        self._lines[action] = line
        self._records[action] = record

    def forget(self, actions: Iterable[str]) -> None:
        """Remove what is known of actions.

        Raises:
            OSError: There is no space.
        """
        for action in actions:
            if self._lines.pop(action, None) is not None:
                self._records.pop(action, None)
                self._append(json.dumps([action]).encode())

    def _load(self) -> None:
        self._remove_drafts()
        try:
            with open(self._path, "rb") as file:
                lines = file.read().split(b"\n")
        except OSError:
            lines = []
        if not lines or lines[0] != self._head:
            self._written = 0
            self._begin()
            return
        whole = 1
        for line in lines[1:]:
            if line[8:9] != b" " or line[:8] != b"%08x" % crc32(line[9:]):
                break
            name, rest = _name_of(line[9:])
            if rest:
                self._lines[name] = line[9:]
            else:
                self._lines.pop(name, None)
            whole += 1
        self._written = whole - 1
        if whole != len(lines) - 1 or lines[-1]:
            self._rewrite()  # something was cut off

    def _begin(self) -> None:
        self._lines.clear()
        self._rewrite()

    def _rewrite(self) -> None:
        """Write everything anew, whole or not at all."""
        draft = f"{self._path}{_DRAFT}"
        try:
            with open(draft, "wb") as file:
                file.write(self._head + b"\n")
                file.writelines(_sealed(line) for line in self._lines.values())
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, self._path)
            self._written = len(self._lines)
        except OSError:
            if os.path.exists(draft):
                os.unlink(draft)
            raise

    def _remove_drafts(self) -> None:
        """Remove what killed processes left unfinished; who still writes such a file notices, and can do without."""
        folder = os.path.dirname(self._path)
        for name in os.listdir(folder):
            if name.endswith(_DRAFT):
                try:
                    os.unlink(os.path.join(folder, name))
                except OSError:
                    continue  # it has got its name meanwhile, or the next build removes it

    def _append(self, line: bytes) -> None:
        if self._file < 0:
            forget_settled(self._root)
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        data = _sealed(line)
        try:
            done = os.write(self._file, data)
        except OSError as error:
            error.filename = self._path
            raise
        if done != len(data):
            os.truncate(self._path, os.fstat(self._file).st_size - done)
            raise OSError(28, "No space left on device", self._path)
        self._written += 1


def _sealed(line: bytes) -> bytes:
    return b"%08x %s\n" % (crc32(line), line)


def _name_of(line: bytes) -> tuple[str, bool]:
    """Return the name in a record, and whether anything follows it, without reading all of it."""
    end = line.find(b'","')
    if end < 0:
        return json.loads(line)[0], False
    return json.loads(line[1 : end + 1]), True


def _head(root: str) -> bytes:
    about = os.stat(os.path.join(root, STATE, _WITNESS))
    told = f"bldr state {_SCHEMA} {about.st_dev} {about.st_ino} {about.st_ctime_ns}"
    return told.encode()
