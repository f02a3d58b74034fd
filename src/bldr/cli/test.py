"""``bldr test``: tests, built and run hermetically, with the result of each case."""

from __future__ import annotations

import os
import time

from bldr.cli.build import (
    FAILED,
    INTERRUPTED,
    Prepared,
    Signals,
    Work,
    carried_out,
    request_of,
    run_build,
    say_how,
)
from bldr.cli.cachedir import cache_directory
from bldr.cli.messages import say, say_in
from bldr.cli.options import UsageError, parse
from bldr.cli.progress_of_builds import mode_of
from bldr.cli.summary_of_tests import LOGS, lines_of
from bldr.cli.verbs_of_tests import TEST
from bldr.engine.graph import graph_of
from bldr.engine.lock import WorkspaceLock
from bldr.engine.outcome import TESTS, Status
from bldr.engine.result import BuildResult
from bldr.engine.showing import mapped_back
from bldr.engine.state import State
from bldr.engine.testing import Case, Suite, Verdict, cases_of, to_junit
from bldr.model.result import Termination
from bldr.model.value import replace
from bldr.report.units import time_text
from bldr.store.cache import Cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from bldr.builderfile.label import Label
    from bldr.cli.account import Account
    from bldr.cli.options import Parsed
    from bldr.cli.resultfile import WholeFile
    from bldr.engine.outcome import Outcome

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """``bldr test``."""
    return carried_out(parse(TEST, arguments), Work("test", _prepare, _perform))


def _prepare(parsed: Parsed) -> Prepared:
    from bldr.builderfile.workspace import resolve

    asked = request_of(parsed)
    labels = tuple([label for label in asked.labels if asked.workspace.targets[label].target.type == "test"])
    if not labels and parsed.rest:
        raise UsageError("none of these targets is a test", hint="bldr query lists targets")
    anew = (TESTS,) if parsed.given("no-cache") else ()
    options = replace(asked.options, keep_going=True, anew=anew, test_timeout=_timeout(parsed))
    graph = graph_of(resolve(asked.workspace, labels), labels, tests=True)
    return Prepared(replace(asked, labels=labels, options=options), graph)


def _perform(parsed: Parsed, prepared: Prepared, account: Account) -> int:
    asked, graph = prepared.asked, prepared.graph
    root, labels = asked.workspace.root, asked.labels
    quiet = parsed.given("quiet")
    if not labels:
        account.settle(BuildResult(root, "test", jobs=asked.options.jobs, started_at=time.time()))
        say("there is no test in this workspace")
        return 0
    say_how(parsed, asked)
    with (
        WorkspaceLock(root, wait=parsed.given("wait"), say=(lambda _text: None) if quiet else say),
        Cache(cache_directory(parsed.last("cache-dir"))) as cache,
        State(root) as state,
        Signals() as signals,
        _report_file(parsed) as report,
    ):
        result = run_build(parsed, asked, graph, cache, state, signals.stop, account)
        tests = _tests(root, labels, result.outcomes)
        if report is not None:
            report.write_text(to_junit(tests).decode())
    status = INTERRUPTED if result.is_stopped else 0 if all(test.passed for test in tests) else FAILED
    account.settle(replace(result, tests=tuple(tests), exit_status=status))
    _show(parsed, tests, result.duration)
    return status


def _report_file(parsed: Parsed) -> AbstractContextManager[WholeFile | None]:
    from contextlib import nullcontext

    from bldr.cli.resultfile import WholeFile

    path = parsed.last("junit")
    return nullcontext() if path is None else WholeFile(path, "--junit", "the report")


def _timeout(parsed: Parsed) -> float | None:
    from bldr.model.limits import parse_duration

    text = parsed.last("test-timeout")
    return None if text is None else parse_duration(text, what="--test-timeout")


def _tests(root: str, labels: Sequence[Label], outcomes: Sequence[Outcome]) -> list[Suite]:
    """Return what became of each test, and keep what it printed."""
    found: dict[Label, Suite] = {}
    skipped: dict[Label, str] = {}
    for outcome in outcomes:
        label = outcome.action.target
        if outcome.action.mnemonic == TESTS:
            found[label] = _tested(root, outcome)
        elif outcome.status == Status.FAILED:
            skipped.setdefault(label, f"{outcome.action.name} failed")
    tests = []
    for label in labels:
        test = found.get(label, Suite(str(label), problem="it has no test to run"))
        if not test.cases and label in skipped:
            test = replace(test, problem=skipped[label])
        tests.append(test)
    return tests


def _tested(root: str, outcome: Outcome) -> Suite:
    from bldr.cli import testlogs

    label = outcome.action.target
    folder = os.path.join(root, LOGS, label.folder, f"{label.name}~")
    name = str(label)
    if outcome.status in (Status.SKIPPED, Status.CANCELLED):
        how = "what it needs could not be made" if outcome.status == Status.SKIPPED else "it was interrupted"
        return Suite(name, problem=how)
    if outcome.status == Status.UP_TO_DATE:
        cases, seconds, log = testlogs.read(folder)
        return Suite(name, cases or (Case(label.name, Verdict.PASSED),), seconds, is_cached=True, log=log)
    result = outcome.result
    log = mapped_back(result.stdout, root) if result is not None else b""
    report = testlogs.report_of(root, outcome.action.reports)
    problem = outcome.problem if outcome.status == Status.FAILED else ""
    cases = cases_of(label.name, report, log, problem)
    seconds = result.duration if result is not None else 0.0
    is_cached = outcome.status == Status.CACHED
    testlogs.write(folder, cases, seconds, log)
    is_timed_out = result is not None and result.termination == Termination.TIMED_OUT
    return Suite(name, cases, seconds, is_cached=is_cached, is_timed_out=is_timed_out, problem=problem, log=log)


def _show(parsed: Parsed, tests: Sequence[Suite], seconds: float) -> None:
    took = f" in {time_text(seconds)}" if mode_of(parsed) == "rich" else ""
    verbose, quiet = parsed.given("verbose"), parsed.given("quiet")
    for style, line in lines_of(tests, verbose=verbose, quiet=quiet, took=took):
        say_in(style, line)
