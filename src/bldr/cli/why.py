"""``bldr cache why``: what differs from the nearest earlier action."""

from __future__ import annotations

import os

from bldr.cli.messages import say, visible
from bldr.cli.resultfile import to_json
from bldr.model.paths import printable
from bldr.store.reasons import compare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.engine.reasons import Reason
    from bldr.store.cache import Cache
    from bldr.store.reasons import Comparison, Difference

__all__ = ["explain", "render"]

_MOST_SHOWN = 40  # differences
_HEXADECIMAL = "0123456789abcdefABCDEF"


def explain(cache: Cache, name: str, *, as_json: bool) -> str:
    """Return what to print.

    Args:
        cache: The cache.
        name: The beginning of an action's digest, empty for the one that was asked for last; or a target.
        as_json: Whether as JSON.

    Raises:
        BuilderfileError: There is no such target, or something is wrong with the workspace.
        CacheError: There is no such action.
    """
    if name.strip(_HEXADECIMAL):
        found = _of_targets(cache, name)
        if as_json:
            return to_json(_encodable([_reason_dict(reason) for reason in found]))
        return "\n".join(f"{visible(str(reason.action))}\n{_reason_text(reason)}" for reason in found)
    comparison = compare(cache, name)
    return to_json(_encodable(comparison.to_dict())) if as_json else render(comparison)


def _of_targets(cache: Cache, name: str) -> list[Reason]:
    from bldr.builderfile.workspace import resolve
    from bldr.cli.build import chosen_labels
    from bldr.cli.diagnostics import open_workspace
    from bldr.cli.request import caller_directory
    from bldr.engine.graph import graph_of
    from bldr.engine.reasons import reasons_of

    directory = caller_directory()
    workspace = open_workspace(directory)
    labels = chosen_labels([name], workspace, directory)
    graph = graph_of(resolve(workspace, labels), labels, tests=True)
    return reasons_of(os.path.abspath(workspace.root), graph, labels, cache, say)


def _reason_dict(reason: Reason) -> dict[str, object]:
    told: dict[str, object] = {"name": str(reason.action), "problem": reason.problem}
    return told if reason.comparison is None else {**told, **reason.comparison.to_dict()}


def _reason_text(reason: Reason) -> str:
    if reason.comparison is None:
        return f"  {visible(reason.problem)}\n"
    return "".join(f"  {line}\n" for line in _compared(reason.comparison))


def render(comparison: Comparison) -> str:
    """Return a comparison as text."""
    first = f"action {comparison.action.hash[:16]}: {visible(' '.join(comparison.arguments))}"
    return "".join(f"{line}\n" for line in [first, *_compared(comparison)])


def _compared(comparison: Comparison) -> list[str]:
    lines = ["its result is in the cache" if comparison.has_result else "no result of it is in the cache"]
    if comparison.earlier is None:
        return [*lines, "there is no other action to compare it with"]
    lines.append(f"different from action {comparison.earlier.hash[:16]}:")
    lines += [f"  {_line(one)}" for one in comparison.differences[:_MOST_SHOWN]]
    if len(comparison.differences) > _MOST_SHOWN:
        lines.append(f"  ... and {len(comparison.differences) - _MOST_SHOWN} more")
    return lines


def _line(one: Difference) -> str:
    before = visible(one.before) or "nothing"
    after = visible(one.after) or "nothing"
    return f"{visible(one.field)}: {before} -> {after}"


def _encodable(content: object) -> object:
    """Return the same with undecodable bytes as escapes, as everywhere in our JSON."""
    if isinstance(content, str):
        return printable(content)
    if isinstance(content, dict):
        return {name: _encodable(item) for name, item in content.items()}
    return [_encodable(item) for item in content] if isinstance(content, list) else content
