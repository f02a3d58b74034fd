"""The laws of a Boolean algebra hold for sets of paths, and membership is what the marks say."""

from __future__ import annotations

import pickle

from hypothesis import given
from hypothesis import strategies as st

from bldr.model.paths import PathSet, components, is_within, join, normalize, parent
from tests.property.path_strategies import NAMES, path_sets, paths

EMPTY, ALL = PathSet.empty(), PathSet.everything()

three = st.tuples(path_sets, path_sets, path_sets)
two = st.tuples(path_sets, path_sets)


@given(three)
def test_union_and_intersection_are_associative(sets: tuple[PathSet, PathSet, PathSet]) -> None:
    a, b, c = sets

    assert (a | b) | c == a | (b | c)
    assert (a & b) & c == a & (b & c)
    assert (a ^ b) ^ c == a ^ (b ^ c)


@given(two)
def test_union_and_intersection_are_commutative(sets: tuple[PathSet, PathSet]) -> None:
    a, b = sets

    assert a | b == b | a
    assert a & b == b & a
    assert a ^ b == b ^ a


@given(three)
def test_union_and_intersection_distribute_over_each_other(sets: tuple[PathSet, PathSet, PathSet]) -> None:
    a, b, c = sets

    assert a & (b | c) == (a & b) | (a & c)
    assert a | (b & c) == (a | b) & (a | c)
    assert a & (b ^ c) == (a & b) ^ (a & c)


@given(two)
def test_the_laws_of_de_morgan_hold(sets: tuple[PathSet, PathSet]) -> None:
    a, b = sets

    assert ~(a | b) == ~a & ~b
    assert ~(a & b) == ~a | ~b


@given(two)
def test_union_and_intersection_absorb_each_other(sets: tuple[PathSet, PathSet]) -> None:
    a, b = sets

    assert a | (a & b) == a
    assert a & (a | b) == a


@given(path_sets)
def test_a_set_and_its_complement_are_everything_and_nothing(a: PathSet) -> None:
    assert a | ~a == ALL
    assert a & ~a == EMPTY
    assert ~~a == a
    assert ~a != a


@given(path_sets)
def test_empty_and_everything_are_neutral_and_absorbing(a: PathSet) -> None:
    assert a | EMPTY == a == a & ALL
    assert a | ALL == ALL
    assert a & EMPTY == EMPTY


@given(path_sets)
def test_operations_of_a_set_with_itself_are_idempotent(a: PathSet) -> None:
    assert a | a == a == a & a
    assert a - a == a ^ a == EMPTY


@given(three)
def test_operations_are_monotone(sets: tuple[PathSet, PathSet, PathSet]) -> None:
    a, b, c = sets
    smaller, larger = a & b, a

    assert smaller <= larger
    assert smaller | c <= larger | c
    assert smaller & c <= larger & c
    assert smaller - c <= larger - c
    assert c - larger <= c - smaller
    assert ~larger <= ~smaller


@given(two)
def test_difference_is_intersection_with_the_complement(sets: tuple[PathSet, PathSet]) -> None:
    a, b = sets

    assert a - b == a & ~b
    assert (a - b) | (a & b) == a
    assert a ^ b == (a - b) | (b - a)


@given(two)
def test_comparisons_agree_with_the_operations(sets: tuple[PathSet, PathSet]) -> None:
    a, b = sets

    assert (a <= b) == (a | b == b) == (a & b == a) == (b >= a)
    assert (a < b) == (a <= b and a != b) == (b > a)
    assert a.isdisjoint(b) == (a & b == EMPTY) == (not a & b)


@given(two)
def test_equal_sets_have_equal_hashes_and_marks(sets: tuple[PathSet, PathSet]) -> None:
    a, b = sets
    again = (a - b) | (b & a)

    assert hash(again) == hash(a)
    assert again.marks() == a.marks()
    assert (a == b) == (a.marks() == b.marks())


@given(path_sets, paths)
def test_membership_is_decided_by_the_most_specific_mark(a: PathSet, path: str) -> None:
    above = [inside for mark, inside in a.marks() if is_within(path, mark)]

    assert (path in a) == (above[-1] if above else False)


@given(two, paths)
def test_a_path_is_in_a_combination_as_it_is_in_the_parts(sets: tuple[PathSet, PathSet], path: str) -> None:
    a, b = sets

    assert (path in a | b) == (path in a or path in b)
    assert (path in a & b) == (path in a and path in b)
    assert (path in a - b) == (path in a and path not in b)
    assert (path in a ^ b) == ((path in a) != (path in b))
    assert (path in ~a) == (path not in a)


@given(path_sets)
def test_a_set_is_rebuilt_from_its_marks(a: PathSet) -> None:
    rebuilt = EMPTY
    for path, inside in a.marks():
        rebuilt = rebuilt | PathSet.subtree(path) if inside else rebuilt - PathSet.subtree(path)

    assert rebuilt == a
    assert sorted((*a.roots(), *a.holes()), key=components) == [path for path, _ in a.marks()]


@given(path_sets)
def test_no_mark_repeats_what_is_true_already(a: PathSet) -> None:
    for path, inside in a.marks():
        assert (path in a) is inside
        assert path == "/" or (parent(path) in a) is not inside


@given(path_sets, paths)
def test_covers_and_touches_speak_of_whole_subtrees(a: PathSet, path: str) -> None:
    subtree = PathSet.subtree(path)

    assert a.covers(path) == (subtree <= a)
    assert a.touches(path) == (not subtree.isdisjoint(a))
    assert a.under(path) == a & subtree


@given(st.lists(paths, max_size=12))
def test_a_set_of_paths_is_the_union_of_their_subtrees(several: list[str]) -> None:
    union = EMPTY
    for path in several:
        union |= PathSet.subtree(path)

    assert PathSet.of(several) == union == PathSet.of(reversed(several))
    assert union.holes() == ()


@given(path_sets)
def test_a_set_survives_pickling(a: PathSet) -> None:
    assert pickle.loads(pickle.dumps(a)) == a


@given(st.lists(st.sampled_from((*NAMES, ".", "")), max_size=6))
def test_normalizing_twice_changes_nothing(parts: list[str]) -> None:
    once = normalize("/" + "/".join(parts))

    assert normalize(once) == once
    assert components(once) == tuple(part for part in parts if part not in ("", "."))


@given(paths, st.sampled_from(NAMES))
def test_a_parent_undoes_a_join(path: str, name: str) -> None:
    inner = join(path, name)

    assert parent(inner) == path
    assert is_within(inner, path)
    assert not is_within(path, inner)
    assert normalize(inner) == inner
