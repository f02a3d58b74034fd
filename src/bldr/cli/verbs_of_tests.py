"""The verb that tests: its options and its page."""

from __future__ import annotations

from bldr.cli.options import WORDS, Option, Verb
from bldr.cli.verbs_of_builds import BUILD

__all__ = ["TEST"]

_OWN = (
    Option("no-cache", "run every test, also those that have passed and of which nothing has changed"),
    Option("test-timeout", "end a test after DURATION where its target has no timeout", metavar="DURATION"),
    Option(
        "junit", "write the result of each case to FILE, as JUnit XML", metavar="FILE", completes="file", group="Report"
    ),
)

TEST = Verb(
    name="test",
    summary="build and run tests of the Builderfile, each in its own sandbox",
    usage=("bldr test [OPTIONS] [TARGET...]",),
    description=(
        "Build what tests need, and run them: all tests of the workspace without a TARGET. A test sees its sources,"
        " what its dependencies provide and the toolchain. One that has passed is not run again until something that it"
        " can see changes; '(cached)' says so. All tests run, also behind one that fails."
    ),
    options=(*[option for option in BUILD.options if option.name not in ("keep-going", "dry-run")], *_OWN),
    takes=WORDS,
    examples=(
        ("All tests", "bldr test"),
        ("Those below a folder, for a server that reads JUnit XML", "bldr test --junit results.xml lib/..."),
        ("Again, whatever is known", "bldr test --no-cache //lib:count-test"),
    ),
    notes=(
        BUILD.notes[0],
        (
            "Cases",
            (
                (
                    "Tests in Python report each of their cases. So does every test that prints in the Test Anything"
                    " Protocol. Any other test is one case, which passes when the test ends with 0."
                ),
                "What each test printed is kept in .builder/tests.",
            ),
        ),
        (
            "Exit status",
            (
                (
                    "0; 1 when a test or an action failed; 2 when a Builderfile or the command line cannot be"
                    " understood; 125 when bldr itself cannot build here; 130 when it was interrupted."
                ),
            ),
        ),
    ),
)
