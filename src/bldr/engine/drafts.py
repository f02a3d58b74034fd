"""Copies of outputs beside their places, where these lie on another file system than ``.builder``.

Such a copy gets its name by one rename when it is whole. A build that is killed leaves it; the next one finds it in a
list that each copy is noted in before it is made.
"""

from __future__ import annotations

import os
import stat

from _bldr_launcher.scratch import remove_tree
from bldr.builderfile.places import STATE
from bldr.engine.stages import copy_file, copy_folder

__all__ = ["Drafts"]

_FILE = "drafts"
_PREFIX = ".bldr-draft-"


class Drafts:
    """The copies of one build, which holds the lock of the workspace; any thread may make one.

    Args:
        root: The absolute path of the workspace, which has a folder ``.builder``.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._list = os.path.join(root, STATE, _FILE)

    def remove_leftovers(self) -> None:
        """Remove what a build that was killed has left.

        Raises:
            OSError: A copy is there and cannot be removed.
        """
        try:
            with open(self._list, "rb") as file:
                listed = file.read().split(b"\0")
        except FileNotFoundError:  # nothing was begun
            return
        for name in listed[:-1]:  # behind the last one nothing was written yet
            path = os.fsdecode(name)
            place = os.path.join(self._root, path)
            if os.path.basename(path).startswith(_PREFIX) and ".." not in path.split("/") and os.path.lexists(place):
                remove_tree(place)
        os.unlink(self._list)

    def make(self, source: str, target: str) -> str:
        """Copy a file, a link or a folder into the folder of its place; returns the path of the copy.

        Raises:
            OSError: There is no space; nothing is left then.
        """
        draft = os.path.join(os.path.dirname(target), _PREFIX + os.urandom(8).hex())
        with open(self._list, "ab") as file:
            file.write(os.fsencode(os.path.relpath(draft, self._root)) + b"\0")
        try:
            if os.path.islink(source):
                os.symlink(os.readlink(source), draft)
            elif os.path.isdir(source):
                copy_folder(source, draft)
                _copy_modes(source, draft)
            else:
                copy_file(source, draft)
        except BaseException:
            self.drop(draft)
            raise
        return draft

    def drop(self, draft: str) -> None:
        """Remove a copy that is not needed; what cannot be removed now is left to the next build."""
        try:
            if os.path.lexists(draft):
                remove_tree(draft)
        except OSError:
            pass  # why it is not needed is what people have to know


def _copy_modes(source: str, target: str) -> None:
    """Give the folders of a copy the modes of the original, the inner ones first."""
    for folder, _, _ in os.walk(source, topdown=False):
        os.chmod(target + folder[len(source) :], stat.S_IMODE(os.lstat(folder).st_mode))
