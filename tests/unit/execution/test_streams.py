"""Captures against an oracle, feeds, and what may be given as a stream."""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bldr.errors import InvalidCommandError
from bldr.execution.streams import Capture, Feed, Plumbing
from tests.processes import descriptors


def captured(chunks: list[bytes], limit: int | None) -> Capture:
    reading, writing = os.pipe()
    capture = Capture(reading, limit)
    try:
        for chunk in chunks:
            os.write(writing, chunk)
            assert capture.read() == chunk
    finally:
        os.close(writing)
    assert capture.read() == b""
    assert capture.fd == -1
    return capture


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=30), st.integers(0, 120))
def test_a_capture_keeps_the_first_and_the_last_half(chunks: list[bytes], limit: int) -> None:
    whole = b"".join(chunks)

    capture = captured(chunks, limit)

    if len(whole) <= limit:
        assert (capture.content(), capture.dropped) == (whole, 0)
    else:
        head = limit // 2
        tail = limit - head
        assert capture.content() == whole[:head] + whole[len(whole) - tail :]
        assert capture.dropped == len(whole) - limit


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=30))
def test_a_capture_without_a_limit_keeps_everything(chunks: list[bytes]) -> None:
    capture = captured(chunks, None)

    assert (capture.content(), capture.dropped) == (b"".join(chunks), 0)


def test_a_capture_holds_little_more_than_its_limit() -> None:
    capture = captured([bytes(1000)] * 200, 5000)

    assert sum(map(len, capture._head)) + sum(map(len, capture._tail)) == 5000


def test_a_capture_says_when_nothing_is_there() -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    capture = Capture(reading, None)

    with pytest.raises(BlockingIOError):
        capture.read()
    capture.close()
    capture.close()
    os.close(writing)


@given(st.binary(max_size=300_000))
def test_a_feed_writes_everything_and_closes(content: bytes) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    feed = Feed(writing, content)
    arrived = b""
    while feed.write():
        arrived += os.read(reading, 70_000)
    while chunk := os.read(reading, 70_000):
        arrived += chunk
    os.close(reading)

    assert arrived == content
    assert feed.fd == -1


def test_a_feed_ends_when_nobody_reads() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    feed = Feed(writing, b"x" * 10)

    assert not feed.write()
    assert feed.fd == -1


@pytest.mark.parametrize(
    ("streams", "name"),
    [
        (("text", "capture", "capture"), "stdin"),
        (("capture", "capture", "capture"), "stdin"),
        ((True, "capture", "capture"), "stdin"),
        ((3.5, "capture", "capture"), "stdin"),
        ((["words"], "capture", "capture"), "stdin"),
        ((io.BytesIO(b"no descriptor"), "capture", "capture"), "stdin"),
        ((-1, "capture", "capture"), "stdin"),
        ((1 << 40, "capture", "capture"), "stdin"),
        ((None, None, "capture"), "stdout"),
        ((None, "stdout", "capture"), "stdout"),
        ((None, b"capture", "capture"), "stdout"),
        ((None, "capture", "Capture"), "stderr"),
        ((None, "capture", 999_999), "stderr"),
    ],
)
def test_what_is_no_stream_is_refused_and_leaves_nothing_open(
    streams: tuple[object, object, object], name: str
) -> None:
    before = descriptors()

    with pytest.raises(InvalidCommandError) as caught:
        Plumbing(*streams, 1000)  # type: ignore[arg-type]  # the mistakes are the subject

    assert caught.value.code == "spec.stream-invalid"
    assert caught.value.message.startswith(f"{name} ")
    assert caught.value.hint
    assert descriptors() == before


def test_a_closed_file_is_refused(tmp_path: Path) -> None:
    file = (tmp_path / "file").open("wb")
    file.close()

    with pytest.raises(InvalidCommandError) as caught:
        Plumbing(None, file, "capture", None)
    assert caught.value.code == "spec.stream-invalid"


@pytest.mark.parametrize("content", [b"bytes", bytearray(b"bytes"), memoryview(b"bytes")])
def test_anything_that_holds_bytes_can_be_standard_input(content: bytes) -> None:
    plumbing = Plumbing(content, "capture", "stdout", None)
    assert plumbing.feed is not None

    assert not plumbing.feed.write()
    assert os.read(plumbing.streams.stdin, 100) == b"bytes"
    assert plumbing.streams.stdout == plumbing.streams.stderr
    plumbing.close()


@pytest.mark.parametrize("kind", ["capture", "pipe", "discard", "inherit"])
def test_plumbing_closes_what_it_opened(kind: str) -> None:
    before = descriptors()
    with tempfile.TemporaryFile() as file:
        plumbing = Plumbing("pipe", kind, file, None)
        plumbing.handed_over()
        plumbing.close()
        plumbing.close()

        assert not os.get_inheritable(file.fileno())
        assert file.writable()
    assert descriptors() == before


def test_no_descriptor_of_the_plumbing_is_inheritable() -> None:
    plumbing = Plumbing(b"", "capture", "pipe", None)
    ours = [plumbing.feed.fd if plumbing.feed else -1, plumbing.captures["stdout"].fd, plumbing.pipes["stderr"]]

    for fd in (*ours, plumbing.streams.stdin, plumbing.streams.stdout, plumbing.streams.stderr):
        assert not os.get_inheritable(fd)
    plumbing.close()
