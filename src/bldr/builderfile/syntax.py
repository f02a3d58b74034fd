"""The syntax tree of a Builderfile: what is written, and where, without its meaning."""

from __future__ import annotations

from bldr.builderfile.quoting import unquoted
from bldr.builderfile.source import Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from bldr.builderfile.source import Source

    Node: TypeAlias = "Scalar | Items | Block"

__all__ = ["NUMBER", "TEXT", "WORD", "Block", "Comment", "Declaration", "Entry", "File", "Items", "Scalar"]

WORD = "WORD"
TEXT = "TEXT"
NUMBER = "NUMBER"


class Scalar:
    """A word, a text or a number.

    ``kind`` is one of the constants of this module, ``raw`` is what is written, with the quotes of a text.
    """

    __slots__ = ("end", "kind", "raw", "start")

    def __init__(self, kind: str, raw: str, start: int) -> None:
        self.kind = kind
        self.raw = raw
        self.start = start
        self.end = start + len(raw)

    @property
    def value(self) -> str:
        """What it stands for: the text without its quotes and escapes."""
        return unquoted(self.raw) if self.kind == TEXT else self.raw

    @property
    def span(self) -> Span:
        """Where it stands."""
        return Span(self.start, self.end)


class Items:
    """A list: ``[...]``."""

    __slots__ = ("end", "items", "start")

    def __init__(self, items: list[Node], start: int, end: int) -> None:
        self.items = items
        self.start = start
        self.end = end

    @property
    def span(self) -> Span:
        """Where it stands, with its brackets."""
        return Span(self.start, self.end)


class Entry:
    """``key: value``."""

    __slots__ = ("key", "value")

    def __init__(self, key: Scalar, value: Node) -> None:
        self.key = key
        self.value = value


class Block:
    """Entries between braces."""

    __slots__ = ("end", "entries", "start")

    def __init__(self, entries: list[Entry], start: int, end: int) -> None:
        self.entries = entries
        self.start = start
        self.end = end

    @property
    def span(self) -> Span:
        """Where it stands, with its braces."""
        return Span(self.start, self.end)

    @property
    def is_map(self) -> bool:
        """Whether the keys are texts, as those of ``env`` are."""
        return bool(self.entries) and all(entry.key.kind != WORD for entry in self.entries)


class Declaration:
    """``target("name") { ... }``; ``word`` is the word before the parenthesis."""

    __slots__ = ("block", "name", "word")

    def __init__(self, word: Scalar, name: Scalar, block: Block) -> None:
        self.word = word
        self.name = name
        self.block = block


class Comment:
    """A comment, with its marks; the end of the line does not belong to it."""

    __slots__ = ("end", "start", "text")

    def __init__(self, text: str, start: int) -> None:
        self.text = text
        self.start = start
        self.end = start + len(text)

    @property
    def ends_line(self) -> bool:
        """Whether nothing can follow on the same line."""
        return not self.text.startswith("/*")


class File:
    """A whole Builderfile."""

    __slots__ = ("comments", "declarations", "source")

    def __init__(self, source: Source, declarations: list[Declaration], comments: list[Comment]) -> None:
        self.source = source
        self.declarations = declarations
        self.comments = comments
