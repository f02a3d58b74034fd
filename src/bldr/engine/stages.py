"""Where an action writes: fresh folders, mounted in place of those of the workspace that its outputs lie in.

A folder that holds outputs may hold inputs, too. They are copied into the stage so that the command sees them, and go
with it: only what is declared is taken out.
"""

from __future__ import annotations

import os
import stat

from _bldr_launcher.scratch import remove_tree
from bldr.builderfile.places import within
from bldr.errors import EngineError
from bldr.store.blobs import copy_content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from bldr.engine.action import Action

__all__ = ["Stages", "copy_file", "copy_folder", "stage_folders"]

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def stage_folders(action: Action) -> tuple[str, ...]:
    """Return the folders of the workspace that are staged for an action, sorted; none lies in another one.

    A folder that is an output stands for itself, a file for the folder that it lies in. The workspace itself is an
    empty text.
    """
    folders = {path[:-1] if path.endswith("/") else path.rpartition("/")[0] for path in action.outputs}
    if action.depfile:
        folders.add(action.depfile.rpartition("/")[0])
    found: list[str] = []
    for folder in sorted(folders, key=lambda path: (path.count("/") if path else -1, path)):
        if not any(within(folder, other) for other in found):
            found.append(folder)
    return tuple(sorted(found))


class Stages:
    """The stages of one execution of an action, in a directory of their own.

    Args:
        base: A directory with nothing but empty directories of earlier stages.
        root: The absolute path of the workspace.
        action: The action.
    """

    def __init__(self, base: str, root: str, action: Action) -> None:
        self._root = root
        self._action = action
        self.places = {folder: f"{base}/{number}" for number, folder in enumerate(stage_folders(action))}

    def make(self) -> None:
        """Make the folders, and those in them that outputs lie in.

        Raises:
            OSError: There is no space.
        """
        for place in self.places.values():
            os.makedirs(place, 0o755, exist_ok=True)
        for output in (*self._action.outputs, self._action.depfile):
            folder = output[:-1] if output.endswith("/") else output.rpartition("/")[0]
            if output:
                os.makedirs(self.place_of(folder), exist_ok=True)

    def copy_inputs(self) -> None:
        """Copy the inputs that lie in stages, so that the command sees them.

        Raises:
            EngineError: An input is missing.
            OSError: There is no space.
        """
        for path in self.copied():
            self._copy(path)

    def remove(self) -> None:
        """Remove everything."""
        for place in self.places.values():
            remove_tree(place)

    def copied(self) -> tuple[str, ...]:
        """Return the inputs that lie in a stage."""
        return tuple([path for path in self._action.inputs if self.holds(path)])

    def holds(self, path: str) -> bool:
        """Say whether a path of the workspace lies in a stage."""
        plain = path.rstrip("/")
        return any(within(plain, folder) for folder in self.places)

    def place_of(self, path: str) -> str:
        """Return where a path of the workspace is on the host while the action runs."""
        plain = path.rstrip("/")
        for folder, place in self.places.items():
            if plain == folder:
                return place
            if within(plain, folder):
                return f"{place}/{plain[len(folder) + 1 :] if folder else plain}"
        raise EngineError(f"{path!r} is in no stage of {self._action}", code="engine.graph")

    def _copy(self, path: str) -> None:
        source, target = os.path.join(self._root, path.rstrip("/")), self.place_of(path)
        made = [output.rstrip("/") for output in self._action.outputs]
        try:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if os.path.isdir(source):
                copy_folder(source, target, path.rstrip("/"), made)
            else:
                copy_file(source, target)
        except FileNotFoundError as error:
            raise EngineError(f"the input {path!r} does not exist", code="engine.input-missing") from error


def copy_folder(source: str, target: str, path: str = "", but: Iterable[str] = ()) -> None:
    """Copy what is in a folder, files with their modes and times.

    Args:
        source: The folder.
        target: Where to; it is made when it is missing.
        path: What the folder is called.
        but: What is left out, by that name.

    Raises:
        OSError: Something cannot be read, or there is no space.
    """
    os.makedirs(target, exist_ok=True)
    with os.scandir(source) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        inner = f"{path}/{entry.name}" if path not in ("", ".") else entry.name
        if inner in but:
            continue
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), f"{target}/{entry.name}")
        elif entry.is_dir(follow_symlinks=False):
            copy_folder(entry.path, f"{target}/{entry.name}", inner, but)
        elif entry.is_file(follow_symlinks=False):
            copy_file(entry.path, f"{target}/{entry.name}")


def copy_file(source: str, target: str) -> None:
    """Copy a file to where none is, with its mode and time.

    Raises:
        OSError: It cannot be read, or there is no space.
    """
    reading = os.open(source, _READ)
    try:
        about = os.fstat(reading)
        writing = os.open(target, _CREATE, 0o600)
        try:
            copy_content(reading, writing)
            os.fchmod(writing, stat.S_IMODE(about.st_mode))
            os.utime(writing, ns=(about.st_mtime_ns, about.st_mtime_ns))
        finally:
            os.close(writing)
    finally:
        os.close(reading)
