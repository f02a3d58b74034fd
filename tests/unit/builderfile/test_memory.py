"""What is remembered of Builderfiles: it saves work, and is never believed without need."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bldr.builderfile.memory import Memory
from bldr.builderfile.target import Target
from bldr.builderfile.workspace import Workspace, load, resolve
from bldr.builderfile.writing import text_of
from bldr.errors import BuilderfileError
from bldr.model.value import replace
from tests.property import builderfile_strategies as strategies
from tests.unit.builderfile.workspaces import files

EXAMPLE = {
    "Builderfile": """
        target("app") { type: executable; sources: ["main.c"]; deps: ["//lib:util"]; }
        target("gen") { type: custom; command: "x"; hermetic: { memory: "1G"; timeout: 5; env: { "A": "b" }; } }
    """,
    "main.c": "",
    "lib/Builderfile": 'target("util") { type: library; sources: ["*.c"]; headers: ["*.h"]; output: "//bin/u.a"; }',
    "lib/x.c": "",
    "lib/x.h": "",
}
LIST_TARGETS = """
import sys
from bldr.builderfile.memory import Memory
from bldr.builderfile.workspace import load
print(*load(sys.argv[1], memory=Memory(sys.argv[1])).targets, "lark" in sys.modules)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return files(tmp_path / "w", EXAMPLE)


def read(root: Path) -> Workspace:
    return load(str(root), memory=Memory(str(root)))


def values(workspace: Workspace) -> list[Target]:
    return [declared.target for declared in workspace.targets.values()]


def is_parsed(root: Path) -> bool:
    """Whether a fresh process parses anything."""
    done = subprocess.run(
        [sys.executable, "-c", LIST_TARGETS, str(root)], capture_output=True, text=True, timeout=60, check=True
    )
    assert "//:app" in done.stdout.replace("Label(folder='', name='app')", "//:app")
    return done.stdout.endswith("True\n")


def test_what_has_not_changed_is_not_parsed_again(root: Path) -> None:
    assert is_parsed(root)
    assert not is_parsed(root)
    assert (root / ".builder" / ".gitignore").read_text(encoding="ascii") == "*\n"


def test_what_is_remembered_is_what_was_read(root: Path) -> None:
    first, second = read(root), read(root)

    assert values(second) == values(first) == values(load(str(root)))
    assert second.is_remembered
    assert [one.place for one in second.targets.values()] == [one.place for one in first.targets.values()]
    assert resolve(second) == resolve(first)


def test_a_file_that_has_changed_is_read_again(root: Path) -> None:
    read(root)
    (root / "lib" / "Builderfile").write_text('target("util") { type: library; sources: ["x.c"]; }', encoding="ascii")

    assert values(read(root)) == values(load(str(root)))
    assert not is_parsed(root)


def test_a_folder_that_comes_or_goes_is_noticed(root: Path) -> None:
    read(root)
    files(root, {"new/Builderfile": 'target("n") { type: custom; command: "x"; }'})
    assert "//new:n" in map(str, read(root).targets)

    shutil.rmtree(root / "lib")
    with pytest.raises(BuilderfileError) as caught:
        read(root)
    assert caught.value.code == "builderfile.target-unknown"


def test_mistakes_have_their_places_although_places_are_not_remembered(root: Path) -> None:
    read(root)
    (root / "main.c").unlink()

    with pytest.raises(BuilderfileError) as caught:
        resolve(read(root))

    assert (caught.value.line, caught.value.column) == (2, 53)
    assert caught.value.excerpt.endswith("^^^^^^^^")


def test_a_workspace_with_mistakes_is_not_remembered(root: Path) -> None:
    files(root, {"new/Builderfile": 'target("n") { type: custom; command: "x"; deps: [":no"]; }'})
    with pytest.raises(BuilderfileError):
        read(root)

    assert not (root / ".builder" / "targets.json").exists()


def test_a_copy_is_not_believed(root: Path, tmp_path: Path) -> None:
    """A repository could bring a ``.builder`` whose targets differ from its Builderfiles."""
    read(root)
    shutil.copytree(root, tmp_path / "copy")

    assert is_parsed(tmp_path / "copy")
    assert not is_parsed(tmp_path / "copy")


def test_a_file_that_everybody_can_write_is_not_believed(root: Path) -> None:
    read(root)
    (root / ".builder" / "targets.json").chmod(0o666)

    assert is_parsed(root)


@pytest.mark.needs("root")
def test_a_file_of_somebody_else_is_not_believed(root: Path) -> None:
    read(root)
    os.chown(root / ".builder" / "targets.json", 4321, 4321)

    assert is_parsed(root)


@pytest.mark.parametrize("index", range(5))
def test_a_header_that_does_not_fit_is_not_believed(root: Path, index: int) -> None:
    """Its fields are the schema, the reader, the witness, the digest of what follows, and what was checked."""
    read(root)
    path = root / ".builder" / "targets.json"
    header, _, body = path.read_bytes().partition(b"\n")
    fields = json.loads(header)
    fields[index] = None
    path.write_bytes(json.dumps(fields).encode() + b"\n" + body)

    assert values(read(root)) == values(load(str(root)))
    assert is_parsed(root) is False  # and was mended


def test_bit_rot_is_noticed(root: Path) -> None:
    read(root)
    path = root / ".builder" / "targets.json"
    path.write_bytes(path.read_bytes().replace(b"main.c", b"nain.c"))

    assert values(read(root)) == values(load(str(root)))


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000, b"\0" * 10, b"1\n2", b"[]\n{}", b"{}\n[]"])
def test_noise_does_no_harm(root: Path, data: bytes) -> None:
    read(root)
    (root / ".builder" / "targets.json").write_bytes(data)

    assert values(read(root)) == values(load(str(root)))


def test_nothing_is_written_behind_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (root / ".builder").symlink_to("../elsewhere")

    assert values(read(root)) == values(load(str(root)))
    assert os.listdir(tmp_path / "elsewhere") == []


def test_a_pipe_in_its_place_does_not_block(root: Path) -> None:
    (root / ".builder").mkdir()
    os.mkfifo(root / ".builder" / "targets.json")

    assert values(read(root)) == values(load(str(root)))


@pytest.mark.parametrize("name", [".builder", ".builder/targets.json/x", ".builder/.gitignore/x"])
def test_where_nothing_can_be_written_everything_works(root: Path, name: str) -> None:
    files(root, {name: ""})

    assert values(read(root)) == values(load(str(root)))
    assert not list(root.rglob("*.part"))


@given(st.lists(strategies.targets(""), min_size=1, max_size=3, unique_by=lambda target: target.label))
def test_every_target_survives_being_remembered(tmp_path_factory: pytest.TempPathFactory, found: list[Target]) -> None:
    root = tmp_path_factory.mktemp("w")
    targets = [replace(target, deps=()) for target in found]
    (root / "Builderfile").write_text(text_of(targets), encoding="utf-8")

    assert set(values(read(root))) == set(targets)
    assert (root / ".builder" / "targets.json").exists()
    assert set(values(read(root))) == set(targets)
