"""What a build has left behind when nothing is to be done any more, so that the next one can see that at a glance.

The file ``settled`` in ``.builder`` names everything that the answer "all is up to date" depends on: the Builderfiles,
the folders that were listed for them and for patterns, each input and each output, and the toolchain. Beside the
names there is one digest of all their stamps. While it holds, nothing needs to be parsed, and no action to be looked
at; as soon as one stamp is another one, the file is of no use and everything is looked at as ever. It can only
confirm: nothing is ever called stale, and nothing is built, because of it.

A stamp that is as young as the clock is coarse proves nothing (see :class:`bldr.store.inputroot.StatCache`). What has
one is compared by its content, until its stamp has aged.

Whoever writes the journal of the state removes the file first. As the journal, it names the inode and the time of
change of ``.gitignore`` beside it, so that nobody but bldr on this machine can have written it.
"""

from __future__ import annotations

import json  # noqa: TID253  # only who builds imports it
import os
import stat
import time
from hashlib import sha256

from bldr import __version__
from bldr.builderfile.places import STATE
from bldr.builderfile.tree import Tree
from bldr.errors import BuilderfileError, NotCacheableError
from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "MISSING",
    "RACY",
    "Settled",
    "content_digest",
    "digest_of_stamps",
    "forget",
    "is_young",
    "listing_digest",
    "stamped",
]

_FILE = "settled"
RACY = 2_000_000_000
"""For how many nanoseconds a stamp is young: the coarsest clock of a file system (FAT)."""
_SCHEMA = 1
_WITNESS = ".gitignore"
MISSING = b"-"
"""The stamp of what does not exist."""


@value
class Settled:
    """Everything that the answer depends on. Paths are relative to the workspace, or absolute.

    Args:
        asked: What was asked for, as one text that is compared.
        count: How many actions were up to date.
        toolchain: The identity of the toolchain.
        paths: What is compared by its stamp, sorted.
        stamps: The digest of those stamps, in the order of the paths.
        contents: Digests of the content of files and folders whose stamps were too young.
        listings: Digests of the names in folders whose stamps were too young.
    """

    asked: str
    count: int
    toolchain: str
    paths: tuple[str, ...]
    stamps: str
    contents: Mapping[str, str]
    listings: Mapping[str, str]

    @staticmethod
    def read(root: str, asked: str) -> Settled | None:
        """Return what was written for the same question, if it can be believed."""
        path = _place(root)
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
        try:
            with open(os.open(path, flags), "rb") as file:
                about = os.fstat(file.fileno())
                if not stat.S_ISREG(about.st_mode) or about.st_mode & stat.S_IWOTH or about.st_uid != os.geteuid():
                    return None
                head, _, body = file.read().partition(b"\n")
            if head != _head(root, body):
                return None
            asked_then, count, toolchain, paths, *rest = json.loads(body)
            found = Settled(asked_then, count, toolchain, tuple(paths), *rest)
        except (OSError, TypeError, ValueError, RecursionError):  # it confirms nothing; the build looks itself
            return None
        return found if found.asked == asked else None

    def write(self, root: str) -> None:
        """Write it down; where that is not possible, the next build looks at everything."""
        fields = [getattr(self, name) for name in self.__match_args__]
        body = json.dumps(fields, separators=(",", ":"), ensure_ascii=True).encode()
        draft = f"{_place(root)}.{os.urandom(6).hex()}.part"
        try:
            with open(draft, "xb") as file:
                file.write(_head(root, body) + b"\n" + body)
            os.replace(draft, _place(root))
        except OSError:
            if os.path.lexists(draft):
                os.unlink(draft)

    def holds(self, root: str, *, racy: int = RACY) -> bool:
        """Say whether everything is as it was.

        What was compared by its content because its stamp was young is compared by its stamp from now on.

        Args:
            root: The absolute path of the workspace.
            racy: For how many nanoseconds a stamp is young.
        """
        known = dict(zip(self.paths, _stamps_of(root, self.paths), strict=True))
        return digest_of_stamps(known.values()) == self.stamps and self._holds_young(root, known, racy)

    def _holds_young(self, root: str, known: Mapping[str, bytes], racy: int) -> bool:
        began = time.time_ns()
        parts = {path: _parts(root, path) for path in self.contents}
        folders = {path: _stamp_of(os.path.join(root, path)) for path in self.listings}
        tree = Tree(root)
        try:
            if any(listing_digest(tree.entries(path)) != digest for path, digest in self.listings.items()):
                return False
            if any(content_digest(_content(root, path)) != digest for path, digest in self.contents.items()):
                return False
        except (BuilderfileError, NotCacheableError):
            return False
        looked = began - racy
        aged = {
            path: found for path, found in parts.items() if not any(is_young(one, looked) for one in found.values())
        }
        self._age(root, known, aged, {path: one for path, one in folders.items() if not is_young(one, looked)})
        return True

    def _age(
        self,
        root: str,
        known: Mapping[str, bytes],
        contents: Mapping[str, Mapping[str, bytes]],
        listings: Mapping[str, bytes],
    ) -> None:
        """Write it down once more, with the stamps that have aged, which were seen before the content was."""
        if not contents and not listings:
            return
        stamps = {**known, **listings}
        for found in contents.values():
            stamps.update(found)
        paths = tuple(sorted(stamps))
        Settled(
            self.asked,
            self.count,
            self.toolchain,
            paths,
            digest_of_stamps([stamps[path] for path in paths]),
            {path: digest for path, digest in self.contents.items() if path not in contents},
            {path: digest for path, digest in self.listings.items() if path not in listings},
        ).write(root)


def forget(root: str) -> None:
    """Remove what was written, because something is about to be done.

    Raises:
        OSError: It cannot be removed.
    """
    try:
        os.unlink(_place(root))
    except FileNotFoundError:
        pass  # there was none


def _stamp_of(path: str) -> bytes:
    """Return the stamp of what is at a path, with links followed."""
    try:
        about = os.stat(path)
    except (OSError, ValueError):  # what cannot be looked at is as good as missing
        return MISSING
    return stamped(about)


def stamped(about: os.stat_result) -> bytes:
    """Return a stamp: it differs whenever content or permissions do, but for the resolution of the clock."""
    return b"%d %d %d %d %d %d" % (
        about.st_dev,
        about.st_ino,
        about.st_mode,
        about.st_size,
        about.st_mtime_ns,
        about.st_ctime_ns,
    )


def _stamps_of(root: str, paths: Iterable[str]) -> list[bytes]:
    """Return the stamps of many paths."""
    return [_stamp_of(os.path.join(root, path)) for path in paths]


def digest_of_stamps(stamps: Iterable[bytes]) -> str:
    """Return one digest for all of them."""
    return sha256(b"\n".join(stamps)).hexdigest()


def is_young(stamp: bytes, before: int) -> bool:
    """Say whether a stamp does not lie before a time, in nanoseconds: its file may change without changing it."""
    if stamp == MISSING:
        return False
    *_, modified, changed = stamp.split()
    return max(int(modified), int(changed)) >= before


def content_digest(content: Mapping[str, str]) -> str:
    """Return a digest of what a path holds."""
    return _digest_of(content)


def listing_digest(entries: Mapping[str, str]) -> str:
    """Return a digest of the names in a folder and their kinds."""
    return _digest_of(entries)


def _digest_of(texts: Mapping[str, str]) -> str:
    told = "\0".join([f"{name}\0{texts[name]}" for name in sorted(texts)])
    return sha256(told.encode("utf-8", "surrogateescape")).hexdigest()


def _content(root: str, path: str) -> Mapping[str, str]:
    from bldr.engine.files import content_of

    return content_of(os.path.join(root, path), path)


def _parts(root: str, path: str) -> dict[str, bytes]:
    from bldr.engine.files import Look

    return {name: stamped(about) for name, about in Look.at(os.path.join(root, path), path).parts.items()}


def _place(root: str) -> str:
    return os.path.join(root, STATE, _FILE)


def _head(root: str, body: bytes) -> bytes:
    about = os.lstat(os.path.join(root, STATE, _WITNESS))
    told = f"{_SCHEMA} {_program()} {about.st_dev} {about.st_ino} {about.st_ctime_ns} {sha256(body).hexdigest()}"
    return told.encode()


def _program() -> str:
    """Return what tells one version of the engine from another, also while bldr itself is being worked on."""
    told = [__version__]
    package = os.path.dirname(os.path.dirname(__file__))
    for folder in ("builderfile", "engine", "engine/handlers", "store"):
        try:
            with os.scandir(os.path.join(package, folder)) as found:
                files = sorted((one.name, one.stat().st_size, one.stat().st_mtime_ns) for one in found if one.is_file())
        except OSError:  # it is in an archive, which has one version
            files = []
        told += map(repr, files)
    return sha256("\n".join(told).encode()).hexdigest()
