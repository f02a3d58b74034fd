"""Take over the changes of an execution into the tree that it ran on, all of them or none.

::

    1  stage     what is new is copied into .bldr-commit-… at the top of the tree, and written to disk
    2  journal   the operations, with the identities of what they expect and put there, are written to disk
    3  apply     one rename, link or change of mode after the other; what was there before is moved into the same place
    4  finish    the journal gets another name, and everything in that place is removed

Whatever fails in 3 is undone in reverse. A process that is killed in 3 leaves the place with its journal, and
`recover` undoes it later. Nothing is removed before 4, so what was there can be found until all of it is replaced.

Every path is walked from the descriptor of the top, name by name without following links, so that a link that is in the
tree, or that somebody puts there meanwhile, leads nowhere. Each operation looks at what it finds once more: what is not
what it was before the execution is a conflict.
"""

from __future__ import annotations

import fcntl
import os
import stat

from bldr.errors import CommitError
from bldr.execution.changes import Change, ChangeKind
from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from bldr.execution.changes import Snapshot

__all__ = ["PLACE", "commit", "recover"]

PLACE = ".bldr-commit-"
_JOURNAL, _DONE = "journal", "done"
_SCHEMA = 1
_WALK = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_MAKE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@value
class _Operation:
    """One step of a commit.

    Args:
        kind: ``add``, ``replace``, ``delete``, ``mkdir``, ``mode`` or ``times``.
        path: Relative to the top of the tree.
        number: Names what is staged (``new.NUMBER``) and what was there before (``old.NUMBER``).
        old: Inode number and ctime (ns) of what is expected there; zeros when nothing is.
        new: Inode number of what is put there, or whose mode or times change; 0 for none.
        mode: The permission bits that it gets.
        old_mode: The permission bits that it had.
        times: Atime and mtime (ns) that it gets.
        old_times: The ones that it had.
    """

    kind: str
    path: str
    number: int
    old: tuple[int, int] = (0, 0)
    new: int = 0
    mode: int = 0
    old_mode: int = 0
    times: tuple[int, int] = (0, 0)
    old_times: tuple[int, int] = (0, 0)

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__match_args__}

    @staticmethod
    def from_dict(content: dict[str, Any]) -> _Operation:
        tuples = {name: tuple(content[name]) for name in ("old", "times", "old_times")}
        return _Operation(**{**content, **tuples})


def commit(
    root: int,
    layer: int,
    changes: Sequence[Change],
    snapshot: Snapshot,
    *,
    name: str,
    on_step: Callable[[str], object] = lambda _step: None,
) -> None:
    """Take over changes.

    Args:
        root: Descriptor of the top of the tree.
        layer: Descriptor of what the execution left.
        changes: Their difference.
        snapshot: What the tree was like before the execution.
        name: What errors call the tree.
        on_step: Called before each step that changes the tree; a test lets it fail.

    Raises:
        CommitError: The tree has changed since, or cannot be written. It is as it was before.
    """
    if not changes:
        return
    work = _Commit(root, layer, snapshot, name, on_step)
    try:
        work.check(changes)
        work.stage(changes)
        work.apply()
    except OSError as error:
        work.give_up(error)
        raise _failed(name, error) from error
    except BaseException as error:
        work.give_up(error)
        raise
    work.finish()


def _failed(name: str, error: OSError) -> CommitError:
    where = f" at {error.filename!r}" if error.filename else ""
    return CommitError(
        f"cannot commit to {name!r}: {error.strerror or error}{where}",
        code="commit.failed",
        hint="nothing was changed; free some space or see to the permissions, and try again",
    )


class _Commit:
    """One commit: where its things are, and which operations have been begun."""

    def __init__(self, root: int, layer: int, snapshot: Snapshot, name: str, on_step: Callable[[str], object]) -> None:
        self.root = root
        self.layer = layer
        self.snapshot = snapshot
        self.name = name
        self.on_step = on_step
        self.place_name = PLACE + os.urandom(6).hex()
        self.place = -1
        self.operations: list[_Operation] = []
        self.begun = 0  # how many of them
        self.touched: set[int] = set()  # inode numbers that were given another name or mode here, and so another ctime

    def check(self, changes: Sequence[Change]) -> None:
        """Compare every path that will be touched with what it was, before anything is done.

        Raises:
            CommitError: The tree has changed.
        """
        for change in changes:
            if change.path.startswith(PLACE):
                raise CommitError(
                    f"cannot commit {change.path!r} to {self.name!r}: commits themselves use such names",
                    code="commit.failed",
                    hint=f"let the command use another name than {PLACE}…",
                )
            try:
                with _Parent(self.root, change.path) as (directory, last):
                    status = _status(last, directory)
            except (FileNotFoundError, NotADirectoryError):
                status = None
            self.expect(change.path, status)
            if change.kind == ChangeKind.DELETED and change.type == "dir":
                self._expect_whole(change.path)

    def expect(self, path: str, status: os.stat_result | None) -> None:
        """Refuse what is not what it was; of a directory that it is the same one, as others may write into it."""
        known = self.snapshot.get(path)
        if status is None and known is None:
            return
        if status is None:
            raise self._conflict(path, "was removed")
        if known is None:
            raise self._conflict(path, "has appeared")
        same = status.st_ino == known[0] and stat.S_IFMT(status.st_mode) == stat.S_IFMT(known[2])
        if not same or (not stat.S_ISDIR(status.st_mode) and status.st_ctime_ns != known[1]):
            raise self._conflict(path, "was changed")

    def _conflict(self, path: str, what: str) -> CommitError:
        return CommitError(
            f"cannot commit to {self.name!r}: {path!r} {what} while the command ran",
            code="commit.conflict",
            hint="nothing was changed; run the command again",
        )

    def _expect_whole(self, path: str) -> None:
        """Refuse the deletion of a directory in which somebody else has written since."""
        from bldr.execution.changes import take_snapshot_of

        with _Parent(self.root, path) as (directory, last):
            found = take_snapshot_of(os.open(last, _LIST, dir_fd=directory))
        known = {other for other in self.snapshot if other.startswith(path + "/")}
        for inner, (inode, ctime, mode) in found.items():
            whole = f"{path}/{inner}"
            before = self.snapshot.get(whole)
            if before is None:
                raise self._conflict(whole, "has appeared")
            if before[0] != inode or (not stat.S_ISDIR(mode) and before[1] != ctime):
                raise self._conflict(whole, "was changed")
            known.discard(whole)
        if known:
            raise self._conflict(min(known), "was removed")

    def stage(self, changes: Sequence[Change]) -> None:
        """Copy what is new next to the tree's own files, and write down what will be done."""
        os.mkdir(self.place_name, 0o700, dir_fd=self.root)
        self.place = os.open(self.place_name, _LIST, dir_fd=self.root)
        fcntl.flock(self.place, fcntl.LOCK_EX)
        if os.fstat(self.place).st_dev != os.fstat(self.root).st_dev:
            raise OSError(0, "its top is a mountpoint by now")
        staged: dict[tuple[int, int], int] = {}
        late: list[_Operation] = []  # modes of new directories, which have to be writable until they are filled
        for number, change in enumerate(_in_order(changes)):
            self.operations += self._operations(number, change, staged, late)
        self.operations += reversed(late)
        self._write_journal()

    def _operations(
        self, number: int, change: Change, staged: dict[tuple[int, int], int], late: list[_Operation]
    ) -> Iterable[_Operation]:
        known = self.snapshot.get(change.path, (0, 0, 0))
        old = (known[0], known[1])
        if change.kind == ChangeKind.DELETED:
            return (_Operation("delete", change.path, number, old),)
        if change.type == "dir" and change.kind == ChangeKind.ADDED:
            os.mkdir(f"new.{number}", 0o700, dir_fd=self.place)
            new = os.stat(f"new.{number}", dir_fd=self.place).st_ino
            late.append(_Operation("mode", change.path, number, new=new, mode=change.new_mode or 0, old_mode=0o700))
            return (_Operation("mkdir", change.path, number, new=new),)
        if change.kind == ChangeKind.MODE:
            mode, old_mode = change.new_mode or 0, change.old_mode or 0
            return (_Operation("mode", change.path, number, old, known[0], mode=mode, old_mode=old_mode),)
        if change.kind == ChangeKind.TIMES and change.type != "link":
            return (self._times(change, number, old),)
        new = self._copy(change, number, staged)
        is_replaced = change.kind in (ChangeKind.CHANGED, ChangeKind.TIMES)
        return (_Operation("replace" if is_replaced else "add", change.path, number, old, new),)

    def _times(self, change: Change, number: int, old: tuple[int, int]) -> _Operation:
        with _Parent(self.layer, change.path) as (directory, last):
            now = os.stat(last, dir_fd=directory, follow_symlinks=False)
        with _Parent(self.root, change.path) as (directory, last):
            before = os.stat(last, dir_fd=directory, follow_symlinks=False)
        times, old_times = [(one.st_atime_ns, one.st_mtime_ns) for one in (now, before)]
        return _Operation("times", change.path, number, old, old[0], times=times, old_times=old_times)

    def _copy(self, change: Change, number: int, staged: dict[tuple[int, int], int]) -> int:
        """Stage what a path will be, and return its inode number."""
        name = f"new.{number}"
        with _Parent(self.layer, change.path) as (directory, last):
            status = os.stat(last, dir_fd=directory, follow_symlinks=False)
            identity = status.st_dev, status.st_ino
            if stat.S_ISLNK(status.st_mode):
                os.symlink(os.readlink(last, dir_fd=directory), name, dir_fd=self.place)
            elif stat.S_ISFIFO(status.st_mode):
                os.mkfifo(name, stat.S_IMODE(status.st_mode), dir_fd=self.place)
            elif identity in staged and status.st_nlink > 1:
                first = f"new.{staged[identity]}"
                os.link(first, name, src_dir_fd=self.place, dst_dir_fd=self.place, follow_symlinks=False)
            elif stat.S_ISREG(status.st_mode):
                staged[identity] = number
                self._copy_file(directory, last, name, change)
            else:
                raise OSError(0, "it is neither a file, a directory nor a link", change.path)
            if not stat.S_ISREG(status.st_mode):
                times = status.st_atime_ns, status.st_mtime_ns
                os.utime(name, ns=times, dir_fd=self.place, follow_symlinks=False)
        return os.stat(name, dir_fd=self.place, follow_symlinks=False).st_ino

    def _copy_file(self, directory: int, last: str, name: str, change: Change) -> None:
        from bldr.sandbox.linux.duplicate import copy_attributes, copy_content

        source = os.open(last, _READ, dir_fd=directory)
        try:
            target = os.open(name, _MAKE, 0o600, dir_fd=self.place)
            try:
                copy_content(source, target)
                if change.kind == ChangeKind.CHANGED and os.geteuid() == 0:
                    self._keep_owner(target, change.path)
                copy_attributes(source, target)
                os.fsync(target)
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _keep_owner(self, target: int, path: str) -> None:
        """A file of somebody else stays theirs when root changes it."""
        with _Parent(self.root, path) as (directory, last):
            status = os.stat(last, dir_fd=directory, follow_symlinks=False)
        os.fchown(target, status.st_uid, status.st_gid)

    def _write_journal(self) -> None:
        from json import dumps

        content = {"schema": _SCHEMA, "operations": [one.to_dict() for one in self.operations]}
        fd = os.open(_JOURNAL + ".part", _MAKE, 0o600, dir_fd=self.place)
        try:
            data = dumps(content, ensure_ascii=True).encode("ascii")
            while data:
                data = data[os.write(fd, data) :]
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(_JOURNAL + ".part", _JOURNAL, src_dir_fd=self.place, dst_dir_fd=self.place)
        os.fsync(self.place)
        os.fsync(self.root)

    def apply(self) -> None:
        """Do the operations in their order."""
        touched: set[str] = set()
        for operation in self.operations:
            self.on_step(operation.path)
            self.begun += 1
            with _Parent(self.root, operation.path) as (directory, last):
                self._do(operation, directory, last)
            touched.add(operation.path.rpartition("/")[0])
        for path in touched:
            _sync_directory(self.root, path)
        self.on_step("")
        os.rename(_JOURNAL, _DONE, src_dir_fd=self.place, dst_dir_fd=self.place)
        os.fsync(self.place)

    def _do(self, one: _Operation, directory: int, last: str) -> None:
        if one.kind in ("add", "mkdir", "replace", "delete"):
            self.expect_again(one, _status(last, directory))
        self.touched.add(one.old[0])
        if one.kind == "mkdir":
            os.rename(f"new.{one.number}", last, src_dir_fd=self.place, dst_dir_fd=directory)
        elif one.kind == "add":  # link(2) replaces nothing that somebody has just put there
            os.link(f"new.{one.number}", last, src_dir_fd=self.place, dst_dir_fd=directory, follow_symlinks=False)
        elif one.kind == "replace":
            os.link(last, f"old.{one.number}", src_dir_fd=directory, dst_dir_fd=self.place, follow_symlinks=False)
            # The staged name stays, so that nobody's file gets the same inode number before the end.
            new, put = f"new.{one.number}", f"put.{one.number}"
            os.link(new, put, src_dir_fd=self.place, dst_dir_fd=self.place, follow_symlinks=False)
            os.rename(put, last, src_dir_fd=self.place, dst_dir_fd=directory)
        elif one.kind == "delete":
            os.rename(last, f"old.{one.number}", src_dir_fd=directory, dst_dir_fd=self.place)
        elif one.kind == "mode":
            _change_mode(directory, last, one.new, one.mode)
        else:
            _change_times(directory, last, one.new, one.times)

    def expect_again(self, one: _Operation, status: os.stat_result | None) -> None:
        """What is there now has to be what was there when the operations were written down."""
        if one.kind in ("add", "mkdir"):
            if status is not None:
                raise self._conflict(one.path, "has appeared")
            return
        if status is None:
            raise self._conflict(one.path, "was removed")
        is_ours = stat.S_ISDIR(status.st_mode) or status.st_ino in self.touched
        if status.st_ino != one.old[0] or (not is_ours and status.st_ctime_ns != one.old[1]):
            raise self._conflict(one.path, "was changed")

    def give_up(self, cause: BaseException) -> None:
        """Undo what was done.

        Raises:
            CommitError: Somebody was faster; what was there before stays in its place, with the journal.
        """
        if self.place < 0:
            return
        try:
            left = _undo(self.root, self.place, self.operations[: self.begun])
            if left:
                raise _unrecovered(self.name, self.place_name, left[0]) from cause
            _remove(self.root, self.place_name)
        finally:
            os.close(self.place)
            self.place = -1

    def finish(self) -> None:
        """Remove what was there before."""
        os.close(self.place)
        self.place = -1
        _remove(self.root, self.place_name)


def _in_order(changes: Sequence[Change]) -> list[Change]:
    """Deletions first, as something else may come to their places; then parents before what they hold."""
    deleted = [one for one in changes if one.kind == ChangeKind.DELETED]
    return [*deleted, *[one for one in changes if one.kind != ChangeKind.DELETED]]


def recover(root: int, *, name: str) -> tuple[str, ...]:
    """Undo commits that were killed in the middle, and remove what complete ones left.

    Args:
        root: Descriptor of the top of the tree.
        name: What errors call the tree.

    Returns:
        A sentence for each commit that was undone.

    Raises:
        CommitError: Somebody has changed since what has to be undone; what was there before is still in its place.
    """
    told = []
    fd = os.open(".", _LIST, dir_fd=root)
    try:
        names = sorted(one for one in os.listdir(fd) if one.startswith(PLACE))
    finally:
        os.close(fd)
    for place_name in names:
        try:
            place = os.open(place_name, _LIST, dir_fd=root)
        except OSError:
            continue  # no directory of ours, or it has gone
        try:
            if not _is_own(place):
                continue  # whoever may write here could have us move files where they may not write
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
            operations = _read_journal(place, name)
            left = _undo(root, place, operations) if operations is not None else ()
            if left:
                raise _unrecovered(name, place_name, left[0])
            if operations is not None:
                told.append(f"a commit to {name!r} that was ended in the middle was undone")
            _remove(root, place_name)
        except BlockingIOError:
            continue  # it is being made right now
        finally:
            os.close(place)
    return tuple(told)


def _unrecovered(name: str, place_name: str, path: str) -> CommitError:
    return CommitError(
        f"cannot undo the commit to {name!r} that did not come to its end: {path!r} was changed since",
        code="commit.unrecovered",
        hint=f"what was there before is in {os.path.join(name, place_name)!r}; move it back, and remove that",
    )


def _is_own(fd: int) -> bool:
    """Say whether something belongs to the caller, and nobody else may write it."""
    status = os.fstat(fd)
    return status.st_uid == os.geteuid() and not stat.S_IMODE(status.st_mode) & 0o022


def _read_journal(place: int, name: str) -> list[_Operation] | None:
    """Return the operations; ``None`` where nothing has been done yet, or everything."""
    from json import loads

    try:
        fd = os.open(_JOURNAL, _READ, dir_fd=place)
    except FileNotFoundError:
        return None
    with open(fd, "rb") as file:
        if not _is_own(fd):
            return None
        try:
            content = loads(file.read())
            operations = content["operations"] if content["schema"] == _SCHEMA else content[f"schema {_SCHEMA}"]
            return [_Operation.from_dict(one) for one in operations]
        except (ValueError, KeyError, TypeError) as error:
            raise CommitError(
                f"cannot read what a commit to {name!r} has done: {error}",
                code="commit.unrecovered",
                hint="what was there before is in its directory, below names that begin with old",
            ) from error


def _undo(root: int, place: int, operations: Sequence[_Operation]) -> tuple[str, ...]:
    """Undo what was done of some operations, in reverse; return the paths where somebody else was faster."""
    left = []
    for one in reversed(operations):
        try:
            with _Parent(root, one.path) as (directory, last):
                if not _undo_one(one, place, directory, last):
                    left.append(one.path)
        except (FileNotFoundError, NotADirectoryError):
            continue  # its directory was not made
        except OSError:
            left.append(one.path)
    return tuple(left)


def _undo_one(one: _Operation, place: int, directory: int, last: str) -> bool:
    status, kept = _status(last, directory), _status(f"old.{one.number}", place)
    if one.kind == "add":
        if status is not None and status.st_ino == one.new:
            os.unlink(last, dir_fd=directory)
    elif one.kind == "replace":
        if kept is None:
            return True
        if status is not None and status.st_ino == one.old[0]:  # it was not replaced yet
            os.unlink(f"old.{one.number}", dir_fd=place)
        elif status is not None and status.st_ino == one.new:
            os.rename(f"old.{one.number}", last, src_dir_fd=place, dst_dir_fd=directory)
        else:
            return False
    elif one.kind == "delete":
        if kept is None:
            return True
        if status is not None:
            return False
        os.rename(f"old.{one.number}", last, src_dir_fd=place, dst_dir_fd=directory)
    elif one.kind == "mkdir":
        if status is not None and status.st_ino == one.new:
            os.rmdir(last, dir_fd=directory)
    elif one.kind == "mode" and one.new:
        _change_mode(directory, last, one.new, one.old_mode)
    elif one.kind == "times":
        _change_times(directory, last, one.new, one.old_times)
    return True


def _change_mode(directory: int, last: str, inode: int, mode: int) -> None:
    """Change the mode of a file or directory; of another one than the expected one it is not changed."""
    fd = os.open(last, _READ, dir_fd=directory) if _is_openable(last, directory) else -1
    if fd < 0:  # not readable for its owner: by name, which is no link as was seen just now
        os.chmod(last, mode, dir_fd=directory)
        return
    try:
        if inode == os.fstat(fd).st_ino:
            os.fchmod(fd, mode)
    finally:
        os.close(fd)


def _is_openable(last: str, directory: int) -> bool:
    status = os.stat(last, dir_fd=directory, follow_symlinks=False)
    if stat.S_ISLNK(status.st_mode):
        raise OSError(0, "it has become a link", last)
    return os.access(last, os.R_OK, dir_fd=directory, follow_symlinks=False)


def _change_times(directory: int, last: str, inode: int, times: tuple[int, int]) -> None:
    status = os.stat(last, dir_fd=directory, follow_symlinks=False)
    if status.st_ino == inode:
        os.utime(last, ns=times, dir_fd=directory, follow_symlinks=False)


class _Parent:
    """The directory of a path, opened name by name from the top without following links, and the last name."""

    def __init__(self, root: int, path: str) -> None:
        *self._names, self._last = path.split("/")
        self._fd = os.open(".", _WALK, dir_fd=root)

    def __enter__(self) -> tuple[int, str]:
        try:
            for name in self._names:
                below = os.open(name, _WALK, dir_fd=self._fd)
                os.close(self._fd)
                self._fd = below
        except BaseException:
            os.close(self._fd)
            raise
        return self._fd, self._last

    def __exit__(self, *_error: object) -> None:
        os.close(self._fd)


def _sync_directory(root: int, path: str) -> None:
    with _Parent(root, f"{path}/." if path else ".") as (directory, _):
        try:
            fd = os.open(".", _LIST, dir_fd=directory)
        except PermissionError:
            return  # a directory that its owner may not list
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _status(name: str, directory: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _remove(root: int, place_name: str) -> None:
    from _bldr_launcher import scratch

    scratch.remove_tree(f"/proc/self/fd/{root}/{place_name}")
