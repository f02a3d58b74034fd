"""Directories on disk that hold the temps of running sandboxes, and their removal.

One base directory belongs to one launcher, which holds an flock(2) on it. A base that nobody holds is a leftover of a
launcher and a supervisor that were both killed, and the next start removes it. A lock says so across pid namespaces,
where a process number would not.
"""

from __future__ import annotations

import errno
import fcntl
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PREFIX", "create_base", "find_parent", "remove_leftovers", "remove_temps", "remove_tree"]

PREFIX = "bldr-scratch-"


def find_parent(environment: Mapping[str, str]) -> str:
    """Return the host directory below which temps are made, on disk where there is a choice; empty for none.

    Args:
        environment: The caller's variables, of which ``TMPDIR`` may name one.
    """
    named = environment.get("TMPDIR", "")
    for path in [named] if named else ["/var/tmp", "/tmp"]:  # a private directory is made below it
        if os.path.isabs(path) and os.path.isdir(path) and os.access(path, os.W_OK | os.X_OK):
            return path
    return ""


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
        fd = -1
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.stat(path)
        except (FileNotFoundError, BlockingIOError):
            # Another launcher took it for a leftover between the two calls; it is removing it, or has done so.
            if fd >= 0:
                os.close(fd)
            continue
        except BaseException:
            if fd >= 0:
                os.close(fd)
            os.rmdir(path)
            raise
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


def remove_temps(place: str) -> None:
    """Remove a directory of temps; most are empty, and then there is a shorter way.

    Raises:
        OSError: As `remove_tree`.
    """
    try:
        for name in os.listdir(place):
            os.rmdir(f"{place}/{name}")
        os.rmdir(place)
    except OSError:  # something lies in one; or somebody else removes them as well, and may rely on this one to do it
        remove_tree(place)


def remove_tree(path: str) -> None:
    """Remove a directory tree without following any link, whatever the modes of its directories.

    Goes from descriptor to descriptor, two at a time, so neither a link that appears meanwhile nor the length of the
    path nor the limit of open files matters. What has gone already is no error.

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
    top = _identity(parent_fd)
    try:
        current = _open_directory(parent_fd, name)
    except FileNotFoundError:
        return  # somebody else removes it as well
    try:
        stack = [_Level(name, current)]
        while stack:
            level = stack[-1]
            if level.pending:
                child = level.pending.pop()
                if not _unlinked(current, child):
                    try:
                        current = _replaced(current, _open_directory(current, child))
                    except FileNotFoundError:
                        continue
                    stack.append(_Level(child, current))
                continue
            stack.pop()
            current = _replaced(current, os.open("..", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=current))
            if _identity(current) != (stack[-1].identity if stack else top):
                raise OSError(errno.ESTALE, "a directory was moved while its tree was removed", os.fsdecode(level.name))
            try:
                os.rmdir(level.name, dir_fd=current)
            except FileNotFoundError:
                pass  # somebody else removes it as well
    finally:
        os.close(current)


class _Level:
    """A directory whose entries are being removed. It is not kept open: the way back is ``..``, and is checked."""

    __slots__ = ("identity", "name", "pending")

    def __init__(self, name: bytes, fd: int) -> None:
        self.name = name
        self.identity = _identity(fd)
        self.pending = [os.fsencode(entry) for entry in os.listdir(fd)]


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def _replaced(old: int, new: int) -> int:
    os.close(old)
    return new


def _open_directory(parent_fd: int, name: bytes) -> int:
    """Open a directory of ours and make sure that its entries can be removed."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(name, flags, dir_fd=parent_fd)
    except PermissionError:
        os.chmod(name, 0o700, dir_fd=parent_fd)  # it is a directory of ours: O_NOFOLLOW said so, or will again
        fd = os.open(name, flags, dir_fd=parent_fd)
    if os.fstat(fd).st_mode & 0o300 != 0o300:
        os.fchmod(fd, 0o700)
    return fd


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
