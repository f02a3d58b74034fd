"""Help pages hold everything of the table, fit a terminal, and what they show can be typed."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from bldr.cli.catalogue import VERBS, verb_named
from bldr.cli.help import main, overview, unknown_verb, verb_page
from bldr.cli.options import UsageError, Verb, parse
from bldr.cli.verbs_of_runs import RUN

DOCUMENT = (Path(__file__).parents[3] / "docs" / "cli.md").read_text(encoding="utf-8")
every_verb = pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)


@every_verb
def test_a_page_fits_eighty_eight_columns(verb: Verb) -> None:
    assert max(map(len, verb_page(verb).splitlines())) <= 88


def test_the_overview_fits_and_names_each_verb() -> None:
    assert max(map(len, overview().splitlines())) <= 92
    assert all(f"  {verb.name} " in overview() for verb in VERBS)


@every_verb
def test_a_page_names_each_option(verb: Verb) -> None:
    page = verb_page(verb)

    assert all(f"--{option.name}" in page for option in verb.options)


@every_verb
def test_the_documentation_names_each_option(verb: Verb) -> None:
    missing = [
        option.name
        for option in verb.options
        if f"`--{option.name}" not in DOCUMENT or (option.short and f"`-{option.short}`" not in DOCUMENT)
    ]

    assert missing == []


@every_verb
def test_an_example_can_be_parsed(verb: Verb) -> None:
    for _, command in verb.examples:
        for part in command.replace("<(", "; ").replace(")", " ").replace("||", ";").split(";"):
            words = shlex.split(part.split(">")[0])
            if words[:1] != ["bldr"]:
                continue
            named = verb_named(words[1])
            assert named is not None
            parse(named, words[2:])


def test_verbs_of_later_versions_are_no_stubs() -> None:
    for name in ("verify", "attest", "report"):
        assert verb_named(name) is None


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("rnu", "there is no verb 'rnu'", "did you mean 'bldr run'?"),
        ("gcc", "there is no verb 'gcc'", "to run a command: bldr run -- gcc"),
        ("--verison", "there is no option '--verison'", "options of a verb stand after it: bldr VERB --verison"),
    ],
)
def test_an_unknown_verb_is_an_error_with_the_likely_one(name: str, message: str, hint: str) -> None:
    error = unknown_verb(name)

    assert (error.message, error.hint) == (message, hint)


def test_help_of_a_verb_is_its_page(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["run"]) == 0
    assert capfd.readouterr().out == verb_page(RUN)
    with pytest.raises(UsageError):
        main(["nothing"])
