"""What an execution has changed in a tree, found by comparing the tree with what the execution left of it.

That is either the layer of an overlay, which holds only what was written, or a copy of the whole tree. In a layer of
overlayfs a character device 0/0 is a whiteout: the entry of that name was deleted. A directory with the attribute
``user.overlay.opaque`` shows nothing of the tree's directory of that name.
"""

from __future__ import annotations

import os
import stat

from bldr.model.paths import printable
from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterator

__all__ = ["Change", "ChangeKind", "Snapshot", "compare", "take_snapshot"]

_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_CHUNK = 1 << 20

Snapshot = dict[str, tuple[int, int, int]]
"""Relative path to inode number, ctime in nanoseconds and mode, as they were before the execution."""


class ChangeKind:
    """What happened to a path."""

    ADDED = "added"
    CHANGED = "changed"
    DELETED = "deleted"
    MODE = "mode"
    TIMES = "times"


@value
class Change:
    """One path that is different.

    Args:
        kind: One of the constants of :class:`ChangeKind`. What became of another type is deleted and added.
        path: Relative to the tree.
        type: ``file``, ``dir``, ``link``, ``fifo`` or ``other``.
        old_mode: Permission bits before; ``None`` when it was not there.
        new_mode: Permission bits now; ``None`` when it was deleted.
        old_size: Bytes before, of a file.
        new_size: Bytes now, of a file.
        target: The text of a link now.
        entries: How many entries a deleted directory held, in all.
        same_as: The path of which this is one more name, when both were written.
    """

    kind: str
    path: str
    type: str
    old_mode: int | None = None
    new_mode: int | None = None
    old_size: int | None = None
    new_size: int | None = None
    target: str = ""
    entries: int = 0
    same_as: str = ""

    def to_dict(self) -> dict[str, object]:
        """Return the change for JSON; modes in octal, as text."""
        found: dict[str, object] = {name: getattr(self, name) for name in self.__match_args__}
        for name in ("old_mode", "new_mode"):
            mode = getattr(self, name)
            found[name] = None if mode is None else f"{mode:04o}"
        for name in ("path", "target", "same_as"):
            found[name] = printable(getattr(self, name))
        return found


def take_snapshot(root: int, *, without: Container[str] = frozenset()) -> Snapshot:
    """Note what a tree is like, so that it is seen later whether somebody else has changed it.

    Args:
        root: Descriptor of its directory.
        without: Relative paths that are left out.

    Raises:
        OSError: A directory cannot be listed.
    """
    found: Snapshot = {}
    todo = [("", os.open(".", _LIST & ~os.O_NOFOLLOW, dir_fd=root))]
    try:
        while todo:
            above, fd = todo.pop()
            try:
                for name in os.listdir(fd):
                    path = f"{above}{name}"
                    if path in without:
                        continue
                    status = _status(name, fd)
                    if status is None:
                        continue
                    found[path] = (status.st_ino, status.st_ctime_ns, status.st_mode)
                    if stat.S_ISDIR(status.st_mode) and (inner := _directory(name, fd)) >= 0:
                        todo.append((f"{path}/", inner))
            finally:
                os.close(fd)
    finally:
        for _, fd in todo:
            os.close(fd)
    return found


def compare(
    new: int, old: int, *, is_whole: bool, without: Container[str] = frozenset(), within: Container[str] | None = None
) -> tuple[Change, ...]:
    """Return how a tree was changed, sorted by path.

    Args:
        new: Descriptor of the layer, or of the copy.
        old: Descriptor of the tree.
        is_whole: Whether ``new`` is a copy of everything, so that what it lacks was deleted.
        without: Relative paths that are left out.
        within: The only names at the top that count; all by default.

    Raises:
        OSError: Something cannot be read.
    """
    work = _Comparison(without, within)
    work.directories("", new, old, is_whole=is_whole)
    return tuple(sorted(work.found, key=lambda one: (one.path.split("/"), one.kind != ChangeKind.DELETED)))


class _Comparison:
    """The changes that are known so far."""

    def __init__(self, without: Container[str], within: Container[str] | None) -> None:
        self.found: list[Change] = []
        self.without = without
        self.within = within
        self.names: dict[tuple[int, int], str] = {}  # of files with several names: the first one

    def directories(self, above: str, new: int, old: int, *, is_whole: bool) -> None:
        """Compare two directories; ``old`` is -1 where the tree has none."""
        theirs = set(os.listdir(new))
        for name in sorted(theirs):
            path = above + name
            if not self.is_left_out(path):
                self.entries(path, name, new, old, is_whole=is_whole)
        if is_whole and old >= 0:
            for name in sorted(set(os.listdir(old)) - theirs):
                if not self.is_left_out(above + name):
                    self.deleted(above + name, name, old)

    def is_left_out(self, path: str) -> bool:
        return path in self.without or (self.within is not None and path.partition("/")[0] not in self.within)

    def entries(self, path: str, name: str, new: int, old: int, *, is_whole: bool) -> None:
        now = os.stat(name, dir_fd=new, follow_symlinks=False)
        before = _status(name, old) if old >= 0 else None
        if stat.S_ISCHR(now.st_mode) and now.st_rdev == 0:
            if before is not None:
                self.deleted(path, name, old)
            return
        if before is not None and stat.S_IFMT(before.st_mode) != stat.S_IFMT(now.st_mode):
            self.deleted(path, name, old)
            before = None
        if stat.S_ISDIR(now.st_mode):
            self.directory(path, name, now, before, new, old, is_whole=is_whole)
        elif before is None:
            self.found.append(self.described(ChangeKind.ADDED, path, name, new, now))
        else:
            self.file(path, name, now, before, new, old)

    def directory(
        self,
        path: str,
        name: str,
        now: os.stat_result,
        before: os.stat_result | None,
        new: int,
        old: int,
        *,
        is_whole: bool,
    ) -> None:
        ours = theirs = -1
        try:
            ours = os.open(name, _LIST, dir_fd=new)
            if before is None:
                self.found.append(Change(ChangeKind.ADDED, path, "dir", new_mode=stat.S_IMODE(now.st_mode)))
            else:
                theirs = os.open(name, _LIST, dir_fd=old)
                if stat.S_IMODE(now.st_mode) != stat.S_IMODE(before.st_mode):
                    old_mode, new_mode = stat.S_IMODE(before.st_mode), stat.S_IMODE(now.st_mode)
                    self.found.append(Change(ChangeKind.MODE, path, "dir", old_mode=old_mode, new_mode=new_mode))
            self.directories(path + "/", ours, theirs, is_whole=is_whole or _is_opaque(ours))
        finally:
            for fd in (ours, theirs):
                if fd >= 0:
                    os.close(fd)

    def file(self, path: str, name: str, now: os.stat_result, before: os.stat_result, new: int, old: int) -> None:
        """Something that is no directory, of the same type on both sides."""
        kind = ""
        if _differs(name, now, before, new, old):
            kind = ChangeKind.CHANGED
        elif stat.S_IMODE(now.st_mode) != stat.S_IMODE(before.st_mode):
            kind = ChangeKind.MODE
        elif now.st_mtime_ns != before.st_mtime_ns:
            kind = ChangeKind.TIMES
        if kind:
            self.found.append(self.described(kind, path, name, new, now, before))

    def described(
        self,
        kind: str,
        path: str,
        name: str,
        new: int,
        now: os.stat_result,
        before: os.stat_result | None = None,
    ) -> Change:
        is_file, is_link = stat.S_ISREG(now.st_mode), stat.S_ISLNK(now.st_mode)
        first = self.names.setdefault((now.st_dev, now.st_ino), path) if is_file and now.st_nlink > 1 else path
        return Change(
            kind,
            path,
            _type(now.st_mode),
            old_mode=None if before is None else stat.S_IMODE(before.st_mode),
            new_mode=stat.S_IMODE(now.st_mode),
            old_size=before.st_size if before is not None and is_file else None,
            new_size=now.st_size if is_file else None,
            target=os.readlink(name, dir_fd=new) if is_link else "",
            same_as=first if first != path else "",
        )

    def deleted(self, path: str, name: str, old: int) -> None:
        status = os.stat(name, dir_fd=old, follow_symlinks=False)
        self.found.append(
            Change(
                ChangeKind.DELETED,
                path,
                _type(status.st_mode),
                old_mode=stat.S_IMODE(status.st_mode),
                old_size=status.st_size if stat.S_ISREG(status.st_mode) else None,
                entries=_count(name, old) if stat.S_ISDIR(status.st_mode) else 0,
            )
        )


def _status(name: str, directory: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _directory(name: str, above: int) -> int:
    """Open a directory; -1 when it has gone, or cannot be read, in which case nobody can have seen what is in it."""
    try:
        return os.open(name, _LIST, dir_fd=above)
    except (FileNotFoundError, PermissionError, NotADirectoryError):
        return -1


def _type(mode: int) -> str:
    types = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "link", stat.S_IFIFO: "fifo"}
    return types.get(stat.S_IFMT(mode), "other")


def _is_opaque(fd: int) -> bool:
    try:
        return os.getxattr(fd, "user.overlay.opaque") == b"y"
    except OSError:
        return False


def _differs(name: str, now: os.stat_result, before: os.stat_result, new: int, old: int) -> bool:
    if stat.S_ISLNK(now.st_mode):
        return os.readlink(name, dir_fd=new) != os.readlink(name, dir_fd=old)
    if not stat.S_ISREG(now.st_mode):
        return False
    if now.st_size != before.st_size:
        return True
    ours = os.open(name, _READ, dir_fd=new)
    try:
        theirs = os.open(name, _READ, dir_fd=old)
        try:
            return any(one != other for one, other in zip(_chunks(ours), _chunks(theirs), strict=False))
        finally:
            os.close(theirs)
    finally:
        os.close(ours)


def _chunks(fd: int) -> Iterator[bytes]:
    while True:
        chunk = os.read(fd, _CHUNK)
        yield chunk
        if not chunk:
            return


def _count(name: str, above: int) -> int:
    fd = _directory(name, above)
    if fd < 0:
        return 0
    return len(take_snapshot_of(fd))


def take_snapshot_of(fd: int) -> Snapshot:
    """Take a snapshot of a directory whose descriptor is closed."""
    try:
        return take_snapshot(fd)
    finally:
        os.close(fd)
