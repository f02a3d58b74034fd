"""Copies beside outputs, and two names that change places."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from _bldr_launcher.exchange import exchange
from bldr.engine.drafts import Drafts


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / ".builder").mkdir()
    (tmp_path / "bin").mkdir()
    return tmp_path


def test_a_folder_is_copied_with_modes_and_links(root: Path) -> None:
    source = root / "source"
    (source / "a").mkdir(parents=True)
    (source / "a" / "x").write_text("x", "ascii")
    (source / "a" / "x").chmod(0o755)
    (source / "l").symlink_to("a/x")
    (source / "a").chmod(0o700)

    draft = Path(Drafts(str(root)).make(str(source), str(root / "bin" / "d")))

    assert draft.parent == root / "bin"
    assert (draft / "a").stat().st_mode & 0o777 == 0o700
    assert (draft / "a" / "x").stat().st_mode & 0o777 == 0o755
    assert os.readlink(draft / "l") == "a/x"


def test_what_a_killed_build_has_left_is_removed_and_nothing_else(root: Path) -> None:
    (root / "source").write_text("1", "ascii")
    draft = Drafts(str(root)).make(str(root / "source"), str(root / "bin" / "x"))
    mine = root / "bin" / ".bldr-draft-mine"
    mine.touch()
    outside = root.parent / f".bldr-draft-{root.name}"
    outside.touch()
    with open(root / ".builder" / "drafts", "ab") as file:
        file.write(b"bin/never\0source\0../" + os.fsencode(outside.name) + b"\0bin/.bldr-draft-mi")

    Drafts(str(root)).remove_leftovers()

    assert not os.path.exists(draft)
    assert (root / "source").exists()
    assert mine.exists()
    assert outside.exists()
    assert os.listdir(root / ".builder") == []
    Drafts(str(root)).remove_leftovers()


def test_a_copy_that_fails_leaves_nothing(root: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Drafts(str(root)).make(str(root / "gone"), str(root / "bin" / "x"))

    assert os.listdir(root / "bin") == []


def test_two_names_change_places(root: Path) -> None:
    (root / "one").mkdir()
    (root / "one" / "in").touch()
    (root / "other").write_text("2", "ascii")

    exchange(str(root / "one"), str(root / "other"))

    assert (root / "one").read_text("ascii") == "2"
    assert os.listdir(root / "other") == ["in"]
    with pytest.raises(FileNotFoundError, match="renameat2"):
        exchange(str(root / "one"), str(root / "gone"))
