"""The audit log: what is written, how it goes on after accidents, and what the check of its chain says."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import pytest

from bldr import AuditError, AuditEvent, AuditLog, Denial, EventKind, ExecutionResult, Violation, logging_hook
from bldr.audit.events import LONGEST, from_line
from bldr.audit.log import rotated


def event(number: int = 0, **more: object) -> AuditEvent:
    return AuditEvent(EventKind.NETWORK, f"host-{number}:443", "refused", **more)  # type: ignore[arg-type]


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    return AuditLog(tmp_path / "audit.jsonl", sync=False)


def filled(log: AuditLog, count: int) -> Path:
    for number in range(count):
        log.record(event(number))
    return Path(log.path)


def test_an_event_comes_back_as_it_was_written(log: AuditLog) -> None:
    (written,) = log.record(event(argv=("cc", "caf\udce9.c"), pid=7, actual=1.5, run="r"))

    assert list(log.read()) == [written]
    assert (written.sequence, written.uid) == (0, os.getuid())
    assert written.argv == ("cc", "caf\udce9.c")
    assert from_line(Path(log.path).read_bytes().rstrip()) == written


def test_a_line_is_json_with_a_schema(log: AuditLog) -> None:
    path = filled(log, 2)

    lines = [json.loads(line) for line in path.read_text("ascii").splitlines()]
    assert [(line["schema"], line["sequence"]) for line in lines] == [(1, 0), (1, 1)]
    assert lines[1]["previous"] == lines[0]["digest"]


def test_a_log_is_for_its_owner_only(log: AuditLog) -> None:
    assert filled(log, 1).stat().st_mode & 0o777 == 0o600


def test_each_violation_and_denial_of_a_result_is_an_event(log: AuditLog) -> None:
    result = ExecutionResult(
        ("make",),
        124,
        violations=(Violation("memory", "m", 2, 1, 0.5, 9), Violation("silence", "s", float("inf"), 1, 0.5)),
        denials=(
            Denial("read", "/etc/x"),
            Denial("connect", "a:1", "no"),
            Denial("execute", "/x"),
            Denial("unheard", "?"),
        ),
    )

    written = log.record_result(result)

    assert [(one.kind, one.subject, one.denial) for one in written] == [
        ("limit", "memory", False),
        ("timeout", "silence", False),
        ("filesystem-read", "/etc/x", True),
        ("network", "a:1", True),
        ("process", "/x", True),
        ("other", "?", True),
    ]
    assert len({one.run for one in written}) == 1
    assert {one.argv for one in written} == {("make",)}
    assert log.verify().intact


def test_a_result_without_any_writes_nothing(log: AuditLog) -> None:
    assert log.record_result(ExecutionResult(("true",), 0)) == ()
    assert not os.path.exists(log.path)


def test_what_is_too_long_for_a_line_is_shortened(log: AuditLog) -> None:
    (written,) = log.record(event(argv=("\udcff" * 100_000,) * 50))

    assert written.argv[-1] == "..."
    assert len(Path(log.path).read_bytes()) < LONGEST
    assert log.verify().intact


def test_a_torn_line_is_ended_and_named_by_the_next_event(log: AuditLog) -> None:
    path = filled(log, 2)
    torn = b'{"actual":nul'
    path.write_bytes(path.read_bytes() + torn)

    unfinished = log.verify()
    (written,) = log.record(event(2))
    found = log.verify()

    assert (unfinished.intact, unfinished.torn) == (True, 1)
    assert written.torn.startswith(f"{len(torn)}:")
    assert (found.intact, found.torn, found.events) == (True, 1, 3)


def test_a_torn_line_that_is_removed_is_missed(log: AuditLog) -> None:
    path = filled(log, 1)
    path.write_bytes(path.read_bytes() + b"torn")
    log.record(event(1))

    path.write_bytes(path.read_bytes().replace(b"torn\n", b""))

    assert [one.message for one in log.verify().findings] == ["the incomplete line before event 1 is missing"]


def test_an_event_that_lacks_only_its_newline_is_kept(log: AuditLog) -> None:
    path = filled(log, 2)
    path.write_bytes(path.read_bytes()[:-1])

    log.record(event(2))

    assert (log.verify().intact, log.verify().torn, log.verify().events) == (True, 0, 3)


def test_an_end_that_was_cut_off_stays_a_gap(log: AuditLog) -> None:
    path = filled(log, 3)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))

    assert [one.message for one in log.verify().findings] == ["the log ends before event 2: its end was cut off"]
    log.record(event(3))
    assert [one.message for one in log.verify().findings] == ["event 3 comes after a gap of 1"]


def test_a_log_that_was_emptied_goes_on_after_its_head(log: AuditLog) -> None:
    filled(log, 3).unlink()

    log.record(event())

    assert next(iter(log.read())).sequence == 3
    assert not log.verify().intact


def test_a_head_that_lags_behind_is_mended(log: AuditLog) -> None:
    """A writer died between the line and the head."""
    path = filled(log, 2)
    head = Path(log.path + ".head").read_bytes()
    filled(log, 1)
    Path(log.path + ".head").write_bytes(head)

    assert log.verify().intact
    filled(log, 1)
    assert (log.verify().intact, log.verify().last) == (True, 3)
    assert path.read_bytes().count(b"\n") == 4


def test_a_missing_head_is_told(log: AuditLog) -> None:
    filled(log, 2)
    os.unlink(log.path + ".head")

    assert [one.message for one in log.verify().findings] == ["it does not say what the last event is"]


def test_an_event_written_down_elsewhere_shows_a_log_made_anew(log: AuditLog) -> None:
    filled(log, 3)
    known = log.head()
    for path in (log.path, log.path + ".head"):
        os.unlink(path)
    filled(log, 5)

    assert log.verify().intact
    assert [one.message for one in log.verify(expected=known).findings] == ["event 2 is another one"]
    assert log.verify(expected=log.head()).intact


def test_a_full_file_is_renamed_and_the_chain_goes_on(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "a", max_size=1500, keep=None, sync=False)
    filled(log, 20)

    assert len(rotated(log.path)) > 2
    assert [one.sequence for one in log.read()] == list(range(20))
    assert log.verify().intact


def test_only_so_many_full_files_are_kept(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "a", max_size=1500, keep=2, sync=False)
    filled(log, 30)

    assert len(rotated(log.path)) == 2
    found = log.verify()
    assert found.intact
    assert found.first > 0
    os.unlink(rotated(log.path)[0])
    assert [one.message for one in log.verify().findings if "was kept" in one.message]


@pytest.mark.parametrize("keep", [0, 1])
def test_a_writer_that_died_after_renaming_is_followed(tmp_path: Path, keep: int) -> None:
    log = AuditLog(tmp_path / "a", max_size="1M", keep=keep + 1, sync=False)
    filled(log, 3)
    os.rename(log.path, log.path + ".000000000000")

    assert log.verify().intact
    filled(log, 1)
    assert [one.sequence for one in log.read()] == [0, 1, 2, 3]
    assert log.verify().intact


def test_other_files_beside_a_log_are_not_its_own(tmp_path: Path) -> None:
    for name in ("a.old", "a.1", "ab.000000000000", "a.00000000000x"):
        (tmp_path / name).touch()

    assert rotated(str(tmp_path / "a")) == []


def test_a_hook_sees_each_event_after_it_was_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = AuditLog(tmp_path / "a", hook=logging_hook(), sync=False)
    with caplog.at_level(logging.WARNING, "bldr.audit"):
        log.record(event())

    (record,) = caplog.records
    assert record.getMessage() == "network: refused"
    assert record.audit["subject"] == "host-0:443"  # type: ignore[attr-defined]  # that is what `extra` does


@pytest.mark.parametrize("what", ["directory", "fifo", "missing"])
def test_what_is_no_file_is_refused_before_anything_runs(tmp_path: Path, what: str) -> None:
    path = tmp_path / "x"
    if what == "directory":
        path.mkdir()
    elif what == "fifo":
        os.mkfifo(path)
    else:
        path = tmp_path / "no" / "x"

    with pytest.raises(AuditError) as caught:
        AuditLog(path).prepare()
    assert caught.value.code == "audit.write-failed"
    assert caught.value.hint


def test_a_log_that_does_not_exist_cannot_be_read(log: AuditLog) -> None:
    with pytest.raises(AuditError) as caught:
        list(log.read())
    assert caught.value.code == "audit.missing"
    with pytest.raises(AuditError):
        log.verify()
    assert log.head() == ""


def test_arguments_without_meaning_are_refused(log: AuditLog) -> None:
    with pytest.raises(AuditError) as caught:
        AuditLog(log.path, keep=-1)
    assert caught.value.code == "audit.invalid"
    filled(log, 1)
    with pytest.raises(AuditError):
        log.verify(expected="x:y")
