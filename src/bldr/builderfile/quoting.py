r"""Texts between double quotes, with escapes.

``\xHH`` is a byte, so that every name of a file can be written, of whatever encoding: an undecodable byte is kept as a
surrogate escape, as everywhere in bldr.
"""

from __future__ import annotations

__all__ = ["bad_escape", "quoted", "unquoted"]

_ESCAPES = {'"': b'"', "\\": b"\\", "n": b"\n", "t": b"\t", "r": b"\r"}
_DIGITS = frozenset("0123456789abcdefABCDEF")


def unquoted(raw: str) -> str:
    r"""Return what a text with its quotes stands for; its escapes are known to be good.

    Example:
        >>> unquoted(r'"a\"b\x41"')
        'a"bA'
    """
    if "\\" not in raw:
        return raw[1:-1]
    data = bytearray()
    offset = 1
    while offset < len(raw) - 1:
        character = raw[offset]
        if character != "\\":
            data += character.encode()
            offset += 1
        elif raw[offset + 1] == "x":
            data.append(int(raw[offset + 2 : offset + 4], 16))
            offset += 4
        else:
            data += _ESCAPES[raw[offset + 1]]
            offset += 2
    return data.decode("utf-8", "surrogateescape")


def bad_escape(raw: str) -> tuple[int, int, str] | None:
    """Return begin and length of the first escape that cannot be read, and why; or of a NUL."""
    offset = 1
    while offset < len(raw) - 1:
        character = raw[offset]
        length = 1
        if character == "\\":
            escape = raw[offset + 1]
            length = 2
            if escape == "x":
                length = 4
                if not _DIGITS.issuperset(raw[offset + 2 : offset + 4]) or offset + 4 >= len(raw):
                    return offset, 2, "\\x is followed by two hexadecimal digits"
            elif escape not in _ESCAPES:
                return offset, 2, f"there is no escape \\{escape}"
        if character == "\0" or raw[offset : offset + length] == "\\x00":
            return offset, length, "no text can hold a NUL character"
        offset += length
    return None


def quoted(text: str) -> str:
    r"""Return how a text is written.

    Example:
        >>> print(quoted('say "hi"\n'))
        "say \"hi\"\n"
    """
    plain = text.isprintable() and "\\" not in text and '"' not in text
    return f'"{text}"' if plain else f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    short = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character)
    return short or "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))
