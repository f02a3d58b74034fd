"""The removal of directories that bldr has made."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from _bldr_launcher import scratch


def grow(top: Path, depth: int) -> None:
    top.mkdir()
    for number in range(3):
        (top / f"file-{number}").touch()
        if depth:
            grow(top / f"directory-{number}", depth - 1)


@pytest.mark.parametrize("attempt", range(10))
def test_several_may_remove_the_same_tree(attempt: int, tmp_path: Path) -> None:
    """The supervisor and init do, when a launcher is lost."""
    grow(tmp_path / "tree", 3)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(scratch.remove_tree, [str(tmp_path / "tree")] * 4))

    assert not (tmp_path / "tree").exists()


def test_what_vanishes_between_the_look_and_the_opening_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grow(tmp_path / "tree", 1)
    unlinked = scratch._unlinked

    def unlink_and_lose(directory: int, name: bytes) -> bool:
        done = unlinked(directory, name)
        if not done:
            path = f"/proc/self/fd/{directory}/{os.fsdecode(name)}"
            for entry in os.listdir(path):
                os.unlink(f"{path}/{entry}")
            os.rmdir(path)
        return done

    monkeypatch.setattr(scratch, "_unlinked", unlink_and_lose)
    scratch.remove_tree(str(tmp_path / "tree"))

    assert os.listdir(tmp_path) == []


def test_temps_of_which_somebody_else_has_removed_a_part_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "place"
    (place / "0").mkdir(parents=True)
    (place / "1").mkdir()
    listed = os.listdir

    def list_and_lose(path: str | int) -> list[str]:
        names = sorted(listed(path))
        if path == str(place):
            (place / names[0]).rmdir()
        return names

    monkeypatch.setattr(os, "listdir", list_and_lose)
    scratch.remove_temps(str(place))
    scratch.remove_temps(str(place))  # gone already

    assert not place.exists()
