"""Where mountpoints come from: the second half of the resolution, from places to entries and grafts.

A mount needs something to be mounted on. In the sandbox's own directories and in temps a mountpoint is created; in an
input it has to exist on the host already, because an input is never changed. Where it does not, the directory around
it is rebuilt (see `bldr.sandbox.resolved.Graft`). The same holds for a link that has to be hidden, since nothing can
be mounted on a link.
"""

from __future__ import annotations

from bldr.model.declarations import Role
from bldr.model.paths import components, is_within, join, parent
from bldr.model.value import replace, value
from bldr.sandbox.host import PathKind
from bldr.sandbox.refusals import missing_in_output
from bldr.sandbox.resolved import OWN_TOP, Entry, EntryKind, EntryRole, Graft

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from bldr.errors import BldrError
    from bldr.sandbox.host import HostPaths

__all__ = ["Layout", "depth_first", "lay_out"]


@value
class Layout:
    """Entries and grafts in order, and what was unusual."""

    entries: tuple[Entry, ...]
    grafts: tuple[Graft, ...]
    notes: tuple[str, ...]


def depth_first(paths: Iterable[str]) -> list[str]:
    """Sort paths so that a directory comes right before everything that it holds."""
    keys = [path.replace("/", "\0") for path in paths]
    keys.sort()
    return [key.replace("\0", "/") for key in keys]


def lay_out(
    places: Mapping[str, Entry],
    paths: HostPaths,
    declared: Mapping[str, list[str]],
    clash: Callable[[Entry, Entry], BldrError],
) -> Layout:
    """Find out how each place comes to be.

    Args:
        places: All entries by place.
        paths: The host.
        declared: For each place to which links led, the paths that were declared.
        clash: Makes the error for an entry that cannot lie inside another one.

    Raises:
        OverlappingPathsError: Two of I, O and T share a path after links were followed, or something lies inside a
            file.
        OSError: A directory that has to be rebuilt cannot be listed.
    """
    work = _Work(paths, declared, clash)
    work.decide(places)
    grafts = tuple(work.graft(at) for at in depth_first(work.grafts))
    entries = tuple(map(work.uncovered, work.kept.values()))
    return Layout(entries, grafts, tuple(work.notes))


class _Work:
    """What is decided so far. ``kept`` is in depth-first order."""

    def __init__(
        self, paths: HostPaths, declared: Mapping[str, list[str]], clash: Callable[[Entry, Entry], BldrError]
    ) -> None:
        self.paths = paths
        self.declared = declared
        self.clash = clash
        self.kept: dict[str, Entry] = {}
        self.grafts: dict[str, str] = {}
        self.replaced: set[str] = set()
        self.notes: list[str] = []

    def decide(self, places: Mapping[str, Entry]) -> None:
        """Go through the places, each with the innermost place around it."""
        order = depth_first(places)
        around: list[tuple[str, Entry | None]] = [("/", None)]
        following = iter([*order[1:], "/"])
        for at in order:
            below = at + "/" if at != "/" else at
            while at[: len(around[-1][0])] != around[-1][0]:
                around.pop()
            outer = around[-1][1]
            entry: Entry | None = places[at]
            assert entry is not None
            full = next(following)[: len(below)] == below
            if at == "/":
                self.grafts[at] = entry.host
            elif outer is not None:
                entry = self.inside(entry, outer, full=full)
            elif entry.role == EntryRole.HOLE:
                entry = None
            if entry is not None:
                self.kept[at] = entry
                if full:
                    around.append((below, entry))

    def inside(self, entry: Entry, outer: Entry, *, full: bool) -> Entry | None:
        """Return what becomes of an entry within another one, ``None`` if nothing has to be done for it."""
        if outer.kind not in (EntryKind.DIR, EntryKind.SKELETON):
            if entry.role == EntryRole.HOLE:
                return entry  # nothing lies in a file
            raise self.clash(entry, outer)
        if entry.role == EntryRole.HOLE:
            return self.hole(entry, outer, full=full) if outer.role == Role.INPUT else None
        if outer.role == EntryRole.HOLE or (outer.at == "/" and f"/{components(entry.at)[0]}" in OWN_TOP):
            return entry  # the directory around it is our own
        if outer.role == Role.TEMP:
            if outer.origin != "default" and not self.is_declared_inside(entry, outer):
                raise self.clash(entry, outer)
            return None if entry.role == Role.TEMP else entry
        if outer.role == Role.OVERLAY:
            return self.inside_overlay(entry, outer)
        if entry.role == outer.role and entry.kind != EntryKind.LINK and entry.host == _shown(entry.at, outer):
            return None
        if outer.role == Role.OUTPUT:
            return self.inside_output(entry, outer)
        if entry.role in (Role.OUTPUT, Role.TEMP, Role.OVERLAY) and not self.is_declared_inside(entry, outer):
            raise self.clash(entry, outer)
        if not self.has_mountpoint(entry, outer):
            self.rebuild_around(entry.at, outer)
        return entry

    def inside_overlay(self, entry: Entry, outer: Entry) -> Entry | None:
        """Mount it there: in the private layer a mountpoint can be made, but a link in the way cannot be replaced."""
        if entry.role == EntryRole.MADE:
            return None
        if entry.role == outer.role and entry.kind != EntryKind.LINK and entry.host == _shown(entry.at, outer):
            return None
        if not self.is_declared_inside(entry, outer):
            raise self.clash(entry, outer)
        if not self.has_mountpoint(entry, outer) and (entry.kind == EntryKind.LINK or self.is_taken(entry.at, outer)):
            raise self.clash(entry, outer)
        return entry

    def is_taken(self, at: str, outer: Entry) -> bool:
        """Say whether something that is no directory stands where a mountpoint, or the way to it, would be made."""
        host = _shown(at, outer)
        while host != outer.host:
            if self.paths.is_plain_directory(parent(host)):
                return self.paths.kind(host) != PathKind.MISSING
            host = parent(host)
        return False

    def inside_output(self, entry: Entry, outer: Entry) -> Entry:
        """Accept other outputs, and the links on the way to a declared path; neither can be made there."""
        if entry.role != Role.OUTPUT and entry.kind != EntryKind.LINK:
            raise self.clash(entry, outer)
        if not self.has_mountpoint(entry, outer):
            raise missing_in_output(entry.role, entry.at, outer.at, _shown(entry.at, outer))
        return entry

    def hole(self, entry: Entry, outer: Entry, *, full: bool) -> Entry:
        """Find out how a hole in an input is hidden."""
        if full:
            skeleton = replace(entry, kind=EntryKind.SKELETON)
            if not self.has_mountpoint(skeleton, outer):
                self.rebuild_around(entry.at, outer)
            return skeleton
        host = _shown(entry.at, outer)
        kind = self.paths.kind(host) if self.paths.is_plain_directory(parent(host)) else PathKind.MISSING
        if kind == PathKind.LINK:
            self.rebuild_around(entry.at, outer, why="is a link that has to be hidden")
            kind = PathKind.MISSING
        return replace(entry, kind=kind)

    def is_declared_inside(self, entry: Entry, outer: Entry) -> bool:
        """Say whether an entry was declared to lie inside another one, and does not only come to lie there by links."""
        inner = self.declared.get(entry.at, [entry.at])
        return any(is_within(one, other) for one in inner for other in self.declared.get(outer.at, [outer.at]))

    def has_mountpoint(self, entry: Entry, outer: Entry) -> bool:
        """Say whether the host has, where an input or output shows it, what the entry can be mounted on."""
        if entry.role == EntryRole.MADE:
            return False
        host = _shown(entry.at, outer)
        if not self.paths.is_plain_directory(parent(host)):
            return False
        kind = self.paths.kind(host)
        if entry.kind == EntryKind.LINK:
            return kind == PathKind.LINK and self.paths.host.readlink(host) == entry.target
        if entry.kind in (EntryKind.DIR, EntryKind.SKELETON):
            return kind == PathKind.DIR
        return kind in (PathKind.FILE, PathKind.DEVICE)

    def rebuild_around(self, at: str, outer: Entry, *, why: str = "is no mountpoint on the host") -> None:
        """Have the innermost real directory around a place of an input rebuilt."""
        directory = parent(_shown(at, outer))
        while not self.paths.is_plain_directory(directory):
            directory = parent(directory)
        place = join(outer.at, directory[len(outer.host) :].lstrip("/"))
        self.replaced.add(join(place, components(at)[len(components(place))]))
        if place not in self.grafts:
            self.grafts[place] = directory
            self.notes.append(f"{place!r} is rebuilt from its entries, because {at!r} {why}")

    def graft(self, at: str) -> Graft:
        """Look at the entries of a directory that is rebuilt."""
        host = self.grafts[at]
        children = []
        for name in sorted(self.paths.host.listdir(host)):
            place = join(at, name)
            if place in self.kept or place in self.replaced or place in self.grafts or place in OWN_TOP:
                continue
            source = join(host, name)
            kind = self.paths.kind(source)
            if kind == PathKind.LINK:
                children.append(Entry(place, "", Role.INPUT, kind, self.paths.host.readlink(source)))
            elif kind != PathKind.MISSING:
                children.append(Entry(place, source, Role.INPUT, kind))
        return Graft(at, host, tuple(children))

    def uncovered(self, entry: Entry) -> Entry:
        """In a rebuilt directory a hole has nothing to hide: its entry is left out."""
        if entry.role == EntryRole.HOLE and entry.kind != EntryKind.SKELETON and parent(entry.at) in self.grafts:
            return replace(entry, kind=EntryKind.MISSING)
        return entry


def _shown(at: str, outer: Entry) -> str:
    """Return the host path that an entry with a host directory shows at a place inside of it."""
    return join(outer.host, at[len(outer.at) :].lstrip("/"))
