"""The example workspace: complete, laid out, and read as it is meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from bldr.builderfile.formatting import format_file
from bldr.builderfile.label import Label
from bldr.builderfile.parse import parse
from bldr.builderfile.source import Source
from bldr.builderfile.workspace import load, resolve

EXAMPLES = Path(__file__).parents[3] / "examples"
ROOTS = sorted(path.parent for path in EXAMPLES.glob("*/Builderfile"))
FILES = sorted(EXAMPLES.rglob("Builderfile"))


@pytest.mark.parametrize("root", ROOTS, ids=lambda root: root.name)
def test_an_example_fits_together(root: Path) -> None:
    assert resolve(load(str(root)))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(EXAMPLES)))
def test_an_example_is_laid_out(file: Path) -> None:
    text = file.read_text(encoding="utf-8")

    assert format_file(parse(Source(str(file), text))) == text


def test_the_files_of_the_example() -> None:
    found = {str(label): one for label, one in resolve(load(str(EXAMPLES / "words"))).items()}

    assert found["//:words"].sources == ("src/main.c", "gen/version.h")
    assert found["//:words"].generated == ("gen/version.h",)
    assert found["//report:report"].sources == ("report/__init__.py", "report/__main__.py", "report/sentence.py")
    assert found["//lib:count-test"].target.deps == (Label("lib", "count"),)
    assert found["//lib:count-test"].target.hermetic.timeout == 60
    assert {label: one.language for label, one in found.items()} == {
        "//:version": "",
        "//:words": "c",
        "//lib:count": "c",
        "//lib:count-test": "c",
        "//report:report": "python",
        "//report:report-test": "",
    }
