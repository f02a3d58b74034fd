"""All sets over a small alphabet of paths are compared with a naive oracle: the set of their points.

An oracle is a number whose bits are points: the paths of the alphabet, and beneath each of them one path without a name
in the alphabet, which stands for everything else there. A set is built for *every* way to put the paths of the alphabet
inside or outside, so no case is left out up to that size.
"""

from __future__ import annotations

from collections.abc import Iterator

from bldr.model.paths import PathSet, is_within, join, parent

SMALL = ("/", "/a", "/b", "/a/a", "/a/b", "/b/a", "/a/a/a", "/a/a/b")
LARGE = (
    "/",
    *(f"/{x}" for x in "ab"),
    *(f"/{x}/{y}" for x in "ab" for y in "ab"),
    *(f"/{x}/{y}/{z}" for x in "ab" for y in "ab" for z in "ab"),
)


def points_of(alphabet: tuple[str, ...]) -> tuple[str, ...]:
    return (*alphabet, *(join(path, "other") for path in alphabet))


def sets_over(alphabet: tuple[str, ...]) -> Iterator[tuple[PathSet, int]]:
    """Yield every set with its oracle; parents come before children in the alphabet."""
    size = len(alphabet)

    def extended(index: int, built: PathSet, bits: int) -> Iterator[tuple[PathSet, int]]:
        if index == size:
            yield built, bits
            return
        subtree = PathSet.subtree(alphabet[index])
        both = (1 << index) | (1 << (size + index))
        yield from extended(index + 1, built | subtree, bits | both)
        yield from extended(index + 1, built - subtree, bits)

    return extended(0, PathSet.empty(), 0)


def points_in(built: PathSet, points: tuple[str, ...]) -> int:
    return sum(1 << index for index, point in enumerate(points) if point in built)


def test_every_set_holds_its_points_and_is_unlike_every_other() -> None:
    points = points_of(LARGE)
    seen = set()
    for built, bits in sets_over(LARGE):
        assert points_in(built, points) == bits
        seen.add(built)

    assert len(seen) == 2 ** len(LARGE)


def test_every_mark_is_where_membership_differs_from_the_parent() -> None:
    for built, bits in sets_over(SMALL):
        inside = {path: bool(bits >> index & 1) for index, path in enumerate(SMALL)}
        marks = {
            path: here for path, here in inside.items() if here != (inside[parent(path)] if path != "/" else False)
        }

        assert dict(built.marks()) == marks
        assert set(built.roots()) == {path for path, here in marks.items() if here}
        assert set(built.holes()) == {path for path, here in marks.items() if not here}
        assert bool(built) == bool(bits)


def test_every_question_about_a_subtree_is_answered_like_the_oracle() -> None:
    points = points_of(SMALL)
    beneath = {path: sum(1 << index for index, point in enumerate(points) if is_within(point, path)) for path in SMALL}
    for built, bits in sets_over(SMALL):
        for path, mask in beneath.items():
            assert built.covers(path) == (bits & mask == mask)
            assert built.touches(path) == (bits & mask != 0)
            assert points_in(built.under(path), points) == bits & mask


def test_every_operation_on_every_pair_gives_the_set_of_the_oracle() -> None:
    """The result is the very set that stands for these points, so it is canonical as well."""
    known = {bits: built for built, bits in sets_over(SMALL)}
    everything = (1 << 2 * len(SMALL)) - 1
    for ones, a in known.items():
        assert ~a == known[everything ^ ones]
        for twos, b in known.items():
            assert a & b == known[ones & twos]
            assert a | b == known[ones | twos]
            assert a - b == known[ones & ~twos]


def test_every_comparison_of_every_pair_agrees_with_the_oracle() -> None:
    known = {bits: built for built, bits in sets_over(SMALL)}
    for ones, a in known.items():
        for twos, b in known.items():
            assert (a <= b) == (ones & ~twos == 0)
            assert a.isdisjoint(b) == (ones & twos == 0)
            assert (a == b) == (ones == twos)
            assert a ^ b == known[ones ^ twos]
