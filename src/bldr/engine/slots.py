"""Directories for stages, which are used again when they are empty.

A file system that has just removed much is slow at making something new: ext4 passes over each inode that was removed
in the last minute, so that a build that makes and removes some directories for each action slows down as it goes on.

A command may have changed more of its stage than what lies in it. One whose owner, mode, attributes or flags are not
as they were is removed, and made anew.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from _bldr_launcher.scratch import remove_tree

__all__ = ["Slots"]

_GET_FLAGS = 0x80086601  # FS_IOC_GETFLAGS in <linux/fs.h>, where a long has 8 bytes
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Slots:
    """Directories below another one, each for one action at a time; any thread may use it.

    Args:
        base: Where they are made.
    """

    def __init__(self, base: str) -> None:
        self._base = base
        self._free: list[str] = []

    def take(self, number: int) -> str:
        """Return a directory with nothing but empty directories.

        Args:
            number: What nobody else calls it by.
        """
        try:
            return self._free.pop()
        except IndexError:
            place = f"{self._base}/{number}"
            os.mkdir(place, 0o700)
            return place

    def give_back(self, place: str) -> None:
        """Empty a directory, so that it can be taken again.

        Raises:
            OSError: Something cannot be removed.
        """
        with os.scandir(place) as found:
            for entry in found:
                _empty(entry.path, place)
        self._free.append(place)


def _empty(stage: str, place: str) -> None:
    try:
        fd = os.open(stage, _OPEN)
    except OSError:
        remove_tree(stage)
        return
    try:
        about = os.fstat(fd)
        is_usual = (about.st_uid, about.st_gid, stat.S_IMODE(about.st_mode)) == (os.geteuid(), os.getegid(), 0o755)
        if not is_usual or _has_attributes(fd) or _flags(fd) != _flags_at(place):
            remove_tree(stage)
            return
        for name in os.listdir(fd):
            remove_tree(f"{stage}/{name}")
    finally:
        os.close(fd)


def _has_attributes(fd: int) -> bool:
    """Whether there are extended attributes, access control lists among them, or nobody can tell."""
    try:
        return bool(os.listxattr(fd))
    except OSError as error:
        return error.errno != errno.ENOTSUP  # where the file system has none at all (listxattr(2))


def _flags_at(path: str) -> bytes:
    fd = os.open(path, _OPEN)
    try:
        return _flags(fd)
    finally:
        os.close(fd)


def _flags(fd: int) -> bytes:
    try:
        return fcntl.ioctl(fd, _GET_FLAGS, bytes(8))
    except OSError:
        return b""  # the file system has none
