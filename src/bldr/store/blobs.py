"""The content store: blobs by digest, in files that never change.

A blob is written under a name of its own, linked to its final name and unlinked: it appears whole or not at all, never
replaces another one, and costs a third of a rename (69 us, not 240, on ext4). Nothing is flushed to the disk. What a
crash of the machine leaves is found out when it is read, because every blob is verified on reading: one that is not
what its name says is put into quarantine, and counts as missing.

No file of the store is ever given away by a hard link, because who could write it would change the blob.
"""

from __future__ import annotations

import errno
import os
from hashlib import sha256

from bldr.errors import BlobNotFoundError, DigestMismatchError
from bldr.store.messages import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ContentStore", "copy_content", "hash_of_fd"]

_CHUNK = 1 << 20
_AT_ONCE = 1 << 24  # bytes that copy_file_range(2) is asked for, so that Ctrl-C does not have to wait for long
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
# Linux has it; elsewhere the bytes go through this process.
_range_copier = getattr(os, "copy_file_range", None)
_NO_RANGE = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)


class ContentStore:
    """Blobs in a directory.

    Args:
        root: The directory of the store; ``cas``, ``tmp`` and ``quarantine`` in it are made when they are needed.
    """

    def __init__(self, root: str) -> None:
        self._blobs = os.path.join(root, "cas")
        self._drafts = os.path.join(root, "tmp")
        self._quarantine = os.path.join(root, "quarantine")
        self._count = 0

    def path_of(self, digest: Digest) -> str:
        """Return where a blob lies if it is there; nobody may write it."""
        return f"{self._blobs}/{digest.hash[:2]}/{digest.hash}"

    def has(self, digest: Digest) -> bool:
        """Whether the blob is there, as far as its size tells."""
        try:
            return os.lstat(self.path_of(digest)).st_size == digest.size
        except FileNotFoundError:
            return False

    def put(self, content: bytes) -> Digest:
        """Store bytes.

        Raises:
            OSError: There is no space, or the store cannot be written.
        """
        digest = Digest.of(content)
        if self._is_known(digest):
            return digest
        fd, draft = self._draft()
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(fd, view) :]
            self._link(fd, draft, digest)
        finally:
            os.close(fd)
            os.unlink(draft)
        return digest

    def put_file(self, source: int) -> Digest:
        """Store what an open file holds; holes stay holes.

        What is hashed is the copy, so that a file that changes meanwhile cannot make a wrong blob.

        Raises:
            OSError: There is no space, or the store cannot be written.
        """
        fd, draft = self._draft()
        try:
            copy_content(source, fd)
            digest = Digest(hash_of_fd(fd), os.fstat(fd).st_size)
            if not self._is_known(digest):
                self._link(fd, draft, digest)
        finally:
            os.close(fd)
            os.unlink(draft)
        return digest

    def read(self, digest: Digest) -> bytes:
        """Return the bytes of a blob, verified.

        Raises:
            BlobNotFoundError: It is not there.
            DigestMismatchError: It was changed; it is in quarantine now.
        """
        fd = self._open(digest)
        try:
            chunks = list(iter(lambda: os.read(fd, _CHUNK), b""))
        except OSError as error:
            raise self._unreadable(digest, error) from error
        finally:
            os.close(fd)
        content = b"".join(chunks)
        if Digest.of(content) != digest:
            raise self._corrupt(digest)
        return content

    def copy_out(self, digest: Digest, target: int) -> None:
        """Copy a blob into an open, empty file, and verify the copy.

        Raises:
            BlobNotFoundError: It is not there.
            DigestMismatchError: It was changed; it is in quarantine now.
        """
        fd = self._open(digest)
        try:
            copy_content(fd, target)
        except OSError as error:
            raise self._unreadable(digest, error) from error
        finally:
            os.close(fd)
        if os.fstat(target).st_size != digest.size or hash_of_fd(target) != digest.hash:
            raise self._corrupt(digest)

    def verify(self, digest: Digest) -> None:
        """Read a blob through.

        Raises:
            BlobNotFoundError: It is not there.
            DigestMismatchError: It was changed; it is in quarantine now.
        """
        fd = self._open(digest)
        try:
            sound = os.fstat(fd).st_size == digest.size and hash_of_fd(fd) == digest.hash
        except OSError as error:
            raise self._unreadable(digest, error) from error
        finally:
            os.close(fd)
        if not sound:
            raise self._corrupt(digest)

    def touch(self, digest: Digest) -> None:
        """Note that a blob is in use, so that collecting garbage leaves it for a while."""
        try:
            os.utime(self.path_of(digest))
        except FileNotFoundError:
            pass  # who needs it will find out

    def blobs(self) -> Iterator[tuple[Digest, float, int]]:
        """Yield each blob, when it was last used (seconds since the epoch), and the bytes that it takes on the disk."""
        for directory in _scan(self._blobs):
            for entry in _scan(directory.path):
                try:
                    about = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                yield Digest(entry.name, about.st_size), about.st_mtime, about.st_blocks * 512

    def remove(self, digest: Digest) -> None:
        """Remove a blob; harmless when somebody else did."""
        try:
            os.unlink(self.path_of(digest))
        except FileNotFoundError:
            pass  # another process was faster

    def remove_drafts(self, before: float) -> int:
        """Remove what killed processes left unfinished before a time; returns how many bytes it took."""
        freed = 0
        for entry in _scan(self._drafts):
            try:
                about = entry.stat(follow_symlinks=False)
                if about.st_mtime < before:
                    os.unlink(entry.path)
                    freed += about.st_blocks * 512
            except FileNotFoundError:
                pass  # another process was faster
        return freed

    def quarantined(self) -> list[str]:
        """Return the paths of the blobs that were found changed."""
        return [entry.path for entry in _scan(self._quarantine)]

    def _is_known(self, digest: Digest) -> bool:
        """Say whether a blob is there already; if so, it is noted as in use."""
        if not self.has(digest):
            return False
        self.touch(digest)
        return True

    def _draft(self) -> tuple[int, str]:
        self._count += 1
        draft = f"{self._drafts}/{os.getpid()}.{self._count}.{os.urandom(6).hex()}"
        try:
            return os.open(draft, _CREATE, 0o600), draft
        except FileNotFoundError:
            os.makedirs(self._drafts, 0o700, exist_ok=True)
            return os.open(draft, _CREATE, 0o600), draft

    def _link(self, fd: int, draft: str, digest: Digest) -> None:
        os.fchmod(fd, 0o400)
        path = self.path_of(digest)
        for _ in range(3):
            try:
                os.link(draft, path)
                return
            except FileNotFoundError:
                os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
            except FileExistsError:
                if self.has(digest):
                    return  # somebody else was faster
                self._corrupt(digest)  # a blob of another size: what is written now takes its place
        os.link(draft, path)

    def _open(self, digest: Digest) -> int:
        try:
            return os.open(self.path_of(digest), _READ)
        except FileNotFoundError as error:
            raise BlobNotFoundError(
                f"the blob {digest.hash[:16]}... is not in the cache", hint="run it once more; the cache fills again"
            ) from error
        except OSError as error:
            raise self._unreadable(digest, error) from error

    def _unreadable(self, digest: Digest, error: OSError) -> OSError | DigestMismatchError:
        """Return the error for a blob that the disk does not give back, and take it out; others are what they are."""
        return self._corrupt(digest) if error.errno == errno.EIO else error

    def _corrupt(self, digest: Digest) -> DigestMismatchError:
        """Take a changed blob out of the store, and return the error."""
        os.makedirs(self._quarantine, 0o700, exist_ok=True)
        place = f"{self._quarantine}/{digest.hash}.{os.urandom(4).hex()}"
        try:
            os.rename(self.path_of(digest), place)
        except FileNotFoundError:
            pass  # another process has done it
        return DigestMismatchError(
            f"the blob {digest.hash[:16]}... in the cache was changed; it lies in {place!r} now",
            hint="look at the disk and its memory; 'bldr cache verify' checks the rest",
        )


def hash_of_fd(fd: int) -> str:
    """Return the SHA-256 of what an open file holds, from its beginning, in hexadecimal."""
    content = sha256()
    os.lseek(fd, 0, os.SEEK_SET)
    size = os.fstat(fd).st_size
    if size <= _CHUNK:  # most files, for which a buffer costs more than it gains
        while chunk := os.read(fd, _CHUNK):
            content.update(chunk)
        return content.hexdigest()
    buffer = bytearray(_CHUNK)
    view = memoryview(buffer)
    with open(fd, "rb", buffering=0, closefd=False) as file:
        while count := file.readinto(buffer):
            content.update(view[:count])
    return content.hexdigest()


def copy_content(source: int, target: int) -> None:
    """Copy an open file into an open, empty one: by reference where the file system can, and holes stay holes."""
    size = os.fstat(source).st_size
    at = 0
    while at < size:
        start, end = _next_data(source, at, size)
        if start >= size:
            break
        _copy_range(source, target, start, end)
        at = end
    os.ftruncate(target, size)


def _next_data(source: int, at: int, size: int) -> tuple[int, int]:
    """Return the next part of a file that is no hole, from ``at`` on."""
    try:
        start = os.lseek(source, at, os.SEEK_DATA)
        return start, min(size, os.lseek(source, start, os.SEEK_HOLE))
    except OSError as error:
        if error.errno == errno.ENXIO:
            return size, size  # only a hole is left
        return at, size  # a file system without holes


def _copy_range(source: int, target: int, start: int, end: int) -> None:
    at = start
    while at < end:
        done = 0
        try:
            if _range_copier is not None:
                done = _range_copier(source, target, min(_AT_ONCE, end - at), at, at)
        except OSError as error:
            if error.errno not in _NO_RANGE:
                raise
        if not done:  # also what some file systems answer that cannot do it
            _copy_by_hand(source, target, at, end)
            return
        at += done


def _copy_by_hand(source: int, target: int, start: int, end: int) -> None:
    at = start
    while at < end:
        chunk = os.pread(source, min(_CHUNK, end - at), at)
        if not chunk:
            return  # the file became shorter; its digest will tell
        view = memoryview(chunk)
        while view:
            done = os.pwrite(target, view, at)
            view = view[done:]
            at += done


def _scan(directory: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except FileNotFoundError:
        return []
