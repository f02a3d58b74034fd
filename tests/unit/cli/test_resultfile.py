"""``--json FILE``: whole or not at all, and found out before anything runs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from bldr.cli.options import UsageError
from bldr.cli.resultfile import ResultFile, to_json
from bldr.errors import InvalidPathError


def test_a_result_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "result.json"

    with ResultFile(str(path)) as file:
        assert not path.exists()
        file.write({"exit_code": 0})

    assert json.loads(path.read_text(encoding="ascii")) == {"exit_code": 0}
    assert os.listdir(tmp_path) == ["result.json"]


def test_an_old_result_stays_when_no_new_one_was_written(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("old", encoding="ascii")

    with pytest.raises(RuntimeError), ResultFile(str(path)):
        raise RuntimeError

    assert path.read_text(encoding="ascii") == "old"
    assert os.listdir(tmp_path) == ["result.json"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("real")

    with ResultFile(str(tmp_path / "link")) as file:
        file.write({})

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text(encoding="ascii") == "{}\n"


def test_a_pipe_is_written_directly() -> None:
    reading, writing = os.pipe()

    with ResultFile(f"/dev/fd/{writing}") as file:
        file.write([1])
    os.close(writing)

    with open(reading, encoding="ascii") as pipe:
        assert json.load(pipe) == [1]


@pytest.mark.parametrize("path", ["-", ""])
def test_standard_output_belongs_to_the_command(path: str) -> None:
    with pytest.raises(UsageError):
        ResultFile(path)


def test_a_file_that_cannot_be_written_is_found_out_at_the_start(tmp_path: Path) -> None:
    for path in (tmp_path / "missing" / "result.json", tmp_path):
        with pytest.raises(OSError, match="cannot write the result") as caught, ResultFile(str(path)):
            raise AssertionError("not reached")
        assert caught.value.filename == str(path)


def test_a_full_disk_is_an_error_and_leaves_nothing() -> None:
    with pytest.raises(OSError, match="cannot write the result"), ResultFile("/dev/full") as file:
        file.write({"a": "b"})


def test_an_error_is_written_with_its_code(tmp_path: Path) -> None:
    with ResultFile(str(tmp_path / "r")) as file:
        file.write_error(InvalidPathError("the input '/x' does not exist", code="spec.path-missing", hint="make it"))

    assert json.loads((tmp_path / "r").read_text(encoding="ascii")) == {
        "error": {"code": "spec.path-missing", "message": "the input '/x' does not exist", "hint": "make it"}
    }


def test_text_that_is_no_unicode_stays_readable_json() -> None:
    assert json.loads(to_json("caf\udce9")) == "caf\udce9"
