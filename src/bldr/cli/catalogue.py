"""All verbs together, for the pages of help and for completions; a verb itself needs its own entry only."""

from __future__ import annotations

from bldr.cli.options import WORDS, Option, Verb
from bldr.cli.verbs import AUDIT, CACHE, COMPLETION, DOCTOR, EXPLAIN, FMT, LEARN, PLAN, QUERY, SHELL, TRY
from bldr.cli.verbs_of_builds import BUILD, CLEAN
from bldr.cli.verbs_of_runs import RUN
from bldr.cli.verbs_of_tests import TEST

__all__ = ["HELP", "VERBS", "verb_named"]

HELP = Verb(
    name="help",
    summary="show the page of a verb",
    usage=("bldr help [VERB]",),
    description="Show the page of a verb, or the list of verbs.",
    options=(Option("help", "show this page", short="h"),),
    takes=WORDS,
    words=(
        "run",
        "shell",
        "build",
        "test",
        "clean",
        "plan",
        "try",
        "learn",
        "explain",
        "doctor",
        "audit",
        "query",
        "fmt",
        "cache",
        "completion",
        "help",
    ),
)

VERBS = (RUN, SHELL, BUILD, TEST, CLEAN, PLAN, TRY, LEARN, EXPLAIN, DOCTOR, AUDIT, QUERY, FMT, CACHE, COMPLETION, HELP)


def verb_named(name: str) -> Verb | None:
    """The verb with this name."""
    return next((verb for verb in VERBS if verb.name == name), None)
