"""``bldr fmt``: files, --check, standard input, and that a file is replaced whole or not at all."""

from __future__ import annotations

import io
import os
import stat
import subprocess
from pathlib import Path

import pytest

from bldr.cli.main import main

UGLY = 'target("a"){type:library;sources:["a.c"]}'
NEAT = 'target("a") {\n    type: library;\n    sources: ["a.c"];\n}\n'


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "lib").mkdir()
    (tmp_path / "Builderfile").write_text(UGLY, encoding="ascii")
    (tmp_path / "lib" / "Builderfile").write_text(NEAT, encoding="ascii")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_names_it_is_the_whole_workspace(
    root: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root / "lib")

    assert main(["fmt", "--check"]) == 1
    out, err = capfd.readouterr()
    assert (out, err) == ("../Builderfile\n", "bldr: 1 file not laid out as bldr fmt does\n")

    assert main(["fmt"]) == 0
    assert capfd.readouterr() == ("", "bldr: 1 file laid out anew, 1 file left as it was\n")
    assert (root / "Builderfile").read_text(encoding="ascii") == NEAT
    assert main(["fmt", "--check", "-q"]) == 0
    assert capfd.readouterr() == ("", "")


def test_names_say_which_files(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    other = root / "other.builderfile"
    other.write_text(UGLY, encoding="ascii")

    assert main(["fmt", "-q", "other.builderfile"]) == 0
    assert other.read_text(encoding="ascii") == NEAT
    assert (root / "Builderfile").read_text(encoding="ascii") == UGLY
    assert capfd.readouterr() == ("", "")


def test_standard_input_goes_to_standard_output(
    root: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(UGLY.encode())))

    assert main(["fmt", "-"]) == 0
    assert capfd.readouterr() == (NEAT, "")


def test_check_of_standard_input(
    root: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(UGLY.encode())))

    assert main(["fmt", "-q", "--check", "-"]) == 1
    assert capfd.readouterr() == ("-\n", "")


def test_a_mistake_in_one_file_leaves_all_as_they_are(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (root / "lib" / "Builderfile").write_text('target("a") {', encoding="ascii")

    assert main(["fmt"]) == 2
    assert capfd.readouterr().err == (
        "bldr: lib/Builderfile:1:13: this '{' is never closed\n"
        'bldr:     1 | target("a") {\n'
        "bldr:       |             ^\n"
        "bldr: hint: write } behind what belongs to it\n"
    )
    assert (root / "Builderfile").read_text(encoding="ascii") == UGLY


def test_a_link_stays_a_link_and_the_mode_is_kept(root: Path) -> None:
    real = root / "real"
    real.write_text(UGLY, encoding="ascii")
    real.chmod(0o640)
    (root / "link").symlink_to("real")

    assert main(["fmt", "-q", "link"]) == 0
    assert (root / "link").is_symlink()
    assert (real.read_text(encoding="ascii"), stat.S_IMODE(real.stat().st_mode)) == (NEAT, 0o640)
    assert sorted(os.listdir(root)) == ["Builderfile", "lib", "link", "real"]


def test_a_file_that_cannot_be_written_stays_as_it_was(root: Path, bldr_argv: list[str]) -> None:
    limited = ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *bldr_argv, "fmt"]

    done = subprocess.run(limited, capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stderr) == (125, "bldr: File too large\n")
    assert (root / "Builderfile").read_text(encoding="ascii") == UGLY
    assert sorted(os.listdir(root)) == ["Builderfile", "lib"]


def test_a_file_that_is_laid_out_is_not_touched(root: Path) -> None:
    before = (root / "lib" / "Builderfile").stat()

    assert main(["fmt", "-q"]) == 0
    assert (root / "lib" / "Builderfile").stat().st_mtime_ns == before.st_mtime_ns


def test_a_directory_is_no_file(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["fmt", "lib"]) == 2
    assert "name its file: lib/Builderfile" in capfd.readouterr().err


def test_a_file_that_is_not_there(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["fmt", "nowhere"]) == 125
    assert capfd.readouterr().err == "bldr: No such file or directory 'nowhere'\n"


def test_outside_of_a_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert main(["fmt"]) == 2
    assert capfd.readouterr().err.startswith("bldr: there is no Builderfile in ")
