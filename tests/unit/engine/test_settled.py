"""What a build left behind is believed while nothing has changed, and never longer."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bldr.builderfile.label import Label
from bldr.builderfile.workspace import load, resolve
from bldr.engine.files import Files
from bldr.engine.graph import graph_of
from bldr.engine.settled import RACY, Settled
from bldr.engine.settling import settle
from bldr.engine.state import prepare_folder
from bldr.store.cache import Cache

ALL_OLD = -(10**18)  # nanoseconds: no stamp is young
ALL_YOUNG = 10**18

BUILDERFILE = """
target("copy") { type: custom; sources: ["src/*.txt", "!src/no.txt"]; command: "cat src/*.txt > out/all"; output: "out/all"; }
target("tree") { type: custom; command: "cp -r data made"; output: "made/"; hermetic: { inputs: ["data", "HOST"]; } }
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace as it is after a build."""
    root = tmp_path / "ws"
    for folder in ("src", "data/deep", "out", "made/deep", "../host"):
        (root / folder).mkdir(parents=True)
    for path in ("src/a.txt", "src/b.txt", "data/deep/x", "out/all", "made/deep/x", "../host/tool", "other"):
        (root / path).write_text(f"{path}\n", "ascii")
    os.symlink("b.txt", root / "src" / "link.txt")
    (root / "Builderfile").write_text(BUILDERFILE.replace("HOST", str(tmp_path / "host")), "ascii")
    prepare_folder(str(root))
    return root


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    with Cache(str(tmp_path / "cache")) as cache:
        yield cache


def settled(root: Path, cache: Cache, racy: int = RACY, meanwhile: Callable[[], object] | None = None) -> bool:
    workspace = load(str(root))
    graph = graph_of(resolve(workspace), tuple(workspace.targets))
    files = Files(str(root), cache.known)
    for action in graph.actions:
        files.all((*action.inputs, *action.outputs, str(root.parent / "host")))
    if meanwhile is not None:
        meanwhile()
    found = settle(str(root), "asked", graph, workspace.tree, files, "toolchain", racy=racy)
    if found is not None:
        found.write(str(root))
    return found is not None


def holds(root: Path, racy: int = RACY) -> bool:
    found = Settled.read(str(root), "asked")
    assert found is not None
    return found.holds(str(root), racy=racy)


def rewrite(path: Path, text: str) -> None:
    """Change a file without changing its size, and put its times back."""
    about = path.stat()
    path.write_text(text.ljust(about.st_size)[: about.st_size], "ascii")
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def add_folder(root: Path) -> None:
    (root / "new").mkdir()
    shutil.copy(root / "Builderfile", root / "new")


def relink(root: Path) -> None:
    (root / "src" / "link.txt").unlink()
    (root / "src" / "link.txt").symlink_to("a.txt")


def replace_folder(root: Path) -> None:
    (root / "src").rename(root / "old")
    shutil.copytree(root / "old", root / "src")
    rewrite(root / "src" / "a.txt", "other")


EDITS: dict[str, Callable[[Path], object]] = {
    "a source": lambda root: rewrite(root / "src" / "a.txt", "other"),
    "a source that matches a pattern": lambda root: (root / "src" / "new.txt").write_text("", "ascii"),
    "a source is gone": lambda root: (root / "src" / "a.txt").unlink(),
    "permissions": lambda root: (root / "src" / "a.txt").chmod(0o755),
    "an output": lambda root: rewrite(root / "out" / "all", "other"),
    "an output is gone": lambda root: (root / "out" / "all").unlink(),
    "a file in a folder that is an output": lambda root: rewrite(root / "made" / "deep" / "x", "other"),
    "one more in a folder that is an output": lambda root: (root / "made" / "deep" / "y").write_text("", "ascii"),
    "a file in a folder that is an input": lambda root: rewrite(root / "data" / "deep" / "x", "other"),
    "one more in a folder that is an input": lambda root: (root / "data" / "deep" / "y").write_text("", "ascii"),
    "a file of the host": lambda root: rewrite(root.parent / "host" / "tool", "other"),
    "a Builderfile": lambda root: rewrite(root / "Builderfile", "# nothing"),
    "one more Builderfile": lambda root: shutil.copy(root / "Builderfile", root / "src"),
    "one in a new folder": add_folder,
    "a link": relink,
    "what a link leads to": lambda root: rewrite(root / "src" / "b.txt", "other"),
    "a folder is replaced": replace_folder,
}


@pytest.mark.parametrize("racy", [ALL_OLD, ALL_YOUNG], ids=["stamps", "contents"])
@pytest.mark.parametrize("edit", EDITS)
def test_every_change_is_noticed(root: Path, cache: Cache, edit: str, racy: int) -> None:
    assert settled(root, cache, racy)
    assert holds(root, racy)

    EDITS[edit](root)

    assert not holds(root, racy)


@pytest.mark.parametrize("racy", [ALL_OLD, ALL_YOUNG], ids=["stamps", "contents"])
def test_what_nothing_depends_on_may_change(root: Path, cache: Cache, racy: int) -> None:
    assert settled(root, cache, racy)

    rewrite(root / "other", "changed")

    assert holds(root, racy)


def test_young_stamps_are_believed_when_they_have_aged(root: Path, cache: Cache) -> None:
    assert settled(root, cache, ALL_YOUNG)
    found = Settled.read(str(root), "asked")
    assert found is not None
    assert found.paths == ()

    assert holds(root, ALL_OLD)

    found = Settled.read(str(root), "asked")
    assert found is not None
    assert (found.contents, found.listings) == ({}, {})
    assert "data/deep/x" in found.paths
    assert holds(root, ALL_OLD)
    rewrite(root / "data" / "deep" / "x", "other")
    assert not holds(root, ALL_OLD)


@pytest.mark.parametrize("edit", [name for name in EDITS if name not in ("permissions", "an output is gone")])
def test_nothing_is_left_behind_when_something_changes_meanwhile(root: Path, cache: Cache, edit: str) -> None:
    is_left = settled(root, cache, ALL_OLD, lambda: EDITS[edit](root))

    assert not is_left or not holds(root, ALL_OLD)


def test_outputs_may_come_meanwhile(root: Path, cache: Cache) -> None:
    shutil.rmtree(root / "made")

    def build() -> None:
        shutil.copytree(root / "data", root / "made")

    workspace = load(str(root))
    graph = graph_of(resolve(workspace), [Label.parse(":tree")])
    files = Files(str(root), cache.known)
    build()
    found = settle(str(root), "asked", graph, workspace.tree, files, "toolchain", racy=ALL_OLD)

    assert found is not None
    assert found.holds(str(root), racy=ALL_OLD)


def test_an_output_that_is_a_link_in_a_folder_with_patterns_is_looked_at_anew(root: Path, cache: Cache) -> None:
    (root / "out" / "all").unlink()

    assert not settled(root, cache, ALL_OLD, lambda: os.symlink("/", root / "out" / "all"))


def test_another_question_has_no_answer(root: Path, cache: Cache) -> None:
    assert settled(root, cache)

    assert Settled.read(str(root), "another") is None


def damage(root: Path, data: bytes) -> None:
    path = root / ".builder" / "settled"
    path.write_bytes(path.read_bytes().replace(b'"asked"', data))


def another_witness(root: Path) -> None:
    (root / ".builder" / ".gitignore").unlink()
    prepare_folder(str(root))


def behind_a_link(root: Path) -> None:
    (root / ".builder" / "settled").rename(root / "elsewhere")
    (root / ".builder" / "settled").symlink_to("../elsewhere")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda root: damage(root, b'"asked",'),
        lambda root: damage(root, b"'asked'"),
        lambda root: (root / ".builder" / "settled").write_bytes(b""),
        lambda root: (root / ".builder" / "settled").chmod(0o666),
        another_witness,
        behind_a_link,
    ],
    ids=["cut", "changed", "empty", "writable", "another folder", "link"],
)
def test_what_somebody_else_may_have_written_is_not_believed(
    root: Path, cache: Cache, spoil: Callable[[Path], object]
) -> None:
    assert settled(root, cache)

    spoil(root)

    assert Settled.read(str(root), "asked") is None


def test_a_clock_that_went_back_makes_stamps_young(root: Path, cache: Cache) -> None:
    os.utime(root / "src" / "a.txt", (4_000_000_000, 4_000_000_000))
    assert settled(root, cache, 0)
    found = Settled.read(str(root), "asked")

    assert found is not None
    assert "src/a.txt" in found.contents
    assert holds(root, 0)
    found = Settled.read(str(root), "asked")
    assert found is not None
    assert "src/a.txt" in found.contents
