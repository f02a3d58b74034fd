"""The identity of a toolchain: what it stands for in the key of an action.

A toolchain is a hundred thousand files, too many to look at before every command. Its identity is a digest of names,
kinds, permissions, sizes, modification times and targets of links: what a package brings, so that two machines with
the same packages agree. It is taken once; from then on only the directories are looked at, and while none of them has
changed, it stands. Whoever installs, upgrades or removes anything changes a directory. Who overwrites a file in place
(as root, with an editor) does not, and has to say ``bldr cache clear``.

What Python has compiled (``__pycache__``) is left out: it is made from the sources beside it whenever root runs a
program, and a key that counts it would change because somebody used the machine.
"""

from __future__ import annotations

import os
import stat
import time
from hashlib import sha256

from bldr.store.blobs import hash_of_fd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from bldr.model.toolchain import Toolchain
    from bldr.store.index import Index

__all__ = ["identity_of"]

_RACY = 2_000_000_000  # nanoseconds; as for files

# What package managers know of the content of files: a package that is built anew with the same sizes and times differs
# here. Each is a file, or a directory in which the files with one ending count.
_RECORDS = (
    "/var/lib/dpkg/status",
    "/var/lib/dpkg/info",
    "/lib/apk/db/installed",
    "/var/lib/rpm/rpmdb.sqlite",
    "/var/lib/rpm/Packages",
)
_RECORD_ENDING = ".md5sums"
_COMPILED = "__pycache__"


def identity_of(
    toolchain: Toolchain, index: Index, say: Callable[[str], None], *, records: tuple[str, ...] = _RECORDS
) -> str:
    """Return the identity, from memory if no directory has changed.

    Args:
        toolchain: Which one.
        index: Where it is remembered.
        say: Called with a sentence before something that takes seconds.
        records: Where package managers keep what they know.
    """
    if not toolchain.paths:
        return "none"
    known = index.toolchain(toolchain.name)
    if known is not None and _stamps(known[0].split(b"\0")) == known[1]:
        return known[2]
    say(f"looking at the toolchain {toolchain.name!r}, which takes a few seconds and is remembered")
    began = time.time_ns()
    look = _Look(toolchain.holes)
    for path in toolchain.paths:
        look.at(path)
    for path in records:
        look.at_record(path)
    identity = look.content.hexdigest()
    paths = list(map(os.fsencode, (*toolchain.paths, *records, *look.directories)))
    if look.youngest + _RACY < began:
        index.remember_toolchain(toolchain.name, b"\0".join(paths), _stamps(paths), identity)
    return identity


def _stamps(paths: list[bytes]) -> bytes:
    """Return one digest of the stamps of all these paths."""
    seen = sha256()
    for path in paths:
        try:
            about = os.lstat(path)
        except OSError:
            seen.update(b"-\n")
        else:
            seen.update(b"%d %d %d %d\n" % (about.st_ino, about.st_mode, about.st_mtime_ns, about.st_ctime_ns))
    return seen.digest()


class _Look:
    """One look at everything, except what is beneath a hole."""

    def __init__(self, holes: tuple[str, ...]) -> None:
        self.content = sha256()
        self.directories: list[str] = []
        self.youngest = 0
        self._holes = frozenset(holes)

    def at(self, path: str) -> None:
        """Look at one path of the toolchain; many are optional."""
        try:
            about = os.lstat(path)
        except OSError:
            return
        self._note(path, about)
        if stat.S_ISDIR(about.st_mode):
            self._below(path)

    def at_record(self, path: str) -> None:
        """Read what a package manager wrote down, if this host has that one."""
        try:
            if os.path.isdir(path):
                names = [f"{path}/{name}" for name in sorted(os.listdir(path)) if name.endswith(_RECORD_ENDING)]
            else:
                names = [path]
            for name in names:
                with open(name, "rb") as file:
                    self.content.update(os.fsencode(f"{name}\0{hash_of_fd(file.fileno())}\n"))
        except OSError:
            return  # there is none, or it is not for everybody to read

    def _below(self, directory: str) -> None:
        self.directories.append(directory)
        try:
            with os.scandir(directory) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError:
            return  # the command cannot read it, either
        for entry in entries:
            if entry.path not in self._holes and entry.name != _COMPILED:
                about = entry.stat(follow_symlinks=False)
                self._note(entry.path, about)
                if stat.S_ISDIR(about.st_mode):
                    self._below(entry.path)

    def _note(self, path: str, about: os.stat_result) -> None:
        self.youngest = max(self.youngest, about.st_mtime_ns, about.st_ctime_ns)
        mode = about.st_mode
        if stat.S_ISLNK(mode):
            told = f"{path}\0{os.readlink(path)}\n"
        elif stat.S_ISDIR(mode):
            told = f"{path}\0{mode:o}\n"  # the time of a directory tells of installing, not of what is installed
        else:
            told = f"{path}\0{mode:o} {about.st_size} {about.st_mtime_ns // 1_000_000_000}\n"
        self.content.update(os.fsencode(told))
