"""The table of verbs and options: the one place where a name, its meaning and its help text live."""

from __future__ import annotations

from bldr.cli.learning import learn_verb
from bldr.cli.options import COMMAND, WORDS, Option, Verb
from bldr.cli.verbs_of_runs import AUDIT_LOG, HELP_OPTION, QUIET, SANDBOX, SETTINGS, VALUES, VERBOSE

__all__ = [
    "AUDIT",
    "CACHE",
    "COMPLETION",
    "DOCTOR",
    "EXPLAIN",
    "FMT",
    "LEARN",
    "PLAN",
    "QUERY",
    "SHELL",
    "SHELLS",
    "TRY",
]

KINDS = (
    "filesystem-read",
    "filesystem-write",
    "network",
    "process",
    "limit",
    "timeout",
    "privilege",
    "refusal",
    "other",
)
SHELLS = ("bash", "fish", "zsh")

SHELL = Verb(
    name="shell",
    summary="open an interactive shell in exactly that sandbox",
    usage=("bldr shell [OPTIONS] [-- COMMAND [ARGUMENT...]]",),
    description=(
        "Open a shell on a terminal of its own inside the sandbox that the same options give to 'bldr run'. Job"
        " control works, and nothing inside can reach the terminal outside. Without a COMMAND it is /bin/bash, or"
        " /bin/sh where there is no bash. TERM is passed through, because the terminal is the caller's."
    ),
    options=(
        *SANDBOX,
        AUDIT_LOG,
        Option("verbose", VERBOSE.summary, short="v", group="Report"),
        Option("quiet", QUIET.summary, short="q", group="Report"),
        Option("help", HELP_OPTION.summary, short="h", group="Report"),
    ),
    takes=COMMAND,
    examples=(
        ("Look around where a build failed", "bldr shell -i . -o out"),
        ("Run a program that wants a terminal", "bldr shell -i . -- vim notes.txt"),
    ),
    notes=(
        VALUES,
        SETTINGS,
        ("Exit status", ("The shell's own, and otherwise as for 'bldr run'.",)),
    ),
)

PLAN = Verb(
    name="plan",
    summary="print the policy and the steps, without running",
    usage=("bldr plan [OPTIONS] [-- COMMAND [ARGUMENT...]]",),
    description=(
        "Print what the sandbox would allow (inputs, outputs, temps, network, environment) and the numbered steps that"
        " would build it. Takes the options of 'bldr run'; the files are looked at and nothing is started."
    ),
    options=(
        *SANDBOX,
        Option("json", "print JSON", group="Report"),
        Option("help", HELP_OPTION.summary, short="h", group="Report"),
    ),
    takes=COMMAND,
    examples=(
        ("What would this see?", "bldr plan -i . -o out -- make"),
        ("Compare two policies", "diff <(bldr plan -i src) <(bldr plan -i .)"),
    ),
    notes=(
        VALUES,
        SETTINGS,
        ("Exit status", ("0; 125 when the request cannot be carried out here; 2 when it cannot be understood.",)),
    ),
)

TRY = Verb(
    name="try",
    summary="show what a command would change, then commit or drop that",
    usage=("bldr try [OPTIONS] [--] COMMAND [ARGUMENT...]",),
    description=(
        "Run one command as 'bldr run' does, with each --overlay (the caller's directory, where there is none) in a"
        " private layer. Show what the command added, changed and deleted there. Then take that over to the host as a"
        " whole, or drop it: as the options say, else as the answer says on a terminal, else it is dropped."
    ),
    options=(
        Option("commit", "take the changes over when the command succeeds", group="Afterwards"),
        Option("drop", "only show the changes", group="Afterwards"),
        *SANDBOX,
        AUDIT_LOG,
        Option("json", "write the result and the changes to FILE", metavar="FILE", group="Report", completes="file"),
        Option("verbose", "show the receipt, and changes of times", short="v", group="Report"),
        Option("quiet", QUIET.summary, short="q", group="Report"),
        Option("help", HELP_OPTION.summary, short="h", group="Report"),
    ),
    takes=COMMAND,
    examples=(
        (
            "What would it install, and where?",
            "bldr try --drop --overlay ~/.local -i . -- make install PREFIX=$HOME/.local",
        ),
        ("Reformat, but look first", "bldr try -- sed -i 's/colour/color/' *.txt"),
    ),
    notes=(
        VALUES,
        SETTINGS,
        (
            "Exit status",
            (
                (
                    "As for 'bldr run'. 125 also when the changes cannot be taken over, because somebody has changed"
                    " the tree meanwhile or it cannot be written; then the tree is as it was."
                ),
            ),
        ),
    ),
)

LEARN = learn_verb(SANDBOX, (QUIET, HELP_OPTION))

DOCTOR = Verb(
    name="doctor",
    summary="say what this host can enforce, how it was tried, and how to raise it",
    usage=("bldr doctor [OPTIONS]",),
    description=(
        "Try each mechanism for real in short-lived child processes. Nothing is concluded from a version number or a"
        " setting alone; those are only read to explain a failure. Nothing on the host is changed."
    ),
    options=(
        Option("json", "print JSON"),
        HELP_OPTION,
    ),
    examples=(
        ("Can this machine build hermetically?", "bldr doctor"),
        ("In a CI script", "bldr doctor --json > doctor.json || cat doctor.json"),
    ),
    notes=(("Exit status", ("0 when hermetic builds are possible here, 1 when they are not.",)),),
)

FMT = Verb(
    name="fmt",
    summary="lay out Builderfiles in the one way",
    usage=("bldr fmt [OPTIONS] [FILE...]",),
    description=(
        "Rewrite Builderfiles in the one layout; comments, words and the order of everything stay. Without a FILE it is"
        " all Builderfiles of the workspace; '-' reads standard input and prints the result. If one file cannot be"
        " read, none is changed."
    ),
    options=(
        Option("check", "change nothing; print the names of files that would change"),
        Option("quiet", QUIET.summary, short="q"),
        HELP_OPTION,
    ),
    takes=WORDS,
    completes="file",
    examples=(
        ("Lay out the whole workspace", "bldr fmt"),
        ("In a CI script", "bldr fmt --check"),
        ("From an editor", "bldr fmt - < Builderfile"),
    ),
    notes=(
        (
            "Exit status",
            ("0; 1 when --check found what would change; 2 when a Builderfile is wrong or not there; 125 otherwise.",),
        ),
    ),
)

QUERY = Verb(
    name="query",
    summary="ask about targets: which there are, what they need, what needs them, and why",
    usage=(
        "bldr query [OPTIONS] [targets [TARGET...]]",
        "bldr query [OPTIONS] deps|rdeps TARGET...",
        "bldr query [OPTIONS] paths TARGET TARGET",
    ),
    description=(
        "Read all Builderfiles of the workspace, check that they fit together, and answer: 'targets' lists them, 'deps'"
        " what targets need, 'rdeps' what needs them, 'paths' how the first one comes to need the second. Nothing is"
        " built. Answers are sorted, a label a line."
    ),
    options=(
        Option("direct", "of deps and rdeps, only the nearest"),
        Option("json", "print JSON, with sources, outputs and where each target stands"),
        Option("graphviz", "print a graph for the program dot"),
        HELP_OPTION,
    ),
    takes=WORDS,
    words=("targets", "deps", "rdeps", "paths"),
    examples=(
        ("What is there?", "bldr query"),
        ("What may break when I change this?", "bldr query rdeps //lib:util"),
        ("Why does the program need that?", "bldr query paths app //lib:util"),
        ("A picture, for the program dot", "bldr query --graphviz > targets.dot"),
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
        (
            "Exit status",
            ("0; 2 when the question or a Builderfile cannot be understood, or there is none; 125 otherwise.",),
        ),
    ),
)

AUDIT = Verb(
    name="audit",
    summary="show, filter, follow and verify an audit log",
    usage=("bldr audit [OPTIONS] [FILE]",),
    description=(
        "Show the violations and denials that runs with --audit-log wrote to FILE, oldest first; without FILE it is the"
        " one that BUILDER_HERMETIC_AUDIT_LOG names. Full files beside it belong to it."
    ),
    options=(
        Option("kind", "only events of this kind", metavar="KIND", choices=KINDS),
        Option("run", "only events of this run", metavar="RUN"),
        Option("subject", "only events about this: a limit, a path, an endpoint; * and ? match", metavar="PATTERN"),
        Option("since", "only events since then: 2026-11-24, 2026-11-24T13:00, or 90m ago", metavar="TIME"),
        Option("until", "only events before then", metavar="TIME"),
        Option("last", "only the last N of them", metavar="N"),
        Option("follow", "go on with what is written from now on", short="f"),
        Option("verify", "check that nothing was changed, removed or cut off"),
        Option("expect", "with --verify: this event, written down elsewhere, has to be there", metavar="NUMBER:DIGEST"),
        Option("head", "print NUMBER:DIGEST of the last event, to be written down elsewhere"),
        Option("json", "print JSON, one object a line"),
        HELP_OPTION,
    ),
    takes=WORDS,
    examples=(
        ("What was refused today?", "bldr audit --since 24h audit.jsonl"),
        ("Watch it happen", "bldr audit -f --kind network audit.jsonl"),
        ("Was it tampered with?", "bldr audit --verify audit.jsonl"),
    ),
    notes=(("Exit status", ("0; 1 when --verify finds something wrong; 125 when there is no log; 2 usage.",)),),
)

CACHE = Verb(
    name="cache",
    summary="look after what 'bldr run --cache' keeps",
    usage=(
        "bldr cache stats [OPTIONS]",
        "bldr cache gc [--size SIZE] [OPTIONS]",
        "bldr cache verify|clear [OPTIONS]",
        "bldr cache why [ACTION|TARGET] [OPTIONS]",
    ),
    description=(
        "stats counts what is there. gc removes the results that were not used for longest until the rest fits, and"
        " what no result needs. verify reads everything and puts what was changed into quarantine. clear removes"
        " everything. why compares the action that was asked for last, or the one whose digest begins with ACTION, or"
        " each action of TARGET as it is now, with the nearest earlier one, and names what differs."
    ),
    options=(
        Option("dir", "the cache (default: ~/.cache/bldr)", metavar="DIR", completes="dir"),
        Option("size", "what gc leaves at most (default: 10G)", metavar="SIZE"),
        Option("json", "print JSON"),
        HELP_OPTION,
    ),
    takes=WORDS,
    words=("stats", "gc", "verify", "clear", "why"),
    examples=(
        ("Why did it run again?", "bldr cache why"),
        ("What would be built again, because of what?", "bldr cache why //lib:util"),
        ("Keep the cache small, from a timer", "bldr cache gc --size 2G"),
    ),
    notes=(
        ("Exit status", ("0; 1 when verify found something that was changed; 125 when the cache cannot be used.",)),
    ),
)

EXPLAIN = Verb(
    name="explain",
    summary="why a run failed, and what would allow what it was denied",
    usage=("bldr explain [OPTIONS] [RUN]",),
    description=(
        "Tell everything that is known of a failed run, the last one without RUN: what was denied or missing, to whom,"
        " what it saw, the nearest declared path, and the options that would allow it, the likeliest cause first."
        " Without a trace the command's own messages are compared with what was declared and with what the host has."
    ),
    options=(Option("json", "print JSON"), HELP_OPTION),
    takes=WORDS,
    examples=(
        ("Why did the last run fail?", "bldr explain"),
        ("Know for sure", "bldr run --explain-on-failure -i . -o out -- make; bldr explain"),
    ),
    notes=(("Exit status", ("0 when there is a record of such a run, 1 when there is none.",)),),
)

COMPLETION = Verb(
    name="completion",
    summary="print a completion script for bash, fish or zsh",
    usage=("bldr completion bash|fish|zsh",),
    description="Print the script that lets the shell complete verbs, options and files.",
    options=(HELP_OPTION,),
    takes=WORDS,
    words=SHELLS,
    examples=(
        ("bash, for this session", "source <(bldr completion bash)"),
        ("zsh, for good", "bldr completion zsh > ~/.zfunc/_bldr"),
        ("fish, for good", "bldr completion fish > ~/.config/fish/completions/bldr.fish"),
    ),
)
