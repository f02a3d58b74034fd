"""Patterns against an oracle: every file of the tree, matched by a regular expression."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bldr.builderfile.globs import excluded, files_of
from bldr.builderfile.tree import Tree

_names = st.sampled_from(["a", "b", "ab", ".h", "a.c", "b.c", "[a]", "-"])
_paths = st.lists(_names, min_size=1, max_size=4).map("/".join)
_parts = st.sampled_from(["a", "b", "*", "**", "a*", "*.c", "?", "[ab]", "[!a]", ".*", "*b*", "[[]a]"])
_patterns = st.lists(_parts, min_size=1, max_size=4).map("/".join)


def tree_of(root: Path, paths: set[str]) -> list[str]:
    """Make the files that can stand beside each other, and return them."""
    made = []
    for path in sorted(paths):
        file = root / path
        if any((root / parent).is_file() for parent in Path(path).parents) or file.exists():
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        made.append(path)
    return made


def expression(pattern: str, *, hidden: bool) -> str:
    """The regular expression of a pattern, written down independently of the walk."""
    visible = "" if hidden else r"(?!\.)"
    found = ""
    parts = pattern.split("/")
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if part == "**":
            found += rf"(?:{visible}[^/]+/)*{visible}[^/]+" if last else rf"(?:{visible}[^/]+/)*"
            continue
        wild = any(mark in part for mark in "*?[")
        found += visible if wild and not part.startswith(".") else ""
        found += "".join(map(_one, re.findall(r"\[!?.[^]]*\]|.", part))) + ("" if last else "/")
    return found


def _one(token: str) -> str:
    if token == "*":
        return "[^/]*"
    if token == "?":
        return "[^/]"
    if token.startswith("[") and token.endswith("]"):
        inner = token[1:-1]
        return f"[^{re.escape(inner[1:])}]" if inner.startswith("!") else f"[{re.escape(inner)}]"
    return re.escape(token)


@given(st.sets(_paths, max_size=8), _patterns)
def test_the_walk_finds_what_the_expression_matches(paths: set[str], pattern: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        made = tree_of(Path(directory), paths)
        regex = re.compile(expression(pattern, hidden=False))
        folders = {str(parent) for path in made for parent in Path(path).parents}
        if not any(mark in pattern.rsplit("/", maxsplit=1)[-1] for mark in "*?[") and any(
            map(regex.fullmatch, folders)
        ):
            return  # a folder that is named is an error

        expected = filter(regex.fullmatch, made)
        assert files_of(pattern, Tree(directory)) == sorted(expected, key=lambda path: path.split("/"))


@given(_paths, _patterns)
def test_an_exclusion_takes_away_what_the_expression_matches(path: str, pattern: str) -> None:
    assert excluded(path, pattern) is bool(re.fullmatch(expression(pattern, hidden=True), path))
