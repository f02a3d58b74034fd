"""Text to syntax tree, by lark's LALR(1) parser."""

from __future__ import annotations

from bldr.builderfile.source import nearest
from bldr.builderfile.syntax import Block, Comment, Declaration, Entry, File, Items, Scalar
from bldr.builderfile.tokens import PUNCTUATION, syntax_error, tokens

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from lark import Lark, Token

    from bldr.builderfile.source import Source
    from bldr.builderfile.syntax import Node
    from bldr.errors import BuilderfileSyntaxError

__all__ = ["GRAMMAR", "KEYWORD", "parse"]

KEYWORD = "target"

# A value ends with ";" (or ","); that may be left out before "}" and behind a block. "target" is not a token of its
# own, so that it can be the name of a variable. Alternatives stand inside the rules that use them: a rule of their own
# would be one more reduction for each word, and those are most of the time.
GRAMMAR = """
start: declaration*
declaration: WORD OPEN TEXT CLOSE block SEMICOLON?
block: BEGIN ended* last? END
ended: (WORD | TEXT) COLON (WORD | TEXT | NUMBER | items) (SEMICOLON | COMMA)
     | (WORD | TEXT) COLON block (SEMICOLON | COMMA)?
last: (WORD | TEXT) COLON (WORD | TEXT | NUMBER | items)
items: FIRST ((WORD | TEXT | NUMBER | items | block) (COMMA (WORD | TEXT | NUMBER | items | block))* COMMA?)? LAST
%declare WORD TEXT NUMBER OPEN CLOSE BEGIN END FIRST LAST COLON SEMICOLON COMMA
"""
_NAMES = {name: f"'{mark}'" for mark, name in PUNCTUATION.items()} | {
    "WORD": "a word",
    "TEXT": "a text",
    "NUMBER": "a number",
    "$END": "the end of the file",
}
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_VALUES = {"WORD", "TEXT", "NUMBER", "FIRST", "BEGIN"}
_parser: Lark | None = None


def parse(source: Source) -> File:
    """Return the syntax tree of a Builderfile.

    Raises:
        BuilderfileSyntaxError: The text is not of that form.
    """
    from lark import Token
    from lark.exceptions import UnexpectedToken

    parser = _shared_parser().parse_interactive()
    comments: list[Comment] = []
    before: Token | None = None
    try:
        for kind, raw, offset in tokens(source, comments):
            token = Token(kind, raw, offset)
            parser.feed_token(token)
            before = token
        declarations: list[Declaration] = parser.feed_eof()  # type: ignore[no-untyped-call]
    except UnexpectedToken as error:
        accepted = parser.accepts()  # type: ignore[no-untyped-call]
        raise _unexpected(source, error.token, before, accepted) from None
    for declaration in declarations:
        if declaration.word.raw != KEYWORD:
            raise syntax_error(
                source,
                declaration.word.start,
                declaration.word.end,
                f"expected {KEYWORD!r}, got {declaration.word.raw!r}",
                nearest(declaration.word.raw, [KEYWORD]) or f'a file declares targets: {KEYWORD}("name") {{ ... }}',
            )
    return File(source, declarations, comments)


def _shared_parser() -> Lark:
    """Return the parser. Making its tables takes ten times as long as using them for a short file."""
    global _parser
    if _parser is None:
        from lark import Lark, Token, Transformer

        class Tree(Transformer[Token, list[Declaration]]):
            """Makes nodes while the parser goes."""

            start = staticmethod(_begin)
            declaration = staticmethod(_declaration)
            block = staticmethod(_block)
            ended = staticmethod(_entry)
            last = staticmethod(_entry)
            items = staticmethod(_items)

        _parser = Lark(GRAMMAR, parser="lalr", lexer="basic", transformer=Tree(), maybe_placeholders=False)
    return _parser


def _scalar(token: Token) -> Scalar:
    assert token.start_pos is not None
    return Scalar(token.type, token.value, token.start_pos)


def _node(child: Token | Node) -> Node:
    return child if isinstance(child, Items | Block) else _scalar(child)  # type: ignore[arg-type]  # no Scalar is made before


def _begin(children: list[Declaration]) -> list[Declaration]:
    return children


def _declaration(children: tuple[Token, Token, Token, Token, Block]) -> Declaration:
    block = children[4]
    return Declaration(_scalar(children[0]), _scalar(children[2]), block)


def _block(children: list[Token | Entry]) -> Block:
    first, last = children[0], children[-1]
    return Block([child for child in children if isinstance(child, Entry)], _offset(first), _offset(last) + 1)


def _entry(children: list[Token]) -> Entry:
    return Entry(_scalar(children[0]), _node(children[2]))


def _items(children: list[Token | Node]) -> Items:
    first, last = children[0], children[-1]
    inner = [_node(child) for child in children[1:-1] if getattr(child, "type", "") != "COMMA"]
    return Items(inner, _offset(first), _offset(last) + 1)


def _offset(token: Token | Node | Entry) -> int:
    offset: int | None = getattr(token, "start_pos", None)
    assert offset is not None
    return offset


def _unexpected(source: Source, token: Token, before: Token | None, accepted: Iterable[str]) -> BuilderfileSyntaxError:
    """Return the error for a token that does not fit."""
    expected = set(accepted)
    ends = token.type == "$END"
    start = len(source.text) if ends else _offset(token)
    end = start + len(token)
    got = _NAMES["$END"] if ends else repr(str(token))
    wanted = _wanted(expected)
    previous_end = _offset(before) + len(before) if before is not None else 0
    if ends and (opened := _last_open(source)) >= 0:
        closing = _CLOSING[source.text[opened]]
        hint = f"write {closing} behind what belongs to it"
        return syntax_error(source, opened, opened + 1, f"this {source.text[opened]!r} is never closed", hint)
    if "SEMICOLON" in expected and "\n" in source.text[previous_end:start]:
        # what is missing belongs to the line before, and not to the word that shows it
        return syntax_error(
            source, previous_end, previous_end, "expected ';' behind this value", "end the entry with ;"
        )
    if ends:
        return syntax_error(source, previous_end, previous_end, f"expected {wanted}, got {got}")
    hint = ""
    if token.type in ("SEMICOLON", "COMMA") and "WORD" in expected and "NUMBER" not in expected:
        hint = "remove it"
    elif expected & _VALUES and token.type == "SEMICOLON":
        hint = "a key has one value: key: value;"
    elif token.type in ("SEMICOLON", "COMMA") and expected == {"COLON"} and str(before).startswith('"'):
        hint = "several values stand between brackets: [..., ...]"
    elif token.type == "COLON" and "TEXT" in expected:
        hint = "write labels between double quotes"
    elif "COLON" in expected and before is not None and token.type in ("BEGIN", "OPEN", "TEXT"):
        hint = f"write a colon: {before}: ..."
    elif "TEXT" in expected and token.type == "WORD" and "COLON" not in expected:
        hint = f'write "{token}"'
    return syntax_error(source, start, end, f"expected {wanted}, got {got}", hint)


def _wanted(expected: set[str]) -> str:
    """Return what could stand there in a few words."""
    names = []
    rest = set(expected)
    if rest >= _VALUES - {"BEGIN"}:
        names.append("a value")
        rest -= _VALUES
    elif rest >= {"WORD", "TEXT"}:
        names.append("a key")
        rest -= {"WORD", "TEXT"}
    elif "OPEN" not in rest and rest >= {"WORD", "$END"}:
        names.append(f'{KEYWORD}("name")')
        rest -= {"WORD", "SEMICOLON"}
    if "SEMICOLON" in rest:
        rest.discard("COMMA")  # accepted, and not what is written
    names += [_NAMES[name] for name in sorted(rest, key=lambda name: (name != "SEMICOLON", name))]
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _last_open(source: Source) -> int:
    """Return where the innermost bracket opens that is not closed, or -1."""
    opened = []
    for _, raw, offset in tokens(source, []):
        if raw in _CLOSING:
            opened.append(offset)
        elif raw in _CLOSING.values() and opened:
            opened.pop()
    return opened[-1] if opened else -1
