"""What ``bldr test`` says at its end: a line for each test, the cases that failed, and the sum. Pure."""

from __future__ import annotations

import os

from bldr.engine.testing import Verdict
from bldr.report.units import time_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from bldr.engine.testing import Suite

__all__ = ["LOGS", "lines_of"]

LOGS = ".builder/tests"
_MOST_CASES = 20
_MOST_PASSED = 40  # lines of tests that have passed; a longer list hides what matters
_SLOWEST = 3
_MANY = 4  # tests that ran, from which it is worth to say which were slow
_COLUMN = 15


def lines_of(
    tests: Sequence[Suite], *, verbose: bool = False, quiet: bool = False, took: str = ""
) -> list[tuple[str, str]]:
    """Return lines, each with a style: ``good``, ``bad`` or nothing. What did not pass stands last.

    Args:
        tests: What became of each test.
        verbose: Whether each test that has passed gets a line, however many there are.
        quiet: Whether only what did not pass is told.
        took: What stands behind the sum.
    """
    width = max((len(test.label) for test in tests), default=0)
    passed = [test for test in tests if test.passed]
    lines: list[tuple[str, str]] = []
    if not quiet and (verbose or len(passed) <= _MOST_PASSED):
        lines += [("", _line(test, width)) for test in passed]
    for test in tests:
        if not test.passed:
            lines.append(("bad", _line(test, width)))
            lines += _details(test)
    if quiet:
        return lines
    ran = sorted((test for test in tests if test.cases and not test.is_cached), key=lambda test: -test.seconds)
    if len(ran) >= _MANY:
        slow = ", ".join(f"{test.label} ({time_text(test.seconds)})" for test in ran[:_SLOWEST])
        lines.append(("", f"slowest: {slow}"))
    lines.append(("good" if len(passed) == len(tests) else "bad", _sum(tests) + took))
    return lines


def _line(test: Suite, width: int) -> str:
    bad = test.count(*Verdict.BAD)
    total = f"{len(test.cases)} case{'s' * (len(test.cases) != 1)}"
    told = [f"{bad} of {total} failed" if bad else total] if test.cases else []
    if skips := test.count(Verdict.SKIPPED):
        told.append(f"{skips} skipped")
    if test.cases and not test.is_cached:
        told.append(f"{test.seconds:.2f} s")
    if test.problem and not test.cases:
        told.append(test.problem)
    return f"{test.label:<{width}}  {_verdict(test):<{_COLUMN}}  {', '.join(told)}"


def _verdict(test: Suite) -> str:
    if test.passed:
        return "passed" + " (cached)" * test.is_cached
    return "TIMED OUT" if test.is_timed_out else "FAILED" if test.cases else "not run"


def _details(test: Suite) -> list[tuple[str, str]]:
    shown = [case for case in test.cases if case.verdict in Verdict.BAD]
    lines = []
    for case in shown[:_MOST_CASES]:
        name = f"{case.group}.{case.name}" if case.group else case.name
        lines.append(("", f"  {case.verdict}: {name}{': ' * bool(case.message)}{case.message[:200]}"))
    if len(shown) > _MOST_CASES:
        lines.append(("", f"  and {len(shown) - _MOST_CASES} more"))
    if test.cases:
        folder, _, name = test.label.removeprefix("//").rpartition(":")
        lines.append(("", f"  log: {os.path.join(LOGS, folder, name)}~/log"))
    return lines


def _sum(tests: Sequence[Suite]) -> str:
    passed = [test for test in tests if test.passed]
    cached = sum(test.is_cached for test in passed)
    timed_out = sum(test.is_timed_out for test in tests)
    not_run = sum(not test.cases and not test.is_timed_out for test in tests if not test.passed)
    failed = len(tests) - len(passed) - timed_out - not_run
    told = [f"{len(passed)} of {len(tests)} tests passed{f' ({cached} cached)' if cached else ''}"]
    counts = ((failed, "failed"), (timed_out, "timed out"), (not_run, "not run"))
    told += [f"{count} {words}" for count, words in counts if count]
    bad = sum(test.count(*Verdict.BAD) for test in tests)
    if bad:
        total = sum(len(test.cases) for test in tests)
        told.append(f"{bad} of {total} case{'s' * (total != 1)} failed")
    return ", ".join(told)
