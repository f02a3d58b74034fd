"""The files of a workspace during a build: what each holds, looked at once.

What a path holds is a mapping of files to short texts. For a file that is its SHA-256 in hexadecimal, with its
permission bits where they are not 0644; a link in a folder is ``-> `` and its target. A folder is the files and links
in it, and the folders in it that are empty or whose bits are not 0755, with a ``/`` behind. A link that is named itself
is followed. What does not exist holds nothing.
"""

from __future__ import annotations

import os
import stat
import time

from bldr.builderfile.places import STATE
from bldr.errors import NotCacheableError
from bldr.store.blobs import hash_of_fd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import TypeAlias

    from bldr.store.inputroot import StatCache

    Content: TypeAlias = Mapping[str, str]

__all__ = ["Files", "Look", "content_of", "told"]

_PLAIN, _USUAL = 0o644, 0o755
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class Look:
    """One look at a path: names and metadata, before anything is read.

    Args:
        began: When it began, in nanoseconds since the epoch.
    """

    __slots__ = ("began", "folders", "found")

    def __init__(self, began: int) -> None:
        self.began = began
        self.found: dict[str, os.stat_result | str] = {}  # what was found there; a text where nothing has to be read
        self.folders: dict[str, os.stat_result] = {}

    @property
    def parts(self) -> dict[str, os.stat_result]:
        """Everything whose metadata tell whether something is another one now."""
        files = {name: about for name, about in self.found.items() if not isinstance(about, str)}
        return {**self.folders, **files}

    @staticmethod
    def at(place: str, path: str) -> Look:
        """Look at a file, or at the files in a folder.

        Args:
            place: Where it is on the host.
            path: What it is called.
        """
        look, path = Look(time.time_ns()), path.rstrip("/")
        try:
            about = os.stat(place)
        except (OSError, ValueError):  # what cannot be looked at counts as missing, and so as changed
            return look
        if stat.S_ISREG(about.st_mode):
            look.found[path] = about
        elif stat.S_ISDIR(about.st_mode):
            look.folders[path] = about
            look._walk(place, path)
        else:
            look.found[path] = "special"
        return look

    def _walk(self, place: str, path: str) -> None:
        stack = [(place, path)]
        while stack:
            folder, name = stack.pop()
            is_empty = True
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        inner = f"{name}/{entry.name}" if name not in ("", ".") else entry.name
                        if inner == STATE:
                            continue
                        is_empty = False
                        if entry.is_symlink():
                            self.found[inner] = f"-> {os.readlink(entry.path)}"
                        elif entry.is_dir(follow_symlinks=False):
                            self.folders[inner] = entry.stat(follow_symlinks=False)
                            stack.append((entry.path, inner))
                        elif entry.is_file(follow_symlinks=False):
                            self.found[inner] = entry.stat(follow_symlinks=False)
                        else:
                            self.found[inner] = "special"
            except OSError:
                self.found[name] = "unreadable"
                continue
            bits = stat.S_IMODE(self.folders[name].st_mode)
            if (bits != _USUAL or is_empty) and not (is_empty and name == path):
                self.found[f"{name}/"] = f"folder:{bits:o}"


class Files:
    """What the paths of a workspace hold. Any thread may use it.

    Args:
        root: The absolute path of the workspace.
        known: Digests of files that have not changed.

    ``is_restless`` says that a path was found to hold something else than at an earlier look, and nobody who builds
    has put it there.
    """

    def __init__(self, root: str, known: StatCache) -> None:
        self._root = root
        self._known = known
        self._content: dict[str, Content] = {}
        self._before: dict[str, Content] = {}
        self._looks: dict[str, Look] = {}
        self.is_restless = False

    def look(self, paths: Iterable[str]) -> None:
        """Look at many paths at once, which is faster than one by one."""
        new = [path for path in dict.fromkeys(paths) if path not in self._content]
        looks = {path: Look.at(os.path.join(self._root, path), path) for path in new}
        files = {
            name: about for look in looks.values() for name, about in look.found.items() if not isinstance(about, str)
        }
        texts = self._texts_of(files, {name: os.path.join(self._root, name) for name in files})
        links = [name for name in files if name not in texts and os.path.islink(os.path.join(self._root, name))]
        texts.update(self._texts_of(files, {name: os.path.realpath(os.path.join(self._root, name)) for name in links}))
        for path, look in looks.items():
            content = {}
            for name, about in look.found.items():
                text = about if isinstance(about, str) else texts.get(name)
                content[name] = "unreadable" if text is None else text
            if self._before.pop(path, content) != content:
                self.is_restless = True
            self._content[path] = content
            self._looks[path] = look

    def _texts_of(self, files: Mapping[str, os.stat_result], places: Mapping[str, str]) -> dict[str, str]:
        """Return the texts of the files that can be read; no link is followed, because it may lead elsewhere by now."""
        digests = self._known.digests({place: files[name] for name, place in places.items()})
        return {
            name: told(digests[place].hash, files[name].st_mode) for name, place in places.items() if place in digests
        }

    def holds(self, path: str) -> Content:
        """Return what a path holds: digests by file, relative to the workspace."""
        known = self._content.get(path)
        if known is None:
            self.look([path])
            known = self._content[path]
        return known

    def all(self, paths: Iterable[str]) -> dict[str, str]:
        """Return what several paths hold, together."""
        found: dict[str, str] = {}
        for path in paths:
            found.update(self.holds(path))
        return found

    def forget(self, paths: Iterable[str]) -> None:
        """Look once more when these are asked for again."""
        for path in paths:
            content = self._content.pop(path, None)
            if content is not None:
                self._before[path] = content

    def learn(self, path: str, content: Content) -> None:
        """Note what a path holds now, because the caller has put it there."""
        self._content[path] = content
        self._before.pop(path, None)
        self._looks.pop(path, None)

    def look_at_learned(self, paths: Iterable[str]) -> None:
        """Look at what was only learned, so that there is a look at each of some paths."""
        learned = [path for path in paths if path not in self._looks]
        self.forget(learned)
        self.look(learned)

    def last_look(self, path: str) -> Look:
        """Return the look that told what a path holds."""
        return self._looks[path]


def told(digest: str, mode: int) -> str:
    """Return the text for a file that holds that and has these permission bits."""
    bits = stat.S_IMODE(mode)
    return digest if bits == _PLAIN else f"{digest}:{bits:o}"


def content_of(place: str, path: str) -> Content:
    """Read what a path holds that nobody else writes, without remembering anything.

    Args:
        place: Where it is on the host.
        path: What it is called.

    Raises:
        NotCacheableError: It cannot be read.
    """
    found = {}
    inner = len(path.rstrip("/"))
    for name, about in Look.at(place, path).found.items():
        if isinstance(about, str):
            found[name] = about
            continue
        try:
            fd = os.open(place + name[inner:], _OPEN)
            try:
                found[name] = told(hash_of_fd(fd), about.st_mode)
            finally:
                os.close(fd)
        except OSError as error:
            raise NotCacheableError(f"the output {name!r} cannot be read: {error.strerror}") from error
    return found
