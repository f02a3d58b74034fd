"""Files that an action missed, and that are there: who has to declare them. Pure but for one question to the host."""

from __future__ import annotations

import posixpath

from bldr.engine.action import WORKSPACE
from bldr.explain.clues import clues

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from bldr.builderfile.workspace import Resolved
    from bldr.engine.action import Action
    from bldr.engine.graph import Graph

__all__ = ["undeclared"]

_KINDS = ("missing", "header", "outside")
_MOST = 5


def undeclared(action: Action, graph: Graph, output: bytes, exists: Callable[[str], bool]) -> list[str]:
    """Return advice on each file that a failed action seems to have missed, as sentences.

    Args:
        action: The action.
        graph: The graph of the build.
        output: What the action printed.
        exists: Says whether the workspace has a file (a relative path), or the host (an absolute one).
    """
    found: dict[str, None] = {}
    for clue in clues(output):
        if clue.kind not in _KINDS or not clue.name:
            continue
        for path in _candidates(clue.name, action, graph.targets.values(), is_header=clue.kind == "header"):
            if path in action.inputs:
                continue
            if (maker := graph.makers.get(path)) is not None:
                found[_of_product(path, action, graph.actions[maker])] = None
                break
            if exists(path):
                found[_of_file(path, action, graph)] = None
                break
    return list(found)[:_MOST]


def _candidates(name: str, action: Action, targets: Iterable[Resolved], *, is_header: bool) -> Iterator[str]:
    if name.startswith("/"):
        inside = name.startswith(f"{WORKSPACE}/")
        yield posixpath.normpath(name[len(WORKSPACE) + 1 :]) if inside else posixpath.normpath(name)
        return
    plain = posixpath.normpath(name)
    if not plain.startswith("../"):
        yield plain
    for folder in dict.fromkeys(posixpath.dirname(path.rstrip("/")) for path in action.inputs):
        path = posixpath.normpath(posixpath.join(folder, name))
        if not path.startswith("../"):
            yield path
    if is_header:
        for target in targets:
            yield from (path for path in (*target.headers, *target.outputs) if path.endswith(f"/{plain}"))


def _of_product(path: str, action: Action, maker: Action) -> str:
    if maker.target == action.target:
        return f"{path!r} is made by {maker}, which does not have to run before"
    return f'{path!r} is made by {maker.target}: add "{maker.target}" to deps of {action.target}'


def _of_file(path: str, action: Action, graph: Graph) -> str:
    if path.startswith("/"):
        return f'{path!r} is on the host: add "{path}" to hermetic.inputs of {action.target}'
    for label, target in graph.targets.items():
        if label != action.target and path in target.headers:
            return f'{path!r} is a header of {label}: add "{label}" to deps of {action.target}'
    key = "headers" if path.rpartition(".")[2] in ("h", "hh", "hpp", "hxx", "inc") else "sources"
    return f'{path!r} is in the workspace and not declared: add "//{path}" to {key} of {action.target}'
