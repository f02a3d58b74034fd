"""Declared paths and the invariants that hold between them: I, O, T and the overlays share no path.

Two paths can be one file although their names inside the sandbox differ, when a declaration shows a host path at
another place. Such aliases are looked for too: what an output writes must not show up in an input.
"""

from __future__ import annotations

from bldr.errors import OverlappingPathsError
from bldr.model.paths import PathSet, components, is_within, join, parent
from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "Alias",
    "Declaration",
    "Role",
    "aliases",
    "innermost",
    "overlap_between",
    "rebased",
    "refuse_overlaps",
    "sort_key",
]

_set = object.__setattr__

_NOTHING = PathSet.empty()


class Role:
    """What a declared path is for."""

    INPUT = "input"
    OUTPUT = "output"
    TEMP = "temp"
    OVERLAY = "overlay"
    """An input whose writes land in a private layer."""


@value
class Declaration:
    """One declared path.

    Args:
        role: One of the constants of :class:`Role`.
        at: Where it is inside the sandbox.
        host: What is shown there; empty for a temp, which starts empty.
        optional: Whether it is left out where the host lacks it.
        origin: Empty when the caller declared it, else what did: ``default`` or ``toolchain NAME``.
    """

    role: str
    at: str
    host: str
    optional: bool
    origin: str

    # There is one for each input and each path of a toolchain: written out, it takes a third of the time.
    def __init__(self, role: str, at: str, host: str = "", optional: bool = False, origin: str = "") -> None:  # noqa: FBT001, FBT002
        _set(self, "role", role)
        _set(self, "at", at)
        _set(self, "host", host)
        _set(self, "optional", optional)
        _set(self, "origin", origin)

    def __str__(self) -> str:
        shown = "" if self.host in ("", self.at) else f" (from {self.host!r})"
        return f"the {self.role} {self.at!r}{shown}{f' of the {self.origin}' if self.origin else ''}"


@value
class Alias:
    """An input shows, at the inside path ``at``, what the output writes; ``whole`` if all of the input is that."""

    given: Declaration
    output: Declaration
    at: str
    whole: bool


def sort_key(declaration: Declaration) -> tuple[tuple[str, ...], str]:
    """Order declarations by place, parents first."""
    return components(declaration.at), declaration.role


def rebased(path: str, base: str, other: str) -> str:
    """Return the path that lies beneath ``other`` as ``path`` lies beneath ``base``."""
    return join(other, "/".join(components(path)[len(components(base)) :]))


def refuse_overlaps(
    declarations: Iterable[Declaration],
    *,
    inputs: PathSet,
    outputs: PathSet,
    temps: PathSet,
    overlays: PathSet = _NOTHING,
    hint: str = "",
) -> None:
    """Check that no path is in two of the sets.

    Args:
        declarations: Where the paths of the sets come from; an error names two of them.
        inputs: I, as paths inside the sandbox.
        outputs: O.
        temps: T.
        overlays: The inputs whose writes land in a private layer.
        hint: The remedy, where the caller knows one that is better than the usual one.

    Raises:
        OverlappingPathsError: A path is in two sets.
    """
    for ones, first, twos, second in (
        (inputs, Role.INPUT, outputs, Role.OUTPUT),
        (inputs, Role.INPUT, temps, Role.TEMP),
        (outputs, Role.OUTPUT, temps, Role.TEMP),
        (overlays, Role.OVERLAY, inputs, Role.INPUT),
        (overlays, Role.OVERLAY, outputs, Role.OUTPUT),
        (overlays, Role.OVERLAY, temps, Role.TEMP),
    ):
        common = ones & twos
        if common:
            path = common.roots()[0]
            known = tuple(declarations)
            raise overlap_between(_nearest(known, first, path), _nearest(known, second, path), hint=hint)


def innermost(declarations: Iterable[Declaration], inputs: PathSet, overlays: PathSet) -> tuple[PathSet, PathSet]:
    """Return I and the overlays without what the other one declares further inside.

    Raises:
        OverlappingPathsError: An input and an overlay are declared at the same place.
    """
    known = tuple(declarations)
    overlaid = {one.at for one in known if one.role == Role.OVERLAY}
    read, layered = PathSet.empty(), PathSet.empty()
    for one in sorted(known, key=sort_key):
        whole = PathSet.subtree(one.at)
        if one.role == Role.OVERLAY:
            read, layered = read - whole, layered | (overlays & whole)
        elif one.role == Role.INPUT:
            if one.at in overlaid:
                raise overlap_between(Declaration(Role.OVERLAY, one.at), one)
            read, layered = read | (inputs & whole), layered - whole
    return read, layered


def overlap_between(first: Declaration, second: Declaration, *, hint: str = "") -> OverlappingPathsError:
    """Return the error that says how two declarations overlap and what mends it."""
    if first.at == second.at:
        message = f"{first} and {second} are the same path"
    else:
        inner, outer = (first, second) if is_within(first.at, second.at) else (second, first)
        message = f"{inner} lies inside {outer}"
    return OverlappingPathsError(message, first=first.at, second=second.at, hint=hint or _remedy(first, second))


def _remedy(first: Declaration, second: Declaration) -> str:
    roles = (first.role, second.role)
    if Role.OVERLAY in roles:
        if first.at == second.at:
            return "declare it once: an overlay can be read and written, and keeps nothing"
        return "let carve() decide: then the innermost declaration counts"
    if roles == (Role.INPUT, Role.OUTPUT):
        if is_within(first.at, second.at):
            return f"what is in an output can be read as well: do not declare {first.at!r} as input"
        return (
            f"leave a hole in the input: PathSet.subtree({first.at!r}) - PathSet.subtree({second.at!r}),"
            " or let carve() do it"
        )
    if roles == (Role.INPUT, Role.TEMP):
        return f"a temp starts empty and would hide the input: move the temp {second.at!r} out of {first.at!r}"
    return f"a temp is removed and an output is kept: move one of {first.at!r} and {second.at!r} elsewhere"


def _nearest(declarations: tuple[Declaration, ...], role: str, path: str) -> Declaration:
    found = [known for known in declarations if known.role == role and is_within(path, known.at)]
    return max(found, key=lambda known: len(components(known.at)), default=Declaration(role, path))


def aliases(declarations: Iterable[Declaration]) -> tuple[Alias, ...]:
    """Return where inputs and overlays show what outputs write, at places other than those of the outputs.

    Looks at the host paths only; call it again with resolved ones when links have been followed.
    """
    known = tuple(declarations)
    if all(one.host == one.at for one in known if one.role != Role.TEMP):
        return ()
    inputs: dict[str, list[Declaration]] = {}
    outputs: dict[str, list[Declaration]] = {}
    for one in known:
        if one.role != Role.TEMP:
            (outputs if one.role == Role.OUTPUT else inputs).setdefault(one.host, []).append(one)
    places = {one.at: one for one in known if one.role in (Role.INPUT, Role.OVERLAY)}
    found = []
    for group in outputs.values():
        for output in group:
            for given in _above(output.host, inputs):
                at = rebased(output.host, given.host, given.at)
                if not is_within(at, output.at) and next(iter(_above(at, places))) is given:
                    found.append(Alias(given, output, at, whole=given.host == output.host))
    for group in inputs.values():
        for given in group:
            found += [
                Alias(given, output, given.at, whole=True)
                for output in _above(parent(given.host), outputs)
                if given.host != output.host and not is_within(given.at, output.at)
            ]
    return tuple(found)


def _above(path: str, table: dict[str, list[Declaration]] | dict[str, Declaration]) -> Iterable[Declaration]:
    """Yield what the table holds for a path and its ancestors, nearest first."""
    while True:
        found = table.get(path, [])
        yield from found if isinstance(found, list) else [found]
        if path == "/":
            return
        path = parent(path)
