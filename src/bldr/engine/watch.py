"""What a build depends on, looked at again and again: files by their stamps, folders by the names in them.

A look costs one system call a file and a folder. That finds changes on every file system, also those that tell nobody
(network file systems, folders shared with a virtual machine), and needs no limit of the kernel to be raised; how seldom
it has to be is for the caller to choose by what a look costs (``docs/adr/0034-watching-looks.md``).
"""

from __future__ import annotations

import os
import stat

from bldr.builderfile.places import STATE, within
from bldr.builderfile.tree import FILE_NAME, PRODUCTS, ROOT_MARK, Tree
from bldr.errors import BuilderfileError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import TypeAlias

    from bldr.builderfile.workspace import Workspace
    from bldr.engine.graph import Graph

    Stamp: TypeAlias = tuple[int, ...] | None

__all__ = ["Watch", "sentence_of"]

_RACY = 20_000_000  # nanoseconds: how much older than the truth the time of a change may be
_YOUNG = 2_000_000_000  # nanoseconds: a folder that changed so recently may change again without it being seen
_EDITORS = ("~", ".swp", ".swo", ".swx")
_UNKNOWN = (-1,)
_UNREAD = frozenset({"/"})  # no name


class Watch:
    """Says what has changed since it was made.

    Args:
        root: The absolute path of the workspace.
        files: Files, and folders with everything in them, as absolute paths.
        listings: The names that were in folders of the workspace.
        ignored: Paths of the workspace that the build itself writes.
        since: When somebody began to read the files, in nanoseconds since the epoch: what changed since then may have
            changed after it was read.
    """

    def __init__(
        self,
        root: str,
        files: Iterable[str],
        listings: Mapping[str, Iterable[str]],
        ignored: Iterable[str] = (),
        since: int = 0,
    ) -> None:
        self._root = root
        self._ignored = frozenset(ignored)
        self._files = {path: _stamp(path, since) for path in sorted(set(files))}
        self._names = {folder: self._kept(folder, names) for folder, names in listings.items()}
        self._times = dict.fromkeys(self._names, -1)
        self._latest = dict(self._names)

    @classmethod
    def of_build(cls, workspace: Workspace, graph: Graph, since: int) -> Watch:
        """Watch everything that a graph depends on: before anything of it is built."""
        root, made = workspace.root, graph.makers
        files = {os.path.join(root, folder, FILE_NAME) for folder in workspace.folders}
        files.add(os.path.join(root, ROOT_MARK))
        paths = {path for action in graph.actions for path in action.inputs if path.rstrip("/") not in made}
        paths |= {path for found in graph.targets.values() for path in found.target.hermetic.inputs}
        files |= {os.path.join(root, path) for path in paths if not _is_made(path.rstrip("/"), made)}
        listings = {
            folder: names
            for folder, names in workspace.tree.listings.items()
            if not within(folder, PRODUCTS) and not _is_made(folder, made)
        }
        return cls(root, files, listings, _with_parents(made), since)

    @classmethod
    def of_builderfiles(cls, root: str, since: int) -> Watch:
        """Watch the Builderfiles of a workspace, and every folder that may have one: something is wrong with one."""
        tree = Tree(root)
        try:
            folders = tree.folders()
        except BuilderfileError:
            folders = [""]
        files = {os.path.join(root, folder, FILE_NAME) for folder in folders}
        listings: dict[str, Iterable[str]] = dict(tree.listings)
        for folder in listings:
            if _is_young(os.path.join(root, folder), since):
                listings[folder] = _UNREAD  # it may have changed before it was read here: that is to be looked at
        return cls(root, {*files, os.path.join(root, ROOT_MARK)}, listings, since=since)

    @property
    def counts(self) -> tuple[int, int]:
        """How many files, and how many folders are looked at."""
        return len(self._files), len(self._names)

    def changes(self) -> dict[str, Stamp]:
        """Look, and return a sentence for each change since this was made, files before folders.

        Two looks give the same only if nothing has changed between them.
        """
        found: dict[str, Stamp] = {}
        for path, before in self._files.items():
            now = _stamp(path)
            if now != before:
                how = "is gone" if now is None else "is new" if before is None else "changed"
                found[f"{self._shown(path)} {how}"] = now
        for folder, before_names in self._names.items():
            names = self._listed(folder)
            if before_names == _UNREAD:
                found.setdefault(f"{folder or '.'} changed", None)
                continue
            for name in sorted(names ^ before_names):
                found.setdefault(f"{_inner(folder, name)} {'is new' if name in names else 'is gone'}", None)
        return found

    def _listed(self, folder: str) -> frozenset[str]:
        """Return the names in a folder; it is read only if its time says that this is worth it."""
        place = os.path.join(self._root, folder)
        try:
            time = os.stat(place).st_mtime_ns
            if time != self._times[folder]:
                names = self._kept(folder, os.listdir(place))
                self._times[folder] = time if time < _now() - _YOUNG else -1
                self._latest[folder] = names
        except OSError:
            self._times[folder], self._latest[folder] = -1, frozenset()
        return self._latest[folder]

    def _kept(self, folder: str, names: Iterable[str]) -> frozenset[str]:
        return frozenset(
            name for name in names if not _is_of_editor(name) and _inner(folder, name) not in self._ignored
        )

    def _shown(self, path: str) -> str:
        prefix = self._root.rstrip("/") + "/"
        return path.removeprefix(prefix).rstrip("/")


def sentence_of(changes: Sequence[str]) -> str:
    """Return changes in one line.

    Example:
        >>> sentence_of(["a.c changed", "b.c is gone", "c.c is new"])
        'a.c changed, and 2 more changes'
    """
    more = len(changes) - 1
    return changes[0] + (f", and {more} more change{'s' * (more != 1)}" if more else "")


def _stamp(path: str, since: int = 0) -> Stamp:
    """Return what tells a file, or a folder with everything in it, from what it was; nothing where there is none."""
    try:
        about = os.stat(path)
    except (OSError, ValueError):  # the build says why it cannot be read
        return None
    if stat.S_ISDIR(about.st_mode) and path.endswith("/"):
        return _stamp_of_folder(path)
    if since and _is_within(about.st_ctime_ns, since):
        return _UNKNOWN
    return (about.st_mtime_ns, about.st_ctime_ns, about.st_size, about.st_ino, about.st_mode)


def _stamp_of_folder(place: str) -> Stamp:
    found = []
    stack = [place]
    while stack:
        folder = stack.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name == STATE or _is_of_editor(entry.name):
                        continue
                    about = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(about.st_mode):
                        stack.append(entry.path)
                    else:
                        found.append((entry.path, about.st_mtime_ns, about.st_ctime_ns, about.st_size, about.st_ino))
        except OSError:
            found.append((folder, -1, -1, -1, -1))
    return (hash(tuple(sorted(found))),)


def _is_young(place: str, since: int) -> bool:
    """Whether names in a folder have changed since a moment."""
    try:
        return bool(since) and _is_within(os.stat(place).st_mtime_ns, since)
    except OSError:  # it is gone, which the next look shows
        return False


def _is_within(time: int, since: int) -> bool:
    return since - _RACY <= time <= _now()  # a time in the future is one of another clock


def _now() -> int:
    from time import time_ns

    return time_ns()


def _is_of_editor(name: str) -> bool:
    """Whether a name is one that editors use for a moment, or beside a file."""
    return name in (STATE, "4913") or name.startswith((".#", "#")) or name.endswith(_EDITORS)


def _is_made(path: str, made: Mapping[str, int]) -> bool:
    while path:
        if path in made:
            return True
        path = path.rpartition("/")[0]
    return False


def _with_parents(made: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for path in made:
        step = path
        while step and step not in found:
            found.add(step)
            step = step.rpartition("/")[0]
    return found


def _inner(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
