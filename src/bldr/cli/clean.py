"""``bldr clean``: remove what builds have put into the workspace."""

from __future__ import annotations

import os

from bldr.builderfile.tree import find_root
from bldr.cli.diagnostics import complain_of, shown_root
from bldr.cli.messages import say
from bldr.cli.options import parse
from bldr.cli.request import caller_directory
from bldr.cli.verbs_of_builds import CLEAN
from bldr.engine.cleaning import clean, made_paths
from bldr.engine.lock import WorkspaceLock
from bldr.engine.state import State
from bldr.errors import BuilderfileError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """``bldr clean``."""
    parsed = parse(CLEAN, arguments)
    directory = caller_directory()
    try:
        root = find_root(directory)
    except BuilderfileError as error:
        return complain_of(error)
    with WorkspaceLock(root, wait=parsed.given("wait"), say=say), State(root) as state:
        if parsed.given("dry-run"):
            for path in made_paths(root, state):
                say(f"would remove {os.path.join(shown_root(root, directory), path)!r}")
            return 0
        removed = clean(root, state)
    if not parsed.given("quiet"):
        say(f"{removed} files removed")
    return 0
