"""Directory trees for tests of the store."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def picture(root: Path) -> dict[str, object]:
    """Return everything of a tree that has to come back from the cache."""
    found: dict[str, object] = {}
    for directory, names, files in os.walk(root):
        for name in (*names, *files):
            path = Path(directory, name)
            about = path.lstat()
            mode = stat.S_IMODE(about.st_mode)
            key = str(path.relative_to(root))
            if path.is_symlink():
                found[key] = ("link", os.readlink(path))
            elif path.is_dir():
                found[key] = ("directory", mode)
            else:
                found[key] = ("file", mode, path.read_bytes())
    return found
