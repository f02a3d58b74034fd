"""``--events``: every line is whole, whatever happens, and a reader that goes away ends nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from bldr.cli import events
from bldr.cli.events import EventFile
from bldr.cli.options import UsageError
from bldr.engine.result import BuildResult
from tests.unit.engine.builds import failed_build, hostile_build
from tests.unit.report.runs import HOSTILE


def play(file: EventFile, build: BuildResult, told: list[str] | None = None) -> None:
    file.prepare(build.root, build.verb, build.targets, hermetic=True, say=(told if told is not None else []).append)
    file.begun(len(build.outcomes), build.jobs)
    for outcome in build.outcomes:
        if outcome.reason:
            file.started(outcome.action, outcome.reason)
        file.finished(outcome)
    file.ended(build)


def lines(path: Path) -> list[dict[str, Any]]:
    data = path.read_bytes()
    assert data.isascii()
    assert data.endswith(b"\n") or not data
    return [json.loads(line) for line in data.splitlines()]


def test_a_build_is_told_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_text("old\n", encoding="ascii")

    with EventFile(str(path)) as file:
        play(file, failed_build())

    told = lines(path)
    assert [one["event"] for one in told] == [
        "build-began", "action-began", "action-ended", "action-began", "action-ended", "action-ended", "action-began",
        "action-ended", "action-began", "action-ended", "action-began", "action-ended", "action-ended", "build-ended",
    ]  # fmt: skip
    assert [one["sequence"] for one in told] == list(range(1, 15))
    assert (told[0]["schema"], told[0]["targets"], told[0]["actions"]) == (1, ["//:app", "//src:t"], 7)
    assert told[3]["reason"] == "src/b.c changed"
    assert told[4]["output"].startswith("/home/me/p/src/b.c:3:7")
    assert (told[-1]["status"], told[-1]["exit_status"], told[-1]["counts"]["failed"]) == ("failed", 1, 1)
    assert all(one["elapsed"] >= 0 and one["time"] > 0 for one in told)


def test_more_events_are_added_where_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "events"
    for more in (False, True):
        with EventFile(str(path), more=more) as file:
            play(file, failed_build())

    assert [one["event"] for one in lines(path)].count("build-began") == 2


def test_what_strangers_choose_stays_in_its_line(tmp_path: Path) -> None:
    with EventFile(str(tmp_path / "events")) as file:
        play(file, hostile_build(HOSTILE))

    assert len(lines(tmp_path / "events")) == 2 + 2 * len(HOSTILE)


def test_a_full_disk_leaves_whole_lines_and_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "events"
    told: list[str] = []
    left = [3000]

    def write(fd: int, data: bytes) -> int:
        done = os.write(fd, data[: left[0]])
        left[0] -= done
        return done

    class FullDisk:
        def __getattr__(self, name: str) -> object:
            return write if name == "write" else getattr(os, name)

    monkeypatch.setattr(events, "os", FullDisk())
    with EventFile(str(path)) as file:
        play(file, failed_build(), told)

    assert 2 < len(lines(path)) < 14
    assert told == [f"no more events are written to {str(path)!r}: No space left on device"]


def test_a_reader_that_goes_away_ends_nothing() -> None:
    told: list[str] = []
    reading, writing = os.pipe()
    with EventFile(f"/dev/fd/{writing}") as file:
        os.close(reading)
        os.close(writing)
        play(file, failed_build(), told)

    assert len(told) == 1
    assert told[0].endswith("Broken pipe")


def test_a_pipe_is_written_as_it_is() -> None:
    reading, writing = os.pipe()
    with EventFile(f"/dev/fd/{writing}") as file:
        os.close(writing)
        play(file, failed_build())
    with open(reading, "rb") as pipe:
        assert len(pipe.read().splitlines()) == 14


@pytest.mark.parametrize("path", ["", "-"])
def test_standard_output_is_no_file(path: str) -> None:
    with pytest.raises(UsageError, match="--events"):
        EventFile(path)


def test_a_file_that_cannot_be_written_is_found_out_first(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cannot write the events"):
        EventFile(str(tmp_path / "no" / "events")).__enter__()
