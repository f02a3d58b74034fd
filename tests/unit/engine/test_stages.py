"""Which folders are staged, and what is in them when a command starts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bldr.builderfile.label import Label
from bldr.engine.action import Action
from bldr.engine.stages import Stages, stage_folders
from bldr.errors import EngineError


def action(inputs: tuple[str, ...], outputs: tuple[str, ...], depfile: str = "") -> Action:
    return Action(Label("", "t"), "make", ("true",), inputs, outputs, depfile=depfile)


@pytest.mark.parametrize(
    ("outputs", "folders"),
    [
        (("bin/app",), ("bin",)),
        (("a.txt", "lib/b.c"), ("",)),
        (("gen/",), ("gen",)),
        (("gen/", "gen/a/x", "other/y"), ("gen", "other")),
        (("a/b", "ab/c"), ("a", "ab")),
    ],
)
def test_a_stage_is_a_folder_that_lies_in_no_other_stage(outputs: tuple[str, ...], folders: tuple[str, ...]) -> None:
    assert stage_folders(action((), outputs)) == folders


def test_inputs_in_a_stage_are_copied_with_modes_and_times(tmp_path: Path) -> None:
    root, base = tmp_path / "ws", tmp_path / "base"
    (root / "lib" / "inner").mkdir(parents=True)
    base.mkdir()
    (root / "lib" / "parser.y").write_text("grammar")
    (root / "lib" / "parser.y").chmod(0o750)
    os.utime(root / "lib" / "parser.y", ns=(1_000_000_000, 1_000_000_000))
    (root / "lib" / "inner" / "link").symlink_to("nowhere")
    (root / "lib" / "undeclared").write_text("secret")
    stages = Stages(os.fspath(base), os.fspath(root), action(("lib/parser.y", "lib/inner/", "x"), ("lib/parser.c",)))

    stages.make()
    assert os.listdir(stages.places["lib"]) == []
    stages.copy_inputs()

    assert stages.copied() == ("lib/parser.y", "lib/inner/")
    copy = os.path.join(stages.places["lib"], "parser.y")
    assert os.stat(copy).st_mode & 0o777 == 0o750
    assert os.stat(copy).st_mtime_ns == 1_000_000_000
    assert sorted(os.listdir(stages.places["lib"])) == ["inner", "parser.y"]
    assert os.readlink(stages.place_of("lib/inner/link")) == "nowhere"
    stages.remove()
    assert os.listdir(base) == []


def test_an_input_that_is_gone_has_its_own_error(tmp_path: Path) -> None:
    stages = Stages(os.fspath(tmp_path), os.fspath(tmp_path / "ws"), action(("lib/gone",), ("lib/out",)))
    stages.make()

    with pytest.raises(EngineError) as error:
        stages.copy_inputs()
    assert error.value.code == "engine.input-missing"
