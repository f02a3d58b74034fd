"""The messages of the domain name system."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from _bldr_launcher.gateway import dns


def query(name: str, kind: int = dns.A, *, flags: int = 0x0100, questions: int = 1) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label)
    return struct.pack(">HHHHHH", 77, flags, questions, 0, 0, 1) + labels + b"\0" + struct.pack(">HH", kind, 1) + b"opt"


def test_a_question_is_read_in_lower_case() -> None:
    question = dns.parse(query("WWW.Example.org", dns.AAAA))

    assert question is not None
    assert (question.number, question.name, question.kind) == (77, "www.example.org", dns.AAAA)


def test_an_answer_repeats_the_question_and_has_the_address_that_was_asked_for() -> None:
    question = dns.parse(query("a.example"))
    assert question is not None

    data = dns.answer(question, 0, b"\xc6\x12\1\1")

    number, flags, questions, answers, *_ = struct.unpack_from(">HHHHHH", data)
    assert (number, flags & 0x8000, flags & 15, questions, answers) == (77, 0x8000, 0, 1, 1)
    assert data[12 : 12 + len(question.raw)] == question.raw
    assert data.endswith(b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + b"\xc6\x12\1\1")


def test_an_address_of_another_kind_is_no_answer() -> None:
    question = dns.parse(query("a.example", dns.AAAA))
    assert question is not None

    data = dns.answer(question, 0, b"\xc6\x12\1\1")

    assert struct.unpack_from(">HHHHHH", data)[3] == 0


@pytest.mark.parametrize(
    "message",
    [b"", b"short", query("a", flags=0x8000), query("a", flags=0x0800), query("a", questions=2), query("a")[:14]],
)
def test_what_is_no_question_has_no_answer(message: bytes) -> None:
    assert dns.parse(message) is None


@given(st.binary(max_size=80))
def test_nothing_that_arrives_is_a_surprise(message: bytes) -> None:
    question = dns.parse(message)
    if question is not None:
        dns.answer(question, dns.NO_SUCH_NAME)


@given(st.binary(max_size=40))
def test_whatever_follows_the_header_of_a_question_is_no_surprise(rest: bytes) -> None:
    question = dns.parse(struct.pack(">HHHHHH", 1, 0x0100, 1, 0, 0, 0) + rest)
    if question is not None:
        question.name.encode("ascii")
        dns.answer(question, 0, b"\1\2\3\4")
