"""The sections of the page of a build that are words and tables."""

from __future__ import annotations

from bldr.engine.outcome import Status
from bldr.engine.showing import mapped_back, shown_words
from bldr.engine.testing import Verdict
from bldr.model.text import visible
from bldr.report.charts import bar
from bldr.report.markup import clipped, folded, note, section, table, text
from bldr.report.sections import enforced
from bldr.report.units import count_text, share_text, size_text, time_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bldr.engine.outcome import Outcome
    from bldr.engine.result import BuildResult
    from bldr.engine.testing import Suite
    from bldr.model.receipt import Receipt

__all__ = ["actions", "critical_path", "failures", "figures", "messages", "receipts", "tests"]

_ROWS = 2000  # of the table of actions
_FEW = 200  # of the other tables
_SHORT = 20  # actions of a critical path that are shown without being asked for
_WORDS = 400  # characters of a name or a reason
_OUTPUT = 20_000  # characters of what one action printed
_ALL_OUTPUT = 1_000_000  # characters of what all of them printed
_NONE = '<span class="off">&ndash;</span>'
_TOLD = {
    Status.BUILT: '<span class="yes">built</span>',
    Status.CACHED: "from the cache",
    Status.FAILED: '<span class="no">failed</span>',
    Status.CANCELLED: '<span class="no">cancelled</span>',
    Status.SKIPPED: '<span class="off">not tried</span>',
    Status.UP_TO_DATE: '<span class="off">up to date</span>',
}


def figures(build: BuildResult) -> str:
    """The build in large numbers."""
    path = [build.outcomes[number] for number in build.critical_path()]
    long = sum(outcome.seconds for outcome in path)
    results = [one.result for one in build.outcomes if one.result is not None and not one.result.cached]
    memory = max((one.usage.peak_memory for one in results if one.usage.peak_memory is not None), default=None)
    built, cached, fresh = build.count(Status.BUILT), build.count(Status.CACHED), build.count(Status.UP_TO_DATE)
    items = [
        ("Wall time", time_text(build.duration), f"with up to {build.jobs} job{'s' * (build.jobs != 1)}"),
        ("Actions", count_text(len(build.outcomes)), f"{count_text(fresh)} up to date"),
        ("Built", count_text(built), ""),
        ("From the cache", count_text(cached), f"{_share(cached, cached + built)} of what was stale" if cached else ""),
    ]
    if bad := build.count(Status.FAILED, Status.CANCELLED):
        items.append(("Failed", count_text(bad), f"{count_text(build.count(Status.SKIPPED))} not tried"))
    if path:
        number = f"{count_text(len(path))} action{'s' * (len(path) != 1)}"
        items.append(("Critical path", time_text(long), number))
        at_once = build.busy / build.duration if build.duration else 0.0
        items.append(("At one time", share_text(at_once), "actions on average"))
    if results:
        cpu = sum(one.usage.cpu_time for one in results)
        items.append(("CPU time", time_text(cpu), "of everything that ran"))
    if memory is not None:
        items.append(("Peak memory", size_text(memory), "of the largest action"))
    cells = "\n".join(
        f"<div><dt>{text(name)}</dt><dd>{text(number)}<small>{text(remark)}</small></dd></div>"
        for name, number, remark in items
    )
    return f'<dl class="figures">\n{cells}\n</dl>'


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "0 %"


def failures(build: BuildResult, advice: Mapping[str, Sequence[str]]) -> str:
    """What failed, with what it printed."""
    failed = [outcome for outcome in build.outcomes if outcome.status == Status.FAILED]
    left = _ALL_OUTPUT
    content = []
    for outcome in failed[:_FEW]:
        printed = _printed(build, outcome, left)
        left -= len(printed)
        hints = "".join(f"<p>{text(line, _WORDS * 5)}</p>" for line in advice.get(str(outcome.action), ())[:20])
        content.append(
            f'<div class="violation"><p><strong>{text(str(outcome.action), _WORDS)}</strong></p>'
            f"<p>{text(outcome.problem, _WORDS * 5)}</p>"
            f'<p class="mono">{text(shown_words(outcome.action.argv), _WORDS * 5)}</p>{printed}{hints}</div>'
        )
    return section("Failures", *content, _left_out(len(failed), _FEW))


def messages(build: BuildResult) -> str:
    """What actions printed that succeeded."""
    told = [one for one in build.outcomes if one.succeeded and one.result is not None and one.result.stdout]
    left = _ALL_OUTPUT
    content = []
    for outcome in told[:_FEW]:
        printed = _printed(build, outcome, left)
        left -= len(printed)
        content.append(folded(clipped(str(outcome.action), _WORDS), printed))
    return section("Messages", *content, _left_out(len(told), _FEW))


def _printed(build: BuildResult, outcome: Outcome, left: int) -> str:
    if outcome.result is None or not outcome.result.stdout:
        return ""
    if left <= 0:
        return note("What it printed is left out, because there is so much of it.")
    plain = mapped_back(outcome.result.stdout[: 4 * _OUTPUT], build.root).decode("utf-8", "surrogateescape")
    lines = [visible(line) for line in plain.removesuffix("\n").split("\n")]
    return f"<pre>{text_of_lines(clipped(chr(10).join(lines), _OUTPUT))}</pre>"


def text_of_lines(content: str) -> str:
    """Lines as markup; everything else that is not visible is escaped already."""
    return "\n".join(map(text, content.split("\n")))


def tests(build: BuildResult) -> str:
    """What became of each test, with the cases that failed."""
    rows = []
    for test in build.tests[:_ROWS]:
        bad = [case for case in test.cases if case.verdict in Verdict.BAD]
        told = [_case(case.group, case.name, case.verdict, case.message) for case in bad[:20]]
        more = f"<br>and {len(bad) - 20} more" if len(bad) > 20 else ""
        rows.append(
            (
                f"<code>{text(test.label, _WORDS)}</code>{''.join(told)}{more}",
                _test_verdict(test),
                count_text(len(test.cases)),
                count_text(test.count(Verdict.SKIPPED)) if test.count(Verdict.SKIPPED) else _NONE,
                text(time_text(test.seconds)) if test.cases and not test.is_cached else _NONE,
            )
        )
    passed = sum(test.passed for test in build.tests)
    head = ("test", "result", "cases", "skipped", "time")
    caption = f"{count_text(passed)} of {count_text(len(build.tests))} passed"
    return section("Tests", table(caption, head, rows, numbers=(2, 3, 4)), _left_out(len(build.tests), _ROWS))


def _case(group: str, name: str, verdict: str, message: str) -> str:
    where = f"{group}.{name}" if group else name
    why = f": {message}" if message else ""
    return f'<br><span class="no">{text(verdict)}</span> {text(where + why, _WORDS)}'


def _test_verdict(test: Suite) -> str:
    if test.passed:
        return '<span class="yes">passed</span>' + (" (cached)" if test.is_cached else "")
    if not test.cases:
        return f'<span class="no">not run</span>: {text(test.problem, _WORDS)}'
    if test.is_timed_out:
        return '<span class="no">timed out</span>'
    return f'<span class="no">{count_text(test.count(*Verdict.BAD))} failed</span>'


def critical_path(build: BuildResult) -> str:
    """The actions that a build cannot do quicker than one behind the other."""
    path = [build.outcomes[number] for number in build.critical_path()]
    if not path:
        return ""
    whole = sum(outcome.seconds for outcome in path)
    share = _share(whole, build.duration)
    caption = (
        f"Each needs the one above. Together they take {time_text(whole)}, {share} of the build: no number of jobs"
        " makes that less"
    )
    shown = _path(build, path[:_FEW], whole, caption) + _left_out(len(path), _FEW)
    if len(path) > _SHORT:
        slowest = sorted(path, key=lambda outcome: -outcome.seconds)[: _SHORT // 2]
        count = count_text(len(path))
        told = f"The longest of {count} that take {time_text(whole)} together, {share} of the build: no number of jobs"
        shown = _path(build, slowest, whole, f"{told} makes that less") + folded(
            f"All {count}, each needs the one above", shown
        )
    return section("Critical path", shown)


def _path(build: BuildResult, path: Sequence[Outcome], whole: float, caption: str) -> str:
    rows = [
        (
            f"<code>{text(str(outcome.action), _WORDS)}</code>",
            text(time_text(build.begin_of(outcome))),
            text(time_text(outcome.seconds)),
            bar(outcome.seconds / whole * 0.999 if whole else 0.0),
        )
        for outcome in path
    ]
    return table(caption, ("action", "start", "time", ""), rows, numbers=(1, 2))


def actions(build: BuildResult) -> str:
    """Every action, why it ran, how long it took and how it ended; those that were up to date are folded."""
    critical = frozenset(build.critical_path())
    chosen = [(number, outcome) for number, outcome in enumerate(build.outcomes) if outcome.status != Status.UP_TO_DATE]
    chosen.sort(key=lambda one: (one[1].ended <= 0, one[1].began))
    rows = [_row(build, outcome, is_critical=number in critical) for number, outcome in chosen[:_ROWS]]
    head = ("action", "", "why", "start", "time", "exit", "CPU time", "memory")
    fresh = [outcome for outcome in build.outcomes if outcome.status == Status.UP_TO_DATE]
    names = [(f"<code>{text(str(outcome.action), _WORDS)}</code>",) for outcome in fresh[:_ROWS]]
    return section(
        "Actions",
        f'<div class="sifted">{table("In the order of their start", head, rows, numbers=range(3, 8))}</div>'
        if rows
        else "",
        _left_out(len(chosen), _ROWS),
        folded(
            f"{count_text(len(fresh))} were up to date",
            table("Up to date", ("action",), names) + _left_out(len(fresh), _ROWS),
        )
        if fresh
        else "",
    )


def _row(build: BuildResult, outcome: Outcome, *, is_critical: bool) -> tuple[str, ...]:
    result = outcome.result
    mark = ' <span class="dot" title="on the critical path">●</span>' if is_critical else ""
    usage = None if result is None or result.cached or not result.usage.measured_by else result.usage
    note_of = f'<br><span class="off">not kept: {text(outcome.note, _WORDS)}</span>' if outcome.note else ""
    return (
        f"<code>{text(str(outcome.action), _WORDS)}</code>{mark}",
        _TOLD[outcome.status],
        text(outcome.reason, _WORDS) + note_of,
        _number(build.begin_of(outcome), time_text) if outcome.ended > 0 else _NONE,
        _number(outcome.seconds, time_text) if outcome.ended > 0 else _NONE,
        _NONE if result is None else text(str(result.exit_code)),
        _NONE if usage is None else _number(usage.cpu_time, time_text),
        _NONE if usage is None or usage.peak_memory is None else _number(usage.peak_memory, size_text),
    )


def _number(number: float, written: Callable[[float], str]) -> str:
    """A number as people read it, with itself for who sorts."""
    return f'<data value="{number:g}">{text(written(number))}</data>'


def receipts(build: BuildResult) -> str:
    """What was enforced: a table for each kind of receipt, the most usual one first."""
    found: dict[Receipt, int] = {}
    for outcome in build.outcomes:
        if outcome.result is not None:
            found[outcome.result.receipt] = found.get(outcome.result.receipt, 0) + 1
    ordered = sorted(found.items(), key=lambda one: -one[1])
    content = []
    for index, (receipt, count) in enumerate(ordered[:8]):
        rows = [
            (
                text(record.name),
                enforced(record),
                '<span class="yes">yes</span>' if record.verified else _NONE,
                text(record.detail, _WORDS),
            )
            for record in receipt.records
            if record.asked
        ]
        caption = f"{count_text(count)} action{'s' * (count != 1)}, backend {receipt.backend or 'none'}"
        shown = table(caption, ("guarantee", "enforced by", "verified", ""), rows) or note(
            f"{caption}: nothing at all."
        )
        shown += "".join(note(remark) for remark in receipt.notes[:20])
        content.append(shown if index == 0 else folded(caption, shown))
    return section("Receipt", *content, _left_out(len(ordered), 8))


def _left_out(count: int, most: int) -> str:
    return note(f"The first {most} of {count_text(count)}.") if count > most else ""
