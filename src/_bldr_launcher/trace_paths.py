"""What a path leads to inside a sandbox, seen from outside: where it ends, what is there, and what a call will meet.

The errno is predicted, not observed: who made the call is held while this looks, and goes on afterwards.
"""

from __future__ import annotations

import errno
import os
import stat
import struct

from _bldr_launcher import syscalls

__all__ = ["Found", "View"]

_LOOK = os.O_PATH | os.O_CLOEXEC
RESOLVE_IN_ROOT = 0x10  # <linux/openat2.h>
_RESOLVE = RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
_HEAD = 4096  # bytes of a program that tell its interpreter
_DEEPEST = 4  # interpreters of interpreters, BINPRM_MAX_RECURSION of the kernel
_MOST_DIRECTORIES = 256  # that are known, and mostly open, at a time
_MOST_LINKS = 40  # MAXSYMLINKS of <linux/namei.h>
_ELF64_LITTLE = b"\x7fELF\x02\x01"
_PT_INTERP = 3  # <elf.h>
_KINDS = {
    stat.S_IFREG: b"f", stat.S_IFDIR: b"d", stat.S_IFLNK: b"l", stat.S_IFCHR: b"c", stat.S_IFBLK: b"b",
    stat.S_IFIFO: b"p", stat.S_IFSOCK: b"s",
}  # fmt: skip


class Found:
    """What a look-up found.

    Args:
        path: Without links; as far as it goes, where nothing is there.
        kind: ``f`` file, ``d`` directory, ``l`` link, ``c`` or ``b`` device, ``p`` pipe, ``s`` socket; empty when
            nothing is there.
        error: The errno of the look-up; 0 when something is there.
        fixed: Whether it is, or would be made, on a read-only mount.
        mode: Of what is there.
        has_parent: Whether its directory is there.
    """

    __slots__ = ("error", "fixed", "has_parent", "kind", "mode", "path")

    def __init__(
        self, path: bytes, kind: bytes, error: int = 0, *, fixed: bool = False, mode: int = 0, has_parent: bool = True
    ) -> None:
        self.path = path
        self.kind = kind
        self.error = error
        self.fixed = fixed
        self.mode = mode
        self.has_parent = has_parent


class View:
    """The files as the processes of one sandbox see them.

    Args:
        root: Descriptor of its root.
    """

    def __init__(self, root: int) -> None:
        self._root = root
        self._interpreters: dict[bytes, bytes] = {}
        self._programs: dict[bytes, tuple[Found, tuple[Found, ...]]] = {}  # that stay as they are
        # What cannot change for the sandbox, because it is all on mounts that are read-only, see `_settled`:
        self._directories: dict[bytes, tuple[int, bytes] | None] = {}  # descriptor and place; None where it can change
        self._fixed: dict[bytes, bool] = {}  # of places of directories: whether the mount is read-only
        self._targets: dict[bytes, bytes | None] = {}  # of links; None for what is none

    def close(self) -> None:
        """Close what was kept open."""
        for known in self._directories.values():
            if known is not None and known[0] >= 0:
                os.close(known[0])
        self._directories.clear()

    def look(self, path: bytes, *, follow: bool) -> Found:
        """Look an absolute path up, like :meth:`find`, but without what only writers meet. Mostly much quicker."""
        directory, _, name = path.rpartition(b"/")
        known = self._directories[directory] if directory in self._directories else self._open_settled(directory)
        if known is None or name in (b"", b".", b".."):
            return self.find(path, follow=follow)
        fd, place = known
        if fd < 0:
            return Found(path, b"", errno.ENOENT, has_parent=False)
        try:
            mode = os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return Found(place + name, b"", errno.ENOENT)
        except OSError:  # the long way says why
            return self.find(path, follow=follow)
        if follow and stat.S_ISLNK(mode):
            return self.find(path, follow=follow)
        return Found(place + name, _KINDS.get(stat.S_IFMT(mode), b"?"), mode=mode)

    def _open_settled(self, directory: bytes) -> tuple[int, bytes] | None:
        """Open a directory that cannot change; descriptor -1 when there never is one; None when it can change."""
        if len(self._directories) >= _MOST_DIRECTORIES:
            self.close()
        known: tuple[int, bytes] | None = None
        try:
            place = self._settled(directory)
            if place is not None and self._is_fixed(place):
                known = self._open(place), place.rstrip(b"/") + b"/"
        except FileNotFoundError:
            known = -1, b""
        except OSError:
            pass  # a file, or a device, or something that went away on the host
        self._directories[directory] = known
        return known

    def find(self, path: bytes, *, follow: bool) -> Found:
        """Look an absolute path up."""
        flags = _LOOK if follow else _LOOK | os.O_NOFOLLOW
        try:
            fd = syscalls.openat2(self._root, path, flags, _RESOLVE)
        except OSError as error:
            return self._absent(path, error.errno or errno.EIO)
        try:
            about = os.fstat(fd)
            fixed = bool(os.fstatvfs(fd).f_flag & os.ST_RDONLY)
            return Found(_place_of(fd), _KINDS.get(stat.S_IFMT(about.st_mode), b"?"), fixed=fixed, mode=about.st_mode)
        finally:
            os.close(fd)

    def _absent(self, path: bytes, error: int) -> Found:
        directory, _, name = path.rstrip(b"/").rpartition(b"/")
        if error != errno.ENOENT or name in (b"", b".", b".."):
            return Found(path, b"", error, has_parent=False)
        try:
            fd = syscalls.openat2(self._root, directory or b"/", _LOOK | os.O_DIRECTORY, _RESOLVE)
        except OSError:
            return Found(path, b"", error, has_parent=False)
        try:
            fixed = bool(os.fstatvfs(fd).f_flag & os.ST_RDONLY)
            return Found(_place_of(fd).rstrip(b"/") + b"/" + name, b"", error, fixed=fixed)
        finally:
            os.close(fd)

    def program(self, path: bytes) -> tuple[Found, tuple[Found, ...]]:
        """Look a program up, and what the kernel opens to execute it."""
        known = self._programs.get(path)
        if known is not None:
            return known
        found = self.find(path, follow=True)
        looked_up = found, () if found.error else tuple(self.interpreters(found.path))
        if not any(one.error for one in (found, *looked_up[1])):
            named = [self._interpreters[one.path] for one in (found, *looked_up[1][:-1])] if looked_up[1] else []
            try:
                if all(self._settled(one) is not None for one in (path, *named)):
                    self._programs[path] = looked_up
            except OSError:
                pass  # it is being changed
        return looked_up

    def _settled(self, path: bytes) -> bytes | None:
        """Return where a path leads to when nothing on the way, through links too, can change for the sandbox.

        Raises:
            OSError: FileNotFoundError when nothing is there and never will be.
        """
        place, names, links = b"/", _names(path), 0
        while names:
            if not self._is_fixed(place):
                return None
            name = names.pop()
            if name == b"..":
                place = os.path.dirname(place)
                continue
            there = place.rstrip(b"/") + b"/" + name
            if there not in self._targets:
                self._targets[there] = self._target(there)
            target = self._targets[there]
            if target is None:
                place = there
                continue
            links += 1
            if links > _MOST_LINKS:
                return None
            place = b"/" if target.startswith(b"/") else place
            names += _names(target)
        return place

    def _is_fixed(self, place: bytes) -> bool:
        if place not in self._fixed:
            fd = self._open(place)
            try:
                self._fixed[place] = bool(os.fstatvfs(fd).f_flag & os.ST_RDONLY)
            finally:
                os.close(fd)
        return self._fixed[place]

    def _target(self, place: bytes) -> bytes | None:
        fd = self._open(place)
        try:
            return os.readlink(b"", dir_fd=fd) if stat.S_ISLNK(os.fstat(fd).st_mode) else None
        finally:
            os.close(fd)

    def _open(self, place: bytes) -> int:
        return syscalls.openat2(self._root, place, _LOOK | os.O_NOFOLLOW, _RESOLVE)

    def interpreters(self, program: bytes) -> list[Found]:
        """Look up what the kernel opens to execute a program: what its ``#!`` line names, or its ELF loader."""
        found: list[Found] = []
        while len(found) < _DEEPEST:
            if program not in self._interpreters:
                self._interpreters[program] = self._interpreter(program)
            path = self._interpreters[program]
            if not path.startswith(b"/"):
                break
            found.append(self.find(path, follow=True))
            if found[-1].error:
                break
            program = found[-1].path
        return found

    def _interpreter(self, program: bytes) -> bytes:
        try:
            fd = syscalls.openat2(self._root, program, _LOOK, _RESOLVE)
            try:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    return b""
                file = os.open(b"/proc/self/fd/%d" % fd, os.O_RDONLY | os.O_CLOEXEC)
            finally:
                os.close(fd)
            try:
                return _interpreter_of(os.pread(file, _HEAD, 0))
            finally:
                os.close(file)
        except OSError:
            return b""  # readable for nobody; or it is gone already


def _names(path: bytes) -> list[bytes]:
    """Return the names of a path, the last one first."""
    return [name for name in reversed(path.split(b"/")) if name not in (b"", b".")]


def _place_of(fd: int) -> bytes:
    return os.readlink(b"/proc/self/fd/%d" % fd).removesuffix(b" (deleted)")


def _interpreter_of(head: bytes) -> bytes:
    """Return what the beginning of a program names as its interpreter; nothing when it names none."""
    if head.startswith(b"#!"):
        words = head[2:].split(b"\n", 1)[0].split()
        return words[0] if words else b""
    if not head.startswith(_ELF64_LITTLE) or len(head) < 64:
        return b""
    (table,) = struct.unpack_from("<Q", head, 32)
    size, count = struct.unpack_from("<HH", head, 54)
    for index in range(count):
        start = table + index * size
        if size < 56 or start + 56 > len(head):
            break
        if struct.unpack_from("<I", head, start)[0] == _PT_INTERP:
            (offset,) = struct.unpack_from("<Q", head, start + 8)
            (length,) = struct.unpack_from("<Q", head, start + 32)
            return head[offset : offset + length].rstrip(b"\0")
    return b""
