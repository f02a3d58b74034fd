"""What is watched: everything that a build depends on, and nothing that it writes itself."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bldr.builderfile.workspace import load, resolve
from bldr.cli.watching import settled
from bldr.engine.graph import graph_of
from bldr.engine.watch import Watch, sentence_of

BUILDERFILE = """
target("gen") { type: custom; command: "x"; output: "src/made.c"; }
target("out") { type: custom; command: "x"; output: "public/"; sources: ["data/*"]; }
target("app") { type: executable; sources: ["src/*.c"]; headers: ["include/**/*.h"]; hermetic: { inputs: ["HOST/"]; }; }
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "ws"
    for name in ("src/main.c", "include/a/b.h", "data/one", "other/deep/file"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("1\n", encoding="ascii")
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "tool").write_text("1\n", encoding="ascii")
    (root / "Builderfile").write_text(BUILDERFILE.replace("HOST", str(tmp_path / "host")), encoding="ascii")
    return root


def watch_of(root: Path, since: int = 0) -> Watch:
    workspace = load(str(root))
    labels = tuple(workspace.targets)
    return Watch.of_build(workspace, graph_of(resolve(workspace, labels), labels), since)


def write(path: Path, text: str = "2 2\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="ascii")


def edit(root: Path) -> None:
    for name in (".main.c.swp", "main.c~", "4913"):
        write(root / "src" / name)


def change_much(root: Path) -> None:
    write(root / "src/main.c")
    write(root / "src/z.c")
    (root / "data/one").unlink()


CHANGES: list[tuple[str, Callable[[Path], object], list[str]]] = [
    ("nothing", lambda root: None, []),
    ("a source", lambda root: write(root / "src/main.c"), ["src/main.c changed"]),
    ("a header", lambda root: write(root / "include/a/b.h"), ["include/a/b.h changed"]),
    ("the Builderfile", lambda root: write(root / "Builderfile"), ["Builderfile changed"]),
    ("a new source", lambda root: write(root / "src/new.c"), ["src/new.c is new"]),
    ("a new folder", lambda root: write(root / "include/c/d.h"), ["include/c is new"]),
    ("a new Builderfile", lambda root: write(root / "other/deep/Builderfile"), ["other/deep/Builderfile is new"]),
    ("a source less", lambda root: (root / "src/main.c").unlink(), ["src/main.c is gone"]),
    ("a mode", lambda root: (root / "src/main.c").chmod(0o755), ["src/main.c changed"]),
    ("a folder of the host", lambda root: write(root.parent / "host/more/x"), ["HOST changed"]),
    ("an output", lambda root: write(root / "src/made.c"), []),
    ("an output of a folder", lambda root: write(root / "public/index.html"), []),
    ("a product", lambda root: write(root / "bin/app"), []),
    ("the state", lambda root: write(root / ".builder/state"), []),
    ("an editor at work", edit, []),
    ("a note", lambda root: write(root / "other/note.txt"), ["other/note.txt is new"]),
    (
        "much at once",
        change_much,
        ["data/one is gone", "src/main.c changed", "src/z.c is new"],
    ),
]


@pytest.mark.parametrize(("change", "told"), [one[1:] for one in CHANGES], ids=[one[0] for one in CHANGES])
def test_what_matters_is_told(root: Path, change: Callable[[Path], object], told: list[str]) -> None:
    watching = watch_of(root)
    assert watching.changes() == {}

    change(root)

    expected = [sentence.replace("HOST", str(root.parent / "host")) for sentence in told]
    assert list(watching.changes()) == expected
    assert list(watching.changes()) == expected  # compared with the beginning, not with the look before


def test_a_change_that_is_taken_back_is_none(root: Path) -> None:
    watching = watch_of(root)
    write(root / "src/new.c")
    watching.changes()
    (root / "src/new.c").unlink()

    assert watching.changes() == {}


def test_what_changed_while_it_was_read_counts_as_changed(root: Path) -> None:
    assert list(watch_of(root, time.time_ns() - 10**15).changes()) != []  # everything was written after that
    assert watch_of(root, time.time_ns() + 10**9).changes() == {}
    assert ". changed" in Watch.of_builderfiles(str(root), time.time_ns() - 10**15).changes()
    assert Watch.of_builderfiles(str(root), time.time_ns() + 10**9).changes() == {}


def test_a_mistake_is_watched_by_its_builderfiles(root: Path) -> None:
    write(root / "Builderfile", "targt")
    write(root / "lib" / "Builderfile", "")
    watching = Watch.of_builderfiles(str(root), time.time_ns() + 10**9)
    write(root / "lib" / "Builderfile", "// mended")
    write(root / "src" / "missing.c")

    assert list(watching.changes()) == ["lib/Builderfile changed", "src/missing.c is new"]


def test_a_file_below_a_file_or_behind_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    os.symlink("nowhere", tmp_path / "link")
    watching = Watch(str(tmp_path), [str(tmp_path / "link"), str(tmp_path / "a\0b")], {"gone": ["x"]})

    assert list(watching.changes()) == ["gone/x is gone"]


class Script:
    """A watch whose looks are written down beforehand, and the waits between them."""

    def __init__(self, *looks: dict[str, tuple[int, ...] | None] | None) -> None:
        self.looks = list(looks)
        self.waits: list[float] = []
        self.asked = False

    def changes(self) -> dict[str, tuple[int, ...] | None]:
        look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        assert look is not None
        return look

    def __call__(self, seconds: float) -> bool:
        self.waits.append(seconds)
        return self.looks[0] is None


def play(*looks: dict[str, tuple[int, ...] | None] | None) -> list[str]:
    script = Script(*looks)
    return settled(script, script)  # type: ignore[arg-type]


def test_a_build_waits_until_nothing_changes_any_more() -> None:
    first: dict[str, tuple[int, ...] | None] = {"a changed": (1,)}
    second: dict[str, tuple[int, ...] | None] = {"a changed": (2,), "b is new": None}

    assert play({}, {}, first, second, second) == ["a changed", "b is new"]
    assert play({}, first, {}, first, first) == ["a changed"]  # it was taken back at first
    assert play({}, None) == []
    assert play({}, first, None) == []


def test_what_never_stops_changing_is_built_in_the_end() -> None:
    looks: list[dict[str, tuple[int, ...] | None]] = [{"a changed": (number,)} for number in range(100)]

    assert play(*looks) == ["a changed"]


def test_changes_in_one_line() -> None:
    assert sentence_of(["a changed"]) == "a changed"
    assert sentence_of(["a changed", "b is new"]) == "a changed, and 1 more change"
