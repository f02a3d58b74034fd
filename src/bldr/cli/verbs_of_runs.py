"""The verb that runs one command: its options and page. ``bldr run`` loads no other verb."""

from __future__ import annotations

from bldr.cli.options import COMMAND, Option, Verb

__all__ = ["AUDIT_LOG", "HELP_OPTION", "QUIET", "RUN", "SANDBOX", "SETTINGS", "VALUES", "VERBOSE"]

HELP_OPTION = Option("help", "show this page", short="h")
VERBOSE = Option("verbose", "show the receipt afterwards: each guarantee and what enforced it", short="v")
QUIET = Option("quiet", "say nothing but errors", short="q")

# What makes a sandbox: the same for run, shell and plan, so that one command line serves all three.
SANDBOX = (
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

VALUES = (
    "Values",
    (
        "HOST:AT is split at the last ':' before a '/'; write '\\:' for a literal colon and '\\\\' for a backslash.",
        "SIZE is bytes or 64K, 512M, 4G, 1T. DURATION is seconds or 250ms, 90s, 30m, 1h.",
        "-i, -o, --overlay, -t, -e, --allow-host, --fetch, --require and --allow-degraded can be repeated.",
    ),
)
SETTINGS = (
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
        *SANDBOX,
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
        Option("verbose", VERBOSE.summary, short="v", group="Report"),
        Option("quiet", QUIET.summary, short="q", group="Report"),
        Option("help", HELP_OPTION.summary, short="h", group="Report"),
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
        VALUES,
        SETTINGS,
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
