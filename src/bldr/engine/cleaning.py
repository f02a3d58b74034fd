"""The removal of what builds have made."""

from __future__ import annotations

import os

from _bldr_launcher.scratch import remove_tree
from bldr.engine.action import INTERMEDIATE
from bldr.engine.scripts import SCRIPTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.engine.state import State

__all__ = ["clean", "made_paths"]


def made_paths(root: str, state: State) -> list[str]:
    """Return what builds have made and is still there, relative to the workspace, sorted."""
    found: set[str] = set()
    for name in state.names():
        record = state.record(name)
        if record is not None:
            found.update(path for path in record.outputs if os.path.lexists(os.path.join(root, path)))
    return sorted(found)


def clean(root: str, state: State) -> int:
    """Remove what builds have made, the folders that are empty then, and all records; returns how many files.

    Args:
        root: The absolute path of the workspace.
        state: What was built.

    Raises:
        OSError: Something cannot be removed. What was removed stays so, and is forgotten the next time.
    """
    made = made_paths(root, state)
    paths = [path for path in made if not path.endswith("/")]
    folders = {path.rstrip("/") for path in made if path.endswith("/")}
    for path in paths:
        place = os.path.join(root, path)
        if os.path.isdir(place) and not os.path.islink(place):
            continue  # somebody has put a folder there
        os.unlink(place)
        folder = os.path.dirname(path)
        while folder:
            folders.add(folder)
            folder = os.path.dirname(folder)
    for folder in sorted(folders, key=lambda one: -one.count("/")):
        try:
            os.rmdir(os.path.join(root, folder))
        except OSError:
            continue  # there is something else in it
    for path in (INTERMEDIATE, SCRIPTS):
        remove_tree(os.path.join(root, path))
    state.forget(state.names())
    return len(paths)
