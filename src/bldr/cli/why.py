"""``bldr cache why``: what differs from the nearest earlier action."""

from __future__ import annotations

from bldr.cli.messages import visible
from bldr.cli.resultfile import to_json
from bldr.model.paths import printable
from bldr.store.reasons import compare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.store.cache import Cache
    from bldr.store.reasons import Comparison, Difference

__all__ = ["explain", "render"]

_MOST_SHOWN = 40  # differences


def explain(cache: Cache, prefix: str, *, as_json: bool) -> str:
    """Return what to print.

    Args:
        cache: The cache.
        prefix: The beginning of an action's digest; empty for the one that was asked for last.
        as_json: Whether as JSON.

    Raises:
        CacheError: There is no such action.
    """
    comparison = compare(cache, prefix)
    return to_json(_encodable(comparison.to_dict())) if as_json else render(comparison)


def render(comparison: Comparison) -> str:
    """Return a comparison as text."""
    command = " ".join(comparison.arguments)
    kept = "its result is in the cache" if comparison.has_result else "no result of it is in the cache"
    lines = [f"action {comparison.action.hash[:16]}: {visible(command)}", kept]
    if comparison.earlier is None:
        lines.append("there is no other action to compare it with")
        return "\n".join(lines) + "\n"
    lines.append(f"different from action {comparison.earlier.hash[:16]}:")
    lines += [f"  {_line(one)}" for one in comparison.differences[:_MOST_SHOWN]]
    if len(comparison.differences) > _MOST_SHOWN:
        lines.append(f"  ... and {len(comparison.differences) - _MOST_SHOWN} more")
    return "\n".join(lines) + "\n"


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
