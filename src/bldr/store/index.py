"""The index of the store: a SQLite database that remembers digests of files, results of actions, and their use.

It holds nothing that could not be found again by hashing and running. One that cannot be read is therefore put aside
and a new one is begun. Several processes use it at the same time: it is in WAL mode, and writers wait for each other.
"""

from __future__ import annotations

import _thread
import os
import sqlite3
import time

from bldr.errors import CacheError
from bldr.model.value import value
from bldr.store.messages import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TypeVar

    Result = TypeVar("Result")

__all__ = ["Entry", "Index", "Stamp"]

_set = object.__setattr__

_SCHEMA = 1
_WAIT = 30.0  # seconds that a writer waits for another one
_PAUSE = 0.01  # seconds between two attempts where SQLite does not wait
_BATCH = 500  # paths in one question; SQLite allows 999 in old versions

_TABLES = """
CREATE TABLE IF NOT EXISTS files (path BLOB PRIMARY KEY, stamp BLOB NOT NULL, hash BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS results (
    action BLOB PRIMARY KEY, size INTEGER NOT NULL, result BLOB NOT NULL, about TEXT NOT NULL,
    stored REAL NOT NULL, used REAL NOT NULL, hits INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS actions (action BLOB PRIMARY KEY, size INTEGER NOT NULL, seen REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS toolchains (
    name TEXT PRIMARY KEY, paths BLOB NOT NULL, stamps BLOB NOT NULL, identity TEXT NOT NULL
) WITHOUT ROWID;
"""


@value
class Stamp:
    """What a file's metadata tell of its content: they change whenever it does, but for the clock's resolution."""

    device: int
    inode: int
    size: int
    modified: int
    changed: int

    # There is one for each input: written out, it takes a quarter of the time.
    def __init__(self, device: int, inode: int, size: int, modified: int, changed: int) -> None:
        _set(self, "device", device)
        _set(self, "inode", inode)
        _set(self, "size", size)
        _set(self, "modified", modified)
        _set(self, "changed", changed)

    def encode(self) -> bytes:
        """Return the stamp as it is stored."""
        return b"%d %d %d %d %d" % (self.device, self.inode, self.size, self.modified, self.changed)

    @staticmethod
    def of(about: os.stat_result) -> Stamp:
        """Return the stamp of what stat(2) said."""
        return Stamp(about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)


@value
class Entry:
    """A result in the action cache. Times are seconds since the epoch; ``about`` is JSON of the run that made it."""

    action: Digest
    result: bytes
    about: str
    stored: float
    used: float
    hits: int


class Index:
    """The database in a directory; any thread may use it.

    Args:
        root: The directory of the store, which exists.

    Raises:
        CacheError: It cannot be opened.
    """

    def __init__(self, root: str) -> None:
        self._path = os.path.join(root, "index.sqlite")
        self._lock = _thread.RLock()  # a transaction belongs to the connection, not to a thread
        self._inode = 0
        self.replaced = ""  # where a database that could not be read lies now
        try:
            self._db = self._opened()
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise self._unusable(error) from error
            self._put_aside()
            try:
                self._db = self._opened()
            except sqlite3.Error as second:
                raise self._unusable(second) from second

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def hashes(self, paths: Iterable[bytes]) -> dict[bytes, tuple[bytes, bytes]]:
        """Return stamp and hash of the files that are known; none where the database cannot be read."""
        wanted = list(paths)
        found: dict[bytes, tuple[bytes, bytes]] = {}
        for start in range(0, len(wanted), _BATCH):
            some = wanted[start : start + _BATCH]
            marks = ",".join("?" * len(some))
            try:
                rows = self._read(f"SELECT path, stamp, hash FROM files WHERE path IN ({marks})", *some)  # noqa: S608
            except CacheError:
                return found
            found.update([(path, (stamp, name)) for path, stamp, name in rows])
        return found

    def remember_hashes(self, rows: Iterable[tuple[bytes, bytes, bytes]]) -> None:
        """Keep path, stamp and hash of files; without space nothing is kept, and they are read again."""
        told = list(rows)
        try:
            self._attempt(lambda db: db.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", told))
        except CacheError:
            pass  # they are read again

    def toolchain(self, name: str) -> tuple[bytes, bytes, str] | None:
        """Return the paths that were looked at, their stamps together, and the identity."""
        try:
            rows = self._read("SELECT paths, stamps, identity FROM toolchains WHERE name = ?", name)
        except CacheError:
            return None
        return (rows[0][0], rows[0][1], rows[0][2]) if rows else None

    def remember_toolchain(self, name: str, paths: bytes, stamps: bytes, identity: str) -> None:
        """Keep the identity of a toolchain; without space it is not kept, and is taken again."""
        try:
            self._write("INSERT OR REPLACE INTO toolchains VALUES (?, ?, ?, ?)", name, paths, stamps, identity)
        except CacheError:
            pass  # it is taken again

    def result(self, action: Digest) -> Entry | None:
        """Return the result of an action, if there is one.

        Raises:
            CacheError: The database cannot be read.
        """
        columns = "result, about, stored, used, hits"
        rows = self._read(f"SELECT {columns} FROM results WHERE action = ? AND size = ?", *_key(action))  # noqa: S608
        return Entry(action, *rows[0]) if rows else None

    def results(self) -> list[Entry]:
        """Return every result, the one that was used last first.

        Raises:
            CacheError: The database cannot be read.
        """
        columns = "action, size, result, about, stored, used, hits"
        rows = self._read(f"SELECT {columns} FROM results ORDER BY used DESC")  # noqa: S608  # names of ours
        return [Entry(Digest(row[0].hex(), row[1]), *row[2:]) for row in rows]

    def remember_result(self, action: Digest, result: bytes, about: str) -> None:
        """Keep the result of an action, in place of an earlier one.

        Raises:
            CacheError: The database cannot be written.
        """
        now = time.time()
        row = (*_key(action), result, about, now, now)
        self._write("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?, 0)", *row)

    def use_result(self, action: Digest) -> None:
        """Note that a result was used, if that can be written."""
        try:
            self._write("UPDATE results SET used = ?, hits = hits + 1 WHERE action = ?", time.time(), _key(action)[0])
        except CacheError:
            pass  # it only seems to be unused for longer

    def forget_result(self, action: Digest) -> None:
        """Remove a result.

        Raises:
            CacheError: The database cannot be written.
        """
        self._write("DELETE FROM results WHERE action = ?", _key(action)[0])

    def remember_action(self, action: Digest) -> None:
        """Note that an action was asked for, whatever became of it.

        Raises:
            CacheError: The database cannot be written.
        """
        self._write("INSERT OR REPLACE INTO actions VALUES (?, ?, ?)", *_key(action), time.time())

    def actions(self) -> list[tuple[Digest, float]]:
        """Return every action that was asked for and when that was last, the latest first.

        Raises:
            CacheError: The database cannot be read.
        """
        rows = self._read("SELECT action, size, seen FROM actions ORDER BY seen DESC")
        return [(Digest(name.hex(), size), seen) for name, size, seen in rows]

    def forget_actions(self, before: float) -> None:
        """Forget the actions without a result that were not asked for since a time.

        Raises:
            CacheError: The database cannot be written.
        """
        self._write("DELETE FROM actions WHERE seen < ? AND action NOT IN (SELECT action FROM results)", before)

    def forget_all(self) -> None:
        """Forget everything.

        Raises:
            CacheError: The database cannot be written.
        """
        for table in ("files", "results", "actions", "toolchains"):
            self._write(f"DELETE FROM {table}")  # noqa: S608  # names of ours

    def counts(self) -> tuple[int, int]:
        """Return how many files are remembered, and how often results were used.

        Raises:
            CacheError: The database cannot be read.
        """
        files, hits = self._read("SELECT count(*), (SELECT coalesce(sum(hits), 0) FROM results) FROM files")[0]
        return files, hits

    def _read(self, question: str, *values: object) -> list[Any]:
        return self._attempt(lambda db: db.execute(question, values).fetchall())

    def _write(self, statement: str, *values: object) -> None:
        self._attempt(lambda db: db.execute(statement, values))

    def _attempt(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Do something in a transaction; a database that turns out to be damaged is begun anew, once.

        Raises:
            CacheError: The database cannot be used.
        """
        with self._lock:
            try:
                with self._db:
                    return work(self._db)
            except sqlite3.Error as error:
                if not _is_damage(error):
                    raise self._failed(error) from error
            try:
                self._begin_anew()
                with self._db:
                    return work(self._db)
            except (OSError, sqlite3.Error) as error:
                raise self._failed(error) from error

    def _begin_anew(self) -> None:
        """Put the database aside, unless another process has done so, and open the one that is there then."""
        self._db.close()
        try:
            is_same = os.stat(self._path).st_ino == self._inode
        except FileNotFoundError:
            is_same = False
        if is_same:
            self._put_aside()
        self._db = self._opened()

    def _failed(self, error: Exception) -> CacheError:
        return CacheError(
            f"the index of the cache cannot be used: {error}",
            code="cache.unusable",
            hint=f"free some space, or remove {self._path!r}: it is made again",
        )

    def _opened(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=_WAIT, check_same_thread=False)
        try:
            _write_ahead(db)
            db.execute("PRAGMA synchronous = NORMAL")  # a crash of the machine may lose the last entries, no more
            schema = db.execute("PRAGMA user_version").fetchone()[0]
            if not schema:
                db.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {_SCHEMA}; COMMIT;")
            else:
                self._check_version(schema)
            self._inode = os.stat(self._path).st_ino
        except BaseException:
            db.close()
            raise
        return db

    def _check_version(self, schema: int) -> None:
        if schema != _SCHEMA:
            raise CacheError(
                f"the index {self._path!r} has the version {schema}, not {_SCHEMA}",
                code="cache.unusable",
                hint="another version of bldr made it: use another directory, or remove this one",
            )

    def _put_aside(self) -> None:
        self.replaced = f"{self._path}.unreadable.{os.getpid()}"
        try:
            os.replace(self._path, self.replaced)
        except FileNotFoundError:
            return  # another process was faster
        for ending in ("-wal", "-shm"):
            try:
                os.unlink(self._path + ending)
            except FileNotFoundError:
                continue  # there is none

    def _unusable(self, error: sqlite3.Error) -> CacheError:
        return CacheError(
            f"the index {self._path!r} of the cache cannot be opened: {error}",
            code="cache.unusable",
            hint="name a directory that you may write: --cache=DIR",
        )


def _write_ahead(db: sqlite3.Connection) -> None:
    """Switch to WAL. SQLite does not wait for other processes that do the same, so that this has to."""
    deadline = time.monotonic() + _WAIT
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE)


def _is_damage(error: sqlite3.Error) -> bool:
    """Say whether the database itself is the trouble, and not the disk or other processes."""
    if not isinstance(error, sqlite3.DatabaseError) or isinstance(error, sqlite3.ProgrammingError):
        return False
    return not isinstance(error, sqlite3.OperationalError) or "malformed" in str(error) or "no such" in str(error)


def _key(action: Digest) -> tuple[bytes, int]:
    return bytes.fromhex(action.hash), action.size
