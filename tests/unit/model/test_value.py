"""Values: what a frozen, slotted dataclass would do."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from bldr.model.value import ValueClass, replace, value


@value
class Point:
    """A point."""

    x: int
    y: int = 0
    label: str = ""

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("x is negative")
        object.__setattr__(self, "label", self.label.strip())

    @property
    def sum(self) -> int:
        return self.x + self.y


@value
class Other:
    x: int
    y: int = 0
    label: str = ""


@value
class Nothing:
    """No field at all."""


def test_fields_are_given_by_place_or_name_and_have_defaults() -> None:
    assert Point(1, 2) == Point(1, y=2) == Point(x=1, y=2, label="")
    assert Point(1).y == 0
    assert Point(1, 2).sum == 3
    assert Nothing() == Nothing()


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, "Point needs 'x'"),
        ((1, 2, "", 4), {}, "Point takes 3 arguments, got 4"),
        ((1,), {"z": 1}, "Point has no argument 'z'"),
        ((1,), {"x": 1}, "Point has no argument 'x'"),
    ],
)
def test_wrong_arguments_are_type_errors(args: tuple[Any, ...], kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Point(*args, **kwargs)


def test_a_value_is_checked_and_normalised_when_it_is_made() -> None:
    assert Point(1, label="  a ").label == "a"
    with pytest.raises(ValueError, match="negative"):
        Point(-1)


def test_a_value_cannot_change() -> None:
    point = Point(1)

    with pytest.raises(AttributeError):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        point.z = 2  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        del point.x
    assert not hasattr(point, "__dict__")


def test_values_compare_and_hash_by_class_and_fields() -> None:
    assert hash(Point(1, 2)) == hash(Point(1, 2))
    assert Point(1, 2) != Point(2, 1)
    others: list[object] = [Other(1), (1, 0, ""), None]
    assert Point(1) not in others
    assert len({Point(1), Point(1), Point(2)}) == 2


def test_a_changed_copy_is_checked_again() -> None:
    assert replace(Point(1, 2), y=3) == Point(1, 3)
    with pytest.raises(ValueError, match="negative"):
        replace(Point(1), x=-1)
    with pytest.raises(TypeError):
        replace(Point(1), z=1)


def test_a_value_survives_pickling_and_copying() -> None:
    point = Point(1, 2, "a")

    assert pickle.loads(pickle.dumps(point)) == point
    assert copy.copy(point) == copy.deepcopy(point) == point


def test_a_value_shows_its_fields() -> None:
    assert repr(Point(1, 2)) == "Point(x=1, y=2, label='')"
    assert repr(Other(frozenset("cab"))) == "Other(x=frozenset({'a', 'b', 'c'}), y=0, label='')"  # type: ignore[arg-type]
    match Point(1, 2):
        case Point(x, y):
            assert (x, y) == (1, 2)


class Family(metaclass=ValueClass):
    """What several values have in common."""


@value
class Member(Family):
    x: int
    y: int = 0

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("x is negative")


def test_a_class_that_was_made_as_a_value_is_like_any_other() -> None:
    made = Member(1)

    assert (made, hash(made), repr(made)) == (Member(1, y=0), hash(Member(1)), "Member(x=1, y=0)")
    assert (replace(made, y=2), pickle.loads(pickle.dumps(made))) == (Member(1, 2), made)
    assert not hasattr(made, "__dict__")
    assert isinstance(made, Family)
    with pytest.raises(AttributeError, match="is a value"):
        made.x = 2  # type: ignore[misc]
    with pytest.raises(ValueError, match="negative"):
        Member(-1)
    with pytest.raises(TypeError, match="needs 'x'"):
        Member()  # type: ignore[call-arg]
