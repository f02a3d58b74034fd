"""What a plan without mounts has to know of the host beyond the declared paths.

A rule of Landlock holds for everything beneath a directory, and none takes away again. So an input with a hole is
allowed entry by entry, along the way to the hole, and those entries have to be known.
"""

from __future__ import annotations

from bldr.model.declarations import Role
from bldr.model.paths import PathSet, join, parent
from bldr.model.value import value
from bldr.sandbox.host import HostPaths, PathKind, RealHost
from bldr.sandbox.resolved import EntryKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from bldr.sandbox.host import HostView
    from bldr.sandbox.resolved import ResolvedSpec

__all__ = ["DEVICES", "Surroundings", "look_around", "own_temps", "readable"]

DEVICES = ("/dev/full", "/dev/null", "/dev/random", "/dev/tty", "/dev/urandom", "/dev/zero")
_HOST = RealHost()


@value
class Surroundings:
    """What was seen.

    Args:
        kinds: What each path is at which something has to be allowed; one of the constants of `PathKind`.
        listings: The names in each directory that is allowed entry by entry; ``None`` where they cannot be read.
        occupied: The temps at whose place something is.
        homeless: The temps that cannot be made, because the directory around them is missing, not writable, or behind
            a link.
    """

    kinds: dict[str, str]
    listings: dict[str, tuple[str, ...] | None]
    occupied: tuple[str, ...] = ()
    homeless: tuple[str, ...] = ()


def own_temps(resolved: ResolvedSpec) -> tuple[str, ...]:
    """Return the temps that the caller declared, which have to be made at their places."""
    return tuple([one.at for one in resolved.entries if one.role == Role.TEMP and one.origin != "default"])


def readable(resolved: ResolvedSpec) -> PathSet:
    """Return what can be read: I, O, and T as far as it is at its own place. Holes are what is left out of it."""
    sets = resolved.effective()
    return sets.inputs | sets.outputs | PathSet.of(own_temps(resolved))


def look_around(resolved: ResolvedSpec, *, host: HostView = _HOST) -> Surroundings:
    """Look at the host for what a plan needs.

    Raises:
        OSError: A path cannot be looked at.
    """
    kinds = {entry.at: entry.kind for entry in resolved.entries if entry.host and entry.kind != EntryKind.SKELETON}
    listings: dict[str, tuple[str, ...] | None] = {}

    def kind(path: str) -> str:
        if path not in kinds:
            kinds[path] = host.lstat_kind(path)
        return kinds[path]

    for path in DEVICES:
        kind(path)
    marks = readable(resolved).marks()
    allowed = {path for path, inside in marks if inside}
    for path in sorted(allowed - set(own_temps(resolved))):
        kind(path)
    for directory in _ways_to_holes(marks):
        is_reached = directory in allowed or parent(directory) in listings
        if is_reached and kind(directory) == PathKind.DIR:
            try:
                listings[directory] = tuple(sorted(host.listdir(directory)))
            except PermissionError:
                listings[directory] = None
    for directory, names in list(listings.items()):
        for name in names or ():
            kind(join(directory, name))
    paths = HostPaths(host)
    homeless, occupied = [], []
    for at in own_temps(resolved):
        if not paths.is_plain_directory(parent(at)) or not host.access(parent(at), write=True):
            homeless.append(at)
        elif paths.kind(at) != PathKind.MISSING:
            occupied.append(at)
    return Surroundings(kinds, listings, tuple(occupied), tuple(homeless))


def _ways_to_holes(marks: Iterable[tuple[str, bool]]) -> list[str]:
    """Return every directory from an allowed path down to the directory of a hole in it, each once, parents first."""
    known = dict(marks)
    found: dict[str, None] = {}
    for path, inside in marks:
        if inside or path == "/":
            continue
        way = []
        step = parent(path)
        while True:
            way.append(step)
            if step in known or step == "/":
                break
            step = parent(step)
        if known.get(step):
            found.update(dict.fromkeys(reversed(way)))
    return sorted(found)
