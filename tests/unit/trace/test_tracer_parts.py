"""Pieces of the tracer that read what a program has written: nothing in it is believed."""

from __future__ import annotations

import errno
import os
import struct
import sys
import threading
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies

from _bldr_launcher import syscalls
from _bldr_launcher.trace_observer import _asked_name, _parents, _parents_in_text
from _bldr_launcher.trace_paths import View, _interpreter_of
from _bldr_launcher.tracer import Recording
from bldr.sandbox.protocol import Recording as Recorded
from bldr.trace.decode import decode

QUERY = bytes.fromhex("123401000001000000000000") + b"\x07example\x03org\0\0\x01\0\x01"


def test_the_name_in_a_query_is_found() -> None:
    assert _asked_name(QUERY) == b"example.org"
    assert _asked_name(bytes([*QUERY[:2], 0x81, *QUERY[3:]])) == b""  # an answer
    assert _asked_name(QUERY[:16]) == b""


@hypothesis.given(strategies.binary(max_size=600))
def test_no_message_breaks_the_reading_of_names(message: bytes) -> None:
    _asked_name(message)
    _asked_name(QUERY[:12] + message)


@pytest.mark.parametrize(
    ("head", "interpreter"),
    [
        (b"#!/bin/sh\necho", b"/bin/sh"),
        (b"#! /usr/bin/env -S python3 -I\n", b"/usr/bin/env"),
        (b"#!\n", b""),
        (b"#!", b""),
        (b"", b""),
        (b"\x7fELF\x01\x01" + bytes(100), b""),
    ],
)
def test_the_interpreter_of_a_script_is_in_its_first_line(head: bytes, interpreter: bytes) -> None:
    assert _interpreter_of(head) == interpreter


def test_the_loader_of_a_program_is_found() -> None:
    loader = _interpreter_of(Path(sys.executable).read_bytes()[:4096])

    assert loader.startswith(b"/lib")
    assert b"ld" in loader


@hypothesis.given(strategies.binary(max_size=500))
def test_no_file_breaks_the_reading_of_interpreters(tail: bytes) -> None:
    _interpreter_of(b"\x7fELF\x02\x01" + tail)
    _interpreter_of(b"#!" + tail)


@hypothesis.given(strategies.integers(0, 2**64 - 1), strategies.integers(0, 2**64 - 1))
def test_wild_addresses_read_nothing_and_raise_nothing(address: int, size: int) -> None:
    memory = syscalls.Memory()

    memory.read(os.getpid(), address, size)
    memory.text(os.getpid(), address)


def test_a_text_that_crosses_a_page_is_read_whole() -> None:
    import ctypes  # noqa: TID251  a place in memory is what is read

    place = ctypes.create_string_buffer(3 * 4096)
    start = ctypes.addressof(place)
    memory = syscalls.Memory()
    for offset in (0, 4096 - start % 4096 - 5, 2 * 4096 - start % 4096 - 100):
        ctypes.memmove(start + offset, b"x" * 300 + b"\0", 301)

        assert memory.text(os.getpid(), start + offset) == b"x" * 300
        assert memory.read(os.getpid(), start + offset, 300) == b"x" * 300


def test_a_view_stays_in_its_root(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "file").write_text("#!/in/other x\n", "ascii")
    (tmp_path / "in" / "other").write_bytes(b"")
    (tmp_path / "out").symlink_to("/in/file")
    (tmp_path / "up").symlink_to("../../../../in")
    root = os.open(tmp_path, os.O_PATH)
    try:
        view = View(root)

        found = view.find(b"/out", follow=True)
        assert (found.kind, found.path) == (b"f", os.fsencode(tmp_path / "in" / "file"))
        assert view.find(b"/out", follow=False).kind == b"l"
        assert view.find(b"/up/file", follow=True).path == found.path
        absent = view.find(b"/up/absent", follow=True)
        assert (absent.kind, absent.has_parent) == (b"", True)
        assert absent.path == os.fsencode(tmp_path / "in" / "absent")
        assert not view.find(b"/no/such", follow=True).has_parent
        assert [one.path for one in view.interpreters(b"/in/file")] == [os.fsencode(tmp_path / "in" / "other")]
    finally:
        os.close(root)


def test_what_is_recorded_is_what_is_decoded() -> None:
    recording = Recording(os.memfd_create("test"))
    recording.add(b"process", 7, b"3")
    recording.add(b"path", 7, b"openat", b"read", b"/a", b"/b", b"0", b"f")
    recording.flush()
    data = os.pread(recording.fd, 4096, 0)
    os.close(recording.fd)

    trace = decode(Recorded(data), level="full")
    assert [process.parent for process in trace.processes] == [3]
    assert [(event.asked, event.subject) for event in trace.events] == [("/a", "/b")]
    assert struct.unpack_from("<I", data)[0] < len(data)


def test_a_thread_is_told_from_its_process() -> None:
    assert _parents(os.getpid()) == (os.getpid(), os.getppid())
    assert _parents_in_text(os.getpid()) == (os.getpid(), os.getppid())
    found = []
    thread = threading.Thread(target=lambda: found.append(_parents(threading.get_native_id())))
    thread.start()
    thread.join()
    assert found == [(os.getpid(), os.getppid())]


def test_what_can_change_is_looked_up_anew_and_what_cannot_is_not(tmp_path: Path) -> None:
    """Only what is read-only counts as that: here nothing is, so that the quick way answers like the other one."""
    root = os.open(tmp_path, os.O_PATH)
    view = View(root)
    try:
        for path in (b"/d/file", b"/d", b"/none/file"):
            assert view.look(path, follow=True).error == view.find(path, follow=True).error == errno.ENOENT
        (tmp_path / "d").mkdir()
        (tmp_path / "d" / "file").symlink_to("../target")
        assert view.look(b"/d/file", follow=False).kind == b"l"
        assert view.look(b"/d/file", follow=True).error == errno.ENOENT
        (tmp_path / "target").write_bytes(b"")
        assert view.look(b"/d/file", follow=True).path == os.fsencode(tmp_path / "target")
    finally:
        view.close()
        os.close(root)
