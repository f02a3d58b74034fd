"""Each way in which an action becomes stale has its reason, and nothing else makes it stale."""

from __future__ import annotations

import pytest

from bldr.engine.staleness import digest_of_names, why_stale
from bldr.engine.state import Record

NOW: dict[str, object] = {
    "command": "cc",
    "policy": "p",
    "toolchain": "t",
    "inputs": {"a.c": "1", "a.h": "2", "b.h": "3"},
    "outputs": {"a.o": "9"},
}
KNOWN = Record("cc", "p", "t", digest_of_names(["a.c", "a.h", "b.h"]), {"a.c": "1", "a.h": "2"}, {"a.o": "9"})


def test_the_same_is_up_to_date() -> None:
    assert why_stale(KNOWN, **NOW) == ""  # type: ignore[arg-type]


def test_what_was_not_read_may_change() -> None:
    now = {**NOW, "inputs": {"a.c": "1", "a.h": "2", "b.h": "other"}}

    assert why_stale(KNOWN, **now) == ""  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"command": "gcc"}, "its command changed"),
        ({"policy": "q"}, "its confinement changed"),
        ({"toolchain": "u"}, "the toolchain changed"),
        ({"inputs": {"a.c": "0", "a.h": "2", "b.h": "3"}}, "a.c changed"),
        ({"inputs": {"a.c": "1", "b.h": "3"}}, "a.h is gone"),
        ({"inputs": {"a.c": "1", "a.h": "2"}}, "it has other inputs than before"),
        ({"inputs": {"a.c": "1", "a.h": "2", "b.h": "3", "c.h": "4"}}, "it has other inputs than before"),
        ({"outputs": {}}, "a.o is missing"),
        ({"outputs": {"a.o": "8"}}, "a.o was changed by somebody else"),
        ({"outputs": {"a.o": "9", "b.o": "8"}}, "b.o was added by somebody else"),
    ],
)
def test_a_change_has_its_reason(change: dict[str, object], reason: str) -> None:
    assert why_stale(KNOWN, **{**NOW, **change}) == reason  # type: ignore[arg-type]


def test_what_was_never_built_is_stale() -> None:
    assert why_stale(None, **NOW) == "it was not built yet"  # type: ignore[arg-type]
