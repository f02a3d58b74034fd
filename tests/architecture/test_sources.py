"""Rules for source files that a linter does not know."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "src"
MODULES = sorted(SOURCES.rglob("*.py"))
MOST_LINES = 600

# Rooms without a name, and suffixes of class names that say nothing (docs/glossary.md).
NAMELESS_MODULES = {"base", "common", "helper", "helpers", "manager", "misc", "util", "utils"}
NAMELESS_SUFFIXES = ("Base", "Factory", "Handler", "Helper", "Impl", "Manager", "Util", "Utils")

# Words that the glossary replaces, in the names that we define. Only words that never mean something else here.
AVOIDED_WORDS = {
    "artifact": "input or output",
    "blacklist": "deny",
    "checksum": "digest",
    "execroot": "input root",
    "fingerprint": "digest",
    "jail": "sandbox",
    "quota": "limit",
    "whitelist": "allow",
}


def relative(path: Path) -> str:
    return str(path.relative_to(SOURCES))


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def defined_names(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno


@pytest.fixture(params=MODULES, ids=relative)
def module(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_a_module_is_at_most_600_lines_long(module: Path) -> None:
    lines = len(module.read_text(encoding="utf-8").splitlines())

    assert lines <= MOST_LINES, f"{relative(module)} has {lines} lines: split it by what it holds"


def test_a_module_says_what_it_offers(module: Path) -> None:
    tree = tree_of(module)
    if not any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in tree.body):
        return
    assigned = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }

    assert "__all__" in assigned, f"{relative(module)} has no __all__"


def test_annotations_are_never_evaluated_at_import(module: Path) -> None:
    tree = tree_of(module)
    annotated = any(
        isinstance(node, ast.AnnAssign)
        or (isinstance(node, ast.arg) and node.annotation)
        or (isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns)
        for node in ast.walk(tree)
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "__all__")
    )
    if not annotated:
        return
    futures = {
        alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module == "__future__"
        for alias in node.names
    }

    assert "annotations" in futures, f"{relative(module)} lacks `from __future__ import annotations`"


def test_modules_and_classes_are_named_for_what_they_are(module: Path) -> None:
    tree = tree_of(module)
    classes = [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]

    assert module.stem not in NAMELESS_MODULES
    assert [name for name in classes if name.endswith(NAMELESS_SUFFIXES)] == []


def test_names_use_the_words_of_the_glossary(module: Path) -> None:
    avoided = [
        f"{relative(module)}:{line}: {name}: say {AVOIDED_WORDS[word]}"
        for name, line in defined_names(tree_of(module))
        for word in name.lower().split("_")
        if word in AVOIDED_WORDS
    ]

    assert avoided == []


def test_the_words_that_names_avoid_are_those_of_the_glossary() -> None:
    glossary = (SOURCES.parent / "docs" / "glossary.md").read_text(encoding="utf-8")

    assert [word for word in AVOIDED_WORDS if word not in glossary] == []


def test_only_the_module_of_system_calls_imports_ctypes(module: Path) -> None:
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree_of(module))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }

    assert not imported & {"ctypes", "_ctypes"} or relative(module) == "_bldr_launcher/syscalls.py"
