"""A commit takes over everything or nothing, whatever fails, whoever interferes, and wherever links lead."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bldr.errors import CommitError
from bldr.execution.changes import Change, compare, take_snapshot
from bldr.execution.commit import PLACE, commit, recover

PROGRAM = Path(__file__).with_name("committing.py")


def picture(root: Path) -> dict[str, tuple[object, ...]]:
    """A tree without its times: kinds, modes, contents, texts of links, and which names are one file."""
    found: dict[str, tuple[object, ...]] = {}
    names: dict[int, str] = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        name = str(path.relative_to(root))
        first = names.setdefault(status.st_ino, name)
        content: object = None
        if path.is_symlink():
            content = os.readlink(path)
        elif path.is_file():
            content = path.read_bytes()
        found[name] = (status.st_mode, content, first)
    return found


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "dir" / "sub").mkdir(parents=True)
    (root / "gone" / "deep").mkdir(parents=True)
    (root / "gone" / "deep" / "x").write_text("x", "ascii")
    (root / "same").write_text("same", "ascii")
    (root / "changed").write_text("old", "ascii")
    (root / "mode").write_text("mode", "ascii")
    (root / "one").write_text("two names", "ascii")
    os.link(root / "one", root / "two")
    (root / "dir" / "sub" / "f").write_text("f", "ascii")
    (root / "link").symlink_to("same")
    (root / "becomes-dir").write_text("file", "ascii")
    (root / "becomes-file").mkdir()
    (root / "becomes-file" / "in").touch()
    return root


@pytest.fixture
def copy(tree: Path, tmp_path: Path) -> Path:
    """The same tree, with every kind of change."""
    other = tmp_path / "copy"
    subprocess.run(["cp", "-a", tree, other], check=True)
    shutil.rmtree(other / "gone")
    (other / "changed").write_text("new content", "ascii")
    (other / "mode").chmod(0o600)
    (other / "one").write_text("other", "ascii")
    (other / "new" / "below").mkdir(parents=True)
    (other / "new" / "below" / "file").write_text("n", "ascii")
    os.link(other / "new" / "below" / "file", other / "new" / "again")
    (other / "new").chmod(0o500)
    (other / "link").unlink()
    (other / "link").symlink_to("changed")
    (other / "dir" / "sub" / "g").write_text("g", "ascii")
    (other / "dir").chmod(0o700)
    (other / "becomes-dir").unlink()
    (other / "becomes-dir").mkdir()
    (other / "becomes-dir" / "in").write_text("in", "ascii")
    shutil.rmtree(other / "becomes-file")
    (other / "becomes-file").write_text("file", "ascii")
    os.mkfifo(other / "fifo")
    os.utime(other / "same", (5, 5))
    return other


@pytest.fixture
def fds(tree: Path, copy: Path) -> Iterator[tuple[int, int]]:
    root, layer = (os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (tree, copy))
    yield root, layer
    for path in (copy / "new", tree / "new"):
        if path.exists():
            path.chmod(0o700)
    os.close(root)
    os.close(layer)


def difference(fds: tuple[int, int]) -> tuple[Change, ...]:
    return compare(fds[1], fds[0], is_whole=True)


def do(fds: tuple[int, int], on_step: Callable[[str], object] = lambda _path: None) -> None:
    commit(*fds, difference(fds), take_snapshot(fds[0]), name="the tree", on_step=on_step)


def count_steps(tree: Path, copy: Path, tmp_path: Path) -> int:
    spare = tmp_path / "spare"
    subprocess.run(["cp", "-a", tree, spare], check=True)
    steps: list[str] = []
    root, layer = (os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (spare, copy))
    do((root, layer), steps.append)
    os.close(root)
    os.close(layer)
    (spare / "new").chmod(0o700)
    return len(steps)


def test_a_commit_makes_the_tree_what_the_command_left(tree: Path, copy: Path, fds: tuple[int, int]) -> None:
    do(fds)

    assert picture(tree) == picture(copy)
    assert (tree / "same").stat().st_mtime == 5
    assert difference(fds) == ()


def test_whatever_step_fails_the_tree_is_as_it_was(
    tree: Path, copy: Path, fds: tuple[int, int], tmp_path: Path
) -> None:
    before = picture(tree)
    for failing in range(1, count_steps(tree, copy, tmp_path) + 1):
        left = [failing]

        def on_step(_path: str) -> None:
            left[0] -= 1  # noqa: B023  used before the next turn
            if left[0] == 0:  # noqa: B023
                raise OSError(28, "No space left on device")

        with pytest.raises(CommitError) as caught:
            do(fds, on_step)
        assert caught.value.code == "commit.failed"
        assert picture(tree) == before, failing

    do(fds)
    assert picture(tree) == picture(copy)


def test_an_interrupt_is_undone_too(tree: Path, fds: tuple[int, int]) -> None:
    before = picture(tree)
    left = [7]

    def on_step(_path: str) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        do(fds, on_step)
    assert picture(tree) == before


def test_wherever_it_is_killed_the_next_one_undoes_it(
    tree: Path, copy: Path, fds: tuple[int, int], tmp_path: Path
) -> None:
    before = picture(tree)
    for killed in range(1, count_steps(tree, copy, tmp_path) + 1):
        done = subprocess.run([sys.executable, "-I", PROGRAM, tree, copy, str(killed)], timeout=60, check=False)
        assert done.returncode == -signal.SIGKILL
        assert any(name.startswith(PLACE) for name in os.listdir(tree))

        told = recover(fds[0], name="the tree")

        assert picture(tree) == before, killed
        assert told == ("a commit to 'the tree' that was ended in the middle was undone",)
    assert recover(fds[0], name="the tree") == ()


def test_what_a_killed_one_left_behind_its_end_is_removed(tree: Path, fds: tuple[int, int]) -> None:
    place = tree / f"{PLACE}abc"
    place.mkdir()
    (place / "done").touch()
    (place / "old.1").touch()

    assert recover(fds[0], name="t") == ()
    assert not place.exists()


@pytest.mark.parametrize("mode", [0o777, 0o720])
def test_a_journal_that_others_can_write_is_not_followed(tree: Path, fds: tuple[int, int], mode: int) -> None:
    """Somebody who may write to the top of the tree only must not have files moved below it by who may do that."""
    before = picture(tree)
    place = tree / f"{PLACE}planted"
    place.mkdir()
    (place / "old.0").write_text("planted", "ascii")
    one = {"kind": "delete", "path": "dir/planted", "number": 0, "old": [1, 1], "new": 0, "mode": 0, "old_mode": 0}
    operations = [one | {"times": [0, 0], "old_times": [0, 0]}]
    (place / "journal").write_text(json.dumps({"schema": 1, "operations": operations}), "ascii")
    place.chmod(mode)

    assert recover(fds[0], name="t") == ()
    assert not (tree / "dir" / "planted").exists()
    shutil.rmtree(place)
    assert picture(tree) == before


def test_a_command_cannot_leave_a_journal_for_the_next_commit(tree: Path, copy: Path, fds: tuple[int, int]) -> None:
    (copy / f"{PLACE}evil").mkdir()

    with pytest.raises(CommitError, match="commits themselves use such names"):
        do(fds)


def test_a_commit_under_way_is_left_alone(tree: Path, fds: tuple[int, int]) -> None:
    seen: list[tuple[str, ...]] = []

    do(fds, lambda _path: seen.append(recover(fds[0], name="t")))

    assert set(seen) == {()}


def test_what_cannot_be_undone_is_kept_and_named(tree: Path, copy: Path, fds: tuple[int, int]) -> None:
    subprocess.run([sys.executable, "-I", PROGRAM, tree, copy, "18"], timeout=60, check=False)
    if (tree / "changed").read_text("ascii") == "old":
        pytest.fail("choose a later step")
    (tree / "changed").unlink()
    (tree / "changed").write_text("somebody else's", "ascii")

    with pytest.raises(CommitError) as caught:
        recover(fds[0], name=str(tree))

    assert caught.value.code == "commit.unrecovered"
    assert (tree / "changed").read_text("ascii") == "somebody else's"
    (place,) = [path for path in tree.iterdir() if path.name.startswith(PLACE)]
    assert str(place) in caught.value.hint
    assert "old" in [
        path.read_text("ascii") for path in place.glob("old.*") if path.is_file() and not path.is_symlink()
    ]


def replace_directory(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.mkdir()


MEDDLING: dict[str, Callable[[Path], object]] = {
    "a changed file": lambda tree: (tree / "changed").write_text("meanwhile", "ascii"),
    "the mode of a changed file": lambda tree: (tree / "changed").chmod(0o640),
    "a removed file": lambda tree: (tree / "changed").unlink(),
    "a file where one is added": lambda tree: (tree / "dir" / "sub" / "g").write_text("mine", "ascii"),
    "a directory where one is added": lambda tree: (tree / "new").mkdir(),
    "a file in a deleted directory": lambda tree: (tree / "gone" / "deep" / "mine").touch(),
    "a change in a deleted directory": lambda tree: (tree / "gone" / "deep" / "x").write_text("mine", "ascii"),
    "a removal in a deleted directory": lambda tree: (tree / "gone" / "deep" / "x").unlink(),
    "a replaced directory": lambda tree: replace_directory(tree / "gone"),
}


@pytest.mark.parametrize("what", MEDDLING)
def test_what_somebody_else_changed_meanwhile_is_a_conflict(tree: Path, fds: tuple[int, int], what: str) -> None:
    changes, snapshot = difference(fds), take_snapshot(fds[0])
    MEDDLING[what](tree)
    before = picture(tree)

    with pytest.raises(CommitError) as caught:
        commit(*fds, changes, snapshot, name="t")

    assert caught.value.code == "commit.conflict"
    assert picture(tree) == before


def test_what_somebody_else_changed_elsewhere_is_none(tree: Path, fds: tuple[int, int]) -> None:
    changes, snapshot = difference(fds), take_snapshot(fds[0])
    (tree / "dir" / "mine").write_text("mine", "ascii")
    (tree / "same").write_text("mine", "ascii")
    changes = tuple(one for one in changes if one.path != "same")

    commit(*fds, changes, snapshot, name="t")

    assert (tree / "dir" / "mine").read_text("ascii") == "mine"
    assert (tree / "dir" / "sub" / "g").read_text("ascii") == "g"


def test_a_file_that_appears_in_the_last_moment_is_not_replaced(tree: Path, fds: tuple[int, int]) -> None:
    def on_step(path: str) -> None:
        if path == "dir/sub/g":
            (tree / path).write_text("mine", "ascii")

    with pytest.raises(CommitError):
        do(fds, on_step)
    assert (tree / "dir" / "sub" / "g").read_text("ascii") == "mine"
    assert (tree / "changed").read_text("ascii") == "old"


def test_a_link_that_takes_the_place_of_a_directory_leads_nowhere(
    tree: Path, fds: tuple[int, int], tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()

    def on_step(path: str) -> None:
        if path == "dir/sub/g":
            shutil.rmtree(tree / "dir" / "sub")
            (tree / "dir" / "sub").symlink_to(outside)

    with pytest.raises(CommitError):
        do(fds, on_step)
    assert os.listdir(outside) == []


def test_a_link_in_the_layer_is_committed_as_a_link(
    tree: Path, copy: Path, fds: tuple[int, int], tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (copy / "way").symlink_to(outside)
    (copy / "changed").unlink()
    (copy / "changed").symlink_to(outside / "file")

    do(fds)

    assert os.readlink(tree / "way") == str(outside)
    assert os.readlink(tree / "changed") == str(outside / "file")
    assert os.listdir(outside) == []


@pytest.mark.needs("root")
def test_root_keeps_the_owner_of_a_changed_file(tree: Path, copy: Path, fds: tuple[int, int]) -> None:
    os.chown(tree / "changed", 1234, 1235)

    do(fds)

    status = (tree / "changed").stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (1234, 1235, 0o644)
