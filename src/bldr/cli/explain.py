"""``bldr explain``: why a run failed; and what ``bldr run`` says of it by itself."""

from __future__ import annotations

import os

from bldr.cli.messages import page, say, visible
from bldr.cli.options import UsageError, parse
from bldr.cli.verbs import EXPLAIN
from bldr.explain.causes import causes, of_program
from bldr.explain.clues import clues
from bldr.explain.host import Host
from bldr.explain.record import load, save
from bldr.explain.text import all_lines, likely_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bldr.cli.request import Request
    from bldr.engine.graph import Graph
    from bldr.engine.outcome import Outcome
    from bldr.errors import InvalidCommandError
    from bldr.model.result import ExecutionResult

__all__ = ["explain_action", "explain_failure", "main", "name_program"]

_NOT_FOUND = 127  # of a command that is not in the sandbox


def main(arguments: Sequence[str]) -> int:
    """``bldr explain [RUN]``; 1 when there is nothing to tell."""
    parsed = parse(EXPLAIN, arguments)
    if len(parsed.rest) > 1:
        raise UsageError("explain takes one run", hint="bldr explain, or bldr explain RUN")
    wanted = parsed.rest[0] if parsed.rest else ""
    try:
        record = load(wanted, os.environ)
    except ValueError as error:
        raise UsageError(f"the record of {wanted or 'the last run'} cannot be read: {error}") from error
    if record is None:
        say(f"there is no record of a failed run {wanted}".rstrip())
        say("hint: a run that fails leaves one in $XDG_STATE_HOME/bldr/runs; the last twenty are kept")
        return 1
    if parsed.given("json"):
        from bldr.cli.resultfile import to_json

        page(to_json(record.to_dict()))
        return 0
    import shlex

    lines = [f"run {record.name}: {shlex.join(record.argv)}", f"status {record.exit_code}, trace {record.level}", ""]
    lines += all_lines(record.causes, record.unused) if record.causes else ["Nothing is known that the sandbox denied."]
    if record.level != "full":
        lines += ["", "A trace knows more: bldr run --trace full, or --explain-on-failure."]
    page("".join(f"{visible(line)}\n" for line in lines))
    return 0


def name_program(error: InvalidCommandError, name: str, asked: Request, caller: str) -> None:
    """Let the error of a command that is not in the sandbox say where the host has it."""
    found = of_program(name, asked.spec, Host(os.environ, asked.cwd, caller))
    if found is not None:
        error.hint = f"{found.text}: {' '.join(found.remedy.options)}"


def explain_failure(
    result: ExecutionResult,
    asked: Request,
    caller: str,
    messages: bytes,
    again: Callable[[], ExecutionResult] | None,
    *,
    quiet: bool,
) -> None:
    """Say the likely cause of a failed run, and keep a record of all of them.

    Args:
        result: How it ended.
        asked: What was allowed.
        caller: The caller's directory.
        messages: The end of what it printed on its standard error.
        again: Runs it again, traced; None where that was not asked for.
        quiet: Say nothing.
    """
    if again is not None and result.trace is None:
        traced = again()
        if traced.exit_code != result.exit_code and not quiet:
            say(f"traced, it ended with status {traced.exit_code} instead; the causes are those of that run")
        result = traced
    found = causes(result, asked.spec, Host(os.environ, asked.cwd, caller), messages)
    save(result, found, os.environ)
    if not quiet:
        for line in likely_lines(found):
            say(line)
        if not found and result.trace is None and clues(messages):
            say("hint: bldr run --explain-on-failure runs it once more, traced, when it fails")


def explain_action(outcome: Outcome, graph: Graph, root: str, output: bytes) -> list[str]:
    """Return what to say of a failed action of a build, and keep a record of its causes.

    Args:
        outcome: What became of it.
        graph: The graph of the build.
        root: The absolute path of the workspace.
        output: What the action printed.
    """
    from time import time

    from bldr.explain.actions import causes_of_action, lines_of_action
    from bldr.model.result import ExecutionResult

    found = causes_of_action(outcome, graph, root, os.environ, output)
    if outcome.spec is not None:
        result = outcome.result or ExecutionResult(outcome.action.argv, _NOT_FOUND, started_at=time())
        save(result, found, os.environ)
    return lines_of_action(outcome, found)
