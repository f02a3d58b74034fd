"""Text from outside (paths, commands, messages) made fit to be shown."""

from __future__ import annotations

__all__ = ["visible"]


def visible(text: str) -> str:
    r"""Escape what is not printable: ``\n``, ``\x1b``, ``\xff`` for an undecodable byte, ``\u202e``."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def _escaped(character: str) -> str:
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:  # what surrogateescape makes of one undecodable byte
        return f"\\x{number - 0xDC00:02x}"
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
