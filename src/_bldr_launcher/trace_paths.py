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
        self._directories: dict[bytes, bytes] = {}  # that are there: without links
        self._interpreters: dict[bytes, bytes] = {}

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
