"""What tests say of their cases, as text from strangers."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bldr.engine.testing import Case, Suite, Verdict, cases_of, to_junit

REPORT = b"""<?xml version="1.0"?><testsuites><testsuite>
<testcase classname="t.A" name="one" time="0.25"/>
<testcase classname="t.A" name="two"><failure message="1 != 2">Traceback</failure></testcase>
<testcase name="three"><error>boom</error></testcase>
<testcase name="four"><skipped message="no disk"/></testcase>
</testsuite></testsuites>"""


def test_a_report_tells_the_cases() -> None:
    assert cases_of("x", REPORT, b"", "the command ended with status 1") == (
        Case("one", Verdict.PASSED, "t.A", 0.25),
        Case("two", Verdict.FAILED, "t.A", message="1 != 2", details="Traceback"),
        Case("three", Verdict.ERROR, message="boom", details="boom"),
        Case("four", Verdict.SKIPPED, message="no disk"),
    )


def test_without_a_report_a_test_is_one_case() -> None:
    assert cases_of("x", None, b"hello\n", "") == (Case("x", Verdict.PASSED),)
    assert cases_of("x", None, b"", "it broke") == (Case("x", Verdict.FAILED, message="it broke"),)


def test_a_test_that_fails_outside_of_its_cases_has_failed() -> None:
    report = b'<testsuite><testcase name="one"/></testsuite>'

    assert cases_of("x", report, b"", "it broke")[-1] == Case("x", Verdict.ERROR, message="it broke")


@pytest.mark.parametrize(
    "report",
    [
        b"",
        b"<testsuite>",
        b"\xff\xfe",
        b'<!DOCTYPE a [<!ENTITY b "c">]><testsuite><testcase name="&b;"/></testsuite>',
        b'<?xml version="1.0" encoding="none"?><a/>',
    ],
)
def test_a_report_that_cannot_be_read_is_none(report: bytes) -> None:
    assert cases_of("x", report, b"", "") == (Case("x", Verdict.PASSED),)


def test_times_that_make_no_sense_are_none() -> None:
    for time in (b"nan", b"inf", b"-1", b"soon"):
        report = b'<t><testcase name="a" time="' + time + b'"/></t>'

        assert cases_of("x", report, b"", "")[0].seconds == 0.0


def test_the_test_anything_protocol_tells_the_cases() -> None:
    printed = b"TAP version 13\nok 1 - adds\nnot ok 2 - divides\n# by zero\nok 3 # SKIP no disk\nnot ok 4 - x # TODO later\nok\n1..5\n"

    assert [(case.name, case.verdict) for case in cases_of("x", None, printed, "")] == [
        ("adds", Verdict.PASSED),
        ("divides", Verdict.FAILED),
        ("3", Verdict.SKIPPED),
        ("x", Verdict.PASSED),
        ("5", Verdict.PASSED),
    ]


def test_cases_that_were_planned_and_did_not_come_are_an_error() -> None:
    cases = cases_of("x", None, b"1..3\nok 1\n", "")

    assert [case.verdict for case in cases] == [Verdict.PASSED, Verdict.ERROR]
    assert cases[-1].message == "it planned 3 cases and reported 1"


def test_what_was_printed_without_a_plan_is_no_protocol() -> None:
    assert cases_of("x", None, b"ok then\nnot ok at all\n", "") == (Case("x", Verdict.PASSED),)


def test_junit_xml_counts_each_suite() -> None:
    tests = [
        Suite("//a:b", cases_of("x", REPORT, b"", "y"), 1.5, log=b"it \x00 said \xff"),
        Suite("//a:c", problem="link c failed"),
    ]

    first, second = ET.fromstring(to_junit(tests))

    assert (first.get("tests"), first.get("failures"), first.get("errors"), first.get("skipped")) == (
        "4",
        "1",
        "1",
        "1",
    )
    assert first.get("time") == "1.500"
    assert [case.get("classname") for case in first.iter("testcase")] == ["t.A", "t.A", "//a:b", "//a:b"]
    assert (second.get("tests"), second.get("errors")) == ("1", "1")


_text = st.text(st.characters(codec=None), max_size=8)


@given(
    st.lists(
        st.builds(
            Case, _text, st.sampled_from(["passed", "failed", "error", "skipped"]), _text, message=_text, details=_text
        )
    )
)
def test_every_junit_xml_can_be_read(cases: list[Case]) -> None:
    found = cases_of("x", to_junit([Suite("//a:b", tuple(cases), log=b"\x1b[0m")]), b"", "")

    assert len(found) == max(len(cases), 1)
    assert [case.verdict for case in found] == [case.verdict for case in cases] or not cases


@given(st.binary())
def test_no_output_is_too_strange(printed: bytes) -> None:
    assert cases_of("x", printed, printed, "")
