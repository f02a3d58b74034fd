"""Completion scripts: made from the table, understood by their shells."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bldr.cli.catalogue import VERBS
from bldr.cli.completion import main, script
from bldr.cli.options import UsageError
from bldr.cli.verbs import SHELLS

every_shell = pytest.mark.parametrize("shell", [pytest.param(name, marks=pytest.mark.needs(name)) for name in SHELLS])


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_knows_every_verb_and_option(shell: str) -> None:
    text = script(shell)

    for verb in VERBS:
        assert verb.name in text
        assert all(option.name in text for option in verb.options)


@every_shell
def test_a_shell_accepts_its_script(shell: str, tmp_path: Path) -> None:
    file = tmp_path / "script"
    file.write_text(script(shell), encoding="utf-8")

    done = subprocess.run([shell, "-n", str(file)], capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def completed(*words: str, directory: Path | str = "/") -> set[str]:
    """What bash offers for the last word."""
    program = f"""{script("bash")}
COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); _bldr; printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(
        ["bash", "--norc", "-c", program, "bash", "bldr", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=directory,
    )
    assert done.stderr == ""
    return set(filter(None, done.stdout.split("\n")))


@pytest.mark.needs("bash")
class TestBash:
    def test_verbs(self) -> None:
        assert completed("r") == {"run"}
        assert {verb.name for verb in VERBS} <= completed("")

    def test_files_of_a_verb_that_takes_some(self, tmp_path: Path) -> None:
        (tmp_path / "Builderfile").touch()

        assert completed("fmt", "Bui", directory=tmp_path) == {"Builderfile"}
        assert completed("query", "p") == {"paths"}

    def test_options_of_the_verb(self) -> None:
        assert completed("run", "--to") == {"--toolchain"}
        assert completed("doctor", "--in") == set()

    def test_values_with_choices(self) -> None:
        assert completed("run", "--toolchain", "") == {"system", "none"}
        assert completed("run", "--toolchain", "=", "sy") == {"system"}
        assert completed("completion", "") == {"bash", "fish", "zsh"}

    def test_files_and_directories(self, tmp_path: Path) -> None:
        (tmp_path / "sources").mkdir()
        (tmp_path / "solution.txt").touch()

        assert completed("run", "-i", "so", directory=tmp_path) == {"sources", "solution.txt"}
        assert completed("run", "-o", "so", directory=tmp_path) == {"sources"}
        assert completed("run", "--json", "so", directory=tmp_path) == {"sources", "solution.txt"}

    def test_a_flag_of_the_same_name_takes_no_value(self) -> None:
        assert "--help" in completed("plan", "--json", "--he")

    def test_the_command_begins_where_the_parser_begins_it(self, tmp_path: Path) -> None:
        (tmp_path / "Makefile").touch()

        assert "ls" in completed("run", "-v", "--", "ls")
        assert "ls" in completed("run", "-i", ".", "ls")
        assert completed("run", "-i", ".", "make", "Mak", directory=tmp_path) == {"Makefile"}
        assert completed("run", "--", "make", "Mak", directory=tmp_path) == {"Makefile"}


@pytest.mark.needs("fish")
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("bldr ru", ["run"]),
        ("bldr run --to", ["--toolchain"]),
        ("bldr run --toolchain ", ["none", "system"]),
        ("bldr completion ", ["bash", "fish", "zsh"]),
        ("bldr doctor --j", ["--json"]),
        ("bldr run --memory ", []),
        ("bldr run -i . -- bldr pl", ["plan"]),
        ("bldr run -i . bldr --to", []),
        ("bldr run make --to", []),
    ],
)
def test_fish_offers_what_fits(line: str, offered: list[str]) -> None:
    program = f"function bldr; end\n{script('fish')}complete -C {line!r}"

    done = subprocess.run(
        ["fish", "--no-config", "-c", program], capture_output=True, text=True, timeout=60, check=True, cwd="/"
    )

    assert [candidate.split("\t")[0] for candidate in done.stdout.splitlines()] == offered


def test_a_shell_that_is_unknown_or_missing_is_an_error() -> None:
    for words in ([], ["bash", "zsh"], ["bsh"], ["tcsh"]):
        with pytest.raises(UsageError):
            main(words)
