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
from bldr.cli.messages import say
from bldr.cli.options import UsageError, parse
from bldr.cli.verbs_of_tests import TEST
from bldr.engine.graph import graph_of
from bldr.engine.lock import WorkspaceLock
from bldr.engine.outcome import TESTS, Status
from bldr.engine.result import BuildResult
from bldr.engine.showing import mapped_back
from bldr.engine.state import State
from bldr.engine.testing import Case, Suite, Verdict, cases_of, to_junit
from bldr.model.text import visible
from bldr.model.value import replace
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

_LOGS = ".builder/tests"
_MOST_CASES = 20


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
    _show(tests, is_quiet=quiet)
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
    folder = os.path.join(root, _LOGS, label.folder, f"{label.name}~")
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
    return Suite(name, cases, seconds, is_cached=is_cached, problem=problem, log=log)


def _show(tests: Sequence[Suite], *, is_quiet: bool) -> None:
    """Show a table of the tests, and the cases that failed."""
    width = max(len(test.label) for test in tests)
    for test in tests:
        if is_quiet and test.passed:
            continue
        bad = test.count(*Verdict.BAD)
        verdict = ("passed" + " (cached)" * test.is_cached) if test.passed else "FAILED" if test.cases else "not run"
        total = f"{len(test.cases)} case{'s' * (len(test.cases) != 1)}"
        told = [f"{bad} of {total} failed" if bad else total] if test.cases else []
        if skips := test.count(Verdict.SKIPPED):
            told.append(f"{skips} skipped")
        if test.cases and not test.is_cached:
            told.append(f"{test.seconds:.2f} s")
        if test.problem and not test.cases:
            told.append(test.problem)
        say(visible(f"{test.label:<{width}}  {verdict:<15}  {', '.join(told)}"))
        shown = [case for case in test.cases if case.verdict in Verdict.BAD]
        for case in shown[:_MOST_CASES]:
            name = f"{case.group}.{case.name}" if case.group else case.name
            say(visible(f"  {case.verdict}: {name}{': ' * bool(case.message)}{case.message[:200]}"))
        if len(shown) > _MOST_CASES:
            say(f"  and {len(shown) - _MOST_CASES} more")
        if not test.passed and test.cases:
            folder, _, name = test.label.removeprefix("//").rpartition(":")
            say(visible(f"  log: {os.path.join(_LOGS, folder, name)}~/log"))
    passed = sum(test.passed for test in tests)
    cached = sum(test.passed and test.is_cached for test in tests)
    if not is_quiet:
        failed = f", {len(tests) - passed} failed" if passed < len(tests) else ""
        say(f"{passed} of {len(tests)} tests passed{f' ({cached} cached)' if cached else ''}{failed}")
