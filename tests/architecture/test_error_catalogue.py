"""``docs/errors.md`` and the code of errors agree, and every error behaves as an error has to."""

from __future__ import annotations

import ast
import inspect
import pickle
import re
from pathlib import Path

import pytest

import bldr.errors

ROOT = Path(__file__).parents[2]
CATALOGUE = ROOT / "docs" / "errors.md"
CODE = re.compile(r"(action|audit|builderfile|cache|commit|engine|learn|sandbox|spec)\.[a-z][a-z0-9-]*")

CLASSES = sorted(
    (cls for _, cls in inspect.getmembers(bldr.errors, inspect.isclass) if issubclass(cls, bldr.errors.BldrError)),
    key=lambda cls: cls.__name__,
)


def codes_in_sources() -> dict[str, str]:
    """Return each text in the sources that has the form of a code, with the file where it stands."""
    return {
        node.value: str(path.relative_to(ROOT))
        for path in sorted((ROOT / "src").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value)
    }


def codes_in_catalogue() -> list[str]:
    return re.findall(r"^### `([^`]+)`", CATALOGUE.read_text(encoding="utf-8"), re.MULTILINE)


def test_every_code_that_can_be_raised_is_documented() -> None:
    documented = codes_in_catalogue()
    missing = {code: place for code, place in codes_in_sources().items() if code not in documented}

    assert missing == {}, f"write an entry in {CATALOGUE.relative_to(ROOT)}"


def test_every_documented_code_can_be_raised() -> None:
    raised = codes_in_sources()

    assert [code for code in codes_in_catalogue() if code not in raised] == []


def test_the_catalogue_is_sorted_and_has_each_code_once() -> None:
    by_part: dict[str, list[str]] = {}
    for code in codes_in_catalogue():
        by_part.setdefault(code.split(".")[0], []).append(code)

    assert len(set(codes_in_catalogue())) == len(codes_in_catalogue())
    assert {part: sorted(codes) for part, codes in by_part.items()} == by_part


def test_an_entry_says_meaning_trigger_and_fix() -> None:
    entries = re.split(r"^### ", CATALOGUE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    incomplete = [
        entry.splitlines()[0]
        for entry in entries
        if not all(f"**{part}:**" in entry for part in ("Meaning", "Trigger", "Fix"))
    ]

    assert incomplete == []


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_a_class_has_a_code_of_its_own(cls: type[bldr.errors.BldrError]) -> None:
    if cls is not bldr.errors.BldrError:
        assert CODE.fullmatch(cls.code)
    assert [other.__name__ for other in CLASSES if other.code == cls.code] == [cls.__name__]
    assert cls.__name__ in bldr.errors.__all__


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_an_error_survives_pickling(cls: type[bldr.errors.BldrError]) -> None:
    error = cls("cannot read /ws/src: Permission denied", hint="chmod +r /ws/src")

    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is cls
    assert (str(copy), copy.code, copy.hint) == ("cannot read /ws/src: Permission denied", cls.code, "chmod +r /ws/src")
    assert vars(copy) == vars(error)
    assert repr(copy) == repr(error)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_a_code_given_to_the_constructor_wins(cls: type[bldr.errors.BldrError]) -> None:
    assert cls("x", code="spec.other").code == "spec.other"


def test_our_errors_are_caught_by_the_built_in_class_that_fits() -> None:
    assert issubclass(bldr.errors.SpecError, ValueError)
    assert issubclass(bldr.errors.SandboxSetupError, OSError)
    assert issubclass(bldr.errors.TimeLimitError, TimeoutError)
