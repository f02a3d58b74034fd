"""What a build shows while it goes on: a line for each action, and what failed actions printed."""

from __future__ import annotations

import os
import re  # noqa: TID253  # only who builds imports it

from bldr.cli.messages import report, say
from bldr.engine.action import WORKSPACE
from bldr.engine.outcome import Observer, Status
from bldr.model.text import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from bldr.engine.action import Action
    from bldr.engine.graph import Graph
    from bldr.engine.outcome import Outcome

__all__ = ["Plain", "Silent", "mapped_back", "shown_words"]

_INSIDE = re.compile(rb"(?<![\w./-])" + WORKSPACE.encode() + rb"(?=[/\s'\":;,)\]]|$)")
_SAFE = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")


def shown_words(argv: Sequence[str]) -> str:
    """Return a command as a shell would read it."""
    return " ".join(word if _SAFE.fullmatch(word) else "'" + word.replace("'", "'\\''") + "'" for word in argv)


def mapped_back(output: bytes, root: str) -> bytes:
    """Return what an action printed with paths of the host in place of those inside.

    Example:
        >>> mapped_back(b"/workspace/a.c:3: no /workspaces", "/home/me/p")
        b'/home/me/p/a.c:3: no /workspaces'
    """
    return _INSIDE.sub(lambda _match: os.fsencode(root), output)


class Plain(Observer):
    """A line for each action that did something, when it has ended.

    Args:
        graph: The graph of the build.
        root: The absolute path of the workspace.
        verbose: Whether commands are shown, too.
        explain: Whether it is said why each action ran.
    """

    def __init__(self, graph: Graph, root: str, *, verbose: bool = False, explain: bool = False) -> None:
        self._graph = graph
        self._root = root
        self._verbose = verbose
        self._explain = explain
        self._total = 0
        self._done = 0

    def begun(self, total: int, jobs: int) -> None:  # noqa: ARG002
        """Remember how much there is to do."""
        self._total = total

    def started(self, action: Action, reason: str) -> None:
        """Say why, and what runs."""
        if self._explain:
            say(f"{action}: {reason}")
        if self._verbose:
            say(f"{action}: {shown_words(action.argv)}")

    def finished(self, outcome: Outcome) -> None:
        """Say what became of an action."""
        self._done += 1
        if outcome.status == Status.UP_TO_DATE:
            return
        place = f"[{self._done}/{self._total}]"
        if outcome.succeeded:
            how = " (from the cache)" if outcome.status == Status.CACHED else ""
            say(f"{place} {outcome.action}{how}")
        self.show_details(outcome, place)
        if outcome.note and (self._verbose or outcome.note.startswith("an input changed")):
            say(f"{outcome.action}: not kept: {outcome.note}")

    def show_details(self, outcome: Outcome, place: str = "") -> None:
        """Show what an action printed, and why it failed."""
        if not outcome.succeeded:
            how = "was cancelled" if outcome.status == Status.CANCELLED else "failed"
            problem = f": {outcome.problem}" if outcome.status == Status.FAILED else ""
            say(f"{place} {outcome.action} {how}{problem}".strip())
            if outcome.status == Status.FAILED and not self._verbose and outcome.result is not None:
                say(f"  {shown_words(outcome.action.argv)}")
        output = outcome.result.stdout if outcome.result is not None else b""
        if output and outcome.status != Status.CANCELLED:
            text = mapped_back(output, self._root).decode("utf-8", "surrogateescape")
            report("".join(f"{visible(line)}\n" for line in text.removesuffix("\n").split("\n")))
        if outcome.status == Status.FAILED:
            self._advise(outcome, output)

    def _advise(self, outcome: Outcome, output: bytes) -> None:
        from bldr.cli.explain import explain_action

        for line in explain_action(outcome, self._graph, self._root, output):
            say(line)

    def close(self) -> None:
        """The build has ended."""


class Silent(Plain):
    """Only what failed."""

    def finished(self, outcome: Outcome) -> None:
        """Say why, if it failed."""
        if not outcome.succeeded:
            self.show_details(outcome)
