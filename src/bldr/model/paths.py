"""Sets of paths: a Boolean algebra of subtrees with holes.

A :class:`PathSet` is a trie whose marks flip membership on the way down from the root: a path is inside when an odd
number of marks lies on it and its ancestors. Every set has exactly one such trie, because a path is marked precisely
when its membership differs from that of its parent. Therefore the marks alone are the canonical form: equal sets have
equal marks, the symmetric difference of two sets is the symmetric difference of their marks, and the complement is one
more flip at the root.

Inside bldr a path is a ``str``: absolute, normalised, undecodable bytes kept as surrogate escapes. Paths are compared
by whole components, so ``/work`` does not contain ``/workshop``. Nothing here looks at a file system.
"""

from __future__ import annotations

import os

from bldr.errors import InvalidPathError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias

    AnyPath: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]

__all__ = ["PathSet", "components", "is_within", "join", "normalize", "parent", "printable"]


def normalize(path: AnyPath, *, what: str = "path") -> str:
    """Return the one spelling of an absolute path.

    ``.``, ``//`` and a trailing ``/`` are dropped. ``..`` is refused and not resolved: behind a symbolic link it leads
    elsewhere than its text says.

    Args:
        path: An absolute path; bytes are decoded the way the operating system's interface of Python does.
        what: How an error calls the path, for example ``input``.

    Raises:
        InvalidPathError: The path is empty, relative, holds ``..`` or a NUL, or has no bytes that spell it.
    """
    text = path if type(path) is str else os.fsdecode(path)
    if text[:1] != "/" or text[-1] == "/" or "/." in text or "//" in text or "\0" in text or not text.isascii():
        return _tidied(text, what)
    return text


def _tidied(text: str, what: str) -> str:
    if not text:
        raise InvalidPathError(f"the {what} is an empty path", path=text, hint="write an absolute path such as /work")
    if "\0" in text:
        raise InvalidPathError(
            f"the {what} {text!r} holds a NUL character", path=text, hint="no file name can hold one: remove it"
        )
    if text[0] != "/":
        raise InvalidPathError(
            f"the {what} {text!r} is relative",
            path=text,
            code="spec.path-relative",
            hint="write an absolute path, for example with os.path.abspath()",
        )
    names = [name for name in text.split("/") if name and name != "."]
    if ".." in names:
        raise InvalidPathError(
            f"the {what} {text!r} holds '..'",
            path=text,
            code="spec.path-not-normalized",
            hint=f"write {_without_dotdot(names)!r}, or os.path.realpath() of it when a symbolic link is on the way",
        )
    try:
        os.fsencode(text)
    except UnicodeEncodeError as error:
        raise InvalidPathError(
            f"the {what} {text!r} cannot be encoded for the file system",
            path=text,
            hint="pass the path as bytes, as os.listdir(b'...') returns it",
        ) from error
    return "/" + "/".join(names)


def _without_dotdot(names: list[str]) -> str:
    kept: list[str] = []
    for name in names:
        if name == "..":
            del kept[-1:]
        else:
            kept.append(name)
    return "/" + "/".join(kept)


def parent(path: str) -> str:
    """Return the directory that holds a normalised path; the root is its own parent."""
    return path[: path.rfind("/")] or "/"


def join(base: str, name: str) -> str:
    """Return the normalised path of a relative, normalised name under ``base``; an empty name is ``base`` itself."""
    if not name:
        return base
    return base + name if base == "/" else f"{base}/{name}"


def components(path: str) -> tuple[str, ...]:
    """Return the names on a normalised path; the root has none."""
    return () if path == "/" else tuple(path[1:].split("/"))


def is_within(path: str, ancestor: str) -> bool:
    """Say whether a normalised path is ``ancestor`` or lies beneath it."""
    outer = components(ancestor)
    return components(path)[: len(outer)] == outer


def printable(text: str) -> str:
    """Return text with its undecodable bytes as backslash escapes, so that it can be encoded everywhere."""
    return text if text.isascii() else os.fsencode(text).decode("utf-8", "backslashreplace")


class PathSet:
    """An immutable set of paths, made of subtrees and holes.

    Sets are built with :meth:`empty`, :meth:`everything`, :meth:`subtree` and :meth:`of`, and combined with
    ``| & - ^ ~``. They compare with ``== <= < >= >`` as sets of paths.

    Args:
        marks: The normalised paths at which membership flips. Every set of paths is the canonical form of one set.

    Example:
        >>> work = PathSet.subtree("/work") - PathSet.subtree("/work/out")
        >>> "/work/src/main.c" in work, "/work/out/main.o" in work, "/workshop" in work
        (True, False, False)
        >>> work.roots(), work.holes()
        (('/work',), ('/work/out',))
    """

    __slots__ = ("_above", "_marks")

    _marks: frozenset[str]
    _above: frozenset[str] | None
    """The directories that have a mark somewhere beneath them; made when first asked for."""

    def __init__(self, marks: frozenset[str] = frozenset()) -> None:
        self._marks = marks
        self._above = None

    @staticmethod
    def empty() -> PathSet:
        """Return the set without any path."""
        return PathSet()

    @staticmethod
    def everything() -> PathSet:
        """Return the set of all paths."""
        return PathSet(_ROOT)

    @staticmethod
    def subtree(path: AnyPath) -> PathSet:
        """Return the set of one path and everything beneath it."""
        return PathSet(frozenset((normalize(path),)))

    @staticmethod
    def of(paths: Iterable[AnyPath]) -> PathSet:
        """Return the union of the subtrees of all paths."""
        names = frozenset([normalize(path) for path in paths])
        result = PathSet(names)
        if names.isdisjoint(result._interior()):
            return result
        return PathSet(frozenset([name for name in names if not _has_ancestor_in(name, names)]))

    def __or__(self, other: PathSet) -> PathSet:
        return PathSet(self._combined(other, _OR)) if type(other) is PathSet else NotImplemented

    def __and__(self, other: PathSet) -> PathSet:
        return PathSet(self._combined(other, _AND)) if type(other) is PathSet else NotImplemented

    def __sub__(self, other: PathSet) -> PathSet:
        return PathSet(self._combined(other, _MINUS)) if type(other) is PathSet else NotImplemented

    def __xor__(self, other: PathSet) -> PathSet:
        return PathSet(self._marks ^ other._marks) if type(other) is PathSet else NotImplemented

    def __invert__(self) -> PathSet:
        return PathSet(self._marks ^ _ROOT)

    def __eq__(self, other: object) -> bool:
        return self._marks == other._marks if type(other) is PathSet else NotImplemented

    def __hash__(self) -> int:
        return hash((PathSet, self._marks))

    def __le__(self, other: PathSet) -> bool:
        return not self._combined(other, _MINUS) if type(other) is PathSet else NotImplemented

    def __lt__(self, other: PathSet) -> bool:
        return self._marks != other._marks and self <= other if type(other) is PathSet else NotImplemented

    def __ge__(self, other: PathSet) -> bool:
        return other <= self if type(other) is PathSet else NotImplemented

    def __gt__(self, other: PathSet) -> bool:
        return other < self if type(other) is PathSet else NotImplemented

    def __bool__(self) -> bool:
        return bool(self._marks)

    def __contains__(self, path: AnyPath) -> bool:
        return self.contains(path)

    def isdisjoint(self, other: PathSet) -> bool:
        """Say whether no path is in both sets."""
        return not self._combined(other, _AND)

    def contains(self, path: AnyPath) -> bool:
        """Say whether the path itself is inside; its most specific mark decides."""
        name = normalize(path)
        marks = self._marks
        inside = "/" in marks
        if name == "/":
            return inside
        cut = name.find("/", 1)
        while cut > 0:
            if name[:cut] in marks:
                inside = not inside
            cut = name.find("/", cut + 1)
        return inside != (name in marks)

    def covers(self, path: AnyPath) -> bool:
        """Say whether the path and everything beneath it are inside."""
        return self.contains(path) and normalize(path) not in self._interior()

    def touches(self, path: AnyPath) -> bool:
        """Say whether the path or anything beneath it is inside."""
        return self.contains(path) or normalize(path) in self._interior()

    def under(self, path: AnyPath) -> PathSet:
        """Return the part of the set that is the path or lies beneath it."""
        return self & PathSet.subtree(path)

    def roots(self) -> tuple[str, ...]:
        """Return the paths at which membership begins, sorted."""
        return tuple(path for path, inside in self.marks() if inside)

    def holes(self) -> tuple[str, ...]:
        """Return the paths at which membership ends, sorted."""
        return tuple(path for path, inside in self.marks() if not inside)

    def marks(self) -> tuple[tuple[str, bool], ...]:
        """Return every path at which membership changes and what it changes to; parents come before children."""
        ordered = sorted(self._marks, key=components)
        result: list[tuple[str, bool]] = []
        outer: list[tuple[tuple[str, ...], bool]] = []
        for path in ordered:
            names = components(path)
            while outer and names[: len(outer[-1][0])] != outer[-1][0]:
                outer.pop()
            inside = not outer[-1][1] if outer else True
            outer.append((names, inside))
            result.append((path, inside))
        return tuple(result)

    def __repr__(self) -> str:
        shown = [f"{'+' if inside else '-'}{path!r}" for path, inside in self.marks()[:9]]
        if len(self._marks) > 9:
            shown[8:] = ["..."]
        return f"PathSet({' '.join(shown)})"

    def __reduce__(self) -> tuple[object, ...]:
        return PathSet, (self._marks,)

    def _interior(self) -> frozenset[str]:
        if self._above is None:
            self._above = _directories_above(self._marks)
        return self._above

    def _combined(self, other: PathSet, table: tuple[bool, bool, bool, bool]) -> frozenset[str]:
        """Return the marks of a binary operation on two sets."""
        ones, twos = self._marks, other._marks
        if not twos:
            return ones if table[2] else twos
        if not ones:
            return twos if table[1] else ones
        groups = ((ones - twos, 2), (twos - ones, 1), (ones & twos, 3))
        if self._above is None or other._above is None or not (ones | twos).isdisjoint(self._above | other._above):
            return _merged(ones, twos, groups, table)
        # No mark lies beneath another one, as in two lists of files: each mark decides for itself.
        return frozenset().union(*(marks for marks, state in groups if table[state]))


_ROOT = frozenset("/")

# Results of a binary operation for a path that is in (neither, the second, the first, both) of two sets.
_AND = (False, False, False, True)
_OR = (False, True, True, True)
_MINUS = (False, False, True, False)


def _merged(
    ones: frozenset[str],
    twos: frozenset[str],
    groups: tuple[tuple[frozenset[str], int], ...],
    table: tuple[bool, bool, bool, bool],
) -> frozenset[str]:
    """Walk two tries at once and return the marks of the result, visiting each mark and each directory once.

    A path of the result is marked when the outcome there differs from the outcome at its parent, and that can only be
    at a mark of either set. ``states`` remembers in which of the two sets each directory is.
    """
    root = 2 * ("/" in ones) + ("/" in twos)
    states = {"/": root}
    kept = ["/"] if table[root] else []
    for marks, flip in groups:
        for path in marks - _ROOT:
            above = path[: path.rfind("/")] or "/"
            unknown = []
            while above not in states:
                unknown.append(above)
                above = above[: above.rfind("/")] or "/"
            state = states[above]
            for directory in reversed(unknown):
                if directory in ones:
                    state ^= 2
                if directory in twos:
                    state ^= 1
                states[directory] = state
            if table[state] != table[state ^ flip]:
                kept.append(path)
    return frozenset(kept)


def _directories_above(paths: frozenset[str]) -> frozenset[str]:
    """Return every proper ancestor of the paths."""
    found = set()
    for path in paths:
        above = path
        while above != "/":
            above = above[: above.rfind("/")] or "/"
            if above in found:
                break
            found.add(above)
    return frozenset(found)


def _has_ancestor_in(path: str, names: frozenset[str]) -> bool:
    while path != "/":
        path = path[: path.rfind("/")] or "/"
        if path in names:
            return True
    return False
