"""The one way to lay out a Builderfile.

An entry a line, four blanks a level, a list on one line where it fits and holds no comment. Words, texts, the order of
everything and the wording of comments stay as they are; of blank lines between entries one is kept, and targets always
have one between them. A comment stays behind what it stands behind on a line, and before what it stands before. Where
none can stand in this layout, for example between a key and its colon, it moves before the entry.
"""

from __future__ import annotations

from bldr.builderfile.syntax import Block, Declaration, Entry, Items, Scalar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    from bldr.builderfile.syntax import Comment, File, Node

    Element: TypeAlias = Declaration | Entry | Node

__all__ = ["WIDTH", "format_file"]

WIDTH = 100  # columns
_INDENT = "    "
_BLANKS = " \t\r\f"


def format_file(file: File) -> str:
    """Return the text of a Builderfile in the one layout; doing it twice changes nothing more."""
    writer = _Writer(file.source.text, file.comments)
    writer.sequence(file.declarations, "", "", len(file.source.text))
    return "".join(f"{line}\n" for line in writer.lines)


class _Writer:
    """Writes lines, and each comment once, in the order in which they stand."""

    def __init__(self, text: str, comments: Sequence[Comment]) -> None:
        self.lines: list[str] = []
        self._text = text
        self._comments = comments
        self._next = 0  # the first comment that is not written yet
        self._end = 0  # where in the text ends what was written last
        self._fresh = True  # whether nothing is written yet in the innermost brackets
        self._wants_blank = False  # whether a target has just ended

    def sequence(self, elements: Sequence[Element], indent: str, behind: str, closing: int) -> None:
        """Write what stands between brackets, or in the whole file.

        Args:
            elements: What stands there, beside comments.
            indent: What each line begins with.
            behind: The mark behind each element.
            closing: Where the closing bracket stands.
        """
        self._fresh = True
        for index, element in enumerate(elements):
            self._own_lines(_begin(element), indent)
            self._blank_line(_begin(element))
            self._own_lines(_body_begin(element), indent, keep_blank=False)
            self._element(element, indent, behind)
            self._end = _end(element)
            following = _begin(elements[index + 1]) if index + 1 < len(elements) else closing
            self._trailing(following)
            self._wants_blank = isinstance(element, Declaration)
        self._own_lines(closing, indent)
        self._wants_blank = False
        self._fresh = False

    def _element(self, element: Element, indent: str, behind: str) -> None:
        if isinstance(element, Declaration):
            self._value(element.block, f"{indent}{element.word.raw}({element.name.raw}) ", indent, "")
        elif isinstance(element, Entry):
            self._value(element.value, f"{indent}{element.key.raw}: ", indent, behind)
        else:
            self._value(element, indent, indent, behind)

    def _value(self, node: Node, before: str, indent: str, behind: str) -> None:
        flat = self._flat(node)
        is_block = isinstance(node, Block) and not node.is_map
        if is_block and behind == ";":
            behind = ""
        if flat is not None and (len(before) + len(flat) + len(behind) <= WIDTH or isinstance(node, Scalar)):
            self.lines.append(before + flat + behind)
            return
        assert not isinstance(node, Scalar)
        opening, closing = ("[", "]") if isinstance(node, Items) else ("{", "}")
        self.lines.append(before + opening)
        self._end = node.start + 1
        inner = node.items if isinstance(node, Items) else node.entries
        self.sequence(inner, indent + _INDENT, ";" if is_block else ",", node.end - 1)
        self.lines.append(indent + closing + behind)

    def _flat(self, node: Node) -> str | None:
        """Return a value on one line; nothing for one that has comments or entries of a block in it."""
        if isinstance(node, Scalar):
            return node.raw
        following = self._comments[self._next] if self._next < len(self._comments) else None
        if following is not None and following.start < node.end:
            return None
        if isinstance(node, Items):
            items = [self._flat(item) for item in node.items]
            return None if None in items else f"[{', '.join(filter(None, items))}]"
        if not node.entries:
            return "{}"
        values = [self._flat(entry.value) for entry in node.entries]
        if not node.is_map or None in values:
            return None
        pairs = [f"{entry.key.raw}: {flat}" for entry, flat in zip(node.entries, values, strict=True)]
        return f"{{ {', '.join(pairs)} }}"

    def _own_lines(self, offset: int, indent: str, *, keep_blank: bool = True) -> None:
        """Write the comments that begin before a place, each on lines of its own."""
        while self._next < len(self._comments) and self._comments[self._next].start < offset:
            comment = self._comments[self._next]
            self._next += 1
            if keep_blank:
                self._blank_line(comment.start)
            first, *rest = comment.text.split("\n")
            starred = all(line.strip().startswith("*") for line in rest)
            self.lines.append(indent + first.rstrip(_BLANKS))
            self.lines += [f"{indent} {line.strip()}" if starred else line.rstrip(_BLANKS) for line in rest]
            self._end = comment.end

    def _trailing(self, offset: int) -> None:
        """Write the comments that stand on the line on which an element ends, behind it."""
        gap = "  "
        while self._next < len(self._comments):
            comment = self._comments[self._next]
            if comment.start >= offset or "\n" in self._text[self._end : comment.start]:
                break
            self._next += 1
            self.lines[-1] += gap + "\n".join(line.rstrip(_BLANKS) for line in comment.text.split("\n"))
            self._end = comment.end
            gap = " "

    def _blank_line(self, offset: int) -> None:
        """Keep one blank line of those before a place."""
        between = self._text[self._end : offset].split("\n")[1:-1]
        if not self._fresh and (self._wants_blank or any(not line.strip() for line in between)):
            self.lines.append("")
        self._fresh = False
        self._wants_blank = False


def _begin(element: Element) -> int:
    if isinstance(element, Declaration):
        return element.word.start
    return element.key.start if isinstance(element, Entry) else element.start


def _end(element: Element) -> int:
    if isinstance(element, Declaration):
        return element.block.end
    return element.value.end if isinstance(element, Entry) else element.end


def _body_begin(element: Element) -> int:
    """Return where comments can stay where they are: behind the opening bracket, or behind the whole element."""
    if isinstance(element, Declaration):
        return element.block.start
    node = element.value if isinstance(element, Entry) else element
    return node.end if isinstance(node, Scalar) else node.start
