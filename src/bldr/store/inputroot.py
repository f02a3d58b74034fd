"""The input root of an action: what the command sees, as a Merkle tree of ``Directory`` messages.

A tree is first *looked at* (names and metadata only), then the files whose digests are not known are read. The stamps
that were seen are kept: looking a second time and comparing tells whether anything changed meanwhile, even if it was
changed back.

What REAPI has no place for is not in the tree: times, owners, extended attributes, hard links. Permission bits are,
where they are not 0644 or 0755.
"""

from __future__ import annotations

import os
import stat
import time

from bldr.errors import NotCacheableError
from bldr.model.paths import components
from bldr.model.value import value
from bldr.store.blobs import hash_of_fd
from bldr.store.index import Stamp
from bldr.store.messages import Digest, Directory, DirectoryNode, FileNode, SymlinkNode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import TypeAlias

    from bldr.store.index import Index

    Node: TypeAlias = "_File | _Link | _Directory"

__all__ = ["InputRoot", "Shown", "StatCache", "usual_mode"]

_set = object.__setattr__

_RACY = 2_000_000_000  # nanoseconds: the coarsest clock of a file system (FAT)
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_PLAIN, _EXECUTABLE = 0o644, 0o755


@value
class Shown:
    """One thing that the command sees at an inside path.

    Args:
        at: The place.
        host: The file or directory of the host; empty for an empty directory, or for a place that is hidden.
        target: The text of a link; empty for anything else.
        hidden: Whether nothing is there, although the directory around it has an entry of that name.
    """

    at: str
    host: str
    target: str
    hidden: bool

    # There is one for each input: written out, it takes a quarter of the time.
    def __init__(self, at: str, host: str = "", target: str = "", *, hidden: bool = False) -> None:
        _set(self, "at", at)
        _set(self, "host", host)
        _set(self, "target", target)
        _set(self, "hidden", hidden)


class _File:
    """A file that was looked at; its digest comes later."""

    __slots__ = ("digest", "key", "mode", "path", "stamp")

    def __init__(self, path: str, about: os.stat_result) -> None:
        self.path = path
        self.key = os.fsencode(path)
        self.stamp = Stamp.of(about)
        self.mode = stat.S_IMODE(about.st_mode)
        self.digest: Digest | None = None


class _Link:
    __slots__ = ("target",)

    def __init__(self, target: str) -> None:
        self.target = target


class _Directory:
    __slots__ = ("entries", "mode")

    def __init__(self, mode: int = _EXECUTABLE) -> None:
        self.entries: dict[str, Node] = {}
        self.mode = mode


class StatCache:
    """Digests of files by their stamps, so that a file that did not change is not read again.

    A stamp that is as young as the clock is coarse is distrusted: the file could be written once more without changing
    it. Such a file is read each time, until its stamp has aged.
    """

    def __init__(self, index: Index) -> None:
        self._index = index
        self._known: dict[bytes, tuple[bytes, bytes]] = {}

    def digests(self, files: Mapping[str, os.stat_result]) -> dict[str, Digest]:
        """Return the digests of regular files by path; one that cannot be read, or changes meanwhile, is left out."""
        found = {}
        looked = {path: _File(path, about) for path, about in files.items()}
        self._recall(looked.values())
        for path, file in looked.items():
            try:
                self.digest_all([file])
            except NotCacheableError:
                continue
            assert file.digest is not None
            found[path] = file.digest
        return found

    def digest_all(self, files: Sequence[_File]) -> None:
        """Give each file its digest.

        Raises:
            NotCacheableError: A file cannot be read, or changed since it was looked at.
        """
        self._recall(files)
        fresh = []
        for file in files:
            encoded = file.stamp.encode()
            known = self._known.get(file.key)
            if known is not None and known[0] == encoded:
                file.digest = Digest(known[1].hex(), file.stamp.size)
                continue
            began = time.time_ns()
            file.digest = _read_digest(file)
            if max(file.stamp.modified, file.stamp.changed) + _RACY < began:
                row = (file.key, encoded, bytes.fromhex(file.digest.hash))
                self._known[file.key] = row[1:]
                fresh.append(row)
        if fresh:
            self._index.remember_hashes(fresh)

    def _recall(self, files: Iterable[_File]) -> None:
        """Take what the index knows of files into memory, in one question."""
        unknown = {path for file in files if (path := file.key) not in self._known}
        if unknown:
            self._known.update(self._index.hashes(unknown))


def _read_digest(file: _File) -> Digest:
    try:
        fd = os.open(file.path, _OPEN)
        try:
            before = Stamp.of(os.fstat(fd))
            name = hash_of_fd(fd)
            after = Stamp.of(os.fstat(fd))
        finally:
            os.close(fd)
    except OSError as error:
        raise NotCacheableError(f"the input {file.path!r} cannot be read: {error.strerror}") from error
    if not before == after == file.stamp:
        raise NotCacheableError(f"the input {file.path!r} changed while it was read")
    return Digest(name, after.size)


class InputRoot:
    """A tree that was looked at.

    Args:
        shown: What the command sees; parents come before what they hold.

    Raises:
        NotCacheableError: There is something in it that has no digest, such as a socket.
    """

    def __init__(self, shown: Iterable[Shown]) -> None:
        self._shown = tuple(shown)
        self._own = frozenset([one.at for one in self._shown])
        self._files: list[_File] = []
        self._stamps: list[object] = []
        self._root = _Directory()
        for one in self._shown:
            self._place(one)

    def digest(self, known: StatCache, *, keep: dict[Digest, bytes]) -> Digest:
        """Return the digest of the root, and put the encoded directories into ``keep``.

        Raises:
            NotCacheableError: A file cannot be read, or changed since it was looked at.
        """
        known.digest_all(self._files)
        return _encode(self._root, keep)

    def files(self) -> Iterator[tuple[str, Digest, int]]:
        """Yield the path on the host, the digest and the permission bits of each file, once `digest` was called."""
        for file in self._files:
            assert file.digest is not None
            yield file.path, file.digest, file.mode

    def is_unchanged(self, known: StatCache) -> bool:
        """Look once more and say whether everything is as it was when `digest` was called.

        Stamps decide, so that a change that was taken back counts: they hold every path, kind and target of a link.
        Files with a stamp that is too young to be trusted are read again.
        """
        try:
            now = InputRoot(self._shown)
            if now._stamps != self._stamps:
                return False
            known.digest_all(now._files)
        except (NotCacheableError, OSError):
            return False
        return [file.digest for file in now._files] == [file.digest for file in self._files]

    def _place(self, one: Shown) -> None:
        """Put what is shown at its place; directories on the way are made."""
        names = components(one.at)
        here = self._root
        for name in names[:-1]:
            below = here.entries.get(name)
            if not isinstance(below, _Directory):
                below = here.entries[name] = _Directory()
            here = below
        if one.hidden:
            if names:
                here.entries.pop(names[-1], None)
            return
        node: Node
        if one.target:
            node = _Link(one.target)
        elif one.host:
            node = self._looked(one)
        elif names and isinstance(here.entries.get(names[-1]), _Directory):
            return  # something that lies in it has made it already
        else:
            node = _Directory()
        if names:
            here.entries[names[-1]] = node
        elif isinstance(node, _Directory):
            self._root = node

    def _looked(self, one: Shown) -> Node:
        try:
            return self._look(one.host, os.stat(one.host), one.at)
        except OSError as error:
            raise NotCacheableError(f"the input {one.host!r} cannot be read: {error.strerror}") from error

    def _look(self, path: str, about: os.stat_result, at: str) -> Node:
        """Look at a file or, all the way down, a directory; what stands at a place of its own is left out."""
        kind = stat.S_IFMT(about.st_mode)
        if kind == stat.S_IFREG:
            file = _File(path, about)
            self._files.append(file)
            self._stamps.append((path, file.stamp, file.mode))
            return file
        if kind == stat.S_IFLNK:
            target = os.readlink(path)
            self._stamps.append((path, target))
            return _Link(target)
        if kind != stat.S_IFDIR:
            raise NotCacheableError(f"the input {path!r} is neither a file, a directory nor a link")
        directory = _Directory(stat.S_IMODE(about.st_mode))
        self._stamps.append((path, about.st_ino, about.st_mode, about.st_mtime_ns, about.st_ctime_ns))
        prefix = at if at != "/" else ""
        try:
            with os.scandir(path) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
            for entry in found:
                place = f"{prefix}/{entry.name}"
                if place not in self._own:
                    directory.entries[entry.name] = self._look(entry.path, entry.stat(follow_symlinks=False), place)
        except OSError as error:
            raise NotCacheableError(f"the input {error.filename or path!r} cannot be read: {error.strerror}") from error
        return directory


def usual_mode(mode: int, *, is_executable: bool) -> int | None:
    """Return the permission bits where they are not those that REAPI's one bit stands for."""
    return None if mode == (_EXECUTABLE if is_executable else _PLAIN) else mode


def _encode(directory: _Directory, keep: dict[Digest, bytes]) -> Digest:
    files, directories, links = [], [], []
    for name, node in directory.entries.items():
        if isinstance(node, _File):
            assert node.digest is not None
            is_executable = bool(node.mode & 0o100)
            mode = usual_mode(node.mode, is_executable=is_executable)
            files.append(FileNode(name, node.digest, is_executable, mode))
        elif isinstance(node, _Link):
            links.append(SymlinkNode(name, node.target))
        else:
            directories.append(DirectoryNode(name, _encode(node, keep)))
    mode = usual_mode(directory.mode, is_executable=True)
    encoded = Directory(tuple(files), tuple(directories), tuple(links), mode).encode()
    digest = Digest.of(encoded)
    keep[digest] = encoded
    return digest
