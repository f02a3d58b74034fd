"""The table of verbs and options: the one place where a name, its meaning and its help text live."""

from __future__ import annotations

from bldr.cli.learning import learn_verb
from bldr.cli.options import COMMAND, WORDS, Option, Verb

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
    "RUN",
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

_HELP_OPTION = Option("help", "show this page", short="h")
_VERBOSE = Option("verbose", "show the receipt afterwards: each guarantee and what enforced it", short="v")
_QUIET = Option("quiet", "say nothing but errors", short="q")

# What makes a sandbox: the same for run, shell and plan, so that one command line serves all three.
_SANDBOX = (
    Option(
        "input",
        "make HOST readable inside, at AT if it shall appear elsewhere",
        short="i",
        metavar="HOST[:AT]",
        group="Files",
        completes="file",
    ),
    Option(
        "output",
        "make the directory HOST writable inside; what is written stays",
        short="o",
        metavar="HOST[:AT]",
        group="Files",
        completes="dir",
    ),
    Option(
        "overlay",
        "make HOST readable and writable inside; what is written lands in a private layer and is gone afterwards",
        metavar="HOST[:AT]",
        group="Files",
        completes="file",
    ),
    Option(
        "temp",
        "an empty directory that is writable inside and gone afterwards; /tmp is always one",
        short="t",
        metavar="PATH",
        group="Files",
        completes="dir",
    ),
    Option(
        "tmp-size",
        "keep temps in memory, at most SIZE; without it they are on disk",
        metavar="SIZE",
        group="Files",
    ),
    Option(
        "toolchain",
        "the programs that are visible: system (default: /usr, /bin, /lib, ...) or none",
        metavar="NAME",
        group="Files",
        choices=("system", "none"),
    ),
    Option(
        "cwd",
        "start in DIR inside; default: the caller's directory if it is visible, else /",
        metavar="DIR",
        group="Files",
        completes="dir",
    ),
    Option(
        "env",
        "set a variable, or pass NAME through from the caller; nothing else is inherited",
        short="e",
        metavar="NAME[=VALUE]",
        group="Environment and network",
    ),
    Option(
        "allow-host",
        "let connections to HOST out, on PORT or on those of ssh, http, https and git; *.NAME is every name below NAME",
        metavar="HOST[:PORT]",
        group="Environment and network",
    ),
    Option(
        "fetch",
        "fetch a file before the start, keep it by its digest, and make it readable at AT (default: /fetched/NAME)",
        metavar="URL=sha256:DIGEST[:AT]",
        group="Environment and network",
    ),
    Option("timeout", "end everything after this wall-clock time", metavar="DURATION", group="Limits"),
    Option("silence", "end everything when nothing was printed for so long", metavar="DURATION", group="Limits"),
    Option("cpu-time", "CPU time of all processes together (default: 1h)", metavar="DURATION", group="Limits"),
    Option("memory", "memory of all processes together (default: 4G)", metavar="SIZE", group="Limits"),
    Option("processes", "processes and threads at the same time (default: 128)", metavar="N", group="Limits"),
    Option("max-children", "processes and threads beside the first one", metavar="N", group="Limits"),
    Option("fork", "whether further processes may be made (default: true)", metavar="BOOL", group="Limits"),
    Option("exec", "whether further programs may be executed (default: true)", metavar="BOOL", group="Limits"),
    Option(
        "kill-on-parent-exit",
        "whether everything inside ends with bldr (default: true); false is refused, see docs/limits.md",
        metavar="BOOL",
        group="Limits",
    ),
    Option("file-size", "largest file that may be written", metavar="SIZE", group="Limits"),
    Option("disk-io", "bytes read from and written to disks in all", metavar="SIZE", group="Limits"),
    Option("disk-rate", "bytes a second to and from each disk", metavar="SIZE", group="Limits"),
    Option("network-io", "bytes over the network in all", metavar="SIZE", group="Limits"),
    Option("cpus", "how many CPUs may be used: 0.5, 2", metavar="CPUS", group="Limits"),
    Option("cpu-weight", "share of busy CPUs, 1 to 10000 (others have 100)", metavar="N", group="Limits"),
    Option("open-files", "open files of each process", metavar="N", group="Limits"),
    Option("core-size", "largest core file (default: none)", metavar="SIZE", group="Limits"),
    Option("hostname", "host name inside (default: bldr)", metavar="NAME", group="Identity"),
    Option("uid", "user and group id inside (default: 0)", metavar="N", group="Identity"),
    Option("allow-userns", "let the command make user namespaces, to nest sandboxes", group="Identity"),
    Option(
        "require",
        "do not start unless this guarantee holds (and by this mechanism)",
        metavar="GUARANTEE[=MECHANISM]",
        group="Guarantees",
    ),
    Option(
        "allow-degraded",
        "start even where these guarantees cannot be enforced; the receipt says so",
        metavar="GUARANTEE,...",
        group="Guarantees",
    ),
)

AUDIT_LOG = Option(
    "audit-log",
    "append each violation and denial to FILE, see bldr audit",
    metavar="FILE",
    group="Report",
    completes="file",
)

_VALUES = (
    "Values",
    (
        "HOST:AT is split at the last ':' before a '/'; write '\\:' for a literal colon and '\\\\' for a backslash.",
        "SIZE is bytes or 64K, 512M, 4G, 1T. DURATION is seconds or 250ms, 90s, 30m, 1h.",
        "-i, -o, --overlay, -t, -e, --allow-host, --fetch, --require and --allow-degraded can be repeated.",
    ),
)
_SETTINGS = (
    "Settings",
    (
        (
            "BUILDER_HERMETIC=true|false, BUILDER_HERMETIC_NETWORK, _AUDIT_LOG, _DEBUG, and one for each option under"
            " Limits, as BUILDER_HERMETIC_MEMORY=2G, in the environment, or the same lines in the nearest .builderrc."
            " Flags win over the environment, the environment over the file."
        ),
    ),
)

RUN = Verb(
    name="run",
    summary="run one command hermetically",
    usage=("bldr run [OPTIONS] [--] COMMAND [ARGUMENT...]",),
    description=(
        "Run one command that sees the declared files, variables and limits and nothing else: no other file, no"
        " network, no process of the host. Its output is passed through unchanged; bldr's own words go to stderr."
    ),
    options=(
        *_SANDBOX,
        AUDIT_LOG,
        Option(
            "trace",
            "record what the command does: nothing (off), programs and connections (network), files as well (full);"
            " auto (default): nothing, but read the messages of a command that fails",
            metavar="LEVEL",
            group="Report",
            choices=("auto", "off", "network", "full"),
        ),
        Option(
            "cache",
            "take the result from the cache when nothing has changed, else keep it there (default: ~/.cache/bldr)",
            metavar="DIR",
            group="Cache",
            completes="dir",
            stands_alone=True,
        ),
        Option("explain-on-failure", "when it fails, run it once more, traced, and say why it failed", group="Report"),
        Option("json", "write the result, with its receipt, to FILE", metavar="FILE", group="Report", completes="file"),
        Option(
            "report",
            "draw what ran over time, and what it used, as a page that needs nothing but a browser",
            metavar="FILE.html",
            group="Report",
            completes="file",
        ),
        Option(
            "profile",
            "write what ran over time in the Chrome trace format, for Perfetto",
            metavar="FILE.json",
            group="Report",
            completes="file",
        ),
        Option(
            "progress",
            "show what goes on: rich (live, in the last lines of a terminal; the default there), plain (a line now and"
            " then) or none",
            metavar="MODE",
            group="Report",
            choices=("plain", "rich", "none"),
        ),
        Option("verbose", _VERBOSE.summary, short="v", group="Report"),
        Option("quiet", _QUIET.summary, short="q", group="Report"),
        Option("help", _HELP_OPTION.summary, short="h", group="Report"),
    ),
    takes=COMMAND,
    examples=(
        ("Compile with the sources read-only and the results in ./out", "bldr run -i . -o out -- make -C . O=out"),
        ("See what the command can see", "bldr run -- ls -la / /tmp"),
        ("Show a directory elsewhere inside", "bldr run -i ~/project:/src --cwd /src -- cargo build --offline"),
        ("Do not compile twice what has not changed", "bldr run --cache -i . -o out -- make O=out"),
        ("Look at where the time and the memory went", "bldr run --report run.html -i . -o out -- make -j4"),
        ("Fail unless the network was really cut", "bldr run --require no-network -v -- ./configure"),
    ),
    notes=(
        _VALUES,
        _SETTINGS,
        (
            "Exit status",
            (
                (
                    "The command's own; 128+N when signal N ended it; 124 timed out; 125 bldr could not start it; 126"
                    " found but not executable; 127 not found; 2 the command line or a setting cannot be understood."
                ),
            ),
        ),
    ),
)

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
        *_SANDBOX,
        AUDIT_LOG,
        Option("verbose", _VERBOSE.summary, short="v", group="Report"),
        Option("quiet", _QUIET.summary, short="q", group="Report"),
        Option("help", _HELP_OPTION.summary, short="h", group="Report"),
    ),
    takes=COMMAND,
    examples=(
        ("Look around where a build failed", "bldr shell -i . -o out"),
        ("Run a program that wants a terminal", "bldr shell -i . -- vim notes.txt"),
    ),
    notes=(
        _VALUES,
        _SETTINGS,
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
        *_SANDBOX,
        Option("json", "print JSON", group="Report"),
        Option("help", _HELP_OPTION.summary, short="h", group="Report"),
    ),
    takes=COMMAND,
    examples=(
        ("What would this see?", "bldr plan -i . -o out -- make"),
        ("Compare two policies", "diff <(bldr plan -i src) <(bldr plan -i .)"),
    ),
    notes=(
        _VALUES,
        _SETTINGS,
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
        *_SANDBOX,
        AUDIT_LOG,
        Option("json", "write the result and the changes to FILE", metavar="FILE", group="Report", completes="file"),
        Option("verbose", "show the receipt, and changes of times", short="v", group="Report"),
        Option("quiet", _QUIET.summary, short="q", group="Report"),
        Option("help", _HELP_OPTION.summary, short="h", group="Report"),
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
        _VALUES,
        _SETTINGS,
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

LEARN = learn_verb(_SANDBOX, (_QUIET, _HELP_OPTION))

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
        _HELP_OPTION,
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
        Option("quiet", _QUIET.summary, short="q"),
        _HELP_OPTION,
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
        _HELP_OPTION,
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
        _HELP_OPTION,
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
        _HELP_OPTION,
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
    options=(Option("json", "print JSON"), _HELP_OPTION),
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
    options=(_HELP_OPTION,),
    takes=WORDS,
    words=SHELLS,
    examples=(
        ("bash, for this session", "source <(bldr completion bash)"),
        ("zsh, for good", "bldr completion zsh > ~/.zfunc/_bldr"),
        ("fish, for good", "bldr completion fish > ~/.config/fish/completions/bldr.fish"),
    ),
)
