"""Records survive, and what was cut off or brought from elsewhere is not believed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from bldr.engine.state import Record, State


def record(number: int) -> Record:
    return Record("c", "p", "t", "n", {"a\udcff": str(number)}, {"o": "x"})


def test_the_last_record_of_an_action_counts(tmp_path: Path) -> None:
    with State(os.fspath(tmp_path)) as state:
        for number in range(3):
            state.remember('//:a "x","y"', record(number))
        state.remember("//:b", record(7))
        state.forget(["//:b", "//:never"])

    with State(os.fspath(tmp_path)) as state:
        assert state.names() == ['//:a "x","y"']
        assert state.record('//:a "x","y"') == record(2)
        assert state.record("//:b") is None


@pytest.mark.parametrize("cut", [2, 5, 30])
def test_what_a_crash_has_cut_off_is_not_believed(tmp_path: Path, cut: int) -> None:
    with State(os.fspath(tmp_path)) as state:
        state.remember("//:a", record(1))
        state.remember("//:b", record(2))
    journal = tmp_path / ".builder" / "state"
    journal.write_bytes(journal.read_bytes()[:-cut])

    with State(os.fspath(tmp_path)) as state:
        assert state.names() == ["//:a"]
        state.remember("//:c", record(3))
    with State(os.fspath(tmp_path)) as state:
        assert state.names() == ["//:a", "//:c"]


def test_nothing_behind_a_damaged_line_is_believed(tmp_path: Path) -> None:
    with State(os.fspath(tmp_path)) as state:
        for name in "abc":
            state.remember(name, record(1))
    journal = tmp_path / ".builder" / "state"
    lines = journal.read_bytes().split(b"\n")
    lines[2] = lines[2].replace(b'"x"', b'"y"')
    journal.write_bytes(b"\n".join(lines))

    with State(os.fspath(tmp_path)) as state:
        assert state.names() == ["a"]


def test_a_copy_of_a_workspace_begins_anew(tmp_path: Path) -> None:
    with State(os.fspath(tmp_path / "one")) as state:
        state.remember("a", record(1))
    shutil.copytree(tmp_path / "one", tmp_path / "two")

    with State(os.fspath(tmp_path / "two")) as state:
        assert state.names() == []


def test_a_journal_does_not_grow_for_ever(tmp_path: Path) -> None:
    for _ in range(3):
        with State(os.fspath(tmp_path)) as state:
            for _ in range(300):
                state.remember("a", record(1))

    assert (tmp_path / ".builder" / "state").read_bytes().count(b"\n") < 310


def test_nothing_is_written_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "ws").mkdir()
    (tmp_path / "ws" / ".builder").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(NotADirectoryError):
        State(os.fspath(tmp_path / "ws"))
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_what_killed_processes_left_unfinished_is_removed(tmp_path: Path) -> None:
    with State(os.fspath(tmp_path)) as state:
        state.remember("//:a", record(1))
    for name in ("state.part", "builderfiles.0123.part"):
        (tmp_path / ".builder" / name).write_text("half", "ascii")

    with State(os.fspath(tmp_path)) as state:
        assert state.names() == ["//:a"]
    assert sorted(os.listdir(tmp_path / ".builder")) == [".gitignore", "state"]


def test_a_journal_that_cannot_be_shortened_stays_long(tmp_path: Path) -> None:
    with State(os.fspath(tmp_path)) as state:
        for number in range(203):
            state.remember("//:a", record(number))
        (tmp_path / ".builder" / "state.part").mkdir()

    with open(tmp_path / ".builder" / "state", "rb") as file:
        assert len(file.readlines()) == 204
