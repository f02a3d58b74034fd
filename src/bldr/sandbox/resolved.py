"""A spec after the one look at the host: the value that backends compile into a plan.

Every path here is canonical: a declared path that leads through links stands at the place where it leads, and each
link on the way is an entry of its own.
"""

from __future__ import annotations

from bldr.model.declarations import Role
from bldr.model.paths import PathSet, components, join, parent
from bldr.model.spec import Access
from bldr.model.value import value
from bldr.sandbox.host import MOST_LINKS, PathKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from bldr.model.spec import SandboxSpec

__all__ = [
    "OWN_TOP",
    "EffectiveSets",
    "Entry",
    "EntryKind",
    "EntryRole",
    "Graft",
    "Move",
    "ResolvedSpec",
    "follow_links",
]

_set = object.__setattr__

OWN_TOP = ("/dev", "/proc", "/sys")
"""What an input that is shown at ``/`` does not bring along: the sandbox has its own, and ``/sys`` is for who asks."""


class EntryRole(Role):
    """What an entry is there for: a role of a declaration, or one that follows from declarations."""

    HOLE = "hole"
    """Not declared, but inside an input: it has to be hidden."""
    MADE = "made"
    """Synthesised, such as ``/etc/passwd``; its content is up to the backend."""


class EntryKind(PathKind):
    """What is at an entry. A hole with nothing to hide is ``MISSING``."""

    SKELETON = "skeleton"
    """A hole with declared paths below it."""


@value
class Entry:
    """One place inside the sandbox.

    Args:
        at: The place, a canonical path inside.
        host: The canonical host path that is shown there; empty when nothing of the host is.
        role: One of the constants of `EntryRole`.
        kind: One of the constants of `EntryKind`.
        target: The text of a link.
        origin: Who declared it, as in `bldr.model.declarations.Declaration`.
    """

    at: str
    host: str
    role: str
    kind: str
    target: str
    origin: str

    # There is one entry for each input: written out, 10,000 of them take a quarter of the time (5 ms, not 20).
    def __init__(self, at: str, host: str, role: str, kind: str, target: str = "", origin: str = "") -> None:
        _set(self, "at", at)
        _set(self, "host", host)
        _set(self, "role", role)
        _set(self, "kind", kind)
        _set(self, "target", target)
        _set(self, "origin", origin)


@value
class Graft:
    """A directory of an input that is rebuilt from its entries, because a mountpoint is missing in it.

    Nothing is ever created on the host, so the sandbox shows a directory of its own at ``at``, in which each entry of
    the host's directory ``host`` appears, and the mountpoint.
    """

    at: str
    host: str
    children: tuple[Entry, ...]


@value
class Move:
    """A declared path, or a hole, that stands elsewhere because links lead there."""

    role: str
    declared: str
    at: str


@value
class EffectiveSets:
    """I, O, T and the overlays, of canonical paths inside."""

    inputs: PathSet
    outputs: PathSet
    temps: PathSet
    overlays: PathSet = PathSet.empty()

    def access(self, path: str) -> str:
        """Return what the command may do with a canonical path: one of the constants of `bldr.model.spec.Access`."""
        if self.outputs.contains(path) or self.temps.contains(path) or self.overlays.contains(path):
            return Access.WRITE
        return Access.READ if self.inputs.contains(path) else Access.NONE


@value
class ResolvedSpec:
    """What the sandbox will show.

    Args:
        spec: The request.
        entries: What is shown at which place; parents come before what they hold.
        grafts: The directories that have to be rebuilt, sorted the same way.
        notes: What the caller should know, as sentences.
        canary: A file or directory of the host that must not be seen inside; empty when none was found.
        moves: Where links led.
        absent: Optional declarations that the host lacks, and declarations that another one replaced.
    """

    spec: SandboxSpec
    entries: tuple[Entry, ...]
    grafts: tuple[Graft, ...] = ()
    notes: tuple[str, ...] = ()
    canary: str = ""
    moves: tuple[Move, ...] = ()
    absent: tuple[str, ...] = ()

    def links(self) -> dict[str, str]:
        """Return the links that are known: on the way to declared paths, and in rebuilt directories."""
        rebuilt = [child for graft in self.grafts for child in graft.children]
        return {entry.at: entry.target for entry in (*rebuilt, *self.entries) if entry.kind == EntryKind.LINK}

    def effective(self) -> EffectiveSets:
        """Return I, O and T as they are on this host.

        They differ from the declared ones where links lead elsewhere, where an optional input is missing, and where
        the sandbox has its own (``/proc``, ``/dev``). A path has to be canonical to be looked up: see `follow_links`.
        This is for explanations and tests; running a command does not need it.
        """
        return EffectiveSets(
            inputs=self._placed(self.spec.inputs, Role.INPUT, yields=(Role.OUTPUT, Role.TEMP, Role.OVERLAY)),
            outputs=self._placed(self.spec.outputs, Role.OUTPUT, yields=()),
            temps=self._placed(self.spec.temps, Role.TEMP, yields=(Role.INPUT, Role.OUTPUT, Role.OVERLAY)),
            overlays=self._placed(self.spec.overlays, Role.OVERLAY, yields=(Role.INPUT, Role.OUTPUT, Role.TEMP)),
        )

    def _placed(self, declared: PathSet, role: str, *, yields: tuple[str, ...]) -> PathSet:
        places = {move.declared: move.at for move in self.moves}
        gone = frozenset(self.absent)
        known = [one for one in self.spec.declarations if one.at not in gone]
        marks = {places.get(one.at, one.at): False for one in known if one.role in yields}
        if role == Role.INPUT and declared.contains("/"):
            marks.update(dict.fromkeys(OWN_TOP, False))
        for path, inside in declared.marks():
            if path not in gone:
                place = places.get(path, path)
                marks[place] = inside or marks.get(place, False)
        for one in known:
            if one.role == role and declared.contains(one.at):
                marks[places.get(one.at, one.at)] = True
        result = PathSet.empty()
        for place in sorted(marks, key=components):
            subtree = PathSet.subtree(place)
            result = result | subtree if marks[place] else result - subtree
        return result


def follow_links(path: str, links: Mapping[str, str]) -> str:
    """Return where an inside path leads, as far as ``links`` (places and their texts) knows."""
    here, todo, hops = "/", list(reversed(components(path))), 0
    while todo:
        name = todo.pop()
        if name == "..":
            here = parent(here)
        elif name not in ("", "."):
            step = join(here, name)
            target = links.get(step)
            if target is None or hops == MOST_LINKS:
                here = step
            else:
                hops += 1
                todo += reversed(target.split("/"))
                here = "/" if target[:1] == "/" else here
    return here
