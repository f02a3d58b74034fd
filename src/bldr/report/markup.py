"""Pieces of HTML. What comes from outside passes through :func:`text`, and nothing else makes markup of it."""

from __future__ import annotations

from html import escape

from bldr.model.text import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["clipped", "folded", "note", "section", "table", "text"]


def text(content: str, most: int = 0) -> str:
    """Text as markup, for elements and for attributes; beyond ``most`` characters it is cut, which is said."""
    return escape(visible(clipped(content, most) if most else content))


def clipped(content: str, most: int) -> str:
    """The first so many characters, and how many there are."""
    return content if len(content) <= most else f"{content[:most]}… ({len(content)} characters)"


def section(title: str, *content: str) -> str:
    """A section with a heading; nothing when there is no content."""
    inner = "\n".join(filter(None, content))
    name = title.lower().replace(" ", "-")
    return f'<section id="{name}">\n<h2>{text(title)}</h2>\n{inner}\n</section>' if inner else ""


def folded(summary: str, content: str) -> str:
    """Content that is there when somebody opens it."""
    return f"<details><summary>{text(summary)}</summary>\n{content}\n</details>" if content else ""


def note(content: str) -> str:
    """A remark below a table or a picture."""
    return f'<p class="note">{text(content)}</p>' if content else ""


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[int] = ()) -> str:
    """A table; nothing when it has no rows.

    Args:
        caption: What a screen reader says first.
        head: The titles of the columns, as text.
        rows: Cells, which are markup.
        numbers: The columns that are aligned as numbers.
    """
    lines = [
        "<tr>" + "".join(f"<td{_number(index in numbers)}>{cell}</td>" for index, cell in enumerate(row)) + "</tr>"
        for row in rows
    ]
    if not lines:
        return ""
    titles = "".join(f'<th scope="col"{_number(index in numbers)}>{text(name)}</th>' for index, name in enumerate(head))
    body = "\n".join(lines)
    return (
        f'<div class="wide"><table><caption>{text(caption)}</caption>\n<thead><tr>{titles}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _number(numeric: bool) -> str:  # noqa: FBT001  a column is one or is not
    return ' class="number"' if numeric else ""
