"""The page: nothing of the command becomes markup, nothing is unbounded, and little is enough."""

from __future__ import annotations

import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bldr.model.result import ExecutionResult, Termination, Violation
from bldr.report.html import Run, render, verdict
from tests.unit.report.runs import build_run, hostile_run, tiny_run

GOLDEN = Path(__file__).parents[2] / "golden" / "report" / "tiny.html"
VOID = {"meta", "br"}


class Reader(HTMLParser):
    """Checks that elements are closed in order, and collects what there is."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: dict[str, list[str]] = {}
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self.open[-1] if self.open else "", []).append(data)


def data_of(page: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    content: dict[str, object] = json.loads(found[1])
    return content


def test_a_small_page_word_for_word() -> None:
    page = render(tiny_run())
    page = re.sub(r"<style>.*?</style>", "<style></style>", page, flags=re.DOTALL)
    page = re.sub(r"<script>.*?</script>", "<script></script>", page, flags=re.DOTALL)
    page = re.sub(r"sha256-[^']*", "sha256-…", page)
    if os.environ.get("BLDR_UPDATE_GOLDEN"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(page, encoding="utf-8")

    assert page == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize("run", [build_run(), tiny_run(), hostile_run()], ids=["build", "tiny", "hostile"])
def test_a_page_is_well_formed_and_asks_for_nothing(run: Run) -> None:
    page = render(run)
    reader = Reader(page)

    assert reader.tags.isdisjoint({"img", "link", "iframe", "object", "embed", "form", "base", "a"})
    assert reader.attributes.isdisjoint({"src", "href", "style", "action", "onload", "onerror"})
    assert page.count("<script") == 2
    assert page.isprintable() or all(character.isprintable() or character == "\n" for character in page)
    assert page.encode()
    assert page == render(run)


def test_what_the_command_chose_is_shown_as_text() -> None:
    page = render(hostile_run())

    assert "\\x1b[31mred\\x07\\x00" in page
    assert "caf\\xe9" in page
    assert "\\u202egnp.exe" in page
    assert "&lt;img src=x" in page
    tips = data_of(page)["tips"]
    assert isinstance(tips, list)
    assert tips[0][0].startswith("</script>")


def test_a_page_of_a_huge_run_stays_small_and_says_what_it_leaves_out() -> None:
    page = render(hostile_run(5000))

    assert len(page.encode()) < 4_000_000
    assert "5,000 seen" in page
    assert "those that ran longest" in page
    assert "The first 500 of 5,000." in page
    assert "of them drawn with all peaks" in page


def test_limits_are_drawn_to_scale_or_named() -> None:
    page = render(build_run())

    assert page.count('<line class="limit"') == 2
    assert "limit 1.46 GiB</text>" in page
    assert "limit 128 processes and threads ↑</text>" in page
    assert '<g class="process bad"' in page


def test_the_table_of_the_post_mortem_is_a_tree() -> None:
    page = render(build_run())

    assert "└ gcc -c module_39.c" in page
    assert "waits for a device in <code>folio_wait_bit_common</code>" in page


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"exit_code": 0}, "succeeded"),
        ({"exit_code": 3}, "failed with status 3"),
        ({"exit_code": 139, "termination": Termination.SIGNALED, "signal": 11}, "ended by signal 11"),
        ({"exit_code": 124, "termination": Termination.TIMED_OUT}, "ended by bldr: timed out"),
        ({"exit_code": 137, "termination": Termination.CANCELLED}, "cancelled"),
        (
            {
                "exit_code": 124,
                "termination": Termination.LIMIT_REACHED,
                "violations": (Violation("cpu_time", "", 1, 1),),
            },
            "ended by bldr: cpu time limit reached",
        ),
    ],
)
def test_the_verdict(changes: dict[str, object], words: str) -> None:
    assert verdict(ExecutionResult(("x",), **changes))[0] == words  # type: ignore[arg-type]
