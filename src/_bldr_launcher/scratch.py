"""Directories on disk that hold the temps of running sandboxes, and their removal.

One base directory belongs to one launcher, which holds an flock(2) on it. A base that nobody holds is a leftover of a
launcher and a supervisor that were both killed, and the next start removes it. A lock says so across pid namespaces,
where a process number would not.
"""

from __future__ import annotations

import errno
import fcntl
import os

__all__ = ["PREFIX", "create_base", "remove_leftovers", "remove_tree"]

PREFIX = "bldr-scratch-"


def create_base(parent: str) -> tuple[str, int]:
    """Make and lock a new base directory.

    Args:
        parent: Host directory in which it is made.

    Returns:
        Its path, and the descriptor that holds the lock as long as it is open.

    Raises:
        OSError: ``parent`` cannot be written to, or its file system has no flock(2).
    """
    while True:
        path = os.path.join(parent, PREFIX + os.urandom(8).hex())
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            continue
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return path, fd


def remove_leftovers(parent: str) -> None:
    """Remove the bases of this user that no living launcher holds.

    Args:
        parent: Host directory that holds them.

    Raises:
        OSError: The directory cannot be listed, or a leftover cannot be removed.
    """
    for name in sorted(os.listdir(parent)):
        if not name.startswith(PREFIX):
            continue
        path = os.path.join(parent, name)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue  # somebody else's, or gone in the meantime
        try:
            if os.fstat(fd).st_uid == os.geteuid():
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove_tree(path)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES, errno.ENOENT):
                raise
        finally:
            os.close(fd)


def remove_tree(path: str) -> None:
    """Remove a directory tree without following any link, whatever the modes of its directories.

    Goes through descriptors, one per level that is open at a time, so neither a link that appears meanwhile nor the
    length of the path matters. What has gone already is no error.

    Args:
        path: A file, a link or a directory.

    Raises:
        OSError: Something cannot be removed even after its directory was made writable.
    """
    parent, name = os.path.split(path)
    try:
        parent_fd = os.open(parent or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        _remove_entry(parent_fd, os.fsencode(name))
    finally:
        os.close(parent_fd)


def _remove_entry(parent_fd: int, name: bytes) -> None:
    """Remove a file or a tree; a stack instead of recursion, because a build may nest deeper than Python recurses."""
    try:
        os.unlink(name, dir_fd=parent_fd)
        return
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in (errno.EISDIR, errno.EPERM):  # EPERM is what POSIX says for a directory
            raise
    stack = [_Level(parent_fd, name)]
    while stack:
        level = stack[-1]
        if level.pending:
            child = level.pending.pop()
            if not _unlinked(level.fd, child):
                stack.append(_Level(level.fd, child))
        else:
            stack.pop()
            os.close(level.fd)
            try:
                os.rmdir(level.name, dir_fd=level.parent_fd)
            except FileNotFoundError:
                pass


class _Level:
    """An open directory whose entries are being removed."""

    __slots__ = ("fd", "name", "parent_fd", "pending")

    def __init__(self, parent_fd: int, name: bytes) -> None:
        self.parent_fd = parent_fd
        self.name = name
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self.fd = os.open(name, flags, dir_fd=parent_fd)
        except PermissionError:
            os.chmod(name, 0o700, dir_fd=parent_fd)  # it is a directory of ours: O_NOFOLLOW said so, or will again
            self.fd = os.open(name, flags, dir_fd=parent_fd)
        if os.fstat(self.fd).st_mode & 0o300 != 0o300:
            os.fchmod(self.fd, 0o700)
        self.pending = [os.fsencode(entry) for entry in os.listdir(self.fd)]


def _unlinked(directory: int, name: bytes) -> bool:
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in (errno.EISDIR, errno.EPERM):
            return False
        raise
    return True
