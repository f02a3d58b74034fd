"""Who owns the files of an output when root runs a sandbox and the output's file system has no id-mapped mounts.

Then they belong to the sandbox's own host id while the command runs, and to the caller before and afterwards.
"""

from __future__ import annotations

import os
import stat

__all__ = ["hand_over"]

_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def hand_over(top: bytes, old: int, new: tuple[int, int], *, linked: bool) -> None:
    """Give every entry of a tree that belongs to one user to another one.

    Stays on the file system of ``top`` and follows no link below it: each entry is opened (O_PATH), looked at and
    given away by its descriptor, so that nothing can be put in its place in between. Files lose set-id bits (chown(2)).

    Args:
        top: Host path of a directory.
        old: User id of the owner.
        new: User and group id of the next owner.
        linked: Whether files with several names are given away too. Another name may lie where the next owner must
            not write, so what the caller owns is given away without them.

    Raises:
        OSError: The tree cannot be read, or its owner not be changed (a network file system that squashes root).
    """
    fd = os.open(top, os.O_PATH | os.O_CLOEXEC)
    try:
        device = os.fstat(fd).st_dev
        _give(fd, old, new, linked=linked)
        levels = [_Level(os.open(".", _LIST, dir_fd=fd))]
    finally:
        os.close(fd)
    try:
        while levels:
            names = levels[-1].names
            if not names:
                os.close(levels.pop().fd)
                continue
            try:
                fd = os.open(names.pop(), _LOOK, dir_fd=levels[-1].fd)
            except FileNotFoundError:
                continue  # somebody outside has removed it
            try:
                status = _give(fd, old, new, linked=linked)
                if stat.S_ISDIR(status.st_mode) and status.st_dev == device:
                    levels.append(_Level(os.open(".", _LIST, dir_fd=fd)))
            finally:
                os.close(fd)
    finally:
        for level in levels:
            os.close(level.fd)


class _Level:
    """A directory that is being gone through: its descriptor, and the names that are left."""

    __slots__ = ("fd", "names")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        try:
            self.names = os.listdir(fd)
        except BaseException:
            os.close(fd)
            raise


def _give(fd: int, old: int, new: tuple[int, int], *, linked: bool) -> os.stat_result:
    status = os.fstat(fd)
    if status.st_uid == old and (linked or stat.S_ISDIR(status.st_mode) or status.st_nlink == 1):
        os.chown(f"/proc/self/fd/{fd}", *new)  # leads to the entry itself, be it a symbolic link
    return status
