"""Commits the difference of two directories, and is killed before a step: ``committing.py TREE COPY STEP``."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2] / "src")]

from bldr.execution.changes import compare, take_snapshot  # noqa: E402
from bldr.execution.commit import commit  # noqa: E402


def main(tree: str, copy: str, step: int) -> None:
    root, layer = (os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (tree, copy))
    left = [step]

    def on_step(_path: str) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    commit(root, layer, compare(layer, root, is_whole=True), take_snapshot(root), name=tree, on_step=on_step)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
