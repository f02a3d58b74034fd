"""What was changed: layers of overlayfs, and whole copies."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from bldr.execution.changes import Change, compare, take_snapshot


def opened(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY)


def changes(new: Path, old: Path, *, is_whole: bool = False, without: frozenset[str] = frozenset()) -> list[Change]:
    fds = opened(new), opened(old)
    try:
        return list(compare(*fds, is_whole=is_whole, without=without))
    finally:
        for fd in fds:
            os.close(fd)


def told(found: list[Change]) -> list[tuple[str, str]]:
    return [(one.kind, one.path) for one in found]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    root = tmp_path / "old"
    (root / "dir" / "sub").mkdir(parents=True)
    (root / "file").write_text("1", "ascii")
    (root / "dir" / "a").write_text("2", "ascii")
    (root / "dir" / "sub" / "b").write_text("3", "ascii")
    (root / "link").symlink_to("file")
    return root


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    root = tmp_path / "layer"
    root.mkdir()
    return root


def whiteout(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR | 0o000, os.makedev(0, 0))


def test_an_empty_layer_changes_nothing(layer: Path, old: Path) -> None:
    assert changes(layer, old) == []


@pytest.mark.needs("whiteouts")
def test_a_whiteout_deletes(layer: Path, old: Path) -> None:
    whiteout(layer / "file")
    whiteout(layer / "dir")
    whiteout(layer / "never-there")

    found = changes(layer, old)
    assert told(found) == [("deleted", "dir"), ("deleted", "file")]
    assert found[0].entries == 3


@pytest.mark.needs("user-attributes")
def test_an_opaque_directory_hides_what_it_does_not_hold(layer: Path, old: Path) -> None:
    (layer / "dir" / "sub").mkdir(parents=True)
    (layer / "dir" / "new").touch()
    os.setxattr(layer / "dir", "user.overlay.opaque", b"y")

    assert told(changes(layer, old)) == [("deleted", "dir/a"), ("added", "dir/new"), ("deleted", "dir/sub/b")]


def test_a_file_is_compared_by_content_mode_and_time(layer: Path, old: Path) -> None:
    for name in ("file", "dir/a", "dir/sub/b"):
        (layer / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(old / name, layer / name)
    assert changes(layer, old) == []

    os.utime(layer / "file", (1, 1))
    (layer / "dir" / "a").chmod(0o600)
    (layer / "dir" / "sub" / "b").write_text("4", "ascii")

    assert told(changes(layer, old)) == [("mode", "dir/a"), ("changed", "dir/sub/b"), ("times", "file")]


def test_another_type_is_deleted_and_added(layer: Path, old: Path) -> None:
    (layer / "dir").write_text("now a file", "ascii")
    (layer / "file").mkdir()
    (layer / "file" / "in").touch()

    assert told(changes(layer, old)) == [
        ("deleted", "dir"),
        ("added", "dir"),
        ("deleted", "file"),
        ("added", "file"),
        ("added", "file/in"),
    ]


def test_a_whole_copy_tells_what_is_missing(tmp_path: Path, old: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(old, copy, symlinks=True)
    assert [one for one in changes(copy, old, is_whole=True) if one.kind != "times"] == []
    (copy / "dir" / "a").unlink()
    shutil.rmtree(copy / "dir" / "sub")
    (copy / "link").unlink()
    (copy / "link").symlink_to("dir")

    found = changes(copy, old, is_whole=True)
    assert told(found) == [("deleted", "dir/a"), ("deleted", "dir/sub"), ("changed", "link")]
    assert found[-1].target == "dir"
    assert changes(copy, old, is_whole=True, without=frozenset(["dir", "link"])) == []


def test_names_of_one_file_are_told(layer: Path, old: Path) -> None:
    (layer / "x").touch()
    os.link(layer / "x", layer / "y")

    assert [(one.path, one.same_as) for one in changes(layer, old)] == [("x", ""), ("y", "x")]


def test_a_snapshot_knows_every_path(old: Path) -> None:
    fd = opened(old)
    assert set(take_snapshot(fd)) == {"dir", "dir/a", "dir/sub", "dir/sub/b", "file", "link"}
    assert set(take_snapshot(fd, without=frozenset(["dir"]))) == {"file", "link"}
    os.close(fd)


def test_json_can_be_encoded() -> None:
    content = Change("added", "caf\udce9", "file", new_mode=0o4755).to_dict()

    assert (content["path"], content["new_mode"]) == ("caf\\xe9", "4755")
