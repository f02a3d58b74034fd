"""What the resolution of a spec asks of the host: what a path is, where links lead, what a directory holds.

`HostView` is the seam: `RealHost` answers from the file system, tests answer from a tree in memory. `HostPaths`
remembers the answers for the time of one resolution, so that 10,000 inputs cost one look at each of them and at each
of their directories.
"""

from __future__ import annotations

import os

from bldr.model.paths import components, join, parent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Protocol

    class HostView(Protocol):
        """The questions. Paths are absolute and normalised; an ``OSError`` is what the system said."""

        def lstat_kind(self, path: str) -> str:
            """Return one of the constants of `PathKind` for the path itself, ``MISSING`` when nothing is there."""

        def readlink(self, path: str) -> str:
            """Return the text of a link."""

        def listdir(self, path: str) -> Iterable[str]:
            """Return the names in a directory, in any order."""

        def access(self, path: str, *, write: bool) -> bool:
            """Say whether the caller may read the path, or create and remove entries in that directory."""


__all__ = ["MOST_LINKS", "Followed", "HostPaths", "HostView", "PathKind", "RealHost"]

MOST_LINKS = 40  # MAXSYMLINKS in <linux/namei.h>
_FORMAT = 0o170000  # S_IFMT in <sys/stat.h>; the module stat is not worth its import here
_FORMATS = {0o040000: "dir", 0o120000: "link", 0o020000: "device", 0o060000: "device"}


class PathKind:
    """What a path of the host is. Sockets and fifos count as files: they are mounted like files."""

    MISSING = ""
    DIR = "dir"
    FILE = "file"
    LINK = "link"
    DEVICE = "device"
    LOOP = "loop"
    """Where following links does not come to an end; never what a path itself is."""
    OPAQUE = "opaque"
    """A path in ``/proc``: what it shows depends on who looks, so no link in it is followed."""


class RealHost:
    """Answers from the file system, with the rights of the caller."""

    __slots__ = ()

    def lstat_kind(self, path: str) -> str:
        """Look at the path itself, without following a link."""
        try:
            mode = os.lstat(path).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return PathKind.MISSING
        return _FORMATS.get(mode & _FORMAT, PathKind.FILE)

    def readlink(self, path: str) -> str:
        """Read a link."""
        return os.readlink(path)

    def listdir(self, path: str) -> list[str]:
        """List a directory."""
        return os.listdir(path)

    def access(self, path: str, *, write: bool) -> bool:
        """Ask the kernel, which knows of permissions, access lists and read-only file systems."""
        return os.access(path, os.W_OK | os.X_OK if write else os.R_OK)


class Followed:
    """Where a path leads: the path without links, what is there, and each link on the way with its text.

    When ``kind`` is ``MISSING``, ``LOOP`` or ``OPAQUE``, ``real`` is where the way ended.
    """

    __slots__ = ("hops", "kind", "real")

    def __init__(self, real: str, kind: str, hops: tuple[tuple[str, str], ...] = ()) -> None:
        self.real = real
        self.kind = kind
        self.hops = hops


class HostPaths:
    """The host as one resolution sees it: every question is asked once."""

    def __init__(self, host: HostView) -> None:
        self.host = host
        self._kinds = {"/": PathKind.DIR, "/proc": PathKind.OPAQUE}
        self._plain = {""}  # directories without a link on the way, as what stands before the last slash of a path

    def missing_in(self, directory: str, names: Iterable[str]) -> list[str]:
        """Return the paths of those names that a directory lacks; none when a link is on the way to it."""
        if not self.is_plain_directory(directory):
            return []
        there = frozenset(self.host.listdir(directory))
        return [join(directory, name) for name in names if name not in there]

    def kind(self, path: str) -> str:
        """Return what the path itself is. Its parent has to be a real directory, or nothing."""
        known = self._kinds.get(path)
        if known is None:
            known = self._kinds[path] = self.host.lstat_kind(path)
        return known

    def follow(self, path: str) -> Followed:
        """Follow every link of a path, the last one included."""
        if path[: path.rfind("/")] in self._plain:
            kind = self.kind(path)
            if kind != PathKind.LINK:
                if kind == PathKind.DIR:
                    self._plain.add(path)
                return Followed(path, kind)
        return self._walk(path)

    def is_plain_directory(self, path: str) -> bool:
        """Say whether a path is a directory and no link is on the way."""
        if path in self._plain:
            return True
        found = self.follow(path)
        return found.kind == PathKind.DIR and not found.hops

    def _walk(self, path: str) -> Followed:
        hops: list[tuple[str, str]] = []
        todo = list(reversed(components(path)))
        here, kind = "/", PathKind.DIR
        while todo:
            name = todo.pop()
            if name in ("", "."):
                continue
            if name == "..":
                here = parent(here)
                continue
            step = join(here, name)
            kind = self.kind(step)
            if kind == PathKind.LINK:
                if len(hops) == MOST_LINKS:
                    return Followed(step, PathKind.LOOP, tuple(hops))
                target = self.host.readlink(step)
                hops.append((step, target))
                todo += reversed(target.split("/"))
                here, kind = ("/" if target[:1] == "/" else here), PathKind.DIR
            elif kind == PathKind.DIR:
                here = step
                self._plain.add(step)
            elif kind == PathKind.OPAQUE:
                return Followed(step, kind, tuple(hops))
            elif kind == PathKind.MISSING or todo:
                return Followed(step, PathKind.MISSING, tuple(hops))
            else:
                here = step
        return Followed(here, kind, tuple(hops))
