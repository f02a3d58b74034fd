"""The files of a workspace during a build: what each holds, looked at once.

What a path holds is a mapping of files to short texts. For a file that is its SHA-256 in hexadecimal, with its
permission bits where they are not 0644; a link in a folder is ``-> `` and its target. A folder is the files and links
in it; a link that is named itself is followed. What does not exist holds nothing.
"""

from __future__ import annotations

import os
import stat

from bldr.builderfile.places import STATE
from bldr.errors import NotCacheableError
from bldr.store.blobs import hash_of_fd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import TypeAlias

    from bldr.store.inputroot import StatCache

    Content: TypeAlias = Mapping[str, str]

__all__ = ["Files", "content_of", "told"]

_PLAIN = 0o644
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class Files:
    """What the paths of a workspace hold. Any thread may use it.

    Args:
        root: The absolute path of the workspace.
        known: Digests of files that have not changed.
    """

    def __init__(self, root: str, known: StatCache) -> None:
        self._root = root
        self._known = known
        self._content: dict[str, Content] = {}

    def look(self, paths: Iterable[str]) -> None:
        """Look at many paths at once, which is faster than one by one."""
        new = [path for path in dict.fromkeys(paths) if path not in self._content]
        listed = {path: _listed(os.path.join(self._root, path), path.rstrip("/")) for path in new}
        files = {
            name: about for found in listed.values() for name, about in found.items() if not isinstance(about, str)
        }
        places = {os.path.join(self._root, name): name for name in files}
        digests = self._known.digests({place: files[name] for place, name in places.items()})
        texts = {
            name: told(digests[place].hash, files[name].st_mode) for place, name in places.items() if place in digests
        }
        for path, found in listed.items():
            content = {}
            for name, about in found.items():
                text = about if isinstance(about, str) else texts.get(name)
                content[name] = "unreadable" if text is None else text
            self._content[path] = content

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
            self._content.pop(path, None)

    def learn(self, path: str, content: Content) -> None:
        """Note what a path holds now, because the caller has put it there."""
        self._content[path] = content


def _listed(place: str, path: str) -> dict[str, os.stat_result | str]:
    """Return the metadata of a file, or of the files in a folder; a text where nothing has to be read."""
    try:
        about = os.stat(place)
    except (OSError, ValueError):
        return {}
    if stat.S_ISREG(about.st_mode):
        return {path: about}
    if not stat.S_ISDIR(about.st_mode):
        return {path: "special"}
    found: dict[str, os.stat_result | str] = {}
    stack = [(place, path)]
    while stack:
        folder, name = stack.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    inner = f"{name}/{entry.name}" if name not in ("", ".") else entry.name
                    if inner == STATE:
                        continue
                    if entry.is_symlink():
                        found[inner] = f"-> {os.readlink(entry.path)}"
                    elif entry.is_dir(follow_symlinks=False):
                        stack.append((entry.path, inner))
                    elif entry.is_file(follow_symlinks=False):
                        found[inner] = entry.stat(follow_symlinks=False)
                    else:
                        found[inner] = "special"
        except OSError:
            found[name] = "unreadable"
    return found


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
    for name, about in _listed(place, path.rstrip("/")).items():
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
