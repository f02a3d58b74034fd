"""Output directories that begin empty, and the putting in place of what was written into them.

A command whose result is kept must not depend on what earlier runs left in its outputs. It gets empty directories
instead, which lie in the cache, and what it wrote is moved to where the caller wants it. Files that are there under
other names stay; nothing is moved through a link.

A process that is killed leaves its directories behind, without a lock; the next one removes them.
"""

from __future__ import annotations

import errno
import os
import stat

from _bldr_launcher.scratch import create_base, remove_leftovers, remove_tree
from bldr.errors import CacheError
from bldr.store.blobs import copy_content

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

__all__ = ["Staging"]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Staging:
    """One empty directory for each output, as long as the context lasts.

    Args:
        parent: Where they are made; it is made when it is missing.
        outputs: The directories of the host, which exist.
    """

    def __init__(self, parent: str, outputs: Sequence[str]) -> None:
        self._parent = parent
        self._base, self._lock = "", -1
        self.outputs = tuple(outputs)
        self.places: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        os.makedirs(self._parent, 0o700, exist_ok=True)
        remove_leftovers(self._parent)
        self._base, self._lock = create_base(self._parent)
        self._make()
        return self

    def __exit__(self, *_error: object) -> None:
        try:
            remove_tree(self._base)
        finally:
            os.close(self._lock)

    def empty(self) -> None:
        """Begin again with empty directories."""
        for place in self.places:
            remove_tree(place)
        self._make()

    def publish(self) -> None:
        """Move everything to where the caller wants it.

        Raises:
            CacheError: Something is in the way there.
            OSError: It cannot be written.
        """
        for place, output in zip(self.places, self.outputs, strict=True):
            source = os.open(place, _DIRECTORY)
            try:
                target = os.open(output, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)  # a link of the caller's is fine
                try:
                    _move_all(source, target, output)
                    mode = stat.S_IMODE(os.fstat(source).st_mode)
                    if mode != stat.S_IMODE(os.fstat(target).st_mode):
                        os.fchmod(target, mode)
                finally:
                    os.close(target)
            finally:
                os.close(source)

    def _make(self) -> None:
        self.places = tuple([f"{self._base}/{number}" for number in range(len(self.outputs))])
        for place, output in zip(self.places, self.outputs, strict=True):
            os.mkdir(place, 0o700)
            os.chmod(place, stat.S_IMODE(os.stat(output).st_mode))


def _move_all(source: int, target: int, path: str) -> None:
    """Move the entries of one open directory into another one; ``path`` is its name, for errors."""
    for name in sorted(os.listdir(source)):
        about = os.stat(name, dir_fd=source, follow_symlinks=False)
        there = _kind(name, target)
        if not stat.S_ISDIR(about.st_mode):
            if there == stat.S_IFDIR:
                raise CacheError(
                    f"the output {f'{path}/{name}'!r} cannot be put in place: a directory is there",
                    code="cache.output-blocked",
                    hint="remove that directory, and run it once more",
                )
            _move_file(name, about, source, target)
            continue
        if there not in (0, stat.S_IFDIR):
            os.unlink(name, dir_fd=target)
            there = 0
        if there or not _renamed_directory(name, about, source, target):
            _merge(name, about, source, target, f"{path}/{name}", made=not there)


def _kind(name: str, directory: int) -> int:
    """Return what a name stands for; 0 when it is free."""
    try:
        return stat.S_IFMT(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return 0


def _renamed_directory(name: str, about: os.stat_result, source: int, target: int) -> bool:
    """Move a directory as a whole; False where that is not possible."""
    mode = stat.S_IMODE(about.st_mode)
    try:
        if not mode & stat.S_IWUSR:
            os.chmod(name, mode | stat.S_IRWXU, dir_fd=source)  # its ".." changes, so it has to be writable
        os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EACCES, errno.EPERM):
            raise
        return False
    if not mode & stat.S_IWUSR:
        os.chmod(name, mode, dir_fd=target)
    return True


def _merge(name: str, about: os.stat_result, source: int, target: int, path: str, *, made: bool) -> None:
    """Move what is in a directory into one of the same name."""
    if made:
        os.mkdir(name, 0o700, dir_fd=target)
    mode = stat.S_IMODE(about.st_mode)
    if not mode & stat.S_IRUSR:
        os.chmod(name, mode | stat.S_IRWXU, dir_fd=source)
    inner = os.open(name, _DIRECTORY, dir_fd=source)
    try:
        outer = os.open(name, _DIRECTORY, dir_fd=target)
        try:
            os.fchmod(inner, mode | stat.S_IRWXU)
            os.fchmod(outer, stat.S_IMODE(os.fstat(outer).st_mode) | stat.S_IRWXU)
            _move_all(inner, outer, path)
            os.fchmod(outer, mode)
        finally:
            os.close(outer)
    finally:
        os.close(inner)


def _move_file(name: str, about: os.stat_result, source: int, target: int) -> None:
    try:
        os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy_file(name, about, source, target)


def _copy_file(name: str, about: os.stat_result, source: int, target: int) -> None:
    """Move a file or a link to another file system: it appears there whole."""
    draft = f".bldr-{os.urandom(8).hex()}"
    if stat.S_ISLNK(about.st_mode):
        os.symlink(os.readlink(name, dir_fd=source), draft, dir_fd=target)
    elif stat.S_ISREG(about.st_mode):
        _copy_regular(name, about, source, draft, target)
    elif stat.S_ISFIFO(about.st_mode):
        os.mkfifo(draft, stat.S_IMODE(about.st_mode), dir_fd=target)
    else:
        return  # a socket that nobody listens on any more
    os.rename(draft, name, src_dir_fd=target, dst_dir_fd=target)


def _copy_regular(name: str, about: os.stat_result, source: int, draft: str, target: int) -> None:
    mode = stat.S_IMODE(about.st_mode)
    if not mode & stat.S_IRUSR:
        os.chmod(name, mode | stat.S_IRUSR, dir_fd=source)
    reading = os.open(name, _READ, dir_fd=source)
    try:
        writing = os.open(draft, _CREATE, 0o600, dir_fd=target)
        try:
            copy_content(reading, writing)
            os.fchmod(writing, mode)
        except BaseException:
            os.unlink(draft, dir_fd=target)
            raise
        finally:
            os.close(writing)
    finally:
        os.close(reading)
