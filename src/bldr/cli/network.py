"""What is said of the network after a run that failed: who was refused, and which allowed host did not answer."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.model.result import ExecutionResult

__all__ = ["network_lines"]

_MOST = 5


def network_lines(result: ExecutionResult) -> list[str]:
    """Return a line for what was refused, and one for what failed."""
    refused = [one.subject for one in result.denials if one.subject and "it is not allowed" in one.message]
    other = [one.message for one in result.denials if one.subject and one.subject not in refused]
    lines = []
    if refused:
        lines.append(f"refused, because they are not allowed: {_some(refused)}")
        lines.append(f"hint: --allow-host {refused[0]}")
    lines += other[:_MOST]
    failed = [f"{one.endpoint} ({one.failure})" for one in result.hosts if one.failure]
    if failed:
        lines.append(f"allowed, but not reached: {_some(failed)}")
    return lines


def _some(words: list[str]) -> str:
    more = len(words) - _MOST
    return ", ".join(words[:_MOST]) + (f" and {more} more" if more > 0 else "")
