"""The verb ``learn`` as the table of verbs has it."""

from __future__ import annotations

from bldr.cli.options import COMMAND, Option, Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["learn_verb"]

_SHARED = ("input", "temp", "env", "allow-host")
_NOT_HERE = ("silence", "max-children", "fork", "exec", "kill-on-parent-exit")


def learn_verb(shared: Iterable[Option], common: Iterable[Option]) -> Verb:
    """Return the verb.

    Args:
        shared: The options that make a sandbox, of which it has those for files, variables, hosts and limits.
        common: Those that every verb has.
    """
    return Verb(
        name="learn",
        summary="watch a command, and write the smallest spec that suffices for it",
        usage=("bldr learn [OPTIONS] [--] COMMAND [ARGUMENT...]",),
        description=(
            "Run one command with the whole host visible and nothing of it writable but the workspace, in a private"
            " layer that is dropped afterwards. From what it read, wrote, executed and reached follows what it has to"
            " be allowed; that is printed as a command line, a Python program or a target of a Builderfile. The"
            " command's own output goes to standard error."
        ),
        options=(
            Option(
                "format",
                "command-line (default), python or builderfile",
                metavar="FORMAT",
                group="Result",
                choices=("command-line", "python", "builderfile"),
            ),
            Option(
                "write", "write it to FILE, which must not be there", metavar="FILE", group="Result", completes="file"
            ),
            Option("force", "overwrite that file", group="Result"),
            Option(
                "tighten",
                "run it again in exactly that: what is missing is added, what is not used is taken away",
                group="Result",
            ),
            Option(
                "in-tree",
                "make a directory an output where results are written beside what is read; else it is an overlay",
                group="Result",
            ),
            Option(
                "workspace",
                "what the command may change (default: the caller's directory)",
                short="w",
                metavar="DIR",
                group="Watching",
                completes="dir",
            ),
            Option("any-host", "let connections to every host out that it asks for, and list them", group="Watching"),
            *[one for one in shared if (one.group == "Limits" and one.name not in _NOT_HERE) or one.name in _SHARED],
            *common,
        ),
        takes=COMMAND,
        examples=(
            ("What does this build need?", "bldr learn -- make"),
            ("The smallest set that was seen to suffice", "bldr learn --tighten -- make"),
            ("Start a Builderfile", "bldr learn --format builderfile --write Builderfile -- make O=out"),
        ),
        notes=(("Exit status", ("0; the command's own when it fails, and then nothing is learned; 125; 2 usage.",)),),
    )
