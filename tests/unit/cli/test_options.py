"""The option parser: what is an option, what is a value, where the command begins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bldr.cli.catalogue import VERBS
from bldr.cli.options import COMMAND, WORDS, Option, UsageError, Verb, nearest, parse

OPTIONS = (
    Option("input", "", short="i", metavar="PATH"),
    Option("timeout", "", metavar="DURATION"),
    Option("verbose", "", short="v"),
    Option("quiet", "", short="q"),
    Option("help", "", short="h"),
)
VERB = Verb("run", "", (), "", OPTIONS, takes=COMMAND)


def values(*arguments: str) -> dict[str, list[str]]:
    return parse(VERB, arguments).values


def message(*arguments: str, verb: Verb = VERB) -> tuple[str, str]:
    with pytest.raises(UsageError) as caught:
        parse(verb, arguments)
    return caught.value.message, caught.value.hint


@pytest.mark.parametrize(
    "arguments", [("-i", "a"), ("-ia",), ("--input", "a"), ("--input=a",), ("-i", "a", "--"), ("-i", "a", "-v")]
)
def test_a_value_may_be_spelled_in_four_ways(arguments: tuple[str, ...]) -> None:
    assert values(*arguments)["input"] == ["a"]


def test_flags_can_be_bundled_and_the_last_may_take_a_value() -> None:
    assert values("-vqi", "a", "-vib") == {"verbose": ["", ""], "quiet": [""], "input": ["a", "b"]}


def test_the_last_value_of_an_option_that_means_one_thing_counts() -> None:
    parsed = parse(VERB, ["--timeout", "1", "--timeout=2"])

    assert parsed.last("timeout") == "2"
    assert parsed.last("input") is None
    assert parsed.all("input") == []


def test_a_value_may_be_empty_or_hold_an_equals_sign() -> None:
    assert values("--input=", "--input=a=b", "-i", "")["input"] == ["", "a=b", ""]


def test_the_command_begins_at_the_first_argument_that_is_no_option() -> None:
    parsed = parse(VERB, ["-v", "gcc", "-v", "--input=x", "--", "y"])

    assert parsed.values == {"verbose": [""]}
    assert parsed.rest == ["gcc", "-v", "--input=x", "--", "y"]


@pytest.mark.parametrize("first", ["-", "", "name", "./-x"])
def test_what_does_not_look_like_an_option_begins_the_command(first: str) -> None:
    assert parse(VERB, [first, "-v"]).rest == [first, "-v"]


def test_two_dashes_end_the_options_once() -> None:
    assert parse(VERB, ["--", "--", "-v"]).rest == ["--", "-v"]


def test_options_may_stand_between_words_of_a_verb_that_takes_no_command() -> None:
    parsed = parse(Verb("completion", "", (), "", OPTIONS, takes=WORDS), ["bash", "-v", "zsh"])

    assert (parsed.rest, parsed.given("verbose")) == (["bash", "zsh"], True)


def test_an_unknown_option_is_an_error_with_the_likely_name() -> None:
    assert message("--inptu=x") == ("unknown option --inptu", "did you mean --input?")
    assert message("-input", "x") == ("unknown option -input", "did you mean --input?")
    assert message("-qtimeuot") == ("unknown option -t in '-qtimeuot'", "did you mean --timeout?")
    assert message("-z") == ("unknown option -z", "bldr help run lists the options")


def test_a_missing_value_is_an_error_that_shows_the_form() -> None:
    assert message("--timeout")[0] == "--timeout needs a value: --timeout DURATION"
    assert message("-vi")[0] == "-i needs a value: -i PATH"


def test_two_dashes_are_not_taken_for_a_forgotten_value() -> None:
    assert message("-i", "--", "make")[0] == "-i needs a value: -i PATH"


def test_a_flag_takes_no_value() -> None:
    assert message("--verbose=yes")[0] == "--verbose takes no value, got 'yes'"


def test_names_are_not_abbreviated() -> None:
    assert message("--verb") == ("unknown option --verb", "did you mean --verbose?")


def test_a_verb_that_takes_nothing_refuses_words() -> None:
    assert message("now", verb=Verb("doctor", "", (), "", OPTIONS))[0] == "doctor takes no arguments, got 'now'"


@given(st.lists(st.text(), min_size=1))
def test_whatever_follows_two_dashes_is_the_command_as_it_is(command: list[str]) -> None:
    assert parse(VERB, ["-v", "--", *command]).rest == command


@given(st.text())
def test_a_value_reaches_the_verb_as_it_is(text: str) -> None:
    assert values(f"--input={text}")["input"] == [text]
    if text != "--":
        assert values("-i", text)["input"] == [text]


@given(st.lists(st.text(alphabet="-ivx= a\n", max_size=6)))
def test_any_arguments_are_parsed_or_refused_in_words(arguments: list[str]) -> None:
    try:
        parse(VERB, arguments)
    except UsageError as error:
        assert error.message


def test_the_nearest_name_is_found_or_none() -> None:
    assert nearest("dcotor", ["doctor", "run"]) == "doctor"
    assert nearest("xyz", ["doctor", "run"]) == ""


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_the_table_has_each_spelling_once_and_a_help_option(verb: Verb) -> None:
    names = [option.name for option in verb.options]
    letters = [option.short for option in verb.options if option.short]

    assert len(set(names)) == len(names)
    assert len(set(letters)) == len(letters)
    assert "help" in names
    assert all(option.summary for option in verb.options)


def test_an_option_means_the_same_in_every_verb() -> None:
    meaning: dict[str, Option] = {}
    for verb in VERBS:
        for option in verb.options:
            if option.name in ("json", "help", "verbose", "quiet"):
                continue
            assert meaning.setdefault(option.name, option) == option
