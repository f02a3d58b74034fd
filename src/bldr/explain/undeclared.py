"""Files of a workspace that an action missed, and that are there: who has to declare them. Pure but for a question."""

from __future__ import annotations

import posixpath

from bldr.engine.action import WORKSPACE
from bldr.explain.cause import Cause, Evidence, Remedy
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
_RANK = 500  # above everything else: the message, the workspace and the graph agree


def undeclared(action: Action, graph: Graph, output: bytes, exists: Callable[[str], bool]) -> list[Cause]:
    """Return the files that a failed action seems to have missed.

    Args:
        action: The action.
        graph: The graph of the build.
        output: What the action printed.
        exists: Says whether the workspace has a file.
    """
    found: dict[str, Cause] = {}
    for clue in clues(output):
        if clue.kind not in _KINDS or not clue.name:
            continue
        for path in _candidates(clue.name, action, graph.targets.values(), is_header=clue.kind == "header"):
            if path in action.inputs:
                continue
            if (maker := graph.makers.get(path)) is not None:
                found.setdefault(path, _cause(path, clue.line, *_of_product(path, action, graph.actions[maker])))
                break
            if exists(path):
                found.setdefault(path, _cause(path, clue.line, *_of_file(path, action, graph)))
                break
    return list(found.values())[:_MOST]


def _cause(path: str, saw: str, text: str, line: str) -> Cause:
    remedy = Remedy(lines=(line,)) if line else Remedy()
    return Cause("read", f"{WORKSPACE}/{path}", text, Evidence.MESSAGE, saw=saw, remedy=remedy, rank=_RANK)


def _candidates(name: str, action: Action, targets: Iterable[Resolved], *, is_header: bool) -> Iterator[str]:
    if name.startswith("/"):
        if name.startswith(f"{WORKSPACE}/"):
            yield posixpath.normpath(name[len(WORKSPACE) + 1 :])
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


def _of_product(path: str, action: Action, maker: Action) -> tuple[str, str]:
    if maker.target == action.target:
        return f"{path!r} is made by {maker}, which does not have to run before", ""
    return f"{path!r} is made by {maker.target}", f'add "{maker.target}" to deps of {action.target}'


def _of_file(path: str, action: Action, graph: Graph) -> tuple[str, str]:
    for label, target in graph.targets.items():
        if label != action.target and path in target.headers:
            return f"{path!r} is a header of {label}", f'add "{label}" to deps of {action.target}'
    key = "headers" if path.rpartition(".")[2] in ("h", "hh", "hpp", "hxx", "inc") else "sources"
    return f"{path!r} is in the workspace and not declared", f'add "//{path}" to {key} of {action.target}'
