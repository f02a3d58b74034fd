"""What became of tests: the cases of each, read from what it reported or printed. Pure.

A test that writes a report (JUnit XML) is believed about its cases, one that prints in the Test Anything Protocol, too;
any other test is one case, that passes if the test ends with 0. What a test says is nobody's promise: all of it is
parsed as text from a stranger.
"""

from __future__ import annotations

import re  # noqa: TID253  # only who tests imports it

from bldr.model.paths import printable
from bldr.model.value import replace, value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from xml.etree.ElementTree import Element

__all__ = ["Case", "Suite", "Verdict", "cases_of", "to_junit"]

_LARGEST = 64 << 20  # bytes of a report
_TAP_PLAN = re.compile(rb"^1\.\.(\d{1,6})\s*(?:#.*)?$", re.MULTILINE)
_TAP_CASE = re.compile(rb"^(not )?ok\b[ \t]*(\d*)[ \t]*(?:- )?([^#\r\n]*)(?:#[ \t]*(\w*)([^\r\n]*))?", re.MULTILINE)
_INVALID = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # what XML 1.0 cannot hold


class Verdict:
    """What became of a case."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"

    BAD = (FAILED, ERROR)


@value
class Case:
    """One case of a test.

    Args:
        name: What the test calls it.
        verdict: One of :class:`Verdict`.
        group: What it belongs to: a class, or a file.
        seconds: How long it took; 0 where nobody says.
        message: Why, in a line.
        details: Why, in full.
    """

    name: str
    verdict: str
    group: str = ""
    seconds: float = 0.0
    message: str = ""
    details: str = ""


@value
class Suite:
    """What became of the test of one target.

    Args:
        label: The target.
        cases: Its cases; none where it did not run.
        seconds: How long it took when it ran.
        is_cached: Whether it ran earlier, and nothing has changed since.
        is_timed_out: Whether its timeout ended it.
        problem: Why it did not run to its end.
        log: What it printed.
    """

    label: str
    cases: tuple[Case, ...] = ()
    seconds: float = 0.0
    is_cached: bool = False
    is_timed_out: bool = False
    problem: str = ""
    log: bytes = b""

    @property
    def passed(self) -> bool:
        """Whether it ran to its end and no case failed."""
        return not self.problem and self.count(*Verdict.BAD) == 0

    def count(self, *verdicts: str) -> int:
        """Return how many cases have one of some verdicts."""
        return sum(case.verdict in verdicts for case in self.cases)

    def to_dict(self) -> dict[str, object]:
        """Return the test for JSON."""
        return {
            "target": printable(self.label),
            "passed": self.passed,
            "cached": self.is_cached,
            "timed_out": self.is_timed_out,
            "seconds": self.seconds,
            "problem": printable(self.problem),
            "cases": [{name: _told(getattr(case, name)) for name in Case.__match_args__} for case in self.cases],
        }


def cases_of(name: str, report: bytes | None, printed: bytes, problem: str) -> tuple[Case, ...]:
    """Return the cases of a test.

    Args:
        name: What the only case is called where there is nothing better.
        report: The report that it wrote, if it did.
        printed: What it printed.
        problem: Why it failed; empty if it succeeded.
    """
    cases = _of_junit(report) if report else _of_tap(printed)
    if not cases:
        return (Case(name, Verdict.FAILED if problem else Verdict.PASSED, message=problem),)
    if problem and not any(case.verdict in Verdict.BAD for case in cases):
        return (*cases, Case(name, Verdict.ERROR, message=problem))  # it failed outside of its cases
    return cases


def _of_junit(data: bytes) -> tuple[Case, ...]:
    from xml.etree import ElementTree as ET

    if len(data) > _LARGEST or b"<!DOCTYPE" in data:
        return ()
    try:
        root = ET.fromstring(data)  # noqa: S314  # without a document type there are no entities to expand
    except (ET.ParseError, LookupError, ValueError):
        return ()
    return tuple([_case(element) for element in root.iter("testcase")])


def _case(element: Element) -> Case:
    case = Case(element.get("name", ""), Verdict.PASSED, element.get("classname", ""), _seconds(element.get("time")))
    for tag, verdict in (("error", Verdict.ERROR), ("failure", Verdict.FAILED), ("skipped", Verdict.SKIPPED)):
        if (found := element.find(tag)) is not None:
            text = found.text or ""
            return replace(case, verdict=verdict, message=found.get("message", text[:200]), details=text)
    return case


def _seconds(text: str | None) -> float:
    try:
        seconds = float(text or 0)
    except ValueError:
        return 0.0
    return seconds if 0 <= seconds < float("inf") else 0.0


def _of_tap(printed: bytes) -> tuple[Case, ...]:
    plan = _TAP_PLAN.search(printed)
    if plan is None:
        return ()
    cases: list[Case] = []
    for match in _TAP_CASE.finditer(printed):
        bad, number, name, directive, why = match.groups()
        word = (directive or b"").upper()
        verdict = Verdict.FAILED if bad and word != b"TODO" else Verdict.PASSED
        if word == b"SKIP":
            verdict = Verdict.SKIPPED
        text = name.strip() or number or str(len(cases) + 1).encode()
        reason = (why or b"").strip().decode("utf-8", "replace")
        cases.append(Case(text.decode("utf-8", "replace"), verdict, message=reason))
    planned = int(plan[1])
    if planned != len(cases):
        why_not = f"it planned {planned} cases and reported {len(cases)}"
        cases.append(Case("the plan", Verdict.ERROR, message=why_not))
    return tuple(cases)


def to_junit(tests: Iterable[Suite]) -> bytes:
    """Return tests as JUnit XML: a suite for each target."""
    from xml.etree import ElementTree as ET

    root = ET.Element("testsuites")
    for test in tests:
        cases = test.cases or (Case(test.label, Verdict.ERROR, message=test.problem),)
        counted = replace(test, cases=cases)
        suite = ET.SubElement(
            root,
            "testsuite",
            name=_valid(test.label),
            tests=str(len(cases)),
            failures=str(counted.count(Verdict.FAILED)),
            errors=str(counted.count(Verdict.ERROR)),
            skipped=str(counted.count(Verdict.SKIPPED)),
            time=f"{test.seconds:.3f}",
        )
        for case in cases:
            group = _valid(case.group or test.label)
            element = ET.SubElement(
                suite, "testcase", classname=group, name=_valid(case.name), time=f"{case.seconds:.3f}"
            )
            tag = {Verdict.FAILED: "failure", Verdict.ERROR: "error", Verdict.SKIPPED: "skipped"}.get(case.verdict)
            if tag:
                ET.SubElement(element, tag, message=_valid(case.message)).text = _valid(case.details)
        if test.log:
            ET.SubElement(suite, "system-out").text = _valid(test.log.decode("utf-8", "replace"))
    ET.indent(root)
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def _told(item: str | float) -> str | float:
    return printable(item) if isinstance(item, str) else item


def _valid(text: str) -> str:
    return _INVALID.sub("\N{REPLACEMENT CHARACTER}", text)
