"""Every command in the documentation that is marked as runnable prints what the page says."""

from __future__ import annotations

import os
import re
import shutil
import sysconfig
from pathlib import Path

import pytest

from tests.capabilities import PROBES, Capabilities
from tests.docs.console import Block, Command, blocks_in, matches, play

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
BLOCKS = [block for page in PAGES for block in blocks_in(page, ROOT)]


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A fresh copy of the examples, as they lie in a checkout, with nothing built."""
    ignored = shutil.ignore_patterns("build", "__pycache__", "demo-out")
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=ignored)
    shutil.copy(ROOT / "LICENSE", tmp_path)
    return tmp_path


@pytest.fixture
def environment(workplace: Path) -> dict[str, str]:
    home = workplace / "home"
    home.mkdir()
    path = os.pathsep.join([sysconfig.get_path("scripts"), "/usr/local/bin", "/usr/bin", "/bin"])
    return {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", "USER": "you"}


@pytest.mark.needs("bldr-command")
@pytest.mark.slow
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.document}:{block.line}")
def test_a_documented_command_prints_what_the_page_says(
    block: Block, workplace: Path, environment: dict[str, str], capabilities: Capabilities
) -> None:
    for name in block.needs:
        if reason := capabilities.why_not(name):
            pytest.skip(f"needs {name}: {reason}")

    assert play(block, workplace, environment) == []


def test_the_readme_has_runnable_commands() -> None:
    assert any(block.document == "README.md" for block in BLOCKS)


def test_what_a_block_needs_has_a_probe() -> None:
    assert {name for block in BLOCKS for name in block.needs} - set(PROBES) == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_inside_the_repository_leads_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    local = [target for target in targets if target and "://" not in target and not target.startswith("mailto:")]

    assert [target for target in local if not (page.parent / target).exists()] == []


def test_a_block_is_read_as_commands_with_their_output(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        'Text.\n\n<!-- runnable needs="root strace" -->\n```console\n$ one \\\n> two\n> three\nout\n$ four\n```\n'
        "\n```console\n$ not marked\n```\n",
        encoding="utf-8",
    )

    assert blocks_in(page, tmp_path) == [
        Block("page.md", 5, ("root", "strace"), (Command("one \\\ntwo\nthree", "out"), Command("four", "")))
    ]


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ("a", "a\n"),
        ("", ""),
        ("a ... z", "a b c z\n"),
        ("a\n...\nz", "a\nz\n"),
        ("a\n...\nz", "a\nb\nc\nz\n"),
        ("took ... ms\n...", "took 1.5 ms\n"),
        ("1+1 (two)", "1+1 (two)\n"),
    ],
)
def test_expected_output_may_leave_out_what_varies(expected: str, actual: str) -> None:
    assert matches(expected, actual)


@pytest.mark.parametrize(
    ("expected", "actual"), [("a", ""), ("", "a"), ("a", "ab"), ("a ... z", "a\nz"), ("a\n...", "b")]
)
def test_other_output_does_not_match(expected: str, actual: str) -> None:
    assert not matches(expected, actual)


def test_playing_a_block_compares_output_and_status(tmp_path: Path) -> None:
    def differences(*commands: tuple[str, str]) -> int:
        block = Block("page.md", 1, (), tuple(Command(text, expected) for text, expected in commands))
        return len(play(block, tmp_path, {"PATH": "/usr/bin:/bin"}))

    assert differences(("echo hello", "hello"), ("x=1", ""), ('echo "$x"', "1")) == 0
    assert differences(("echo hello >&2", "hello")) == 0
    assert differences(("echo hello", "goodbye")) == 1
    assert differences(("false", "")) == 1
    assert differences(("(exit 7)", ""), ("echo $?", "7")) == 0
    assert differences(("printf x", "x")) == 0
    assert differences(("exit 1", ""), ("echo never", "never")) == 1
