"""Long scripts in commands are shown as files, and what is shown does the same in a shell."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from bldr.engine.scripts import SCRIPTS, shown_command

SCRIPT = (
    "\nimport sys\n" + "\n".join(f"print({number}, '$HOME `x` \"y\"')" for number in range(9)) + "\nprint(sys.argv)\n"
)


def test_a_shell_does_what_is_shown(tmp_path: Path) -> None:
    argv = ["/usr/bin/env", "python3", "-c", SCRIPT, "a b", "c\nd"]
    shown = shown_command(argv, str(tmp_path))
    (file,) = os.listdir(tmp_path / SCRIPTS)

    assert shown == f"/usr/bin/env python3 -c \"$(cat .builder/scripts/{file})\" 'a b' 'c\nd'"
    assert shown_command(argv, str(tmp_path)) == shown
    done = subprocess.run(["sh", "-c", shown], cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout == subprocess.run(argv, capture_output=True, check=True).stdout
    assert os.listdir(tmp_path / SCRIPTS) == [file]


def test_a_file_that_somebody_changed_is_written_again(tmp_path: Path) -> None:
    shown_command([SCRIPT], str(tmp_path))
    (file,) = (tmp_path / SCRIPTS).iterdir()
    file.write_text("other", "ascii")

    shown_command([SCRIPT], str(tmp_path))

    assert file.read_text("ascii") == SCRIPT


def test_what_is_short_or_cannot_be_written_is_shown_in_full(tmp_path: Path) -> None:
    (tmp_path / ".builder").touch()

    assert shown_command(["sh", "-c", "a\nb"], str(tmp_path)) == "sh -c 'a\nb'"
    assert shown_command([SCRIPT], str(tmp_path)).startswith("'\nimport sys\n")
    assert not (tmp_path / ".builder" / "scripts").exists()
