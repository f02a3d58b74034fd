"""Help pages, rendered from the table at a fixed width so that they are the same everywhere."""

from __future__ import annotations

from bldr.cli.catalogue import HELP, VERBS, verb_named
from bldr.cli.messages import page
from bldr.cli.options import UsageError, nearest, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from bldr.cli.options import Option, Verb

__all__ = ["main", "overview", "verb_page"]

_WIDTH = 88
_COLUMN = 28  # where the explanation of an option begins


def main(arguments: Sequence[str]) -> int:
    """``bldr help [VERB]``."""
    parsed = parse(HELP, arguments)
    if not parsed.rest:
        page(overview())
        return 0
    for name in parsed.rest:
        verb = verb_named(name)
        if verb is None:
            raise unknown_verb(name)
        page(verb_page(verb))
    return 0


def unknown_verb(name: str) -> UsageError:
    """The error for a verb that does not exist, with the likely one."""
    near = nearest(name, (verb.name for verb in VERBS))
    if near:
        hint = f"did you mean 'bldr {near}'?"
    elif name.startswith("-"):
        hint = f"options of a verb stand after it: bldr VERB {name}"
    else:
        hint = f"to run a command: bldr run -- {name}"
    kind = "option" if name.startswith("-") else "verb"
    return UsageError(f"there is no {kind} {name!r}", hint=hint)


def overview() -> str:
    """The page of ``bldr --help``."""
    lines = [
        "Usage: bldr VERB [OPTIONS] [--] [COMMAND [ARGUMENT...]]",
        "",
        "Run any build or test command hermetically: it sees the files, network, environment and",
        "limits that were declared, and nothing else.",
        "",
        "Verbs:",
        *(f"  {verb.name:<12}{verb.summary}" for verb in VERBS),
        "",
        "Options:",
        "  -h, --help      show this page",
        "  -V, --version   show the version",
        "",
        "Examples:",
        "  bldr run -i . -o out -- make        build with the sources read-only, results in ./out",
        "  bldr shell -i .                     look around in the same sandbox",
        "  bldr doctor                         what this host can enforce",
        "",
        "'bldr help VERB' shows the options of a verb.",
    ]
    return "\n".join(lines) + "\n"


def verb_page(verb: Verb) -> str:
    """The page of ``bldr help VERB`` and ``bldr VERB --help``."""
    lines = [("Usage: " if index == 0 else "       ") + usage for index, usage in enumerate(verb.usage)]
    lines += ["", *_wrapped(verb.description, _WIDTH)]
    for group in dict.fromkeys(option.group for option in verb.options):
        lines += ["", f"{group}:"]
        for option in verb.options:
            if option.group == group:
                lines += _option_lines(option)
    for title, paragraphs in verb.notes:
        lines += ["", f"{title}:"]
        for paragraph in paragraphs:
            lines += ["  " + line for line in _wrapped(paragraph, _WIDTH - 2)]
    if verb.examples:
        lines += ["", "Examples:"]
        for meaning, command in verb.examples:
            lines += [f"  {meaning}:", f"    {command}"]
    return "\n".join(lines) + "\n"


def _option_lines(option: Option) -> list[str]:
    short = f"-{option.short}, " if option.short else "    "
    metavar = f" {option.metavar}" if option.needs_value else f"[={option.metavar}]" if option.metavar else ""
    left = f"  {short}--{option.name}{metavar}"
    right = _wrapped(option.summary, _WIDTH - _COLUMN)
    first = [f"{left:<{_COLUMN}}{right[0]}"] if len(left) < _COLUMN else [left, " " * _COLUMN + right[0]]
    return first + [" " * _COLUMN + line for line in right[1:]]


def _wrapped(text: str, width: int) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += " " + word
        else:
            lines.append(word)
    return lines
