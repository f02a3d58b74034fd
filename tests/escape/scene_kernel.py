"""Attempts on the kernel; nothing has to be set up."""

from __future__ import annotations

from tests.escape.stage import Tree, try_both, with_tree


def play(world: str) -> dict[str, object]:
    control, attempt = Tree(f"{world}/control"), Tree(f"{world}/attempt")
    return try_both("kernel", with_tree(attempt), control.places(), attempt.places())
