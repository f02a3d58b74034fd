"""The text of one Builderfile, and errors that point into it."""

from __future__ import annotations

from bldr.errors import BuilderfileError
from bldr.model.text import visible
from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeVar

    Mistake = TypeVar("Mistake", bound=BuilderfileError)

__all__ = ["LARGEST_FILE", "Source", "Span", "joined", "nearest"]

LARGEST_FILE = 16 << 20  # bytes
_WIDEST = 100  # columns of an excerpt
_BEFORE = 60  # columns of it that may stand before the caret when a line is cropped


@value
class Span:
    """A piece of a text, as offsets of characters; ``end`` is behind the last one."""

    start: int
    end: int


class Source:
    """The text of a Builderfile and the name that errors show for it.

    Args:
        path: The name, as the reader of an error would type it.
        text: The whole text.
    """

    __slots__ = ("_starts", "path", "text")

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self._starts: list[int] = []

    @staticmethod
    def decoded(path: str, data: bytes) -> Source:
        """Return the source that a file holds.

        Raises:
            BuilderfileError: It is too large, or not UTF-8.
        """
        if len(data) > LARGEST_FILE:
            raise BuilderfileError(
                f"this is larger than {LARGEST_FILE >> 20} MiB",
                path=path,
                code="builderfile.unreadable",
                hint="declare targets in the folders that they belong to",
            )
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            before = Source(path, data[: error.start].decode("utf-8") + "?")
            raise before.mistake(
                Span(len(before.text) - 1, len(before.text)),
                f"the byte 0x{data[error.start]:02x} is not UTF-8",
                code="builderfile.syntax",
                hint=f"save the file as UTF-8; in a file name, write the byte as \\x{data[error.start]:02x}",
            ) from error
        return Source(path, text.removeprefix("\ufeff"))

    def position(self, offset: int) -> tuple[int, int]:
        """Return line and column of a character, both from 1."""
        from bisect import bisect_right

        if not self._starts:
            self._starts = [0]
            place = self.text.find("\n")
            while place >= 0:
                self._starts.append(place + 1)
                place = self.text.find("\n", place + 1)
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def place(self, span: Span) -> str:
        """Return the place of a span, as errors begin with it, without the column."""
        return f"{self.path}:{self.position(span.start)[0]}"

    def mistake(
        self,
        span: Span,
        message: str,
        *,
        kind: type[Mistake] = BuilderfileError,  # type: ignore[assignment]  # a default of a variable type
        code: str = "",
        hint: str = "",
    ) -> Mistake:
        """Return the error for a piece of the text.

        Args:
            span: The piece.
            message: What is wrong with it.
            kind: The class of the error.
            code: Its code, where it is not the one of the class.
            hint: What mends it.
        """
        line, column = self.position(span.start)
        return kind(
            message,
            path=self.path,
            line=line,
            column=column,
            excerpt=self._excerpt(line, column, span.end - span.start),
            code=code,
            hint=hint,
        )

    def _excerpt(self, line: int, column: int, length: int) -> str:
        start = self._starts[line - 1]
        end = self.text.find("\n", start)
        text = self.text[start : end if end >= 0 else len(self.text)].rstrip("\r")
        before, marked = text[: column - 1], text[column - 1 : column - 1 + length]
        after = text[column - 1 + length :]
        dots = ""
        if len(text) > _WIDEST:
            if len(before) > _BEFORE:
                before, dots = before[-_BEFORE:], "..."
            marked = marked[: _WIDEST - _BEFORE]
            after = after[: max(0, _WIDEST - _BEFORE - len(marked))]
        before, marked, after = dots + _shown(before), _shown(marked), _shown(after)
        number = str(line)
        carets = "^" * max(1, _columns(marked))
        return "\n".join(
            (
                f"{number:>5} | {before}{marked}{after}".rstrip(),
                f"{'':>5} | {' ' * _columns(before)}{carets}",
            )
        )


def _shown(text: str) -> str:
    """Escape what is not printable; a tab is one blank, so that the caret stands where it has to."""
    return visible(text.replace("\t", " "))


def _columns(text: str) -> int:
    """Return how wide a text is on a terminal: Chinese characters take two columns, accents on top of others none."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(one) else 2 if east_asian_width(one) in "WF" else 1 for one in text)


def joined(mistakes: Iterable[BuilderfileError]) -> BuilderfileError:
    """Return one error for several, in the order of their places."""
    first, *others = sorted(mistakes, key=lambda one: (one.path, one.line, one.column))
    first.also = (*first.also, *others)
    return first


def nearest(word: str, names: Iterable[str]) -> str:
    """Return a hint with the name that a word is most likely a misspelling of, or an empty string."""
    from difflib import get_close_matches

    found = get_close_matches(word[:100], sorted(names), n=1, cutoff=0.6)
    return f"did you mean {found[0]}?" if found else ""
