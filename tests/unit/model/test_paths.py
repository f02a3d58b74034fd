"""Paths and sets of them: the cases that have names. The laws are in tests/property."""

from __future__ import annotations

import operator
import os
import pickle
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from bldr.errors import InvalidPathError
from bldr.model.paths import PathSet, components, is_within, join, normalize, parent, printable

DEEP = "/d" * 2000


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("/", "/"),
        ("//", "/"),
        ("/./", "/"),
        ("/work/", "/work"),
        ("//work///src/./main.c", "/work/src/main.c"),
        ("/work/.git", "/work/.git"),
        ("/work/...", "/work/..."),
        ("/work/..hidden", "/work/..hidden"),
        (b"/work/\xff", "/work/\udcff"),
        (PurePosixPath("/work/a b"), "/work/a b"),
        ('/it\'s "x":y\n', '/it\'s "x":y\n'),
        ("/ü", "/ü"),
    ],
)
def test_a_path_has_one_spelling(given: str, expected: str) -> None:
    assert normalize(given) == expected


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("", "spec.path-invalid"),
        ("/a\0b", "spec.path-invalid"),
        ("/\ud800", "spec.path-invalid"),
        ("a", "spec.path-relative"),
        (".", "spec.path-relative"),
        ("~/x", "spec.path-relative"),
        (b"a/b", "spec.path-relative"),
        ("/a/../b", "spec.path-not-normalized"),
        ("/..", "spec.path-not-normalized"),
        ("/a/..", "spec.path-not-normalized"),
    ],
)
def test_a_path_that_cannot_be_meant_is_refused(given: str, code: str) -> None:
    with pytest.raises(InvalidPathError) as caught:
        normalize(given, what="input")

    assert caught.value.code == code
    assert caught.value.path == os.fsdecode(given)
    assert caught.value.hint
    assert "input" in caught.value.message


def test_the_refusal_of_two_dots_says_what_to_write_instead() -> None:
    with pytest.raises(InvalidPathError) as caught:
        normalize("/a/b/../../../c")

    assert "'/c'" in caught.value.hint


def test_something_that_is_no_path_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        normalize(7)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        PathSet.subtree(None)  # type: ignore[arg-type]


def test_paths_are_compared_by_components() -> None:
    assert is_within("/work/src", "/work")
    assert is_within("/work", "/work")
    assert is_within("/work", "/")
    assert not is_within("/workshop", "/work")
    assert not is_within("/work", "/work/src")


def test_the_root_has_no_components_and_is_its_own_parent() -> None:
    assert components("/") == ()
    assert parent("/") == "/"
    assert parent("/a") == "/"
    assert join("/", "a") == "/a"
    assert join("/a", "b/c") == "/a/b/c"
    assert join("/a", "") == "/a"


def test_work_does_not_contain_workshop() -> None:
    work = PathSet.subtree("/work")

    assert "/work" in work
    assert "/work/src" in work
    assert "/workshop" not in work
    assert "/wor" not in work
    assert "/" not in work
    assert work.isdisjoint(PathSet.subtree("/workshop"))


def test_the_most_specific_mark_decides() -> None:
    chosen = PathSet.subtree("/w") - PathSet.subtree("/w/out") | PathSet.subtree("/w/out/keep")

    assert "/w/src" in chosen
    assert "/w/out" not in chosen
    assert "/w/out/x" not in chosen
    assert "/w/out/keep/x" in chosen
    assert chosen.roots() == ("/w", "/w/out/keep")
    assert chosen.holes() == ("/w/out",)
    assert chosen.marks() == (("/w", True), ("/w/out", False), ("/w/out/keep", True))


def test_a_hole_that_is_filled_leaves_no_trace() -> None:
    work = PathSet.subtree("/w")
    filled = (work - PathSet.subtree("/w/out")) | PathSet.subtree("/w/out")

    assert filled == work
    assert hash(filled) == hash(work)


def test_a_path_inside_another_adds_nothing() -> None:
    assert PathSet.of(["/w", "/w/src", "/w/src/x", "/v"]).roots() == ("/v", "/w")
    assert PathSet.of(["/w", "/"]) == PathSet.everything()
    assert PathSet.of([]) == PathSet.empty()


def test_marks_are_sorted_by_component_with_parents_first() -> None:
    """By character ``/a-b`` would come between ``/a`` and ``/a/b``."""
    chosen = PathSet.subtree("/a") - PathSet.subtree("/a/b") | PathSet.subtree("/a-b")

    assert [path for path, _ in chosen.marks()] == ["/a", "/a/b", "/a-b"]


def test_a_subtree_is_covered_only_without_holes() -> None:
    chosen = PathSet.subtree("/w") - PathSet.subtree("/w/out")

    assert chosen.covers("/w/src")
    assert not chosen.covers("/w")
    assert chosen.touches("/")
    assert not chosen.contains("/")
    assert not chosen.touches("/w/out")
    assert chosen.under("/w/src") == PathSet.subtree("/w/src")


def test_a_set_with_everything_but_one_subtree_exists() -> None:
    rest = ~PathSet.subtree("/secret")

    assert "/" in rest
    assert "/secret/key" not in rest
    assert rest.roots() == ("/",)
    assert rest.holes() == ("/secret",)


def test_sets_do_not_mix_with_other_types() -> None:
    work = PathSet.subtree("/w")

    assert work != "/w"
    others: list[Any] = ["/w", {"/w"}, None]
    for other in others:
        for operation in (operator.or_, operator.and_, operator.sub, operator.xor, operator.le, operator.gt):
            with pytest.raises(TypeError):
                operation(work, other)


def test_asking_for_a_relative_path_is_an_error_and_not_no() -> None:
    with pytest.raises(InvalidPathError):
        assert "w/src" not in PathSet.subtree("/w")


def test_an_empty_set_is_false_and_any_other_is_true() -> None:
    assert not PathSet.empty()
    assert PathSet.everything()
    assert PathSet.subtree("/w")


def test_depth_is_not_bounded_by_the_recursion_limit() -> None:
    deep = PathSet.subtree(DEEP)
    holed = PathSet.subtree("/d") - deep

    assert holed | deep == PathSet.subtree("/d")
    assert holed & deep == PathSet.empty()
    assert ~~holed == holed
    assert DEEP not in holed
    assert DEEP + "/x" in deep
    assert parent(DEEP) in holed
    assert not holed.covers(parent(DEEP))
    assert holed.marks() == (("/d", True), (DEEP, False))
    assert pickle.loads(pickle.dumps(holed)) == holed
    assert repr(holed)
    assert is_within(DEEP, "/d/d")


def test_a_chain_of_alternating_marks_is_no_problem_either() -> None:
    chain = PathSet.empty()
    for depth in range(1, 300):
        chain = PathSet.subtree("/d" * depth) - chain if depth % 2 else chain ^ PathSet.subtree("/d" * depth)

    assert chain ^ chain == PathSet.empty()
    assert ("/d" * 299 in chain) != ("/d" * 299 in ~chain)


def test_the_text_of_a_set_shows_marks_and_stays_short() -> None:
    assert repr(PathSet.subtree("/w") - PathSet.subtree("/w/o")) == "PathSet(+'/w' -'/w/o')"
    assert repr(PathSet.empty()) == "PathSet()"
    assert len(repr(PathSet.of(f"/{n}" for n in range(10_000)))) < 200


def test_paths_of_any_kind_are_accepted_by_sets() -> None:
    assert PathSet.of([b"/w", Path("/v"), "/u/"]) == PathSet.of(["/u", "/v", "/w"])


def test_printable_text_can_be_encoded() -> None:
    assert printable("/w/\udcff\udcfeü") == "/w/\\xff\\xfeü"
    assert printable("plain") == "plain"
