"""``bldr test``: tests, built and run hermetically, with the result of each case."""

from __future__ import annotations

import os

from bldr.cli.build import FAILED, INTERRUPTED, Signals, request_of, say_how
from bldr.cli.cached import cache_directory
from bldr.cli.diagnostics import complain_of
from bldr.cli.messages import say
from bldr.cli.options import UsageError, parse
from bldr.cli.progress_of_builds import Plain, mapped_back
from bldr.cli.verbs_of_tests import TEST
from bldr.engine.build import Build
from bldr.engine.graph import graph_of
from bldr.engine.lock import WorkspaceLock
from bldr.engine.outcome import Status
from bldr.engine.state import State
from bldr.engine.testing import Case, Suite, Verdict, cases_of, to_junit
from bldr.errors import BuilderfileError
from bldr.model.text import visible
from bldr.model.value import replace
from bldr.store.cache import Cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from bldr.builderfile.label import Label
    from bldr.builderfile.workspace import Resolved
    from bldr.cli.build import Request
    from bldr.cli.options import Parsed
    from bldr.cli.resultfile import WholeFile
    from bldr.engine.outcome import Outcome

__all__ = ["main"]

_TEST = "Test"
_LOGS = ".builder/tests"
_MOST_CASES = 20


def main(arguments: Sequence[str]) -> int:
    """``bldr test``."""
    parsed = parse(TEST, arguments)
    try:
        return _test(parsed, request_of(parsed))
    except BuilderfileError as error:
        return complain_of(error)


def _test(parsed: Parsed, asked: Request) -> int:
    from bldr.builderfile.workspace import resolve

    root = asked.workspace.root
    labels = tuple([label for label in asked.labels if asked.workspace.targets[label].target.type == "test"])
    if not labels:
        if parsed.rest:
            raise UsageError("none of these targets is a test", hint="bldr query lists targets")
        say("there is no test in this workspace")
        return 0
    targets = _with_timeout(parsed, resolve(asked.workspace, labels), labels)
    graph = graph_of(targets, labels, tests=True)
    anew = (_TEST,) if parsed.given("no-cache") else ()
    options = replace(asked.options, keep_going=True, anew=anew)
    quiet = parsed.given("quiet")
    tell = (lambda _text: None) if quiet else say
    say_how(parsed, asked)
    with (
        WorkspaceLock(root, wait=parsed.given("wait"), say=tell),
        Cache(cache_directory(parsed.last("cache-dir"))) as cache,
        State(root) as state,
        Signals() as signals,
        _report_file(parsed) as report,
    ):
        observer = _Progress(graph, root, verbose=parsed.given("verbose"), explain=parsed.given("explain"))
        observer.is_quiet = quiet or parsed.last("progress") == "none"
        try:
            outcomes = Build(root, graph, cache, state, options, observer=observer, stop=signals.stop, say=tell).run()
        finally:
            observer.close()
        tests = _tests(root, labels, outcomes)
        if report is not None:
            report.write_text(to_junit(tests).decode())
    _show(tests, is_quiet=quiet)
    if signals.stop.asked:
        return INTERRUPTED
    return 0 if all(test.passed for test in tests) else FAILED


def _report_file(parsed: Parsed) -> AbstractContextManager[WholeFile | None]:
    from contextlib import nullcontext

    from bldr.cli.resultfile import WholeFile

    path = parsed.last("junit")
    return nullcontext() if path is None else WholeFile(path, "--junit", "the report")


def _with_timeout(
    parsed: Parsed, targets: Mapping[Label, Resolved], labels: Sequence[Label]
) -> Mapping[Label, Resolved]:
    from bldr.model.limits import parse_duration

    text = parsed.last("test-timeout")
    if text is None:
        return targets
    seconds = parse_duration(text, what="--test-timeout")
    found = dict(targets)
    for label in labels:
        target = found[label].target
        if target.hermetic.timeout is None:
            hermetic = replace(target.hermetic, timeout=seconds)
            found[label] = replace(found[label], target=replace(target, hermetic=hermetic))
    return found


class _Progress(Plain):
    """A line for each action; what a test printed is shown when it failed, or when everything is to be told."""

    is_quiet = False

    def finished(self, outcome: Outcome) -> None:
        """Say what became of an action."""
        if outcome.action.mnemonic == _TEST and outcome.succeeded and not self._verbose:
            outcome = replace(outcome, result=None)
        if not self.is_quiet or not outcome.succeeded:
            super().finished(outcome)


def _tests(root: str, labels: Sequence[Label], outcomes: Sequence[Outcome]) -> list[Suite]:
    """Return what became of each test, and keep what it printed."""
    found: dict[Label, Suite] = {}
    skipped: dict[Label, str] = {}
    for outcome in outcomes:
        label = outcome.action.target
        if outcome.action.mnemonic == _TEST:
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
