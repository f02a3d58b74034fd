"""The receipt of a run, as ``-v`` shows it on stderr."""

from __future__ import annotations

from bldr.cli.messages import has_colour, report, visible
from bldr.cli.tables import BAD, DOUBTFUL, GOOD, PLAIN, aligned, coloured

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.model.receipt import GuaranteeRecord
    from bldr.model.result import ExecutionResult

__all__ = ["render", "show"]

_STDERR = 2


def show(result: ExecutionResult) -> None:
    """Write the receipt to stderr."""
    report(render(result, colours=has_colour(_STDERR)))


def render(result: ExecutionResult, *, colours: bool) -> str:
    """Return the receipt as lines with the prefix of our own words."""
    receipt = result.receipt
    verdict = "hermetic" if result.hermetic else "not hermetic"
    head = coloured(verdict, GOOD if result.hermetic else BAD, enabled=colours)
    lines = [f"{head} (backend: {visible(receipt.backend) or 'none'})"]
    rows = [("guarantee", "enforced by", "verified", "")]
    rows += [_row(record) for record in receipt.records]
    title, *body = aligned(rows)
    lines.append(f"  {title}")
    for record, line in zip(receipt.records, body, strict=True):
        lines.append("  " + coloured(line, _colour(record), enabled=colours))
    lines += [f"note: {visible(note)}" for note in receipt.notes]
    lines += [f"reached: {visible(one.describe())}" for one in result.hosts]
    if result.unused_inputs:
        lines.append(f"declared and not used: {visible(', '.join(result.unused_inputs))}")
    lines.append(_used(result))
    return "".join(f"bldr: {line}\n" for line in lines)


def _row(record: GuaranteeRecord) -> tuple[str, str, str, str]:
    by = visible(", ".join(record.enforced_by)) or ("nothing" if record.asked else "not asked for")
    return visible(record.name), by, "yes" if record.verified else "-", visible(record.detail)


def _colour(record: GuaranteeRecord) -> str:
    if record.enforced_by:
        return GOOD if record.verified else PLAIN
    return DOUBTFUL if record.asked else PLAIN


def _used(result: ExecutionResult) -> str:
    usage = result.usage
    parts = [f"{usage.wall_time:.2f} s", f"{usage.cpu_time:.2f} s of CPU time"]
    if usage.peak_memory is not None:
        parts.append(f"{usage.peak_memory / (1 << 20):.1f} MiB of memory")
    return "used: " + ", ".join(parts)
