"""From an observation to inputs, outputs, overlays and temps. Pure but for the questions it asks of the host.

The rules are those of ADR 0027.
"""

from __future__ import annotations

import os

from bldr.explain.advice import warning_about
from bldr.learn.observation import within_any
from bldr.learn.owners import collapsed, outermost
from bldr.model.paths import is_within, parent
from bldr.model.toolchain import NONE, SYSTEM
from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bldr.explain.host import Host
    from bldr.learn.observation import Observation

__all__ = ["DEFAULT_TEMP", "MADE", "Files", "Place", "learn_files"]

# Every sandbox has these for itself.
MADE = (
    "/etc/group", "/etc/hostname", "/etc/hosts", "/etc/localtime", "/etc/nsswitch.conf", "/etc/passwd",
    "/etc/resolv.conf",
)  # fmt: skip
# What programs read in passing, and do without where it is missing.
_IN_PASSING = ("/etc/locale.alias", "/etc/ld.so.preload", "/etc/inputrc", "/etc/login.defs", "/etc/timezone")
_OF_THE_SYSTEM = ("/usr", "/opt", "/nix", "/gnu", "/snap", "/var/lib")
_INSTALLED = ("node_modules", "site-packages", "dist-packages", ".git")  # certificates of packages are no secrets
_MOST_SEARCHED = 20_000  # names in directories that are searched for secrets
DEFAULT_TEMP = "/tmp"


@value
class Place:
    """Where a command was watched.

    Args:
        workspaces: The directories of the host that it was let change in a private layer.
        temps: The directories that were temps; the first one is one in every sandbox.
        kept: The directories that it made and that were there in the end.
        in_tree: Whether a directory becomes an output although it holds files that are only read.
    """

    workspaces: tuple[str, ...]
    temps: tuple[str, ...] = (DEFAULT_TEMP,)
    kept: frozenset[str] = frozenset()
    in_tree: bool = False


@value
class Files:
    """The paths of a spec, each kind sorted and without nested ones.

    Args:
        toolchain: The name of the toolchain.
        inputs: What is read.
        outputs: Directories that receive what is kept.
        made: Those of the outputs that are not there yet.
        overlays: Directories in which results are written beside what is only read; they are not kept.
        remade: Directories below overlays that the command insists on making itself, and that hold its results. So it
            can only be run on overlays whose changes are taken over.
        temps: Further temps.
        warnings: Of a path and what speaks against showing it.
    """

    toolchain: str = SYSTEM.name
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    made: tuple[str, ...] = ()
    overlays: tuple[str, ...] = ()
    remade: tuple[str, ...] = ()
    temps: tuple[str, ...] = ()
    warnings: tuple[tuple[str, str], ...] = ()


def learn_files(seen: Observation, place: Place, host: Host) -> Files:
    """Decide what a spec has to declare so that the command finds what it found, and can write what it wrote."""
    used = {*seen.reads, *seen.links}
    used = {path for path in used if path not in (*MADE, *_IN_PASSING) and not _is_temporary(path, place, host)}
    own = {path for path in {*used, *seen.looks} if within_any(path, place.workspaces)}
    outputs, made, overlays = _written(seen.changes, own, place, host)
    writable = (*outputs, *overlays)
    uses_system = any(SYSTEM.holds(path) for path in used)
    foreign = {path for path in used - own if not (uses_system and SYSTEM.holds(path))}
    inputs = outermost(
        {
            *_workspace_inputs({path for path in own if not within_any(path, writable)}, seen, place, writable, host),
            *collapsed(foreign, host),
        }
    )
    free = [one for one in place.temps[1:] if not any(is_within(path, one) for path in place.workspaces)]
    temps = [one for one in free if any(is_within(path, one) for path in seen.changes)]
    return Files(
        toolchain=SYSTEM.name if uses_system else NONE.name,
        inputs=inputs,
        outputs=outputs,
        made=made,
        overlays=overlays,
        temps=tuple(sorted(temps)),
        warnings=_warnings((*inputs, *overlays, *outputs), sorted(used), host),
    )


def _is_temporary(path: str, place: Place, host: Host) -> bool:
    """Whether a path of a temp is none that was shown there."""
    return within_any(path, place.temps) and not within_any(path, place.workspaces) and not host.has(path)


def _written(
    changes: Iterable[str], own: set[str], place: Place, host: Host
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return outputs, those of them that have to be made, and overlays."""
    changed = {path for path in changes if within_any(path, place.workspaces)}
    made: set[str] = set()
    open_: set[str] = set()
    for path in changed:
        top = _topmost_new(path, place, host)
        if top and top in place.kept:
            made.add(top)
        elif top:
            open_.add(parent(top))
        else:
            open_.add(path if path in place.workspaces else parent(path))
    unchanged = own - changed
    open_ = {one for one in open_ if one not in made}
    mixed = {one for one in open_ if not place.in_tree and any(is_within(path, one) for path in unchanged)}
    overlays = outermost(mixed)
    outputs = outermost({*(open_ - mixed), *made})
    outputs = tuple([one for one in outputs if one in made or not within_any(one, overlays)])
    return outputs, tuple(sorted(made.intersection(outputs))), overlays


def _topmost_new(path: str, place: Place, host: Host) -> str:
    """Return the topmost part of a path that the host lacks; empty when it has the path."""
    top = ""
    while not host.has(path) and path not in place.workspaces:
        top = path
        path = parent(path)
    return top


def _workspace_inputs(
    used: set[str], seen: Observation, place: Place, writable: Sequence[str], host: Host
) -> tuple[str, ...]:
    """Return the used files, and in place of them each directory of which everything was used."""
    directories = {one for one in seen.listings if within_any(one, place.workspaces)}
    known: dict[str, bool] = {}

    def is_whole(directory: str) -> bool:
        if directory not in known:
            known[directory] = False
            known[directory] = all(map(is_used, _paths_in(directory, host)))
        return known[directory]

    def is_used(path: str) -> bool:
        if path in used or path in writable:
            return True
        return (path in directories or path in above) and host.is_directory(path) and is_whole(path)

    above: set[str] = set()
    for path in used:
        step = path
        while step not in place.workspaces and within_any(step, place.workspaces):
            step = parent(step)
            above.add(step)
    whole = {one for one in above if is_whole(one)}
    empty = {one for one in directories if not within_any(one, writable) and host.has(one) and not _names(one, host)}
    return outermost({*used, *whole, *empty})


def _paths_in(directory: str, host: Host) -> list[str]:
    return [os.path.join(directory, name) for name in _names(directory, host)]


def _names(directory: str, host: Host) -> list[str]:
    try:
        return host.names_in(directory)
    except OSError:
        return ["?"]  # nobody knows what it holds


def _warnings(shown: Sequence[str], used: Iterable[str], host: Host) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    for path in (*shown, *used):
        if not SYSTEM.holds(path) and (why := warning_about(path, host.home)):
            found[path] = why
    for path in shown:
        if path in found or within_any(path, _OF_THE_SYSTEM) or not host.is_directory(path):
            continue
        if secret := _secret_below(path, host):
            found[secret] = "it looks like a secret, and is shown with what lies beside it"
    return tuple(sorted(found.items()))


def _secret_below(directory: str, host: Host) -> str:
    """Return the first thing in a directory that looks like a secret; what is installed is not searched."""
    waiting, seen = [directory], 0
    while waiting and seen < _MOST_SEARCHED:
        here = waiting.pop(0)
        for name in sorted(_names(here, host)):
            seen += 1
            path = os.path.join(here, name)
            if warning_about(path, host.home):
                return path
            if name not in _INSTALLED and host.is_directory(path) and host.real(path) == path:
                waiting.append(path)
    return ""
