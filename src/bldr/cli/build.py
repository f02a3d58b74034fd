"""``bldr build``: targets, built hermetically and in parallel."""

from __future__ import annotations

import _signal
import os

from bldr.cli.cached import cache_directory
from bldr.cli.diagnostics import complain_of, open_workspace
from bldr.cli.messages import say
from bldr.cli.options import UsageError, parse
from bldr.cli.progress_of_builds import Plain, Silent, shown_words
from bldr.cli.quantities import count
from bldr.cli.request import caller_directory
from bldr.cli.settings import load as load_settings
from bldr.cli.verbs_of_builds import BUILD
from bldr.engine.build import Build, Options
from bldr.engine.graph import graph_of
from bldr.engine.lock import WorkspaceLock
from bldr.engine.outcome import Status
from bldr.engine.scheduler import Stop
from bldr.engine.state import State
from bldr.errors import BuilderfileError
from bldr.model.value import value
from bldr.store.cache import Cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType
    from typing import Self

    from bldr.builderfile.label import Label
    from bldr.builderfile.workspace import Workspace
    from bldr.cli.options import Parsed
    from bldr.engine.graph import Graph
    from bldr.engine.outcome import Outcome

__all__ = ["FAILED", "INTERRUPTED", "Request", "Signals", "chosen_labels", "main", "request_of", "say_how"]

FAILED = 1
INTERRUPTED = 130


@value
class Request:
    """What is asked of a build."""

    workspace: Workspace
    labels: tuple[Label, ...]
    options: Options
    hermetic_origin: str


def main(arguments: Sequence[str]) -> int:
    """``bldr build``."""
    parsed = parse(BUILD, arguments)
    try:
        asked = request_of(parsed)
        return _build(parsed, asked)
    except BuilderfileError as error:
        return complain_of(error)


def request_of(parsed: Parsed) -> Request:
    """Return what the options and settings ask for.

    Raises:
        BuilderfileError: The workspace or a target cannot be understood.
        UsageError: An option or a setting cannot.
    """
    if parsed.given("hermetic") and parsed.given("no-hermetic"):
        raise UsageError("--hermetic and --no-hermetic contradict each other", hint="give one of them")
    directory = caller_directory()
    settings = load_settings(os.environ, directory)
    jobs = _jobs(parsed)
    hermetic = parsed.given("hermetic") or (settings.hermetic and not parsed.given("no-hermetic"))
    origin = "--no-hermetic" if parsed.given("no-hermetic") else f"{settings.hermetic_origin} is set to false"
    workspace = open_workspace(directory)
    labels = chosen_labels(parsed.rest, workspace, directory)
    return Request(workspace, labels, Options(jobs, parsed.given("keep-going"), hermetic), "" if hermetic else origin)


def chosen_labels(names: Sequence[str], workspace: Workspace, directory: str) -> tuple[Label, ...]:
    """Return the targets that words stand for; all of them when there are none."""
    from bldr.builderfile.selection import select

    if not names:
        return tuple(workspace.targets)
    folder = os.path.relpath(os.path.realpath(directory), os.path.realpath(workspace.root)).replace(os.sep, "/")
    found = [label for name in names for label in select(name, workspace, "" if folder == "." else folder)]
    return tuple(dict.fromkeys(found))


def _jobs(parsed: Parsed) -> int:
    text = parsed.last("jobs")
    if text is None:
        return _cpus()
    try:
        return count(text, "--jobs", minimum=1)
    except UsageError as error:
        raise UsageError(error.message, hint="leave it out for one action for each CPU") from error


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _build(parsed: Parsed, asked: Request) -> int:
    from bldr.builderfile.workspace import resolve

    root = asked.workspace.root
    graph = graph_of(resolve(asked.workspace, asked.labels), asked.labels)
    tell = (lambda _text: None) if parsed.given("quiet") else say
    say_how(parsed, asked)
    with (
        WorkspaceLock(root, wait=parsed.given("wait"), say=tell),
        Cache(cache_directory(parsed.last("cache-dir"))) as cache,
        State(root) as state,
        Signals() as signals,
    ):
        observer = _observer(parsed, graph, root)
        build = Build(root, graph, cache, state, asked.options, observer=observer, stop=signals.stop, say=tell)
        if parsed.given("dry-run"):
            for planned in build.plan():
                action = graph.actions[planned.number]
                say(f"{action}: {planned.reason}")
                if parsed.given("verbose"):
                    say(f"  {shown_words(action.argv)}")
            return 0
        try:
            outcomes = build.run()
        finally:
            observer.close()
    return _conclude(parsed, outcomes, is_stopped=bool(signals.stop.asked))


def say_how(parsed: Parsed, asked: Request) -> None:
    """Say whether there are sandboxes, where that is asked for or is no matter of course."""
    if not asked.options.hermetic:
        say(f"NOT hermetic: building without sandboxes ({asked.hermetic_origin}); nothing of it is remembered")
    elif parsed.given("verbose"):
        from bldr.execution.executor import HermeticExecutor

        say(f"[INFO] Hermetic builds: enabled ({HermeticExecutor.platform()})")


def _observer(parsed: Parsed, graph: Graph, root: str) -> Plain:
    if parsed.given("quiet"):
        return Silent(graph, root)
    return Plain(graph, root, verbose=parsed.given("verbose"), explain=parsed.given("explain"))


def _conclude(parsed: Parsed, outcomes: Sequence[Outcome], *, is_stopped: bool) -> int:
    counts = {status: sum(outcome.status == status for outcome in outcomes) for status in _TOLD}
    if not parsed.given("quiet"):
        told = [f"{counts[status]} {words}" for status, words in _TOLD.items() if counts[status]]
        say(f"{', '.join(told) or 'nothing to do'}")
    if is_stopped:
        return INTERRUPTED
    return 0 if all(outcome.succeeded for outcome in outcomes) else FAILED


_TOLD = {
    Status.BUILT: "built",
    Status.CACHED: "from the cache",
    Status.UP_TO_DATE: "up to date",
    Status.FAILED: "failed",
    Status.CANCELLED: "cancelled",
    Status.SKIPPED: "not tried",
}


class Signals:
    """Lets SIGINT, SIGTERM and SIGHUP ask for the end of a build; one that is ignored stays ignored."""

    def __init__(self) -> None:
        self.stop = Stop()
        self._before: list[tuple[int, object]] = []

    def __enter__(self) -> Self:
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(_signal, name, None)
            if number is not None and (before := _signal.getsignal(number)) != _signal.SIG_IGN:
                self._before.append((number, before))
                _signal.signal(number, self._arrived)
        return self

    def __exit__(self, *_error: object) -> None:
        for number, before in self._before:
            _signal.signal(number, before)  # type: ignore[arg-type]  # it came from getsignal

    def _arrived(self, _number: int, _frame: FrameType | None) -> None:
        self.stop.ask()
