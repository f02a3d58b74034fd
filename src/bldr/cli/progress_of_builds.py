"""What a build shows while it goes on: a line for each action or a region that changes, and what actions printed."""

from __future__ import annotations

import _signal
import os
import time

from bldr.cli.messages import report, say_in
from bldr.cli.options import UsageError
from bldr.engine.outcome import TESTS, Observer, Status
from bldr.engine.scripts import shown_command
from bldr.engine.showing import mapped_back
from bldr.model.text import visible
from bldr.report.units import time_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from bldr.cli.options import Parsed
    from bldr.engine.action import Action
    from bldr.engine.graph import Graph
    from bldr.engine.outcome import Outcome
    from bldr.engine.scheduler import Stop
    from bldr.report.region import Region, View

__all__ = ["Live", "Plain", "Progress", "Silent", "Terse", "mode_of", "progress_of"]

_STDERR = 2
_MODES = ("plain", "rich", "none")
_PATIENCE = 0.4  # seconds without a region: a build with nothing to do is over then, and needs no library
_REDRAW = 0.15  # seconds
_SOON = 0.05  # seconds without a region after something was said above it
_QUIET_TIME = 30.0  # seconds without a line after which a log is told what still runs


def mode_of(parsed: Parsed) -> str:
    """Return how progress is shown: ``rich``, ``plain`` or ``none``.

    Raises:
        UsageError: There is no such way.
    """
    mode = parsed.last("progress") or ""
    if mode not in ("", *_MODES):
        raise UsageError(f"--progress {mode}: there is no such way to show it", hint="plain, rich or none")
    if mode in ("plain", "none"):
        return mode
    can_draw = os.isatty(_STDERR) and os.environ.get("TERM", "dumb") not in ("", "dumb")
    return "rich" if can_draw else "plain"


def progress_of(parsed: Parsed, graph: Graph, root: str, stop: Stop) -> Progress:
    """Return what shows a build, as the options ask for it."""
    mode = mode_of(parsed)
    verbose, explain = parsed.given("verbose"), parsed.given("explain")
    if parsed.given("quiet"):
        return Silent(graph, root)
    if mode == "rich":
        return Live(graph, root, stop, verbose=verbose, explain=explain)
    return (Plain if mode == "plain" else Terse)(graph, root, verbose=verbose, explain=explain)


class Progress(Observer):
    """Says what failed, and what actions printed.

    Args:
        graph: The graph of the build.
        root: The absolute path of the workspace.
        verbose: Whether commands are shown, too.
        explain: Whether it is said why each action ran.
        now: The seconds of a clock that never goes back.
    """

    def __init__(
        self,
        graph: Graph,
        root: str,
        *,
        verbose: bool = False,
        explain: bool = False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._graph = graph
        self._root = root
        self._verbose = verbose
        self._explain = explain
        self._now = now
        self._total = 0
        self._done = 0
        self._running: dict[str, float] = {}
        self.advice: dict[str, list[str]] = {}  # what was said of the causes of each failure

    def begun(self, total: int, jobs: int) -> None:  # noqa: ARG002
        """Remember how much there is to do."""
        self._total = total

    def started(self, action: Action, reason: str) -> None:
        """Say why, and what runs."""
        self._running[str(action)] = self._now()
        if self._explain:
            self.say(f"{action}: {reason}")
        if self._verbose:
            self.say(f"{action}: {shown_command(action.argv, self._root)}")

    def finished(self, outcome: Outcome) -> None:
        """Say what became of an action, if that is worth a line."""
        self._done += 1
        if outcome.status == Status.UP_TO_DATE:
            return
        self._running.pop(str(outcome.action), None)
        place = f"[{self._done}/{self._total}]"
        if outcome.succeeded and self.tells(outcome):
            how = " (from the cache)" if outcome.status == Status.CACHED else ""
            self.say(f"{place} {outcome.action}{how}")
        self.show_details(outcome, place)
        if outcome.note and (self._verbose or outcome.note.startswith("an input changed")):
            self.say(f"{outcome.action}: not kept: {outcome.note}")

    def tells(self, outcome: Outcome) -> bool:
        """Say whether an action that succeeded is worth a line."""
        return self._verbose or bool(self.printed(outcome))

    def printed(self, outcome: Outcome) -> bytes:
        """Return what an action printed that is to be shown."""
        if outcome.result is None or outcome.status == Status.CANCELLED:
            return b""
        if outcome.succeeded and outcome.action.mnemonic == TESTS and not self._verbose:
            return b""  # who tests is told of each case, and what a test prints is kept
        return outcome.result.stdout

    def show_details(self, outcome: Outcome, place: str = "") -> None:
        """Show what an action printed, and why it failed."""
        if not outcome.succeeded:
            how = "was cancelled" if outcome.status == Status.CANCELLED else "failed"
            problem = f": {outcome.problem}" if outcome.status == Status.FAILED else ""
            self.say(f"{place} {outcome.action} {how}{problem}".strip(), "bad")
            if outcome.status == Status.FAILED and not self._verbose and outcome.result is not None:
                self.say(f"  {shown_command(outcome.action.argv, self._root)}")
        output = self.printed(outcome)
        if output:
            text = mapped_back(output, self._root).decode("utf-8", "surrogateescape")
            self.report("".join(f"{visible(line)}\n" for line in text.removesuffix("\n").split("\n")))
        if outcome.status == Status.FAILED:
            for line in self._advise(outcome):
                self.say(line)

    def _advise(self, outcome: Outcome) -> list[str]:
        from bldr.cli.explain import explain_action

        output = outcome.result.stdout if outcome.result is not None else b""
        found = self.advice[str(outcome.action)] = explain_action(outcome, self._graph, self._root, output)
        return found

    def say(self, text: str, style: str = "") -> None:
        """Say a sentence, here and for everybody who has something to say while this shows the progress."""
        say_in(style, text)

    def report(self, text: str) -> None:
        """Write finished lines."""
        report(text)

    def close(self) -> None:
        """The build has ended."""


class Silent(Progress):
    """Only what failed."""

    def finished(self, outcome: Outcome) -> None:
        """Say why, if it failed."""
        if not outcome.succeeded:
            self.show_details(outcome)


class Terse(Progress):
    """No progress: what failed, and what actions printed."""


class Plain(Progress):
    """A line for each action that did something, when it has ended; for logs, and for terminals that cannot draw."""

    _spoken = 0.0

    def begun(self, total: int, jobs: int) -> None:
        """Remember how much there is to do, and since when."""
        super().begun(total, jobs)
        self._spoken = self._now()

    def tells(self, outcome: Outcome) -> bool:  # noqa: ARG002
        """Every action is."""
        return True

    def say(self, text: str, style: str = "") -> None:
        """Say a sentence, and remember when."""
        self._spoken = self._now()
        super().say(text, style)

    def waited(self) -> None:
        """Say what runs, if nothing was said for long: who reads a log wants to know that something goes on."""
        now = self._now()
        if self._running and now - self._spoken >= _QUIET_TIME:
            name, since = min(self._running.items(), key=lambda item: item[1])
            others = len(self._running) - 1
            more = f", and {others} more" if others else ""
            self.say(f"[{self._done}/{self._total}] still running: {name} ({time_text(float(int(now - since)))}){more}")


class Live(Progress):
    """A few lines that change, below what is said of failures. Everything happens in the thread that builds.

    Args:
        graph: The graph of the build.
        root: The absolute path of the workspace.
        stop: Says how often somebody asked for the end.
        verbose: Whether commands are shown, too.
        explain: Whether it is said why each action ran.
        now: The seconds of a clock that never goes back.
        region: Draws; made when there is something to draw.
    """

    def __init__(
        self,
        graph: Graph,
        root: str,
        stop: Stop,
        *,
        verbose: bool = False,
        explain: bool = False,
        now: Callable[[], float] = time.monotonic,
        region: Region | None = None,
    ) -> None:
        super().__init__(graph, root, verbose=verbose, explain=explain, now=now)
        self._stop = stop
        self._region = region
        self._stopping: Stopping | None = None
        self._begun = now()
        self._due = self._begun + _PATIENCE
        self._cached = self._failed = self._asked = 0

    def begun(self, total: int, jobs: int) -> None:
        """Remember how much there is to do, and since when."""
        super().begun(total, jobs)
        self._begun = self._now()
        self._due = self._begun + _PATIENCE

    def finished(self, outcome: Outcome) -> None:
        """Count it, and say what became of an action, if that is worth a line."""
        self._cached += outcome.status == Status.CACHED
        self._failed += outcome.status == Status.FAILED
        super().finished(outcome)

    def waited(self) -> None:
        """Draw, but not too often."""
        now = self._now()
        if now < self._due and self._stop.asked == self._asked:
            return
        self._due, self._asked = now + _REDRAW, self._stop.asked
        if self._region is None:
            from bldr.report.region import Region

            self._region = Region(_STDERR)
        if self._stopping is None:
            self._stopping = Stopping(self._region.clear)
        self._region.show(self._view(now))

    def say(self, text: str, style: str = "") -> None:
        """Say a sentence above the region."""
        self._make_way()
        super().say(text, style)

    def report(self, text: str) -> None:
        """Write finished lines above the region."""
        self._make_way()
        super().report(text)

    def close(self) -> None:
        """Leave the terminal to others."""
        if self._stopping is not None:
            self._stopping.close()
            self._stopping = None
        if self._region is not None:
            self._region.close()
            self._region = None
        self._due = float("inf")
        self._asked = self._stop.asked

    def _make_way(self) -> None:
        if self._region is not None:
            self._region.clear()
            self._due = min(self._due, self._now() + _SOON)

    def _view(self, now: float) -> View:
        from bldr.report.region import View

        running = sorted(((name, now - since) for name, since in self._running.items()), key=lambda one: -one[1])
        return View(
            self._total,
            self._done,
            tuple(running),
            self._cached,
            self._failed,
            now - self._begun,
            self._stop.asked,
        )


class Stopping:
    """Clears what must not stay on the terminal before Ctrl-Z stops this process, as every shell expects it to.

    Args:
        clear: Called before it stops; what it clears is drawn again when the process goes on.
    """

    def __init__(self, clear: Callable[[], None]) -> None:
        self._clear = clear
        self._is_ours = _signal.getsignal(_signal.SIGTSTP) == _signal.SIG_DFL
        if self._is_ours:
            _signal.signal(_signal.SIGTSTP, self._arrived)

    def close(self) -> None:
        """Leave the signal to others."""
        if self._is_ours:
            _signal.signal(_signal.SIGTSTP, _signal.SIG_DFL)

    def _arrived(self, signum: int, _frame: FrameType | None) -> None:
        self._clear()
        _signal.signal(signum, _signal.SIG_DFL)
        os.kill(os.getpid(), signum)  # and here it goes on
        _signal.signal(signum, self._arrived)
