"""From what a failed action of a build said to the causes, with what a Builderfile would have to say."""

from __future__ import annotations

import os

from bldr.engine.action import WORKSPACE
from bldr.explain.causes import causes, of_program
from bldr.explain.host import Host
from bldr.explain.undeclared import undeclared
from bldr.model.paths import is_within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from bldr.engine.graph import Graph
    from bldr.engine.outcome import Outcome
    from bldr.explain.cause import Cause

__all__ = ["causes_of_action", "lines_of_action"]


def causes_of_action(
    outcome: Outcome, graph: Graph, root: str, environment: Mapping[str, str], output: bytes
) -> tuple[Cause, ...]:
    """Find what made an action fail that ran in a sandbox.

    Args:
        outcome: What became of it.
        graph: The graph of the build.
        root: The absolute path of the workspace.
        environment: The caller's variables.
        output: What the action printed.
    """
    spec = outcome.spec
    if spec is None:
        return ()
    host = Host(environment, WORKSPACE, shown={WORKSPACE: root})
    if outcome.result is None:
        program = of_program(outcome.action.argv[0], spec, host)
        return () if program is None else (program,)
    missed = undeclared(outcome.action, graph, output, lambda path: os.path.exists(os.path.join(root, path)))
    others = [
        cause
        for cause in causes(outcome.result, spec, host, output)
        if cause.kind != "read" or not is_within(cause.subject, WORKSPACE)
    ]
    return (*missed, *others)


def lines_of_action(outcome: Outcome, causes: tuple[Cause, ...]) -> list[str]:
    """Say the likeliest cause of a failed action in lines for people, and how many more there are."""
    missed = [cause for cause in causes if cause.kind == "read" and is_within(cause.subject, WORKSPACE)]
    if missed:
        return [f"hint: {': '.join((cause.text, *cause.remedy.lines))}" for cause in missed]
    if not causes:
        return [f"hint: {outcome.hint}"] if outcome.hint else []
    cause = causes[0]
    lines = [] if cause.kind in ("limit", "timeout") else [f"likely cause: {cause.text}"]
    if cause.remedy.lines:
        both = " or " if cause.kind == "write" else " and "
        lines.append(f"hint: to allow it, write into {outcome.action.target}: {both.join(cause.remedy.lines)}")
    elif outcome.hint:
        lines.append(f"hint: {outcome.hint}")
    if cause.warning:
        lines.append(f"hint: beware: {cause.warning}")
    if len(causes) > 1:
        lines.append("hint: bldr explain tells all possible causes")
    return lines
