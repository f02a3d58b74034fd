"""Private copies: what they keep of the original."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from bldr.sandbox.linux.duplicate import copy_tree


def test_a_copy_keeps_content_modes_times_links_and_holes(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "dir").mkdir(parents=True)
    (source / "dir" / "file").write_bytes(b"content")
    os.link(source / "dir" / "file", source / "again")
    (source / "link").symlink_to("/nowhere")
    os.mkfifo(source / "fifo", 0o640)
    with (source / "sparse").open("wb") as file:
        file.truncate(1 << 24)
        file.seek(1 << 20)
        file.write(b"x" * 4096)
    for path in (source / "again", source / "dir", source):
        path.chmod(0o750)
        os.utime(path, (1, 2))

    copy_tree(str(source), str(target))

    assert (target / "dir" / "file").read_bytes() == b"content"
    assert (target / "dir" / "file").stat().st_ino == (target / "again").stat().st_ino
    assert os.readlink(target / "link") == "/nowhere"
    assert stat.S_ISFIFO((target / "fifo").stat().st_mode)
    assert (target / "sparse").read_bytes() == (source / "sparse").read_bytes()
    assert (target / "sparse").stat().st_blocks <= (source / "sparse").stat().st_blocks + 8
    for path in (target / "again", target / "dir", target):
        status = path.stat()
        assert (stat.S_IMODE(status.st_mode), status.st_mtime) == (0o750, 2)


def test_what_is_left_out_is_not_looked_at(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "a" / "out").mkdir(parents=True)
    (source / "a" / "out" / "big").touch()
    (source / "a" / "outer").touch()

    copy_tree(str(source), str(tmp_path / "target"), without=frozenset(["a/out"]))

    assert sorted(os.listdir(tmp_path / "target" / "a")) == ["outer"]


def test_a_failure_names_the_path_in_the_source(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "dir").mkdir(parents=True)
    (source / "dir" / ("x" * 255)).touch()
    target.mkdir()

    with pytest.raises(FileExistsError):
        copy_tree(str(source), str(target))


def test_a_deep_tree_is_copied(tmp_path: Path) -> None:
    deep = tmp_path / "source"
    for _ in range(150):
        deep /= "d"
    deep.mkdir(parents=True)

    copy_tree(str(tmp_path / "source"), str(tmp_path / "target"))

    assert (tmp_path / "target" / deep.relative_to(tmp_path / "source")).is_dir()
