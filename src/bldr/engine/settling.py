"""The end of a build after which nothing is left to do: what the next one has to compare to see that."""

from __future__ import annotations

from bldr.builderfile.places import STATE
from bldr.builderfile.tree import FILE_NAME, LINK, Tree
from bldr.engine.files import told
from bldr.engine.handlers import is_built_in
from bldr.engine.settled import (
    MISSING,
    RACY,
    Settled,
    content_digest,
    digest_of_stamps,
    is_young,
    listing_digest,
    stamped,
)
from bldr.errors import BuilderfileError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from bldr.engine.files import Files
    from bldr.engine.graph import Graph

__all__ = ["settle"]

_UNKNOWN = ("special", "unreadable")


def settle(
    root: str, asked: str, graph: Graph, tree: Tree, files: Files, toolchain: str, *, racy: int = RACY
) -> Settled | None:
    """Return what everything depends on, after a build that has left every action up to date.

    Args:
        root: The absolute path of the workspace.
        asked: What was asked for.
        graph: What was built.
        tree: The folders that were listed for that.
        files: What inputs and outputs hold.
        toolchain: The identity of the toolchain.
        racy: For how many nanoseconds a stamp is young.

    Returns:
        ``None`` where something has changed since it was looked at, or nobody knows.
    """
    if not all(is_built_in(target) for target in graph.targets.values()):
        return None
    found = _Found(root, racy)
    if not found.add_tree(tree, graph.makers) or not found.add_files(_paths(graph), files):
        return None
    paths = tuple(sorted(found.stamps))
    stamps = digest_of_stamps([found.stamps[path] for path in paths])
    return Settled(asked, len(graph.actions), toolchain, paths, stamps, found.contents, found.listings)


def _paths(graph: Graph) -> list[str]:
    """Return every input and output of actions, each once."""
    paths: dict[str, None] = {}
    for action in graph.actions:
        paths.update(dict.fromkeys(action.inputs))
        paths.update(dict.fromkeys(action.outputs))
    for target in graph.targets.values():
        paths.update(dict.fromkeys([path for path in target.target.hermetic.inputs if path.startswith("/")]))
    return list(paths)


class _Found:
    """What was found so far; see :class:`Settled`."""

    def __init__(self, root: str, racy: int) -> None:
        self._root = root
        self._racy = racy
        self.stamps: dict[str, bytes] = {}
        self.contents: dict[str, str] = {}
        self.listings: dict[str, str] = {}

    def add_files(self, paths: list[str], files: Files) -> bool:
        """Add files and folders that actions read or write; says whether each holds what it held all the time."""
        learned = {path: dict(files.holds(path)) for path in paths}
        files.look_at_learned(paths)
        if files.is_restless:
            return False
        for path in paths:
            content, look = files.holds(path), files.last_look(path)
            if content != learned[path] or any(text in _UNKNOWN for text in content.values()):
                return False
            parts = {name: stamped(about) for name, about in look.parts.items()}
            if any(is_young(stamp, look.began - self._racy) for stamp in parts.values()):
                self.contents[path] = content_digest(content)
            else:
                self.stamps.update(parts or {path: MISSING})
        return True

    def add_tree(self, tree: Tree, makers: Mapping[str, int]) -> bool:
        """Add the folders that were listed, and Builderfiles; says whether only outputs have come and gone since."""
        now = Tree(self._root)
        try:
            if set(now.folders()) != set(tree.files_read):
                return False
            made = set(makers)
            changed = {path for output in made for path in _with_folders(output)}
            for folder, before in tree.listed.items():
                if not _is_same(folder, before, now.entries(folder), changed, made):
                    return False
        except BuilderfileError:  # the next build reports it
            return False
        for folder, entries in now.listed.items():
            looked, about = now.stamps[folder]
            stamp = MISSING if about is None else stamped(about)
            if is_young(stamp, looked - self._racy):
                self.listings[folder] = listing_digest(entries)
            else:
                self.stamps[folder] = stamp
        for folder, (looked, about, digest) in tree.files_read.items():
            path = f"{folder}/{FILE_NAME}" if folder else FILE_NAME
            if is_young(stamped(about), looked - self._racy):
                self.contents[path] = content_digest({path: told(digest, about.st_mode)})
            else:
                self.stamps[path] = stamped(about)
        return True


def _with_folders(path: str) -> list[str]:
    """Return a path and the folders that it lies in."""
    found = []
    while path:
        found.append(path)
        path = path.rpartition("/")[0]
    return found


def _is_same(folder: str, before: Mapping[str, str], now: Mapping[str, str], changed: set[str], made: set[str]) -> bool:
    """Say whether a folder holds what it held, but for outputs; a link among these may lead anywhere."""
    if before == now:
        return True
    for name in {*before, *now}:
        if before.get(name) == now.get(name):
            continue
        path = f"{folder}/{name}" if folder else name
        is_own = path in changed or path == STATE or not made.isdisjoint(_with_folders(path))
        if not is_own or LINK in (before.get(name), now.get(name)):
            return False
    return True
