"""How mistakes in Builderfiles are shown: place, line, caret and hint of each."""

from __future__ import annotations

import os

from bldr.cli.messages import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.builderfile.workspace import Workspace
    from bldr.errors import BuilderfileError

__all__ = ["MISTAKE", "complain_of", "open_workspace", "shown_root"]

MISTAKE = 2  # a Builderfile cannot be understood, or does not fit the workspace
_MOST = 20  # mistakes that are shown


def complain_of(error: BuilderfileError) -> int:
    """Show an error and what else is wrong; return the exit status."""
    mistakes = (error, *error.also)
    for one in mistakes[:_MOST]:
        lines = [str(one), *one.excerpt.split("\n")] if one.excerpt else [str(one)]
        say("\n".join([*lines, f"hint: {one.hint}"] if one.hint else lines))
    if len(mistakes) > _MOST:
        say(f"{len(mistakes) - _MOST} more mistakes")
    return MISTAKE


def shown_root(root: str, directory: str) -> str:
    """Return the way to a workspace as a caller in a directory types it; empty when that is its root."""
    way = os.path.relpath(root, directory)
    return "" if way == "." else way


def open_workspace(directory: str) -> Workspace:
    """Return the workspace that a directory belongs to.

    Raises:
        BuilderfileError: There is none, or something is wrong with it.
    """
    from bldr.builderfile.memory import Memory
    from bldr.builderfile.tree import find_root
    from bldr.builderfile.workspace import load

    root = find_root(directory)
    return load(root, shown=shown_root(root, directory), memory=Memory(root))
