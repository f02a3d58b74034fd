"""Directories for stages are used again when nothing of an earlier command is left in them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bldr.engine.slots import Slots


def used(slots: Slots, number: int = 1) -> Path:
    stage = Path(slots.take(number)) / "0"
    stage.mkdir(exist_ok=True)
    stage.chmod(0o755)
    return stage


def test_an_empty_stage_is_the_same_one_again(tmp_path: Path) -> None:
    slots = Slots(str(tmp_path))
    stage = used(slots)
    inode = stage.stat().st_ino

    slots.give_back(str(stage.parent))

    assert slots.take(2) == str(stage.parent)
    assert stage.stat().st_ino == inode


def test_no_two_actions_have_the_same_one(tmp_path: Path) -> None:
    slots = Slots(str(tmp_path))

    assert slots.take(1) != slots.take(2)


def test_whatever_is_left_is_removed_and_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    slots = Slots(str(tmp_path))
    stage = used(slots)
    (stage / "deep" / "er").mkdir(parents=True)
    (stage / "deep" / "er" / "file").touch()
    (stage / "deep").chmod(0)
    (stage / "link").symlink_to(tmp_path / "kept")
    (stage.parent / "1").symlink_to(tmp_path / "kept")

    slots.give_back(str(stage.parent))

    assert [path.name for path in stage.parent.iterdir()] == ["0"]
    assert list(stage.iterdir()) == []
    assert (tmp_path / "kept" / "file").exists()


def test_a_stage_that_was_put_in_place_is_missed_by_nobody(tmp_path: Path) -> None:
    slots = Slots(str(tmp_path))
    stage = used(slots)
    stage.rename(tmp_path / "published")

    slots.give_back(str(stage.parent))

    assert list(stage.parent.iterdir()) == []


def test_another_mode_is_not_handed_on(tmp_path: Path) -> None:
    slots = Slots(str(tmp_path))
    stage = used(slots)
    stage.chmod(0o1777)

    slots.give_back(str(stage.parent))

    assert not stage.exists()


@pytest.mark.needs("user-attributes")
def test_attributes_are_not_handed_on(tmp_path: Path) -> None:
    slots = Slots(str(tmp_path))
    stage = used(slots)
    os.setxattr(stage, "user.bldr", b"1")

    slots.give_back(str(stage.parent))

    assert not stage.exists()
