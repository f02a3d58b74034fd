"""Whatever is done to the lines of an audit log is noticed, as far as it is promised."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import assume, given
from hypothesis import strategies as st

from bldr.audit.events import AuditEvent, EventKind, from_line, to_line
from bldr.audit.log import AuditLog, rotated

texts = st.text(max_size=12) | st.binary(max_size=8).map(os.fsdecode)
events = st.builds(
    AuditEvent,
    st.sampled_from(EventKind.ALL),
    texts,
    texts,
    denial=st.booleans(),
    run=st.text("0123456789abcdef", max_size=16),
    argv=st.lists(texts, max_size=3).map(tuple),
    pid=st.integers(0, 2**22),
    actual=st.none() | st.integers(0, 2**63) | st.floats(0, 1e18),
    moment=st.none() | st.floats(0, 1e6),
)
places = st.integers(0, 10_000)  # the length of a line changes with the time that is in it
logs = st.lists(events, min_size=1, max_size=6)


@contextmanager
def written(content: list[AuditEvent], **options: int | None) -> Iterator[AuditLog]:
    with tempfile.TemporaryDirectory() as directory:
        log = AuditLog(os.path.join(directory, "log"), sync=False, **options)  # type: ignore[arg-type]
        for event in content:
            log.record(event)
        yield log


def lines_of(log: AuditLog) -> list[bytes]:
    return Path(log.path).read_bytes().splitlines(keepends=True)


def replace_lines(log: AuditLog, lines: list[bytes]) -> None:
    Path(log.path).write_bytes(b"".join(lines))


@given(events)
def test_an_event_comes_back_from_its_line(event: AuditEvent) -> None:
    signed, line = to_line(event)

    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert line.isascii()
    assert from_line(line[:-1]) == signed


@given(logs)
def test_what_is_written_is_intact(content: list[AuditEvent]) -> None:
    with written(content) as log:
        found = log.verify()

        assert (found.intact, found.events, found.first, found.torn) == (True, len(content), 0, 0)
        assert [one.subject for one in log.read()] == [one.subject for one in content]


@given(logs, st.data())
def test_a_changed_byte_is_noticed(content: list[AuditEvent], data: st.DataObject) -> None:
    with written(content) as log:
        whole = bytearray(Path(log.path).read_bytes())
        whole[data.draw(places) % len(whole)] ^= data.draw(st.integers(1, 255))
        Path(log.path).write_bytes(whole)

        assert not log.verify().intact


@given(logs, st.data())
def test_a_removed_line_is_noticed(content: list[AuditEvent], data: st.DataObject) -> None:
    with written(content) as log:
        lines = lines_of(log)
        del lines[data.draw(st.integers(0, len(lines) - 1))]
        replace_lines(log, lines)

        assert not log.verify().intact


@given(logs, st.data())
def test_an_end_that_is_cut_off_anywhere_is_noticed(content: list[AuditEvent], data: st.DataObject) -> None:
    """Only the last newline may be missing: the event is whole, and the next writer adds it."""
    with written(content) as log:
        whole = Path(log.path).read_bytes()
        Path(log.path).write_bytes(whole[: data.draw(places) % (len(whole) - 1)])

        assert not log.verify().intact
        log.record(content[0])
        assert not log.verify().intact


@given(logs, st.data())
def test_lines_in_another_order_are_noticed(content: list[AuditEvent], data: st.DataObject) -> None:
    with written(content) as log:
        lines = lines_of(log)
        shuffled = data.draw(st.permutations(lines))
        assume(shuffled != lines)
        replace_lines(log, shuffled)

        assert not log.verify().intact


@given(logs, events, st.data())
def test_an_added_line_is_noticed(content: list[AuditEvent], event: AuditEvent, data: st.DataObject) -> None:
    """Also one that is made with the right digests, as long as the head is not made anew as well."""
    with written(content) as log:
        lines = lines_of(log)
        place = data.draw(st.integers(0, len(lines)))
        before = from_line(lines[place - 1][:-1]) if place else None
        forged = to_line(
            AuditEvent(
                event.kind,
                event.subject,
                event.message,
                sequence=place,
                previous=before.digest if before else "0" * 64,
            )
        )[1]
        lines.insert(place, data.draw(st.sampled_from([forged, b"\n", b"{}\n", lines[0]])))
        replace_lines(log, lines)

        found = log.verify()
        assert not found.intact or (place == len(lines) - 1 and lines[place] == forged)


@given(logs, st.data())
def test_a_forged_event_breaks_the_chain_behind_it(content: list[AuditEvent], data: st.DataObject) -> None:
    with written(content) as log:
        lines = lines_of(log)
        place = data.draw(st.integers(0, len(lines) - 1))
        known = from_line(lines[place][:-1])
        assert known is not None
        lines[place] = to_line(
            AuditEvent("network", "forged", "forged", sequence=known.sequence, previous=known.previous)
        )[1]
        replace_lines(log, lines)

        assert not log.verify().intact


@given(logs, st.integers(200, 2000), st.data())
def test_a_full_file_that_is_removed_is_noticed(content: list[AuditEvent], size: int, data: st.DataObject) -> None:
    with written(content, max_size=size, keep=None) as log:
        assert log.verify().intact
        older = rotated(log.path)
        assume(older)
        os.unlink(older[data.draw(places) % len(older)])

        assert not log.verify().intact
