"""The receipt as ``-v`` shows it."""

from __future__ import annotations

from bldr.cli.receipt import render
from bldr.cli.tables import BAD, GOOD, aligned, coloured
from bldr.model.receipt import Guarantee, GuaranteeRecord, Receipt
from bldr.model.result import ExecutionResult, ResourceUsage

RECORDS = tuple(GuaranteeRecord(name, True, ("namespace",), True) for name in Guarantee.PROFILE)


def result(*records: GuaranteeRecord, notes: tuple[str, ...] = ()) -> ExecutionResult:
    usage = ResourceUsage(wall_time=1.234, cpu_time=0.5, peak_memory=3 << 20)
    return ExecutionResult(("true",), 0, usage=usage, receipt=Receipt(records, "linux-namespaces", notes))


def test_every_line_has_the_prefix_and_every_guarantee_its_row() -> None:
    lines = render(result(*RECORDS), colours=False).splitlines()

    assert all(line.startswith("bldr: ") for line in lines)
    assert lines[0] == "bldr: hermetic (backend: linux-namespaces)"
    assert [line.split()[1] for line in lines[2:-1]] == list(Guarantee.PROFILE)
    assert lines[-1] == "bldr: used: 1.23 s, 0.50 s of CPU time, 3.0 MiB of memory"


def test_what_nothing_enforced_is_said() -> None:
    missing = GuaranteeRecord(Guarantee.NO_NETWORK, asked=True, detail="why")
    text = render(result(missing, GuaranteeRecord(Guarantee.MEMORY_LIMIT, asked=False)), colours=False)

    assert "not hermetic" in text
    assert text.splitlines()[2].split() == ["bldr:", "no-network", "nothing", "-", "why"]
    assert "not asked for" in text.splitlines()[3]


def test_notes_are_shown_and_cannot_write_on_the_terminal() -> None:
    text = render(result(*RECORDS, notes=("a \x1b[2J note",)), colours=False)

    assert "bldr: note: a \\x1b[2J note\n" in text


def test_colours_change_nothing_but_colours() -> None:
    plain = render(result(*RECORDS), colours=False)
    colourful = render(result(*RECORDS), colours=True)

    assert colourful.count(f"\x1b[{GOOD}m") == 1 + len(RECORDS)
    assert colourful.replace(f"\x1b[{GOOD}m", "").replace("\x1b[0m", "") == plain


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert aligned([("a", "b", "c"), ("long", "", "x")]) == ["a     b  c", "long     x"]
    assert aligned([]) == []
    assert coloured("x", BAD, enabled=False) == "x"
