"""Which files a pattern means."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bldr.builderfile.globs import excluded, files_of
from bldr.builderfile.tree import Tree
from bldr.errors import BuilderfileError
from tests.unit.builderfile.workspaces import files

FILES = {
    "Builderfile": "",
    "main.c": "",
    "util.c": "",
    "util.h": "",
    ".hidden.c": "",
    "src/a.c": "",
    "src/b.c": "",
    "src/b.cc": "",
    "src/deep/c.c": "",
    "src/deep/deeper/d.c": "",
    "src/.git/e.c": "",
    "src/café.c": "",
    "lib/Builderfile": "",
    "lib/x.c": "",
    "lib/deep/y.c": "",
    "bin/old.c": "",
    "bin/deep/old.c": "",
    ".builder/z.c": "",
    "link.c": "->main.c",
    "linked": "->src",
    "weird/[x].c": "",
    "weird/x.c": "",
}


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(str(files(tmp_path, FILES)))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("main.c", "main.c"),
        ("*.c", "link.c main.c util.c"),
        ("util.?", "util.c util.h"),
        ("util.[ch]", "util.c util.h"),
        ("util.[!h]", "util.c"),
        (".*.c", ".hidden.c"),
        ("src/*.c", "src/a.c src/b.c src/café.c"),
        ("src/**/*.c", "src/a.c src/b.c src/café.c src/deep/c.c src/deep/deeper/d.c"),
        ("src/**/**/*.c", "src/a.c src/b.c src/café.c src/deep/c.c src/deep/deeper/d.c"),
        ("src/**/deeper/**/*.c", "src/deep/deeper/d.c"),
        ("**/deep*/*.c", "src/deep/c.c src/deep/deeper/d.c"),
        ("src/**", "src/a.c src/b.c src/b.cc src/café.c src/deep/c.c src/deep/deeper/d.c"),
        ("**/[ab].c", "src/a.c src/b.c"),
        ("*/x.c", "weird/x.c"),  # lib has targets of its own
        ("lib/*.c", "lib/x.c"),  # and is named here
        ("lib/**/*.c", "lib/deep/y.c lib/x.c"),
        ("bin/*.c", "bin/old.c"),
        ("linked/*.c", "linked/a.c linked/b.c linked/café.c"),
        ("link*/*.c", ""),
        ("weird/[x].c", "weird/x.c"),
        ("weird/[[]x].c", "weird/[x].c"),
        ("*", "link.c main.c util.c util.h"),
        ("SRC/*.c", ""),
        ("none/**/*.c", ""),
        ("main.c/x", ""),
    ],
)
def test_a_pattern_means_these_files(tree: Tree, pattern: str, expected: str) -> None:
    assert files_of(pattern, tree) == expected.split()


def test_everything_is_what_neither_is_hidden_nor_belongs_to_others(tree: Tree) -> None:
    assert {path.split("/")[0] for path in files_of("**", tree)} == {
        "link.c", "main.c", "src", "util.c", "util.h", "weird",
    }  # fmt: skip


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    tree = Tree(str(files(tmp_path, {"a/b/x.c": "", "a/b/up": "->../..", "self": "->."})))

    assert files_of("**/*.c", tree) == ["a/b/x.c"]
    assert files_of("self/self/a/b/up/a/*/*.c", tree) == ["self/self/a/b/up/a/b/x.c"]


@pytest.mark.parametrize("pattern", ["out.c", "*.c", "up/x.c", "up/*.c", "up/**"])
def test_a_link_out_of_the_workspace_is_refused(tmp_path: Path, pattern: str) -> None:
    files(tmp_path, {"outside/x.c": "", "w/out.c": "->../outside/x.c", "w/up": "->../outside"})

    with pytest.raises(BuilderfileError) as caught:
        files_of(pattern, Tree(str(tmp_path / "w")))

    assert caught.value.code == "builderfile.path-escapes"


def test_a_workspace_that_is_reached_by_a_link_is_not_left_by_its_own(tmp_path: Path) -> None:
    files(tmp_path, {"real/a.c": "", "real/b.c": "->a.c", "w": "->real"})

    assert files_of("*.c", Tree(str(tmp_path / "w"))) == ["a.c", "b.c"]


@pytest.mark.parametrize("name", ["folder", "fifo", "dangling"])
def test_what_is_named_has_to_be_a_file(tmp_path: Path, name: str) -> None:
    files(tmp_path, {"folder/a.c": "", "dangling": "->nowhere"})
    os.mkfifo(tmp_path / "fifo")

    with pytest.raises(BuilderfileError) as caught:
        files_of(name, Tree(str(tmp_path)))

    assert caught.value.code == "builderfile.path-invalid"


def test_wildcards_pass_over_what_is_no_file(tmp_path: Path) -> None:
    files(tmp_path, {"folder.c/a": "", "a.c": ""})
    os.mkfifo(tmp_path / "fifo.c")

    assert files_of("*.c", Tree(str(tmp_path))) == ["a.c"]


@pytest.mark.parametrize(
    ("path", "pattern", "expected"),
    [
        ("src/a.c", "src/*.c", True),
        ("src/deep/a.c", "src/*.c", False),
        ("src/deep/a.c", "src/**/*.c", True),
        ("src/a.c", "src/**/*.c", True),
        ("src/a.c", "**", True),
        ("src/a.c", "src", False),
        ("src/a.c", "src/a.c", True),
        ("src/x/y/a.c", "**/y/*", True),
        ("src/x/y/a.c", "**/x/**/a.c", True),
        ("a", "**/a/**/b", False),
    ],
)
def test_an_exclusion_takes_files_away(path: str, pattern: str, expected: bool) -> None:
    assert excluded(path, pattern) is expected


def test_many_wildcards_take_no_exponential_time(tmp_path: Path) -> None:
    path = "/".join(["a"] * 60)

    assert not excluded(path, "/".join(["**/a"] * 30 + ["b"]))
    tree = Tree(str(files(tmp_path, {f"{path}/x.c": ""})))
    assert files_of("/".join(["**/a"] * 15) + "/**/x.c", tree) == [f"{path}/x.c"]
