"""``bldr build``: targets, built hermetically and in parallel."""

from __future__ import annotations

import _signal
import os
import time

from bldr.cli.account import Account
from bldr.cli.cachedir import cache_directory
from bldr.cli.diagnostics import complain_of, open_workspace
from bldr.cli.glance import asked_of
from bldr.cli.messages import say, say_in
from bldr.cli.options import UsageError, parse
from bldr.cli.progress_of_builds import mode_of
from bldr.cli.quantities import count
from bldr.cli.request import caller_directory
from bldr.cli.settings import load as load_settings
from bldr.cli.verbs_of_builds import BUILD
from bldr.engine.build import Build, Options
from bldr.engine.graph import graph_of
from bldr.engine.lock import WorkspaceLock
from bldr.engine.outcome import Status
from bldr.engine.result import BuildResult
from bldr.engine.scheduler import Stop
from bldr.engine.scripts import shown_command
from bldr.engine.state import State
from bldr.errors import BuilderfileError
from bldr.model.value import value
from bldr.report.units import time_text
from bldr.store.cache import Cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType
    from typing import Self

    from bldr.builderfile.label import Label
    from bldr.builderfile.workspace import Workspace
    from bldr.cli.options import Parsed
    from bldr.engine.build import Planned
    from bldr.engine.graph import Graph

__all__ = [
    "FAILED", "INTERRUPTED", "Prepared", "Request", "Signals", "Work", "carried_out", "chosen_labels", "main",
    "request_of", "run_build", "say_how",
]  # fmt: skip

FAILED = 1
INTERRUPTED = 130
_MOST_AGAIN = 10  # failures that are named once more at the end


@value
class Request:
    """What is asked of a build."""

    workspace: Workspace
    labels: tuple[Label, ...]
    options: Options
    hermetic_origin: str


@value
class Prepared:
    """What a build needs to know."""

    asked: Request
    graph: Graph


@value
class Work:
    """What a verb that builds does: it looks up what is to be built, and builds it, which gives an exit status."""

    verb: str
    prepare: Callable[[Parsed], Prepared]
    perform: Callable[[Parsed, Prepared, Account], int]


def main(arguments: Sequence[str]) -> int:
    """``bldr build``."""
    return carried_out(parse(BUILD, arguments), Work("build", prepare, perform))


def carried_out(parsed: Parsed, work: Work) -> int:
    """Do the work of a verb that builds: once, or again whenever something has changed.

    Raises:
        UsageError: Options do not fit together.
    """
    mode_of(parsed)  # a mistake in it is found before anything is opened
    if parsed.given("watch"):
        from bldr.cli.watching import watch

        return watch(parsed, work)
    with Account(parsed, work.verb) as account:
        try:
            return work.perform(parsed, work.prepare(parsed), account)
        except BuilderfileError as error:
            account.fail(error)
            return complain_of(error)


def prepare(parsed: Parsed) -> Prepared:
    """Look up what is to be built.

    Raises:
        BuilderfileError: The workspace or a target cannot be understood.
        UsageError: An option or a setting cannot.
    """
    from bldr.builderfile.workspace import resolve

    asked = request_of(parsed)
    return Prepared(asked, graph_of(resolve(asked.workspace, asked.labels), asked.labels))


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


def perform(parsed: Parsed, prepared: Prepared, account: Account) -> int:
    """Build; returns the exit status."""
    asked, graph = prepared.asked, prepared.graph
    root = asked.workspace.root
    say_how(parsed, asked)
    with (
        WorkspaceLock(root, wait=parsed.given("wait"), say=_tell(parsed, say)),
        Cache(cache_directory(parsed.last("cache-dir"))) as cache,
        State(root) as state,
        Signals() as signals,
    ):
        if parsed.given("dry-run"):
            build = Build(root, graph, cache, state, asked.options, say=_tell(parsed, say))
            return _plan(parsed, build.plan(), graph, account, root)
        result = run_build(parsed, asked, graph, cache, state, signals.stop, account)
    account.settle(result)
    if not parsed.given("quiet"):
        for line in failed_again(result):
            say(line)
        say_in("bad" if result.exit_status else "good", summary_of(parsed, result))
    return result.exit_status


def _tell(parsed: Parsed, say: Callable[[str], None]) -> Callable[[str], None]:
    return (lambda _text: None) if parsed.given("quiet") else say


def _plan(parsed: Parsed, planned: Sequence[Planned], graph: Graph, account: Account, root: str) -> int:
    account.plan([{"action": str(graph.actions[one.number]), "reason": one.reason} for one in planned])
    for one in planned:
        action = graph.actions[one.number]
        say(f"{action}: {one.reason}")
        if parsed.given("verbose"):
            say(f"  {shown_command(action.argv, root)}")
    return 0


def run_build(
    parsed: Parsed,
    asked: Request,
    graph: Graph,
    cache: Cache,
    state: State,
    stop: Stop,
    account: Account,
) -> BuildResult:
    """Build a graph, show how it goes on, and return what came of it."""
    root, options = asked.workspace.root, asked.options
    targets = tuple(map(str, asked.labels))
    progress, observer = account.begin(graph, root, targets, stop, hermetic=options.hermetic)
    build = Build(root, graph, cache, state, options, observer=observer, stop=stop, say=_tell(parsed, progress.say))
    started_at, began = time.time(), time.monotonic()
    try:
        outcomes = build.run()
    finally:
        progress.close()
    if account.verb == "build":
        build.settle(asked_of(parsed, root), asked.workspace.tree)
    status = INTERRUPTED if stop.asked else FAILED if any(not one.succeeded for one in outcomes) else 0
    return BuildResult(
        root=root,
        verb=account.verb,
        asked=tuple(parsed.rest),
        targets=targets,
        outcomes=tuple(outcomes),
        needs=graph.needs,
        jobs=options.jobs,
        exit_status=status,
        is_stopped=bool(stop.asked),
        started_at=started_at,
        began=began,
        ended=time.monotonic(),
    )


def say_how(parsed: Parsed, asked: Request) -> None:
    """Say whether there are sandboxes, where that is asked for or is no matter of course."""
    if not asked.options.hermetic:
        say(f"NOT hermetic: building without sandboxes ({asked.hermetic_origin}); nothing of it is remembered")
    elif parsed.given("verbose"):
        from bldr.execution.executor import HermeticExecutor

        say(f"[INFO] Hermetic builds: enabled ({HermeticExecutor.platform()})")


def failed_again(result: BuildResult) -> list[str]:
    """Return the names of what failed, where it was several actions, so that nobody has to look for them above."""
    failed = [str(outcome.action) for outcome in result.outcomes if outcome.status == Status.FAILED]
    if len(failed) < 2:
        return []
    more = [f"failed: and {len(failed) - _MOST_AGAIN} more"] if len(failed) > _MOST_AGAIN else []
    return [f"failed: {name}" for name in failed[:_MOST_AGAIN]] + more


def summary_of(parsed: Parsed, result: BuildResult) -> str:
    """Return what came of a build in one line; how long it took, too, for whoever watched it."""
    told = [f"{count} {words}" for status, words in _TOLD.items() if (count := result.count(status))]
    took = f" in {time_text(result.duration)}" if mode_of(parsed) == "rich" else ""
    return f"{', '.join(told) or 'nothing to do'}{took}"


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
