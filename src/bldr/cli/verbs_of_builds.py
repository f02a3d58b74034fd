"""The verbs that build: their options and pages."""

from __future__ import annotations

from bldr.cli.options import WORDS, Option, Verb
from bldr.cli.verbs_of_runs import RUN

__all__ = ["BUILD", "CLEAN"]

_HELP_OPTION = Option("help", "show this page", short="h", group="Report")

_AS_OF_RUN = ("report", "profile", "progress")
_DRY_RUN = Option("dry-run", "show what would be done, and why, without doing it", short="n")
_WAIT = Option("wait", "wait while another bldr builds in this workspace, instead of refusing")

_EXIT_STATUS = (
    "Exit status",
    (
        (
            "0; 1 when an action failed; 2 when a Builderfile or the command line cannot be understood; 125 when bldr"
            " itself cannot build here, or another bldr builds in this workspace; 130 when it was interrupted."
        ),
    ),
)

BUILD = Verb(
    name="build",
    summary="build targets of the Builderfile, each action in its own sandbox",
    usage=("bldr build [OPTIONS] [TARGET...]",),
    description=(
        "Build targets and what they need: all targets of the workspace without a TARGET. What is up to date is left"
        " alone, what was built before comes from the cache, and everything else runs in parallel, each action in a"
        " sandbox that shows its declared inputs and the toolchain. Outputs are put in place when an action has"
        " succeeded; until then those of earlier builds stay as they are."
    ),
    options=(
        Option("jobs", "run up to N actions at a time (default: one for each CPU)", short="j", metavar="N"),
        Option("keep-going", "build everything that does not need an action that failed", short="k"),
        _DRY_RUN,
        _WAIT,
        Option("watch", "build again whenever something changes that the targets depend on, until Ctrl-C"),
        Option("no-hermetic", "run without sandboxes: everything can be read, and nothing is remembered"),
        Option("hermetic", "run in sandboxes whatever BUILDER_HERMETIC says"),
        Option("cache-dir", "keep results in DIR (default: ~/.cache/bldr)", metavar="DIR", completes="dir"),
        Option("explain", "say of each action why it runs", group="Report"),
        *[option for option in RUN.options if option.name in _AS_OF_RUN],
        Option("json", "write what came of each action to FILE", metavar="FILE", group="Report", completes="file"),
        Option(
            "events",
            "write what happens to FILE while it happens, one JSON object a line",
            metavar="FILE",
            group="Report",
            completes="file",
        ),
        Option("verbose", "show each command, and how it is confined", short="v", group="Report"),
        Option("quiet", "say nothing but errors", short="q", group="Report"),
        _HELP_OPTION,
    ),
    takes=WORDS,
    examples=(
        ("Everything", "bldr build"),
        ("One program, with every command", "bldr build -v //:app"),
        ("Why would that run again?", "bldr build --dry-run app"),
    ),
    notes=(
        (
            "Targets",
            (
                (
                    "//lib:util from anywhere, lib:util and util from the caller's folder, lib:all for what a folder"
                    " declares, //... and lib/... for everything below."
                ),
            ),
        ),
        _EXIT_STATUS,
    ),
)

CLEAN = Verb(
    name="clean",
    summary="remove what builds have made",
    usage=("bldr clean [OPTIONS]",),
    description=(
        "Remove every output that a build has put into the workspace, and what bldr remembers of it. Files that nobody"
        " declared as outputs stay. The cache stays, too, so that the next build is quick; see 'bldr cache'."
    ),
    options=(
        _DRY_RUN,
        _WAIT,
        Option("quiet", "say nothing but errors", short="q", group="Report"),
        _HELP_OPTION,
    ),
    examples=(("Begin again", "bldr clean; bldr build"),),
    notes=(_EXIT_STATUS,),
)
