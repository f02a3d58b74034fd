"""What can be imported from ``bldr``."""

from __future__ import annotations

import ast
import importlib
import pickle
from pathlib import Path

import pytest

import bldr
import bldr.errors

SOURCE = Path(bldr.__file__)


def test_every_public_name_is_there() -> None:
    missing = [name for name in bldr.__all__ if not hasattr(bldr, name)]

    assert missing == []
    assert set(dir(bldr)) == set(bldr.__all__)
    assert sorted(bldr.__all__, key=lambda name: (name[0].islower(), name)) == bldr.__all__


def test_the_names_that_type_checkers_see_are_those_that_programs_see() -> None:
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}

    assert set(seen) == set(bldr.__all__) - {"__version__"}
    for name, module in seen.items():
        assert getattr(importlib.import_module(str(module)), name) is getattr(bldr, name)


def test_every_error_is_public() -> None:
    assert set(bldr.errors.__all__) <= set(bldr.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'bldr' has no attribute 'SandboxSpeck'"):
        bldr.SandboxSpeck  # noqa: B018


@pytest.mark.parametrize(
    "value",
    [
        bldr.PathSet.subtree("/w") - bldr.PathSet.subtree("/w/o"),
        bldr.EnvSet.hermetic(),
        bldr.NetworkPolicy.allow_hosts(["a:1"]),
        bldr.Endpoint("a", 1),
        bldr.ResourceLimits.hermetic(),
        bldr.ProcessPolicy.hermetic(),
        bldr.Declaration("input", "/w", "/w"),
        bldr.HermeticSpecBuilder.for_build("/w", [], "out", "/t"),
        bldr.GuaranteeRecord("no-network", True, ("x",)),
        bldr.Receipt((), "b"),
        bldr.ResourceUsage(1.0),
        bldr.Violation("memory", "m", 1, 2),
        bldr.Denial("read", "/x"),
        bldr.ExecutionResult(("true",), 0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_public_value_survives_pickling(value: object) -> None:
    copy = pickle.loads(pickle.dumps(value))

    assert copy == value
    assert hash(copy) == hash(value)
    assert repr(copy) == repr(value)
