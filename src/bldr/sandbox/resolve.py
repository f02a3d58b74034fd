"""Resolution: the one look at the host, from a spec to what the sandbox will show.

Each declared path is followed link by link. What it leads to stands at its canonical place, and every link on the way
is shown as the link that it is, so that all the names work inside. Links that only occur *within* a declared directory
are not followed: where they lead out of I, O and T, they dangle inside.

Afterwards the invariants are checked once more, because links can make two declarations the same path.
"""

from __future__ import annotations

from bldr.errors import OverlappingPathsError
from bldr.model.declarations import Declaration, Role, aliases, sort_key
from bldr.model.paths import components, join, parent
from bldr.sandbox.host import MOST_LINKS, Followed, HostPaths, PathKind, RealHost
from bldr.sandbox.layout import lay_out
from bldr.sandbox.refusals import clashing, in_a_file, lookup_failed, missing, refuse_reserved, refuse_unusable
from bldr.sandbox.resolved import Entry, EntryKind, EntryRole, Graft, Move, ResolvedSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from bldr.errors import BldrError
    from bldr.model.spec import SandboxSpec
    from bldr.sandbox.host import HostView

__all__ = ["MADE", "Entry", "Graft", "ResolvedSpec", "resolve"]

MADE = (
    "/etc/group",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/resolv.conf",
)
"""Files that every sandbox has and no toolchain brings, because the host's tell who and where it is."""

_HOST = RealHost()
_MANY = 8  # optional paths in one directory, from which on one listing is cheaper than a look at each
_NOWHERE = (PathKind.MISSING, PathKind.LOOP, PathKind.OPAQUE)
_PERHAPS_RESERVED = ("/", "/dev", "/pro", "/sys")  # the first four characters

# What a host usually has and a sandbox has no reason to show; one is enough.
_CANARIES = (
    "/etc/machine-id",
    "/etc/fstab",
    "/etc/profile",
    "/etc/shells",
    "/etc/login.defs",
    "/etc/issue",
    "/var/lib/dpkg/status",
    "/home",
    "/root",
    "/var/log",
    "/boot",
)


def resolve(spec: SandboxSpec, *, host: HostView = _HOST) -> ResolvedSpec:
    """Look at the host and return what the sandbox will show.

    Args:
        spec: The request.
        host: Where to look.

    Raises:
        InvalidPathError: A declared path is missing, of the wrong kind, not accessible, or one that every sandbox has
            for itself.
        OverlappingPathsError: Two of I, O and T share a path once links are followed.
    """
    work = _Resolution(spec, HostPaths(host))
    try:
        work.place_declarations()
        work.yield_to_overlays()
        work.place_holes()
        work.place_made_files()
        layout = lay_out(work.places, work.paths, work.declared, work.clash)
        work.refuse_aliases()
        canary = work.canary()
    except OSError as error:
        raise lookup_failed(error) from error
    return ResolvedSpec(
        spec=spec,
        entries=layout.entries,
        grafts=layout.grafts,
        notes=layout.notes,
        canary=canary,
        moves=tuple(work.moves),
        absent=tuple(work.absent),
    )


class _Resolution:
    """What is known so far.

    ``places`` holds an entry for each canonical place, links included; ``declared`` the declared paths for each place
    to which links led.
    """

    def __init__(self, spec: SandboxSpec, paths: HostPaths) -> None:
        self.spec = spec
        self.paths = paths
        self.places: dict[str, Entry] = {}
        self.declared: dict[str, list[str]] = {}
        self.moves: list[Move] = []
        self.absent: list[str] = []
        self._is_mapped = False
        self._directories: dict[str, tuple[str, str]] = {}

    def place_declarations(self) -> None:
        """Place what is shown under its own name first: its links decide where the rest goes."""
        missing_ones = self._look_for_optional()
        others = []
        for one in self.spec.declarations:
            if one.optional and one.host in missing_ones:
                self.absent.append(one.at)
                continue
            if one.host != one.at:
                others.append(one)
                continue
            if one.at[:4] in _PERHAPS_RESERVED:
                refuse_reserved(one, one.at)
            found = self._follow(one)
            if found is not None:
                self._show_links(found.hops)
                self._put(Entry(found.real, found.real, one.role, found.kind, "", one.origin), one.at)
        others.sort(key=sort_key)
        for one in others:
            if one.role != Role.TEMP:
                self._place_mapped(one)
        self._place_temps(others)

    def yield_to_overlays(self) -> None:
        """Forget what a toolchain brings to a place in an overlay, where links led: the overlay shows it already."""
        if not self.spec.overlays:
            return
        for at, entry in list(self.places.items()):
            if entry.origin and entry.role == Role.INPUT and at != "/":
                around = self._innermost(parent(at))
                if around is not None and around.role == Role.OVERLAY:
                    self._withdraw(entry)
                    del self.places[at]

    def place_holes(self) -> None:
        """Place what was left out of I, unless something is declared exactly there."""
        if "/" in self.places and "/sys" not in self.places:
            self.places["/sys"] = Entry("/sys", "", EntryRole.HOLE, EntryKind.MISSING)
        holes = self.spec.inputs.holes()
        if not holes:
            return
        declared = {*[one.at for one in self.spec.declarations], *self.spec.temps.roots()}
        for hole in holes:
            if hole in declared:
                continue
            place = join(self._inside(parent(hole)), components(hole)[-1])
            if place not in self.places:
                self.places[place] = Entry(place, "", EntryRole.HOLE, EntryKind.MISSING)
            if place != hole:
                self.moves.append(Move(EntryRole.HOLE, hole, place))

    def place_made_files(self) -> None:
        """Place the synthesised files, except where the caller declared something that holds them."""
        own = {one.at for one in self.spec.declarations if not one.origin}
        if "/" in own or "/etc" in own:
            return
        for path in MADE:
            if path not in own:
                place = self._inside(path)
                known = self.places.get(place)
                if known is None or known.origin:
                    if known is not None:
                        self._withdraw(known)
                    self.places[place] = Entry(place, "", EntryRole.MADE, EntryKind.FILE)

    def refuse_aliases(self) -> None:
        """Check that no input shows what an output writes under another name.

        Raises:
            OverlappingPathsError: One does, and not where the spec left a hole in it.
        """
        if not (self._is_mapped and self.spec.outputs):
            return
        shown = [one for one in self.places.values() if one.host]
        for alias in aliases(Declaration(one.role, one.at, one.host, origin=one.origin) for one in shown):
            around = self._innermost(alias.at)
            if around is not None and around.role in (Role.INPUT, Role.OVERLAY):
                raise OverlappingPathsError(
                    f"the {alias.given.role} {alias.given.host!r} and the output {alias.output.host!r} share files of"
                    " the host",
                    first=alias.given.at,
                    second=alias.output.at,
                    hint=f"they are shown at {alias.given.at!r} and {alias.output.at!r}: declare one of them elsewhere",
                )

    def canary(self) -> str:
        """Return something that the host has and the sandbox must not show, empty if there is no candidate."""
        for path in _CANARIES:
            around = self._innermost(path)
            if around is None or around.role == EntryRole.HOLE:
                try:
                    found = self.paths.follow(path)
                except OSError:
                    continue
                if found.kind in (PathKind.FILE, PathKind.DIR) and not found.hops:
                    return path
        return ""

    def clash(self, entry: Entry, outer: Entry) -> BldrError:
        """Return the error for an entry that cannot lie where it does."""
        inner, around = self._declaration(entry), self._declaration(outer)
        if entry.at != outer.at and outer.kind not in (EntryKind.DIR, EntryKind.SKELETON):
            return in_a_file(inner, around)
        return clashing(inner, entry.at, around, outer.at)

    def _look_for_optional(self) -> set[str]:
        """Return optional paths that are missing; most of a toolchain's are, and one listing says so of many."""
        wanted: dict[str, list[str]] = {}
        for one in self.spec.declarations:
            if one.optional:
                directory, _, name = one.host.rpartition("/")
                wanted.setdefault(directory or "/", []).append(name)
        found: set[str] = set()
        for directory, names in wanted.items():
            if len(names) >= _MANY:
                try:
                    found.update(self.paths.missing_in(directory, names))
                except OSError:
                    pass  # a directory that cannot be listed can still hold them: each is looked for by itself
        return found

    def _follow(self, one: Declaration) -> Followed | None:
        """Return where a host path leads; ``None`` when there is nothing to show."""
        try:
            found = self.paths.follow(one.host)
        except OSError:
            if not one.optional:
                raise
            found = Followed(one.host, PathKind.MISSING)
        if found.kind in _NOWHERE:
            if found.kind != PathKind.OPAQUE and not one.optional:
                raise missing(one, found, self.paths)
            if found.kind == PathKind.OPAQUE and (one.host != one.at or one.role == Role.OUTPUT):
                refuse_reserved(one, found.real)
            if found.kind == PathKind.OPAQUE:
                self._show_links(found.hops)
            self.absent.append(one.at)
            return None
        if found.hops and found.real[:4] in _PERHAPS_RESERVED:
            refuse_reserved(one, found.real)
        if not one.optional:
            refuse_unusable(one, found, self.paths)
        return found

    def _place_mapped(self, one: Declaration) -> None:
        if one.at[:4] in _PERHAPS_RESERVED:
            refuse_reserved(one, one.at)
        found = self._follow(one)
        if found is not None:
            self._is_mapped = True
            self._put(Entry(self._inside(one.at), found.real, one.role, found.kind, "", one.origin), one.at)

    def _place_temps(self, declared: Iterable[Declaration]) -> None:
        """Place T: what was declared, and the holes of inputs in a temp that yields to those inputs."""
        origins = {one.at: one.origin for one in declared if one.role == Role.TEMP}
        for at in sorted({*origins, *self.spec.temps.roots()}, key=components):
            if at[:4] in _PERHAPS_RESERVED:
                refuse_reserved(Declaration(Role.TEMP, at), at)
            self._put(Entry(self._inside(at), "", Role.TEMP, EntryKind.DIR, "", origins.get(at, "default")), at)

    def _show_links(self, hops: Iterable[tuple[str, str]]) -> None:
        for at, target in hops:
            self.places[at] = Entry(at, "", Role.INPUT, EntryKind.LINK, target)

    def _put(self, entry: Entry, declared: str) -> None:
        """Give a place to an entry. What nobody asked for yields to what somebody asked for."""
        known = self.places.get(entry.at)
        if declared != entry.at:
            self.moves.append(Move(entry.role, declared, entry.at))
            names = self.declared.setdefault(entry.at, [] if known is None else [entry.at])
            names.append(declared)
        elif entry.at in self.declared:
            self.declared[entry.at].append(declared)
        if known is None:
            self.places[entry.at] = entry
        elif known.role == entry.role and known.host == entry.host:
            if not entry.origin:
                self.places[entry.at] = entry
        elif entry.origin:
            self._withdraw(entry)
        elif known.origin:
            self._withdraw(known)
            self.places[entry.at] = entry
        else:
            raise self.clash(entry, known)

    def _withdraw(self, entry: Entry) -> None:
        """Forget the declarations behind an entry whose place another one takes."""
        behind = {one.at for one in self.spec.declarations if one.role == entry.role and one.origin == entry.origin}
        if entry.role == Role.TEMP:
            behind.update(self.spec.temps.roots())
        self.absent += [at for at in self.declared.get(entry.at, [entry.at]) if at in behind]

    def _declaration(self, entry: Entry) -> Declaration:
        """Return the declaration behind an entry, as well as it is known."""
        if entry.kind == EntryKind.LINK:
            return Declaration("link", entry.at)
        if entry.role == EntryRole.MADE:
            return Declaration("synthesised file", entry.at)
        places = self.declared.get(entry.at, [entry.at])
        for one in self.spec.declarations:
            if one.role == entry.role and one.at in places and one.origin == entry.origin:
                return one
        return Declaration(entry.role, entry.at, entry.host)

    def _innermost(self, path: str) -> Entry | None:
        while True:
            found = self.places.get(path)
            if found is not None or path == "/":
                return found
            path = parent(path)

    def _inside(self, path: str) -> str:
        """Return the place of an inside path: with the links followed that the sandbox shows on the way."""
        if path == "/":
            return path
        directory = parent(path)
        start = self._directories.get(directory)
        if start is None:
            start = self._directories[directory] = self._walk("/", self._host_of("/"), components(directory))
        here, host = start
        name = path[path.rfind("/") + 1 :]
        if not host and join(here, name) not in self.places:
            return join(here, name)
        return self._walk(here, host, (name,))[0]

    def _walk(self, here: str, host: str, names: tuple[str, ...]) -> tuple[str, str]:
        """Walk on from a place; ``host`` is the host's directory that is shown there, empty if there is none."""
        todo = list(reversed(names))
        hops = 0
        while todo:
            name = todo.pop()
            if name == "..":
                here = parent(here)
                host = self._host_of(here)
            elif name not in ("", "."):
                step = join(here, name)
                host = self._shown_in(host, name, step)
                target = self._link_at(step, host)
                if target and hops < MOST_LINKS:
                    hops += 1
                    todo += reversed(target.split("/"))
                    here = "/" if target[:1] == "/" else here
                    host = self._host_of(here)
                else:
                    here = step
        return here, host

    def _shown_in(self, host: str, name: str, step: str) -> str:
        """Return what of the host is shown at ``step``, given what is shown at its parent."""
        entry = self.places.get(step)
        if entry is not None:
            return entry.host
        return join(host, name) if host else ""

    def _link_at(self, step: str, host: str) -> str:
        """Return the text of the link that the sandbox shows at a place, and remember it; empty if it is none."""
        entry = self.places.get(step)
        if entry is not None:
            return entry.target
        if not host or self.paths.kind(host) != PathKind.LINK:
            return ""
        target = self.paths.host.readlink(host)
        self.places[step] = Entry(step, "", Role.INPUT, EntryKind.LINK, target)
        return target

    def _host_of(self, place: str) -> str:
        """Return the host path that is shown at a place, empty if nothing of the host is."""
        found = self._innermost(place)
        if found is None or not found.host:
            return ""
        return join(found.host, place[len(found.at) :].lstrip("/"))
