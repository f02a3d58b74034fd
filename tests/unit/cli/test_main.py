"""From an exception to one sentence and an exit status."""

from __future__ import annotations

import errno
import subprocess
import sys

import pytest

from bldr import __version__
from bldr.cli import main as cli
from bldr.cli.catalogue import VERBS
from bldr.cli.help import overview, verb_page
from bldr.cli.messages import OutputClosedError
from bldr.cli.options import UsageError, Verb
from bldr.errors import BldrError, GuaranteeUnavailableError, InvalidCommandError, InvalidPathError


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (UsageError("no", hint="do"), 2, "bldr: no\nbldr: hint: do\n"),
        (InvalidPathError("no path"), 125, "bldr: no path\n"),
        (GuaranteeUnavailableError("cannot"), 125, "bldr: cannot\n"),
        (InvalidCommandError("none", code="spec.command-not-found"), 127, "bldr: none\n"),
        (InvalidCommandError("odd", code="spec.command-not-executable"), 126, "bldr: odd\n"),
        (InvalidCommandError("empty", code="spec.command-empty"), 125, "bldr: empty\n"),
        (KeyboardInterrupt(), 130, ""),
        (OutputClosedError(), 141, ""),
        (OSError(errno.ENOSPC, "No space left on device"), 125, "bldr: No space left on device\n"),
        (OSError(errno.EACCES, "Permission denied", "/x"), 125, "bldr: Permission denied '/x'\n"),
        (
            ZeroDivisionError("division by zero"),
            125,
            (
                "bldr: internal error: ZeroDivisionError: division by zero\n"
                "bldr: hint: BUILDER_HERMETIC_DEBUG=true shows where; please report it\n"
            ),
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_what_went_wrong_becomes_a_sentence_and_a_status(
    error: BaseException, status: int, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    def failing(_arguments: list[str]) -> int:
        raise error

    assert cli.main(["run"], dispatch=failing) == status
    assert capfd.readouterr() == ("", said)


def test_debugging_shows_where_an_error_came_from(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def failing(_arguments: list[str]) -> int:
        raise BldrError("no")

    monkeypatch.setenv("BUILDER_HERMETIC_DEBUG", "true")

    assert cli.main([], dispatch=failing) == 125
    lines = capfd.readouterr().err.splitlines()
    assert "bldr: Traceback (most recent call last):" in lines
    assert all(line.startswith("bldr: ") for line in lines)


def test_without_a_verb_the_overview_goes_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert capfd.readouterr() == ("", overview())


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["help"]])
def test_help_that_was_asked_for_goes_to_stdout(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == 0
    assert capfd.readouterr() == (overview(), "")


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
@pytest.mark.parametrize("spelling", ["-h", "--help"])
def test_each_verb_shows_its_page(verb: Verb, spelling: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main([verb.name, spelling]) == 0
    assert capfd.readouterr() == (verb_page(verb), "")


@pytest.mark.parametrize("spelling", ["-V", "--version"])
def test_the_version_is_shown(spelling: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main([spelling]) == 0
    assert capfd.readouterr() == (f"bldr {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rnu"], "bldr: there is no verb 'rnu'\nbldr: hint: did you mean 'bldr run'?\n"),
        (["run"], "bldr: run needs a command\nbldr: hint: bldr run -- make\n"),
        (["run", "-i", "."], "bldr: run needs a command\nbldr: hint: bldr run -- make\n"),
        (
            ["run", "--json", "-", "true"],
            "bldr: --json -: standard output belongs to the command\nbldr: hint: name a file, or /dev/fd/3 with 3>&1\n",
        ),
        (["doctor", "x"], "bldr: doctor takes no arguments, got 'x'\nbldr: hint: bldr help doctor\n"),
        (
            ["completion"],
            "bldr: completion needs one shell: bash, fish or zsh\nbldr: hint: source <(bldr completion bash)\n",
        ),
    ],
)
def test_a_mistake_is_told_in_one_sentence(arguments: list[str], said: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == 2
    assert capfd.readouterr() == ("", said)


def test_a_shell_without_a_terminal_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bldr", "shell"], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
    )

    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"bldr: shell needs a terminal, and standard input is none\n")


def test_a_missing_stream_is_not_taken_by_the_next_file() -> None:
    """With stdout closed, the first file that is opened would become the command's output."""
    program = """
import os, sys
os.close(1)
from bldr.cli.entry import open_missing_streams
open_missing_streams()
os.write(2, os.readlink("/proc/self/fd/1").encode())
sys.exit(0 if os.get_inheritable(1) else 1)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False)

    assert (done.returncode, done.stderr) == (0, b"/dev/null")
