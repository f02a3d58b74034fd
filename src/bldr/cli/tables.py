"""Aligned columns, with colours where the reader has a terminal."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BAD", "DOUBTFUL", "GOOD", "PLAIN", "aligned", "coloured"]

PLAIN = ""
GOOD = "32"  # the numbers of ECMA-48 for green, yellow and red
DOUBTFUL = "33"
BAD = "31"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Pad every column but the last to its widest cell; cells are expected to be visible text."""
    columns = max((len(row) for row in rows), default=0)
    widths = [max((len(row[index]) for row in rows if index < len(row) - 1), default=0) for index in range(columns)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows]


def coloured(text: str, colour: str, *, enabled: bool) -> str:
    """Wrap text in a colour when colours are enabled."""
    return f"\x1b[{colour}m{text}\x1b[0m" if enabled and colour else text
