"""Reads values out of the syntax tree, and collects what is wrong with them."""

from __future__ import annotations

from bldr.builderfile.source import Source, Span, nearest
from bldr.builderfile.syntax import NUMBER, TEXT, WORD, Block, Items, Scalar
from bldr.errors import BldrError, BuilderfileError
from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, ParamSpec, TypeVar

    from bldr.builderfile.syntax import Entry, Node

    Result = TypeVar("Result")
    Parameters = ParamSpec("Parameters")

__all__ = ["Found", "Reader"]

_KINDS = {WORD: "a word", TEXT: "a text", NUMBER: "a number"}


@value
class Found:
    """The values of a list, and where each stands."""

    values: tuple[Any, ...] = ()
    spans: tuple[Span, ...] = ()


class Reader:
    """Reads the values of one file.

    Args:
        source: The file.
        folder: Its folder, relative to the workspace.
        mistakes: Where mistakes go.
    """

    __slots__ = ("folder", "mistakes", "source")

    def __init__(self, source: Source, folder: str, mistakes: list[BuilderfileError]) -> None:
        self.source = source
        self.folder = folder
        self.mistakes = mistakes

    def add(self, span: Span, message: str, *, code: str, hint: str = "") -> None:
        """Note a mistake."""
        self.mistakes.append(self.source.mistake(span, message, code=code, hint=hint))

    def wrong_kind(self, node: Node, wanted: str, hint: str = "") -> None:
        """Note that a value is of another kind than its key takes."""
        if isinstance(node, Items):
            got = "a list"
        elif isinstance(node, Block):
            got = "a block"
        else:
            got = f"{_KINDS[node.kind]} {node.raw[:80]}" if node.kind != TEXT else "a text"
        self.add(node.span, f"expected {wanted}, got {got}", code="builderfile.value-type", hint=hint)

    def tried(
        self, span: Span, read: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Result | None:
        """Return what a function of the model makes of a value, or note its error at the value's place."""
        try:
            return read(*args, **kwargs)
        except BldrError as error:
            # errors of specs are told with a code of Builderfiles: the request of nobody is wrong, a file is
            code = error.code if isinstance(error, BuilderfileError) else "builderfile.value-invalid"
            self.add(span, error.message, code=code, hint=error.hint)
            return None

    def entries(self, block: Block, keys: Iterable[str], what: str) -> dict[str, Entry]:
        """Return the entries of a block by key; an unknown or repeated key is a mistake."""
        found: dict[str, Entry] = {}
        for entry in block.entries:
            key = entry.key.value
            if entry.key.kind != WORD:
                self.add(
                    entry.key.span, f"the key {key!r} stands between quotes", code="builderfile.key-unknown",
                    hint=f"write {key}: without quotes" if key in keys else "",
                )  # fmt: skip
            elif key not in keys:
                self.add(
                    entry.key.span,
                    f"there is no key {key!r} in {what}",
                    code="builderfile.key-unknown",
                    hint=nearest(key, keys) or f"the keys are {', '.join(sorted(keys))}",
                )
            elif key in found:
                self._repeated(entry, found[key], repr(key))
            else:
                found[key] = entry
        return found

    def _repeated(self, entry: Entry, first: Entry, what: str) -> None:
        line = self.source.position(first.key.start)[0]
        self.add(
            entry.key.span,
            f"{what} is set twice, first in line {line}",
            code="builderfile.key-duplicate",
            hint="remove one of them",
        )

    def text_or_none(self, node: Node) -> str | None:
        """Return a text; nothing, and no mistake, when it is something else."""
        return node.value if isinstance(node, Scalar) and node.kind == TEXT else None

    def choice(self, entry: Entry | None, names: Iterable[str], what: str, code: str) -> str:
        """Return one of the names, written as a word or a text; an empty string where there is none."""
        if entry is None:
            return ""
        node = entry.value
        if not isinstance(node, Scalar) or node.kind == NUMBER:
            self.wrong_kind(node, f"the name of a {what}", f"write one of {', '.join(sorted(names))}")
            return ""
        if node.value not in names:
            hint = nearest(node.value, names) or f"write one of {', '.join(sorted(names))}"
            self.add(node.span, f"there is no {what} {node.value!r}", code=code, hint=hint)
            return ""
        return node.value

    def truth(self, node: Node) -> bool | None:
        """Return true or false."""
        if isinstance(node, Scalar) and node.raw in ("true", "false"):
            return node.raw == "true"
        text = self.text_or_none(node)
        hint = f"write {text} without quotes" if text in ("true", "false") else ""
        self.wrong_kind(node, "true or false", hint)
        return None

    def quantity(self, node: Node, wanted: str) -> str | None:
        """Return a number or a text, which a function of the model is to read."""
        if isinstance(node, Scalar) and node.kind in (NUMBER, TEXT):
            return node.value
        self.wrong_kind(node, wanted)
        return None

    def texts(self, entry: Entry, wanted: str = "a list of texts") -> tuple[str, ...]:
        """Return the texts of a list."""
        found = self._texts(entry.value, wanted)
        return tuple(node.value for node in found)

    def list_of(self, entry: Entry | None, read: Callable[[str, str], object], *, single: bool = False) -> Found:
        """Return what a function makes of each text of a list, given the folder of the file.

        ``single`` lets one text stand for a list of one. A repeated item is a mistake.
        """
        if entry is None:
            return Found()
        node = entry.value
        if single and isinstance(node, Scalar) and node.kind == TEXT:
            texts = [node]
        else:
            texts = self._texts(node, "a text or a list of texts" if single else "a list of texts")
        values: dict[object, Span] = {}
        for text in texts:
            result = self.tried(text.span, read, text.value, self.folder)
            if result is None:
                continue
            if result in values:
                line = self.source.position(values[result].start)[0]
                self.add(
                    text.span,
                    f"{text.value!r} stands in the list twice, first in line {line}",
                    code="builderfile.key-duplicate",
                    hint="remove one of them",
                )
            values.setdefault(result, text.span)
        return Found(tuple(values), tuple(values.values()))

    def _texts(self, node: Node, wanted: str) -> list[Scalar]:
        if not isinstance(node, Items):
            hint = f"write [{node.raw}]" if isinstance(node, Scalar) and node.kind == TEXT else ""
            self.wrong_kind(node, wanted, hint)
            return []
        found = []
        for item in node.items:
            if isinstance(item, Scalar) and item.kind == TEXT:
                found.append(item)
            else:
                hint = f'write "{item.raw}"' if isinstance(item, Scalar) else ""
                self.wrong_kind(item, "a text", hint)
        return found

    def pairs(self, node: Node, wanted: str) -> dict[str, tuple[Scalar, str]]:
        """Return the texts of a block by key, which may be a word or a text, each with its key's node."""
        if not isinstance(node, Block):
            self.wrong_kind(node, wanted)
            return {}
        found: dict[str, tuple[Scalar, str]] = {}
        first: dict[str, Entry] = {}
        for entry in node.entries:
            key = entry.key.value
            text = self.text_or_none(entry.value)
            if key in first:
                self._repeated(entry, first[key], repr(key))
            elif text is None:
                hint = f'write "{entry.value.raw}"' if isinstance(entry.value, Scalar) else ""
                self.wrong_kind(entry.value, "a text", hint)
            else:
                found[key] = (entry.key, text)
            first.setdefault(key, entry)
        return found

    def block(self, node: Node, keys: Mapping[str, str], what: str) -> dict[str, Entry]:
        """Return the entries of a value that has to be a block."""
        if isinstance(node, Block):
            return self.entries(node, keys, what)
        self.wrong_kind(node, "a block", f"write {{ {next(iter(keys))}: ...; }}")
        return {}
