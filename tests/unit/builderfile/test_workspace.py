"""Workspaces: which files belong to one, and what their targets come to. Mistakes are in tests/golden/test_diagnostics.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bldr.builderfile.label import Label
from bldr.builderfile.selection import select
from bldr.builderfile.tree import Tree, find_root
from bldr.builderfile.workspace import Resolved, Workspace, load, resolve
from bldr.errors import BuilderfileError, DependencyCycleError, UnknownTargetError
from tests.unit.builderfile.workspaces import files, workspace

LIBRARY = 'target("util") { type: library; sources: ["*.c"]; headers: ["*.h"]; }'
EXAMPLE = {
    "Builderfile": """
        target("app") { type: executable; sources: ["src/**/*.c"]; deps: ["//lib:util"]; }
        target("check") { type: test; sources: ["t.py"]; deps: [":app"]; }
    """,
    "src/main.c": "",
    "src/deep/a.c": "",
    "t.py": "",
    "lib/Builderfile": LIBRARY,
    "lib/x.c": "",
    "lib/x.h": "",
}


def resolved(root: Path, contents: dict[str, str]) -> dict[str, Resolved]:
    return {str(label): found for label, found in resolve(workspace(root, contents)).items()}


def test_targets_of_all_folders_come_in_the_order_of_labels(tmp_path: Path) -> None:
    found = workspace(tmp_path, EXAMPLE)

    assert [str(label) for label in found.targets] == ["//:app", "//:check", "//lib:util"]
    assert found.folders == ("", "lib")
    assert {str(label): [str(dep) for dep in deps] for label, deps in found.graph.items()} == {
        "//:app": ["//lib:util"],
        "//:check": ["//:app"],
        "//lib:util": [],
    }


def test_a_target_comes_to_its_files_language_and_products(tmp_path: Path) -> None:
    found = resolved(tmp_path, EXAMPLE)

    app, check, util = found["//:app"], found["//:check"], found["//lib:util"]
    assert (app.sources, app.language, app.outputs) == (("src/deep/a.c", "src/main.c"), "c", ("bin/app",))
    assert (check.sources, check.language, check.outputs) == (("t.py",), "python", ())
    assert (util.sources, util.headers, util.outputs) == (("lib/x.c",), ("lib/x.h",), ("bin/libutil.a",))


def test_only_what_is_needed_is_looked_up(tmp_path: Path) -> None:
    found = workspace(tmp_path, EXAMPLE | {"broken/Builderfile": 'target("b") { type: library; sources: ["no.c"]; }'})

    assert list(map(str, resolve(found, [Label("", "app")]))) == ["//:app", "//lib:util"]
    with pytest.raises(BuilderfileError):
        resolve(found)


def test_files_keep_the_order_of_patterns_and_come_once(tmp_path: Path) -> None:
    found = resolved(
        tmp_path,
        {
            "Builderfile": 'target("a") { type: library; sources: ["z.c", "*.c", "!b.c"]; }',
            "a.c": "", "b.c": "", "c.c": "", "z.c": "",
        },
    )  # fmt: skip

    assert found["//:a"].sources == ("z.c", "a.c", "c.c")


def test_a_file_that_a_needed_target_makes_need_not_exist(tmp_path: Path) -> None:
    found = resolved(
        tmp_path,
        {
            "Builderfile": """
                target("gen") { type: custom; command: "x"; output: ["gen/a.c", "gen/inc/"]; }
                target("mid") { type: custom; command: "x"; deps: [":gen"]; }
                target("lib") {
                    type: library; deps: [":mid"]; sources: ["gen/a.c", "*.c"]; headers: ["gen/inc/a.h"];
                }
            """,
            "b.c": "",
        },
    )

    assert found["//:lib"].sources == ("gen/a.c", "b.c")
    assert found["//:lib"].generated == ("gen/a.c", "gen/inc/a.h")


def test_wildcards_do_not_match_what_targets_make(tmp_path: Path) -> None:
    found = resolved(
        tmp_path,
        {
            "Builderfile": """
                target("gen") { type: custom; command: "x"; output: "gen/made.c"; hermetic: { outputs: ["logs/"]; } }
                target("lib") { type: library; sources: ["**/*.c"]; }
            """,
            "gen/made.c": "", "gen/other.c": "", "logs/x.c": "", "bin/y.c": "", "a.c": "",
        },
    )  # fmt: skip

    assert found["//:lib"].sources == ("a.c", "gen/other.c")


@pytest.mark.parametrize(
    ("type_", "source", "outputs"),
    [
        ("executable", "a.c", ("bin/a",)),
        ("library", "a.cc", ("bin/liba.a",)),
        ("library", "a.py", ("bin/a/",)),
        ("executable", "a.py", ("bin/a",)),
        ("test", "a.c", ()),
    ],
)
def test_products_land_in_bin(tmp_path: Path, type_: str, source: str, outputs: tuple[str, ...]) -> None:
    text = f'target("a") {{ type: {type_}; sources: ["{source}"]; }}'

    assert resolved(tmp_path, {"sub/Builderfile": text, f"sub/{source}": ""})["//sub:a"].outputs == outputs


def test_hidden_folders_links_and_other_workspaces_are_not_entered(tmp_path: Path) -> None:
    tree = Tree(
        str(
            files(
                tmp_path,
                {
                    "Builderfile": "", "a/b/Builderfile": "", ".git/Builderfile": "", "link": "->a",
                    "other/Builderfile": "", "other/.builderrc": "", "other/x/Builderfile": "",
                    "rc/.builderrc": "", "rc/Builderfile": "->../Builderfile", "a-b/Builderfile": "",
                },
            )
        )
    )  # fmt: skip

    assert tree.folders() == ["", "a/b", "a-b"]


def test_a_folder_by_the_name_of_builderfile_is_none(tmp_path: Path) -> None:
    files(tmp_path, {"Builderfile": "", "lib/Builderfile/x": ""})

    assert load(str(tmp_path)).folders == ("",)


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BuilderfileError, match=r"cannot read the folder 'x+': File name too long") as caught:
        Tree(str(tmp_path)).entries("x" * 300)

    assert caught.value.code == "builderfile.unreadable"


@pytest.mark.parametrize("kind", ["fifo", "dangling link"])
def test_a_builderfile_that_cannot_be_read_is_named(tmp_path: Path, kind: str) -> None:
    files(tmp_path, {"Builderfile": "", "lib/x": ""})
    if kind == "fifo":
        os.mkfifo(tmp_path / "fifo")
        (tmp_path / "lib" / "Builderfile").symlink_to("../fifo")
    else:
        (tmp_path / "lib" / "Builderfile").symlink_to("nowhere")

    with pytest.raises(BuilderfileError) as caught:
        load(str(tmp_path), shown="..")

    assert (caught.value.path, caught.value.code) == ("../lib/Builderfile", "builderfile.unreadable")


def test_errors_know_what_they_are_about(tmp_path: Path) -> None:
    with pytest.raises(UnknownTargetError) as unknown:
        workspace(tmp_path / "a", {"Builderfile": 'target("a") { type: custom; command: "x"; deps: [":b"]; }'})
    with pytest.raises(DependencyCycleError) as cycle:
        workspace(tmp_path / "b", {"Builderfile": 'target("a") { type: custom; command: "x"; deps: [":a"]; }'})

    assert (unknown.value.line, unknown.value.code) == (1, "builderfile.target-unknown")
    assert cycle.value.cycle == ("//:a", "//:a")


class TestRoot:
    def test_it_is_the_outermost_directory_with_a_builderfile(self, tmp_path: Path) -> None:
        files(tmp_path, {"w/Builderfile": "", "w/a/b/Builderfile": "", "w/a/b/c/x": ""})

        assert find_root(str(tmp_path / "w/a/b/c")) == str(tmp_path / "w")

    def test_a_builderrc_beside_a_builderfile_marks_it(self, tmp_path: Path) -> None:
        files(tmp_path, {"Builderfile": "", "w/Builderfile": "", "w/.builderrc": "", "w/a/.builderrc": "", "w/a/x": ""})

        assert find_root(str(tmp_path / "w/a")) == str(tmp_path / "w")

    def test_the_directory_may_be_deleted(self) -> None:
        with pytest.raises(BuilderfileError, match="has been deleted"):
            find_root("")

    def test_there_may_be_none(self, tmp_path: Path) -> None:
        with pytest.raises(BuilderfileError) as caught:
            find_root(str(tmp_path))

        assert caught.value.code == "builderfile.not-found"

    @pytest.mark.needs("root")
    def test_a_file_of_somebody_else_does_not_count(self, tmp_path: Path) -> None:
        files(tmp_path, {"Builderfile": "", "w/Builderfile": "", "w/a/x": ""})
        os.chown(tmp_path / "Builderfile", 4321, 4321)

        assert find_root(str(tmp_path / "w/a")) == str(tmp_path / "w")


class TestSelection:
    @pytest.fixture
    def found(self, tmp_path: Path) -> Workspace:
        return workspace(tmp_path, EXAMPLE | {"lib/deep/Builderfile": LIBRARY.replace("util", "all"), "lib/deep/x": ""})

    @pytest.mark.parametrize(
        ("word", "folder", "expected"),
        [
            ("app", "", "//:app"),
            (":app", "src/deep", "//:app"),
            ("app", "src", "//:app"),
            ("util", "lib", "//lib:util"),
            ("lib:util", "", "//lib:util"),
            ("../:app", "lib", "//:app"),
            ("//lib:util", "src", "//lib:util"),
            ("//:all", "", "//:app //:check"),
            ("deep:all", "lib", "//lib/deep:all"),
            ("lib:all", "", "//lib:util"),
            ("//...", "lib", "//:app //:check //lib:util //lib/deep:all"),
            ("...", "lib", "//lib:util //lib/deep:all"),
            ("lib/...", "", "//lib:util //lib/deep:all"),
        ],
    )
    def test_a_word_stands_for_targets(self, found: Workspace, word: str, folder: str, expected: str) -> None:
        assert " ".join(map(str, select(word, found, folder))) == expected

    @pytest.mark.parametrize("word", ["aap", "lib:app", "//none:x", "none/...", "li/..."])
    def test_a_target_that_there_is_not(self, found: Workspace, word: str) -> None:
        with pytest.raises(UnknownTargetError):
            select(word, found, "")

    @pytest.mark.parametrize(("word", "hint"), [("//lib", "//lib:lib"), ("lib/deep", "lib/deep:deep")])
    def test_a_folder_is_no_target(self, found: Workspace, word: str, hint: str) -> None:
        with pytest.raises(BuilderfileError) as caught:
            select(word, found, "")

        assert caught.value.message == f"{word!r} names a folder and no target in it"
        assert caught.value.hint == f"write {hint}, or {word}/... for every target below it"

    def test_a_near_name_is_offered(self, found: Workspace) -> None:
        with pytest.raises(UnknownTargetError) as caught:
            select("aap", found, "")

        assert caught.value.hint == "did you mean //:app?"
