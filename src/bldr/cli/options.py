"""A table-driven option parser.

One table (``verbs.py``) feeds the parser, the help pages and the shell completions. ``argparse`` would take longer to
import than a whole sandbox takes to start.

The grammar: ``--name VALUE``, ``--name=VALUE``, ``-x VALUE``, ``-xVALUE``, bundled flags (``-vq``), and ``--`` to end
the options. For a verb that takes a command, the command begins at the first argument that is not an option, so that
its own options are never read as ours. Option names are not abbreviated: a new option must not change what an old
script means.
"""

from __future__ import annotations

from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["COMMAND", "WORDS", "HelpAskedError", "Option", "Parsed", "UsageError", "Verb", "nearest", "parse"]

COMMAND = "command"  # a verb that takes a command: everything from the first argument that is not an option
WORDS = "words"  # a verb that takes words, between which options may stand


class UsageError(Exception):
    """The command line or a setting cannot be understood; exit status 2.

    Args:
        message: One clear sentence without a full stop.
        hint: One sentence or one command that mends it.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@value
class Option:
    """One option of a verb.

    ``metavar`` is empty for a flag. One that ``stands_alone`` has a value only where it is written with ``=``, and is
    given as an empty one otherwise. ``choices`` and ``completes`` ("file", "dir" or "") feed the completions only:
    the value is checked where it is used.
    """

    name: str
    summary: str
    short: str = ""
    metavar: str = ""
    group: str = "Options"
    choices: tuple[str, ...] = ()
    completes: str = ""
    stands_alone: bool = False

    @property
    def needs_value(self) -> bool:
        """Whether the next argument is its value."""
        return bool(self.metavar) and not self.stands_alone


@value
class Verb:
    """One verb: what it takes, and everything that its help page says.

    ``words`` and ``completes`` ("file" or "") feed the completions of what it takes.
    """

    name: str
    summary: str
    usage: tuple[str, ...]
    description: str
    options: tuple[Option, ...]
    takes: str = ""
    words: tuple[str, ...] = ()
    examples: tuple[tuple[str, str], ...] = ()
    notes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    completes: str = ""


class Parsed:
    """What was given: values by option name, in order, and what is left after the options."""

    __slots__ = ("rest", "values")

    def __init__(self) -> None:
        self.values: dict[str, list[str]] = {}
        self.rest: list[str] = []

    def given(self, name: str) -> bool:
        """Whether the option stands on the command line."""
        return name in self.values

    def last(self, name: str) -> str | None:
        """The value of an option that means one thing; the last one counts, so that an alias can be overruled."""
        given = self.values.get(name)
        return given[-1] if given else None

    def all(self, name: str) -> list[str]:
        """Every value of an option that means a set, in order."""
        return self.values.get(name, [])


class HelpAskedError(Exception):
    """The page of a verb was asked for; nothing else is to be done.

    Args:
        verb: The verb.
    """

    def __init__(self, verb: Verb) -> None:
        super().__init__(verb.name)
        self.verb = verb


def parse(verb: Verb, arguments: Sequence[str]) -> Parsed:
    """Split the arguments of a verb into options and the rest.

    Raises:
        HelpAskedError: ``--help`` is among them.
        UsageError: An option is unknown, lacks its value, or has one that it does not take; or there are words that
            the verb does not take.
    """
    parsed = Parsed()
    index = 0
    while index < len(arguments):
        argument = arguments[index]
        if argument == "--":
            parsed.rest += arguments[index + 1 :]
            break
        if len(argument) < 2 or argument[0] != "-":
            if verb.takes == COMMAND:
                parsed.rest += arguments[index:]
                break
            parsed.rest.append(argument)
            index += 1
        elif argument[1] == "-":
            index = _long(verb, parsed, arguments, index)
        else:
            index = _short(verb, parsed, arguments, index)
    if parsed.given("help"):
        raise HelpAskedError(verb)
    if parsed.rest and not verb.takes:
        raise UsageError(f"{verb.name} takes no arguments, got {parsed.rest[0]!r}", hint=f"bldr help {verb.name}")
    return parsed


def _long(verb: Verb, parsed: Parsed, arguments: Sequence[str], index: int) -> int:
    name, equals, text = arguments[index][2:].partition("=")
    option = next((option for option in verb.options if option.name == name), None)
    if option is None:
        raise _unknown(verb, f"--{name}")
    if not option.metavar:
        if equals:
            raise UsageError(f"--{name} takes no value, got {text!r}", hint=f"bldr help {verb.name}")
        parsed.values.setdefault(name, []).append("")
        return index + 1
    if not equals and option.needs_value:
        index += 1
        text = _following(option, f"--{name}", arguments, index)
    parsed.values.setdefault(name, []).append(text)
    return index + 1


def _short(verb: Verb, parsed: Parsed, arguments: Sequence[str], index: int) -> int:
    letters = arguments[index][1:]
    if len(letters) > 1 and any(option.name == letters for option in verb.options):
        raise UsageError(f"unknown option -{letters}", hint=f"did you mean --{letters}?")  # and not -i with "nput"
    for position, letter in enumerate(letters):
        option = next((option for option in verb.options if option.short == letter), None)
        if option is None:
            raise _unknown(verb, f"-{letter}", whole=arguments[index])
        given = parsed.values.setdefault(option.name, [])
        if option.needs_value:
            text = letters[position + 1 :]
            if not text:
                index += 1
                text = _following(option, f"-{letter}", arguments, index)
            given.append(text)
            break
        given.append("")
    return index + 1


def _following(option: Option, spelling: str, arguments: Sequence[str], index: int) -> str:
    """The value in the next argument. A ``--`` there is a forgotten value, and is never meant as one."""
    if index >= len(arguments) or arguments[index] == "--":
        raise UsageError(f"{spelling} needs a value: {spelling} {option.metavar}")
    return arguments[index]


def _unknown(verb: Verb, spelling: str, *, whole: str = "") -> UsageError:
    """The error for an option that does not exist; ``whole`` is the argument in which a letter stood."""
    bundled = len(whole) > 2
    word = f"-{whole}" if len(whole) > 4 else "" if bundled else spelling  # a few letters resemble too much
    near = nearest(word, [f"--{option.name}" for option in verb.options])
    return UsageError(
        f"unknown option {spelling}" + (f" in {whole!r}" if bundled else ""),
        hint=f"did you mean {near}?" if near else f"bldr help {verb.name} lists the options",
    )


def nearest(word: str, names: Iterable[str]) -> str:
    """The name that the word is most likely a misspelling of, or an empty string."""
    from difflib import get_close_matches  # only after a mistake, so its import costs nobody

    found = get_close_matches(word, sorted(names), n=1, cutoff=0.6)
    return found[0] if found else ""
