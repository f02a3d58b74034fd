"""The messages of the domain name system, as far as a server needs them that knows addresses and nothing else. Pure."""

from __future__ import annotations

import struct

__all__ = ["AAAA", "ANY", "FAILURE", "NO_SUCH_NAME", "A", "Question", "answer", "parse"]

A, AAAA, ANY = 1, 28, 255  # RFC 1035, RFC 3596
NO_ERROR, FORMAT_ERROR, FAILURE, NO_SUCH_NAME, NOT_IMPLEMENTED = range(5)  # RFC 1035, 4.1.1
RESPONSE, AUTHORITATIVE, RECURSION_DESIRED, RECURSION_AVAILABLE = 0x8000, 0x0400, 0x0100, 0x0080
OPCODE = 0x7800
TTL = 60  # seconds
_HEADER = struct.Struct(">HHHHHH")
_NAME_OF_QUESTION = b"\xc0\x0c"  # a pointer to byte 12, RFC 1035, 4.1.4
_LONGEST_LABEL = 63


class Question:
    """What one query asks for; ``name`` is in lower case and without the last dot."""

    __slots__ = ("flags", "kind", "name", "number", "raw")

    def __init__(self, number: int, flags: int, name: str, kind: int, raw: bytes) -> None:
        self.number = number
        self.flags = flags
        self.name = name
        self.kind = kind
        self.raw = raw


def parse(message: bytes) -> Question | None:
    """Read a query; ``None`` for what is none. Nothing is believed of it."""
    if len(message) < _HEADER.size:
        return None
    number, flags, questions, *_ = _HEADER.unpack_from(message)
    if flags & (RESPONSE | OPCODE) or questions != 1:
        return None
    labels = []
    place = _HEADER.size
    while place < len(message) and (size := message[place]):
        label = message[place + 1 : place + 1 + size]
        if size > _LONGEST_LABEL or len(label) < size:
            return None
        labels.append(label)
        place += 1 + size
    end = place + 5
    if end > len(message):
        return None
    kind, family = struct.unpack_from(">HH", message, place + 1)
    if family not in (1, 255):  # of the internet
        return None
    name = b".".join(labels).decode("ascii", "backslashreplace").lower()
    return Question(number, flags, name, kind, message[_HEADER.size : end])


def answer(question: Question, code: int, address: bytes = b"") -> bytes:
    """Write the answer: a code, and an address as 4 or 16 bytes when there is one of the kind that was asked for."""
    flags = RESPONSE | AUTHORITATIVE | RECURSION_AVAILABLE | (question.flags & RECURSION_DESIRED) | code
    records = b""
    kind = {4: A, 16: AAAA}.get(len(address))
    if kind is not None and question.kind in (kind, ANY):
        records = _NAME_OF_QUESTION + struct.pack(">HHIH", kind, 1, TTL, len(address)) + address
    return _HEADER.pack(question.number, flags, 1, 1 if records else 0, 0, 0) + question.raw + records
