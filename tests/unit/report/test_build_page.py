"""The page of a build: nothing that a stranger chose becomes markup, nothing is unbounded, and little is enough."""

from __future__ import annotations

import re

import pytest

from bldr.engine.outcome import Outcome, Status
from bldr.engine.result import BuildResult
from bldr.engine.testing import Case, Suite, Verdict
from bldr.model.value import replace
from bldr.report.build_page import render, verdict
from bldr.report.build_series import course_of, ran_in
from tests.unit.engine.builds import action, empty_build, failed_build, hostile_build, large_build
from tests.unit.report.runs import HOSTILE
from tests.unit.report.test_html import Reader, data_of


def page_of(build: BuildResult) -> str:
    advice = {str(one.action): [one.hint, *HOSTILE] for one in build.outcomes if one.status == Status.FAILED}
    return render(build, advice, version="0.1.0")


def suites_of(words: tuple[str, ...]) -> tuple[Suite, ...]:
    cases = tuple([Case(word, Verdict.FAILED, word, 1.0, word, word) for word in words])
    return (
        Suite(words[0], cases, 2.0),
        Suite("//:ok", cases[:0], 0.0, is_cached=True),
        Suite("//:no", problem=words[1]),
    )


BUILDS = [
    failed_build(),
    empty_build(),
    replace(hostile_build(HOSTILE), tests=suites_of(HOSTILE)),
    large_build(300),
    BuildResult("/ws", "build", outcomes=(Outcome(action("x"), Status.UP_TO_DATE),), needs=((),), ended=0.2),
]
NAMES = ["failed", "empty", "hostile", "large", "fresh"]


@pytest.mark.parametrize("build", BUILDS, ids=NAMES)
def test_a_page_is_well_formed_and_asks_for_nothing(build: BuildResult) -> None:
    page = page_of(build)
    reader = Reader(page)

    assert reader.tags.isdisjoint({"img", "link", "iframe", "object", "embed", "form", "base", "a"})
    assert reader.attributes.isdisjoint({"src", "href", "style", "action", "onload", "onerror"})
    assert page.count("<script") == 2
    assert all(character.isprintable() or character == "\n" for character in page)
    assert page.encode()
    assert page == page_of(build)


def test_a_page_tells_what_failed_and_why_things_ran() -> None:
    page = page_of(failed_build())

    assert "<strong>1 action failed</strong> after 4.25 s, hermetic" in page
    assert "in /home/me/p, 2 targets" in page
    assert "<h1>bldr build app //src:t</h1>" in page
    assert "/home/me/p/src/t.c:9: assertion `1 + 1 == 3&#x27; failed" in page
    assert "<p>mend it</p>" in page
    assert "src/b.c changed" in page
    assert "unused variable" in page
    assert "Together they take 3.5 s, 82 % of the build" in page
    assert page.count('class="dot"') == 3
    assert "1 were up to date" in page
    assert "reads-confined" in page


def test_bars_are_of_what_was_worked_on() -> None:
    data = data_of(page_of(failed_build()))

    assert isinstance(data["tips"], list)
    assert [tip[0] for tip in data["tips"]] == [
        "//:app compile src/a.c", "//:app compile src/b.c", "//src:t compile src/t.c", "//:app link bin/app",
        "//src:t run the test", "bldr looks at the files and at the toolchain",
    ]  # fmt: skip


def test_the_course_of_a_build() -> None:
    build = failed_build()
    ran = ran_in(build)

    assert [(one.lane, one.is_critical) for one in ran] == [(0, True), (1, False), (1, False), (0, True), (0, True)]
    assert [(round(one.time, 6), one.running, one.ready, one.done) for one in course_of(build, ran)] == [
        (0.5, 2, 1, 0), (1.25, 2, 0, 1), (1.3, 1, 0, 2), (2.5, 1, 0, 3), (3.0, 1, 0, 4), (4.0, 0, 0, 5)
    ]  # fmt: skip


def test_tests_are_told_with_the_cases_that_failed() -> None:
    suites = (
        Suite("//:a", (Case("one", Verdict.PASSED), Case("two", Verdict.FAILED, "Group", message="1 != 2")), 1.5),
        Suite("//:b", (Case("b", Verdict.PASSED),), is_cached=True),
        Suite("//:c", problem="it was interrupted"),
    )
    page = page_of(replace(failed_build(), verb="test", tests=suites))

    assert "1 of 3 passed" in page
    assert "Group.two: 1 != 2" in page
    assert "passed</span> (cached)" in page
    assert "it was interrupted" in page


def test_a_page_stays_small() -> None:
    loud = tuple(
        [
            replace(outcome, result=replace(outcome.result, stdout=b"<&>" * 50_000))
            for outcome in large_build(400).outcomes
            if outcome.result is not None
        ]
    )

    assert len(page_of(large_build(20_000))) < 3_000_000
    assert len(page_of(replace(large_build(400), outcomes=loud))) < 9_000_000
    page = page_of(large_build(20_000))
    assert "1,000 drawn: those that took longest" in page
    assert "The first 2000 of 20,000." in page


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (empty_build(), "succeeded"),
        (replace(empty_build(), exit_status=1), "failed"),
        (replace(failed_build(), is_stopped=True), "interrupted"),
        (hostile_build(HOSTILE[:5]), "interrupted"),
        (replace(hostile_build(HOSTILE[:5]), is_stopped=False), "2 actions failed"),
    ],
)
def test_how_a_build_ended(build: BuildResult, words: str) -> None:
    assert verdict(build) == words


def test_a_long_critical_path_begins_with_what_took_longest() -> None:
    assert "The longest of 75 that take 7.5 s together" in page_of(large_build(300))
    assert "All 75, each needs the one above" in page_of(large_build(300))
    assert "All " not in page_of(failed_build())


def test_legends_name_what_there_is() -> None:
    assert re.findall(r'class="key (\w+)"', page_of(failed_build())) == ["critical", "built", "cached", "bad"]
    assert re.findall(r'class="key (\w+)"', page_of(large_build(8))) == ["critical", "built"]
