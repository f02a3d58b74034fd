"""Output directories: from files into the content store, and back.

What comes back are names, content, permission bits, symbolic links and holes. A directory is a ``Tree`` in terms of
REAPI; the files themselves are blobs.
"""

from __future__ import annotations

import os
import stat

from bldr.errors import CacheError, NotCacheableError
from bldr.store.inputroot import usual_mode
from bldr.store.messages import (
    Digest,
    Directory,
    DirectoryNode,
    FileNode,
    OutputDirectory,
    OutputFile,
    SymlinkNode,
    Tree,
)
from bldr.store.wire import WireError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from bldr.store.blobs import ContentStore
    from bldr.store.inputroot import StatCache

__all__ = [
    "already_there",
    "keep_directory",
    "keep_file",
    "restore_directory",
    "restore_file",
    "tree_digests",
    "tree_of",
]

_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_SET_ID = stat.S_ISUID | stat.S_ISGID
_DEEPEST = 500  # directories; Python's own stack ends at 1000


def keep_directory(store: ContentStore, path: str, directory: str) -> OutputDirectory | None:
    """Put what a directory holds into the store; ``None`` when it holds nothing.

    Args:
        store: Where the content goes.
        path: The path of the output in the command.
        directory: The directory, which nobody else writes.

    Raises:
        NotCacheableError: Something in it cannot come back: a device, a socket, a fifo, a set-id bit.
        OSError: The store has no space.
    """
    if not os.listdir(directory):
        return None
    children: dict[Digest, Directory] = {}
    root = _kept(store, directory, children, 0)
    encoded = root.encode()
    tree = Tree(root, tuple(children.values()))
    return OutputDirectory(path, store.put(tree.encode()), store.put(encoded))


def _kept(store: ContentStore, directory: str, children: dict[Digest, Directory], depth: int) -> Directory:
    if depth > _DEEPEST:
        raise NotCacheableError(f"the output {directory!r} lies more than {_DEEPEST} directories deep")
    files, directories, links = [], [], []
    try:
        about = os.lstat(directory)
        with os.scandir(directory) as found:
            entries = sorted(found, key=lambda entry: os.fsencode(entry.name))
        for entry in entries:
            kind = stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode)
            if kind == stat.S_IFDIR:
                child = _kept(store, entry.path, children, depth + 1)
                digest = Digest.of(child.encode())
                children.setdefault(digest, child)
                directories.append(DirectoryNode(entry.name, digest))
            elif kind == stat.S_IFLNK:
                links.append(SymlinkNode(entry.name, os.readlink(entry.path)))
            elif kind == stat.S_IFREG:
                files.append(_kept_file(store, entry.name, entry.path))
            else:
                raise NotCacheableError(f"the output {entry.path!r} is neither a file, a directory nor a link")
    except PermissionError as error:
        raise NotCacheableError(f"the output {error.filename!r} cannot be read: {error.strerror}") from error
    mode = _checked_mode(directory, about)
    return Directory(tuple(files), tuple(directories), tuple(links), usual_mode(mode, is_executable=True))


def keep_file(store: ContentStore, path: str, place: str) -> OutputFile:
    """Put one file into the store.

    Args:
        store: Where the content goes.
        path: The path of the output in the command.
        place: The file, which nobody else writes.

    Raises:
        NotCacheableError: It has a set-id bit, or cannot be read.
        OSError: The store has no space.
    """
    try:
        node = _kept_file(store, path, place)
    except PermissionError as error:
        raise NotCacheableError(f"the output {error.filename!r} cannot be read: {error.strerror}") from error
    return OutputFile(path, node.digest, node.is_executable, node.mode)


def _kept_file(store: ContentStore, name: str, place: str) -> FileNode:
    fd = os.open(place, _OPEN)
    try:
        mode = _checked_mode(place, os.fstat(fd))
        digest = store.put_file(fd)
    finally:
        os.close(fd)
    is_executable = bool(mode & 0o100)
    return FileNode(name, digest, is_executable, usual_mode(mode, is_executable=is_executable))


def _checked_mode(path: str, about: os.stat_result) -> int:
    mode = stat.S_IMODE(about.st_mode)
    if mode & _SET_ID and stat.S_ISREG(about.st_mode):
        raise NotCacheableError(f"the output {path!r} has a set-id bit")
    return mode & ~_SET_ID


def tree_of(store: ContentStore, output: OutputDirectory) -> tuple[Directory, dict[Digest, Directory]]:
    """Return the root of an output and the directories in it by digest.

    Raises:
        CacheError: A blob is missing or was changed, or the tree is not whole.
    """
    try:
        tree = Tree.decode(store.read(output.tree))
    except WireError as error:
        raise CacheError(f"the tree {output.tree} cannot be read: {error}", code="cache.corrupt") from error
    return tree.root, {Digest.of(child.encode()): child for child in tree.children}


def tree_digests(root: Directory, children: dict[Digest, Directory]) -> Iterator[Digest]:
    """Yield the digest of every file of a tree, each as often as it occurs."""
    for directory in (root, *children.values()):
        for file in directory.files:
            yield file.digest


def already_there(
    store: ContentStore, output: OutputDirectory, directory: str, known: StatCache
) -> frozenset[str] | None:
    """Return the files and links of an output that a directory has already; ``None`` when that is all of it.

    Args:
        store: Where the tree of the output is.
        output: What is wanted.
        directory: Where it is wanted; links in it are not followed.
        known: Digests of files.

    Returns:
        Paths relative to the output.

    Raises:
        CacheError: A blob is missing or was changed, or the tree is not whole.
    """
    root, children = tree_of(store, output)
    comparison = _Comparison(children)
    comparison.look(root, directory, "")
    digests = known.digests({f"{directory}/{path}": about for path, (_, about) in comparison.files.items()})
    same = {path for path, (node, _) in comparison.files.items() if digests.get(f"{directory}/{path}") == node.digest}
    if not comparison.differs and len(same) == len(comparison.files):
        return None
    return frozenset(same | comparison.links)


class _Comparison:
    """What a tree has in common with a directory, as far as metadata tell."""

    def __init__(self, children: dict[Digest, Directory]) -> None:
        self.files: dict[str, tuple[FileNode, os.stat_result]] = {}
        self.links: set[str] = set()
        self.differs = False
        self._children = children

    def look(self, wanted: Directory, directory: str, prefix: str) -> None:
        """Compare one directory, which is there, and what is in it."""
        if stat.S_IMODE(os.lstat(directory).st_mode) != _mode_of(wanted.mode, 0o755):
            self.differs = True
        for file in wanted.files:
            about = self._about(f"{directory}/{file.name}", stat.S_IFREG)
            if (
                about is not None
                and about.st_size == file.digest.size
                and stat.S_IMODE(about.st_mode) == _file_mode(file)
            ):
                self.files[prefix + file.name] = (file, about)
            else:
                self.differs = True
        for link in wanted.symlinks:
            path = f"{directory}/{link.name}"
            if self._about(path, stat.S_IFLNK) is not None and os.readlink(path) == link.target:
                self.links.add(prefix + link.name)
            else:
                self.differs = True
        for node in wanted.directories:
            child = self._children.get(node.digest)
            if child is None or self._about(f"{directory}/{node.name}", stat.S_IFDIR) is None:
                self.differs = True
            else:
                self.look(child, f"{directory}/{node.name}", f"{prefix}{node.name}/")

    def _about(self, path: str, kind: int) -> os.stat_result | None:
        try:
            about = os.lstat(path)
        except OSError:
            return None
        return about if stat.S_IFMT(about.st_mode) == kind else None


def restore_directory(
    store: ContentStore, output: OutputDirectory, place: str, *, but: frozenset[str] = frozenset()
) -> None:
    """Fill an empty directory with an output, except for some of its files and links.

    Raises:
        CacheError: A blob is missing or was changed; what is in the directory then is of no use.
        OSError: There is no space.
    """
    root, children = tree_of(store, output)
    _restore(store, root, children, place, "", but)


def restore_file(store: ContentStore, output: OutputFile, place: str) -> None:
    """Write one file where none is.

    Raises:
        CacheError: The blob is missing or was changed; what is in the file then is of no use.
        OSError: There is no space.
    """
    _write(store, output.digest, _mode_of(output.mode, 0o755 if output.is_executable else 0o644), place)


def _write(store: ContentStore, digest: Digest, mode: int, place: str) -> None:
    fd = os.open(place, _CREATE, 0o600)
    try:
        store.copy_out(digest, fd)
        os.fchmod(fd, mode)
    finally:
        os.close(fd)


def _restore(
    store: ContentStore,
    directory: Directory,
    children: dict[Digest, Directory],
    place: str,
    prefix: str,
    but: frozenset[str],
) -> None:
    if prefix.count("/") > _DEEPEST:
        raise CacheError("the tree of an output has a directory in itself", code="cache.corrupt")
    for file in directory.files:
        if prefix + file.name not in but:
            _write(store, file.digest, _file_mode(file), f"{place}/{file.name}")
    for link in directory.symlinks:
        if prefix + link.name not in but:
            os.symlink(link.target, f"{place}/{link.name}")
    for node in directory.directories:
        child = children.get(node.digest)
        if child is None:
            raise CacheError(f"the tree of an output lacks the directory {node.name!r}", code="cache.corrupt")
        os.mkdir(f"{place}/{node.name}", 0o700)
        _restore(store, child, children, f"{place}/{node.name}", f"{prefix}{node.name}/", but)
    os.chmod(place, _mode_of(directory.mode, 0o755))


def _file_mode(file: FileNode) -> int:
    return _mode_of(file.mode, 0o755 if file.is_executable else 0o644)


def _mode_of(mode: int | None, usual: int) -> int:
    return usual if mode is None else mode & 0o1777
