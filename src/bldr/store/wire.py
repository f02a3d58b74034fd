"""The encoding of protocol buffers, as far as the Remote Execution API needs it, in its canonical form.

Canonical is what a serializer of proto3 writes when it is told to be deterministic: fields in the order of their
numbers, each integer in the shortest form, nothing for a field that has its default. Action digests are taken from
these bytes, so they never change for the same message. A test compares them with those of the real library, which is
not needed to run.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    Fields: TypeAlias = dict[int, list["int | bytes"]]

__all__ = [
    "WireError",
    "byte_fields",
    "fields_of",
    "flag",
    "integer",
    "message",
    "number_in",
    "octets",
    "text",
    "texts",
]

_VARINT, _SIXTY_FOUR, _LENGTH, _THIRTY_TWO = 0, 1, 2, 5  # wire types
_MASK = (1 << 64) - 1


class WireError(ValueError):
    """Bytes that are not the encoding of a message."""


def _varint(number: int) -> bytes:
    if number < 128:
        return bytes((number,))
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def message(field: int, encoded: bytes | None) -> bytes:
    """A message within another one; ``None`` is one that is not there, which differs from an empty one."""
    if encoded is None:
        return b""
    size = len(encoded)
    if size < 128 and field < 16:  # the usual case, in which both numbers take one byte
        return bytes((field << 3 | _LENGTH, size)) + encoded
    return _varint(field << 3 | _LENGTH) + _varint(size) + encoded


def octets(field: int, content: bytes) -> bytes:
    """A field of bytes."""
    return message(field, content) if content else b""


def text(field: int, content: str) -> bytes:
    """A field of text; bytes of a path that are no UTF-8 stay what they are."""
    return message(field, content.encode("utf-8", "surrogateescape")) if content else b""


def integer(field: int, number: int) -> bytes:
    """A field of an integer of up to 64 bits; a negative one takes ten bytes, as the format wants it."""
    return _varint(field << 3) + _varint(number & _MASK) if number else b""


def flag(field: int, *, on: bool) -> bytes:
    """A field of a truth value."""
    return _varint(field << 3) + b"\1" if on else b""


def fields_of(encoded: bytes) -> Fields:
    """Take a message apart: for each field number the integers or bytes in the order in which they came.

    Raises:
        WireError: The bytes are not those of a message.
    """
    found: Fields = {}
    at, end = 0, len(encoded)
    while at < end:
        key, at = _read_varint(encoded, at)
        kind = key & 7
        item: int | bytes
        if kind == _VARINT:
            item, at = _read_varint(encoded, at)
        else:
            if kind == _LENGTH:
                size, at = _read_varint(encoded, at)
            elif kind in (_SIXTY_FOUR, _THIRTY_TWO):
                size = 8 if kind == _SIXTY_FOUR else 4
            else:
                raise WireError(f"the wire type {kind} at byte {at} is unknown")
            if at + size > end:
                raise WireError(f"the field at byte {at} is cut off")
            item = encoded[at : at + size]
            at += size
        if not key >> 3:
            raise WireError(f"a field before byte {at} has the number 0")
        found.setdefault(key >> 3, []).append(item)
    return found


def _read_varint(encoded: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while shift < 70:
        if at >= len(encoded):
            raise WireError(f"the number at byte {at} is cut off")
        byte = encoded[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number & _MASK, at
        shift += 7
    raise WireError(f"the number at byte {at} is too long")


def number_in(fields: Fields, field: int) -> int:
    """The integer of a field; 0 where it is not there. The last one counts, as in every reader of the format.

    Raises:
        WireError: It is not an integer.
    """
    item = fields.get(field, [0])[-1]
    if isinstance(item, bytes):
        raise WireError(f"field {field} is not a number")
    return item


def byte_fields(fields: Fields, field: int) -> list[bytes]:
    """Every content of a field of bytes, text or messages.

    Raises:
        WireError: One is an integer.
    """
    found = []
    for item in fields.get(field, []):
        if isinstance(item, int):
            raise WireError(f"field {field} is a number")
        found.append(item)
    return found


def texts(fields: Fields, field: int) -> list[str]:
    """Every text of a field."""
    return [item.decode("utf-8", "surrogateescape") for item in byte_fields(fields, field)]
