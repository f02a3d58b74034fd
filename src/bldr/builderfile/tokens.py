"""The words of a Builderfile: a text is cut into tokens and comments.

The lexer is ours and not lark's, because ours keeps the comments, and names what a writer most likely meant where
nothing fits.
"""

from __future__ import annotations

from bldr.builderfile.quoting import bad_escape
from bldr.builderfile.source import Source, Span
from bldr.builderfile.syntax import TEXT, Comment
from bldr.errors import BuilderfileSyntaxError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

__all__ = ["PUNCTUATION", "syntax_error", "tokens"]

PUNCTUATION = {
    "(": "OPEN",
    ")": "CLOSE",
    "{": "BEGIN",
    "}": "END",
    "[": "FIRST",
    "]": "LAST",
    ":": "COLON",
    ";": "SEMICOLON",
    ",": "COMMA",
}
_DEEPEST = 32  # levels of brackets; what has a meaning needs 4
_TOKENS = r"""
    (?P<BLANK>[ \t\r\n\f]+)
  | (?P<COMMENT>//[^\n]*|\#[^\n]*|/\*(?s:.*?)\*/)
  | (?P<TEXT>"(?:[^"\\\n]|\\[^\n])*")
  | (?P<WORD>[A-Za-z_][A-Za-z0-9_+\-]*)
  | (?P<NUMBER>-?[0-9][0-9A-Za-z.]*)
  | (?P<MARK>[(){}\[\]:;,])
"""
_pattern: re.Pattern[str] | None = None


def tokens(source: Source, comments: list[Comment]) -> Iterator[tuple[str, str, int]]:
    """Yield the type, the text and the offset of each token; comments go to the list.

    Raises:
        BuilderfileSyntaxError: There is something that cannot stand in a Builderfile.
    """
    global _pattern  # compiled on first use, because importing "re" is not free
    if _pattern is None:
        import re

        _pattern = re.compile(_TOKENS, re.VERBOSE)
    text = source.text
    offset = 0
    brackets: list[str] = []
    while offset < len(text):
        found = _pattern.match(text, offset)
        if found is None:
            raise _strange(source, offset)
        kind = found.lastgroup or ""
        raw = found.group()
        if kind == "COMMENT":
            if brackets[-1:] == ["["]:
                _refuse_label(source, raw, offset)
            comments.append(Comment(raw, offset))
        elif kind == "MARK":
            if raw in "([{":
                brackets.append(raw)
            elif raw in ")]}" and brackets:
                brackets.pop()
            if len(brackets) > _DEEPEST:
                raise syntax_error(
                    source, offset, offset + 1, f"brackets are nested more than {_DEEPEST} deep", "close some before"
                )
            yield PUNCTUATION[raw], raw, offset
        elif kind == TEXT:
            if ("\\" in raw or "\0" in raw) and (bad := bad_escape(raw)):
                start = offset + bad[0]
                hint = 'write \\\\ for a backslash, \\" for a quote, \\n, \\t, \\r, or \\x41 for the byte 0x41'
                raise syntax_error(source, start, start + bad[1], bad[2], hint)
            yield kind, raw, offset
        elif kind != "BLANK":
            yield kind, raw, offset
        offset = found.end()


def _refuse_label(source: Source, comment: str, offset: int) -> None:
    """Refuse a label without quotes in a list: it would be a comment, and silently missing."""
    label = comment.split(maxsplit=1)[0].partition(",")[0].rstrip("];}")
    if label.startswith("//") and label[2:3] not in ("", "/") and label.partition(":")[2]:
        hint = f'write "{label}": outside of a text // begins a comment'
        raise syntax_error(source, offset, offset + len(label), "a label stands between double quotes", hint)


def syntax_error(source: Source, start: int, end: int, message: str, hint: str = "") -> BuilderfileSyntaxError:
    """Return the error for a piece of the text."""
    return source.mistake(Span(start, end), message, kind=BuilderfileSyntaxError, hint=hint)


def _strange(source: Source, offset: int) -> BuilderfileSyntaxError:
    """Return the error where no token begins."""
    text = source.text
    character = text[offset]
    line_end = text.find("\n", offset)
    line_end = len(text) if line_end < 0 else line_end
    if character == '"':
        hint = 'write a line break in a text as "\\n"'
        return syntax_error(source, offset, line_end, "this text has no closing quote", hint)
    if text.startswith("/*", offset):
        return syntax_error(source, offset, offset + 2, "this comment is never closed", "write */ behind it")
    if character == "'":
        hint = "write \"text\", not 'text'"
        return syntax_error(source, offset, offset + 1, "a text stands between double quotes", hint)
    if character == "=":
        return syntax_error(source, offset, offset + 1, "expected ':', got '='", "write key: value;")
    end = offset + 1
    if character in "/.*?~@$!<>&|%^\\`":
        while end < line_end and text[end] not in " \t\r,;[]{}()":
            end += 1
        hint = "write paths, patterns and labels between double quotes"
        return syntax_error(source, offset, end, f"{text[offset:end]!r} is not a value", hint)
    return syntax_error(source, offset, end, f"{character!r} cannot stand here", "only comments and texts can hold it")
