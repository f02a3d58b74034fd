"""Questions about graphs of targets."""

from __future__ import annotations

from itertools import islice

import pytest

from bldr.builderfile.graph import between, count_paths, cycles, paths, reachable, reversed_graph
from bldr.builderfile.label import Label


def graph_of(text: str) -> dict[Label, list[Label]]:
    """``a>bc b>c c`` is a graph of three."""
    found: dict[Label, list[Label]] = {}
    for word in text.split():
        name, _, deps = word.partition(">")
        found[Label("", name)] = [Label("", dep) for dep in deps]
    return found


def named(labels: object) -> str:
    return "".join(label.name for label in labels)  # type: ignore[attr-defined]


DIAMOND = graph_of("a>bc b>d c>d d e>d")


def test_what_a_target_needs_is_found() -> None:
    assert named(sorted(reachable(DIAMOND, [Label("", "a")]), key=str)) == "abcd"
    assert named(sorted(reachable(reversed_graph(DIAMOND), [Label("", "d")]), key=str)) == "abcde"


def test_paths_between_two_targets() -> None:
    first, last = Label("", "a"), Label("", "d")

    assert [named(path) for path in paths(DIAMOND, first, last)] == ["abd", "acd"]
    assert count_paths(DIAMOND, first, last) == 2
    assert named(sorted(between(DIAMOND, first, last), key=str)) == "abcd"


def test_there_may_be_no_path() -> None:
    assert list(paths(DIAMOND, Label("", "d"), Label("", "a"))) == []
    assert count_paths(DIAMOND, Label("", "d"), Label("", "a")) == 0
    assert between(DIAMOND, Label("", "e"), Label("", "a")) == set()


def test_a_target_reaches_itself() -> None:
    assert [named(path) for path in paths(DIAMOND, Label("", "a"), Label("", "a"))] == ["a"]
    assert count_paths(DIAMOND, Label("", "a"), Label("", "a")) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a>b b>c c", []),
        ("a>a", ["aa"]),
        ("a>b b>a", ["aba"]),
        ("c>a a>b b>c", ["abca"]),
        ("a>b b>cd c>a d>a", ["abca"]),
        ("a>b b>a c>d d>c e>ac", ["aba", "cdc"]),
        ("a>bc b>d c>a d>a", ["aca"]),  # the shortest one through the first target
    ],
)
def test_circles_are_spelled_out_once(text: str, expected: list[str]) -> None:
    assert [named(circle) for circle in cycles(graph_of(text))] == expected


def test_a_long_chain_does_not_recurse() -> None:
    count = 20_000
    chain = {Label("", f"t{n}"): [Label("", f"t{n + 1}")] for n in range(count)}
    chain[Label("", f"t{count}")] = []
    first, last = Label("", "t0"), Label("", f"t{count}")

    assert cycles(chain) == []
    assert count_paths(chain, first, last) == 1
    assert len(next(paths(chain, first, last))) == count + 1


def test_exponentially_many_paths_are_counted_and_the_first_come_at_once() -> None:
    ladder = {}
    for n in range(60):
        ladder[Label("", f"a{n}")] = [Label("", f"b{n}"), Label("", f"c{n}")]
        ladder[Label("", f"b{n}")] = ladder[Label("", f"c{n}")] = [Label("", f"a{n + 1}")]
    ladder[Label("", "a60")] = []
    ends = Label("", "a0"), Label("", "a60")

    assert count_paths(ladder, *ends) == 2**60
    assert len(list(islice(paths(ladder, *ends), 10))) == 10
