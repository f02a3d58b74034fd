"""Console blocks of the documentation that are marked as runnable.

A block is marked by a comment on the line before it, which readers of the rendered page do not see::

    <!-- runnable needs="user-namespaces c-compiler" -->
    ```console
    $ bldr run -- echo hello
    hello
    ```

Lines that begin with ``$ `` are commands (``> `` continues one), the others are what they print, on standard output and
standard error together. In the expected text ``...`` stands for any characters within a line, and alone on a line for
any number of lines. A command has to end with status 0, unless the next command is ``echo $?``.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Block", "Command", "blocks_in", "matches", "play"]

MARKED_BLOCK = re.compile(
    r"""
    ^(?P<indent>[ ]*)<!--[ ]runnable(?:[ ]needs="(?P<needs>[^"]*)")?[ ]-->\n+
    (?P=indent)```console\n
    (?P<text>.*?)
    ^(?P=indent)```$
    """,
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)
BOUND_SECONDS = 100


@dataclass(frozen=True)
class Command:
    text: str
    expected: str


@dataclass(frozen=True)
class Block:
    document: str
    line: int
    needs: tuple[str, ...]
    commands: tuple[Command, ...]


def blocks_in(document: Path, root: Path) -> list[Block]:
    """Return the runnable blocks of a page, in order."""
    page = document.read_text(encoding="utf-8")
    return [
        Block(
            document=str(document.relative_to(root)),
            line=page.count("\n", 0, found.start("text")) + 1,
            needs=tuple((found["needs"] or "").split()),
            commands=tuple(_commands([line.removeprefix(found["indent"]) for line in found["text"].splitlines()])),
        )
        for found in MARKED_BLOCK.finditer(page)
    ]


def _commands(lines: list[str]) -> list[Command]:
    commands: list[tuple[list[str], list[str]]] = []
    for line in lines:
        if line.startswith("$ "):
            commands.append(([line[2:]], []))
        elif not commands:
            raise ValueError(f"output before the first command: {line!r}")
        elif line.startswith("> ") and not commands[-1][1]:
            commands[-1][0].append(line[2:])
        else:
            commands[-1][1].append(line)
    return [Command("\n".join(text), "\n".join(expected)) for text, expected in commands]


def matches(expected: str, actual: str) -> bool:
    """Compare, with ``...`` as described above; blanks at the ends of lines and blank lines at the end do not count."""
    pattern = ""
    for line in expected.rstrip().splitlines():
        if line.strip() == "...":
            pattern += "(?:.*\n)*?"
        else:
            pattern += ".*".join(map(re.escape, line.rstrip().split("..."))) + "\n"
    text = "".join(line.rstrip() + "\n" for line in actual.rstrip().splitlines())
    return re.fullmatch(pattern, text) is not None


def play(block: Block, directory: Path, environment: dict[str, str]) -> list[str]:
    """Run the commands of a block in one shell and return what differs, one entry a command."""
    marker = "--- end of command ---"
    script = "".join(
        # The previous status is put back, so that `echo $?` shows what a person would see.
        f"(exit $status)\n{command.text}\nstatus=$?\nprintf '\\n%s %s\\n' '{marker}' $status\n"
        for command in block.commands
    )
    done = subprocess.run(
        ["/bin/sh", "-c", "status=0\n" + script],
        check=False,
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BOUND_SECONDS,
    )
    parts = re.split(rf"\n{marker} (\d+)\n", done.stdout)
    printed, statuses = parts[0::2], parts[1::2]
    if len(statuses) != len(block.commands):
        return [f"the shell ended early: {done.stdout!r}"]
    return [
        f"$ {command.text}\nexpected:\n{command.expected}\nprinted, with status {status}:\n{text}"
        for command, following, text, status in zip(
            block.commands, [*block.commands[1:], None], printed, statuses, strict=False
        )
        if not matches(command.expected, text)
        or (status != "0" and (following is None or following.text.strip() != "echo $?"))
    ]
