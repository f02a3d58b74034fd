"""The end of ``bldr test``: what did not pass stands last, and the sum says it all."""

from __future__ import annotations

from bldr.cli.summary_of_tests import lines_of
from bldr.engine.testing import Case, Suite, Verdict

CASE = Case("one", Verdict.PASSED)
BAD = Case("two", Verdict.FAILED, "Group", message="1 != 2")
TESTS = (
    Suite("//lib:bad", (CASE, BAD), 0.5, problem="the command ended with status 1"),
    Suite("//lib:slow", (BAD,), 30.0, is_timed_out=True, problem="it was ended by its timeout"),
    Suite("//:missing", problem="compile a.c failed"),
    Suite("//:good", (CASE, Case("three", Verdict.SKIPPED)), 1.25),
    Suite("//:known", (CASE,), 9.0, is_cached=True),
)


def told(*tests: Suite, verbose: bool = False, quiet: bool = False) -> list[str]:
    return [line for _, line in lines_of(tests, verbose=verbose, quiet=quiet)]


def test_what_did_not_pass_stands_last() -> None:
    assert told(*TESTS) == [
        "//:good     passed           2 cases, 1 skipped, 1.25 s",
        "//:known    passed (cached)  1 case",
        "//lib:bad   FAILED           1 of 2 cases failed, 0.50 s",
        "  failed: Group.two: 1 != 2",
        "  log: .builder/tests/lib/bad~/log",
        "//lib:slow  TIMED OUT        1 of 1 case failed, 30.00 s",
        "  failed: Group.two: 1 != 2",
        "  log: .builder/tests/lib/slow~/log",
        "//:missing  not run          compile a.c failed",
        "2 of 5 tests passed (1 cached), 1 failed, 1 timed out, 1 not run, 2 of 6 cases failed",
    ]
    assert [style for style, _ in lines_of(TESTS)] == ["", "", "bad", "", "", "bad", "", "", "bad", "bad"]


def test_all_that_passed_needs_one_word() -> None:
    assert told(*TESTS[3:])[-1] == "2 of 2 tests passed (1 cached)"
    assert lines_of(TESTS[3:])[-1][0] == "good"
    assert lines_of(TESTS[3:], took=" in 2 s")[-1][1].endswith("(1 cached) in 2 s")


def test_a_quiet_summary_is_of_failures() -> None:
    assert told(*TESTS[3:], quiet=True) == []
    assert told(*TESTS[2:], quiet=True) == ["//:missing  not run          compile a.c failed"]


def test_many_tests_are_summed_up() -> None:
    many = [Suite(f"//:t{number}", (CASE,), float(number)) for number in range(41)]

    assert told(*many) == ["slowest: //:t40 (40 s), //:t39 (39 s), //:t38 (38 s)", "41 of 41 tests passed"]
    assert len(told(*many, verbose=True)) == 43


def test_many_cases_are_cut() -> None:
    cases = tuple([Case(f"c{number}", Verdict.ERROR) for number in range(25)])

    assert told(Suite("//:t", cases, 1.0))[-3:] == [
        "  and 5 more", "  log: .builder/tests/t~/log", "0 of 1 tests passed, 1 failed, 25 of 25 cases failed"
    ]  # fmt: skip
