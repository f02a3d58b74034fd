"""A private copy of a file or a directory tree, for overlays where overlayfs cannot be used.

Contents are shared with the original where the file system can do that (FICLONE), and holes stay holes. Modes, times,
hard links, symbolic links and ``user.*`` attributes are kept; the owner is the caller. Goes from descriptor to
descriptor and follows no link below the top.
"""

from __future__ import annotations

import errno
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

__all__ = ["copy_attributes", "copy_content", "copy_tree"]

_FICLONE = 0x40049409  # <linux/fs.h>, _IOW(0x94, 9, int)
_CHUNK = 1 << 30
_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_MAKE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_UNSUPPORTED = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM)


def copy_tree(source: str, target: str, *, without: Container[str] = frozenset()) -> None:
    """Copy a file or a directory with everything in it.

    Sockets and device nodes are left out: nothing could be done with them in a sandbox.

    Args:
        source: Host path of a file or a directory.
        target: Host path that does not exist yet.
        without: Paths relative to the source that are left out.

    Raises:
        OSError: Something cannot be read, or not be written; ``filename`` is the path in the source.
    """
    if not os.path.isdir(source):
        _copy_file(source, target)
        return
    os.mkdir(target, 0o700)
    top = os.open(target, _LIST)
    levels = [_Level(os.open(source, _LIST & ~os.O_NOFOLLOW), os.dup(top), "")]
    known: dict[tuple[int, int], str] = {}  # of files with several names: where the first one was copied to
    try:
        while levels:
            level = levels[-1]
            if not level.names:
                level.finish()
                levels.pop()
                continue
            name = level.names.pop()
            path = os.path.join(level.path, name)
            if path in without:
                continue
            try:
                below = _copy_entry(level, name, path, top, known)
            except OSError as error:
                raise OSError(error.errno, error.strerror, os.path.join(source, path)) from error
            if below is not None:
                levels.append(below)
    finally:
        for level in levels:
            level.close()
        os.close(top)


class _Level:
    """A directory that is being copied: both descriptors, its path in the source, and the names that are left."""

    __slots__ = ("names", "path", "source", "target")

    def __init__(self, source: int, target: int, path: str) -> None:
        self.source = source
        self.target = target
        self.path = path
        self.names = sorted(os.listdir(source), reverse=True)

    def finish(self) -> None:
        """Give the copy the attributes of the original, now that nothing is written into it any more."""
        copy_attributes(self.source, self.target)
        self.close()

    def close(self) -> None:
        os.close(self.source)
        os.close(self.target)


def _copy_entry(level: _Level, name: str, path: str, top: int, known: dict[tuple[int, int], str]) -> _Level | None:
    """Copy one entry; a directory is made, and returned to be filled."""
    status = os.stat(name, dir_fd=level.source, follow_symlinks=False)
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFDIR:
        source = os.open(name, _LIST, dir_fd=level.source)
        os.mkdir(name, 0o700, dir_fd=level.target)
        return _Level(source, os.open(name, _LIST, dir_fd=level.target), path)
    identity = status.st_dev, status.st_ino
    if status.st_nlink > 1 and identity in known:
        os.link(known[identity], name, src_dir_fd=top, dst_dir_fd=level.target, follow_symlinks=False)
        return None
    if kind == stat.S_IFLNK:
        os.symlink(os.readlink(name, dir_fd=level.source), name, dir_fd=level.target)
        os.utime(name, ns=_times(status), dir_fd=level.target, follow_symlinks=False)
    elif kind == stat.S_IFREG:
        _copy_file(name, name, level.source, level.target)
    elif kind == stat.S_IFIFO:
        os.mkfifo(name, stat.S_IMODE(status.st_mode), dir_fd=level.target)
    else:
        return None
    if status.st_nlink > 1:
        known[identity] = path
    return None


def _copy_file(source: str, target: str, source_dir: int | None = None, target_dir: int | None = None) -> None:
    given = os.open(source, _READ, dir_fd=source_dir)
    try:
        if not stat.S_ISREG(os.fstat(given).st_mode):
            raise OSError(errno.EINVAL, "it is neither a regular file nor a directory", source)
        made = os.open(target, _MAKE, 0o600, dir_fd=target_dir)
        try:
            copy_content(given, made)
            copy_attributes(given, made)
        finally:
            os.close(made)
    finally:
        os.close(given)


def copy_content(source: int, target: int) -> None:
    """Give an empty file the content of another one.

    Args:
        source: Descriptor of a regular file, open for reading.
        target: Descriptor of an empty file, open for writing.

    Raises:
        OSError: It cannot be read or written.
    """
    import fcntl

    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        pass  # another file system, or one that cannot share
    else:
        return
    size = os.fstat(source).st_size
    os.ftruncate(target, size)
    place = 0
    while place < size:
        try:
            place = os.lseek(source, place, os.SEEK_DATA)
            end = os.lseek(source, place, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:  # a hole up to the end
                return
            end = size
        while place < end:
            done = _copy_range(source, target, place, end - place)
            if not done:  # it became shorter meanwhile
                os.ftruncate(target, place)
                return
            place += done


def _copy_range(source: int, target: int, place: int, size: int) -> int:
    try:
        return os.copy_file_range(source, target, min(size, _CHUNK), place, place)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM):
            raise
    return os.pwrite(target, os.pread(source, min(size, 1 << 20), place), place)


def copy_attributes(source: int, target: int) -> None:
    """Give a file or directory the mode, the times and the ``user.*`` attributes of another one, by descriptors."""
    status = os.fstat(source)
    for name in _attributes(source):
        try:
            os.setxattr(target, name, os.getxattr(source, name))
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
    os.fchmod(target, stat.S_IMODE(status.st_mode))
    os.utime(target, ns=_times(status))


def _attributes(fd: int) -> list[str]:
    try:
        names = [name for name in os.listxattr(fd) if name.startswith("user.")]
        return [name for name in names if not name.startswith("user.overlay.")]  # notes of overlayfs for itself
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        return []


def _times(status: os.stat_result) -> tuple[int, int]:
    return status.st_atime_ns, status.st_mtime_ns
