"""Changes modes, owners and times in every way that there is, and prints what came of it: ``change_attributes.py DIR``.

Run by the interpreter of the sandbox, and outside for comparison.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)
X86 = platform.machine() == "x86_64"
NOW, OMIT = (1 << 30) - 1, (1 << 30) - 2  # <sys/stat.h>
AT_FDCWD, NOFOLLOW, EMPTY_PATH = -100, 0x100, 0x1000  # <fcntl.h>
UTIMENSAT = 280 if X86 else 88


def raw(number, *arguments):
    """A system call by its number; what is given as bytes becomes a pointer."""
    words = [
        ctypes.cast(item, ctypes.c_void_p) if isinstance(item, ctypes.Array) else ctypes.c_long(item)
        for item in (ctypes.create_string_buffer(item) if isinstance(item, bytes) else item for item in arguments)
    ]
    if libc.syscall(ctypes.c_long(number), *words) < 0:
        raise OSError(ctypes.get_errno(), "refused")


def times(*numbers):
    return struct.pack("<qqqq", *numbers)


def attempts(at):
    os.chdir(at)
    file, link = "file", "link"
    fd = os.open(file, os.O_RDONLY)
    directory = os.open(".", os.O_RDONLY)
    own = (os.getuid(), os.getgid())
    yield "chmod", lambda: os.chmod(file, 0o640)
    yield "chmod of a directory", lambda: os.chmod("directory", 0o1750)
    yield "chmod by a link", lambda: os.chmod(link, 0o600)
    yield "chmod by a path of /proc", lambda: os.chmod(f"/proc/self/fd/{fd}", 0o644)
    yield "chmod by /dev/fd", lambda: os.chmod(f"/dev/fd/{fd}", 0o600)
    yield "chmod of nothing", lambda: os.chmod("nothing", 0o600)
    yield "chmod of an empty path", lambda: os.chmod("", 0o600)
    yield "chmod of too long a path", lambda: os.chmod("x/" * 3000, 0o600)
    yield "chmod below a file", lambda: os.chmod("file/x", 0o600)
    yield "fchmod", lambda: os.fchmod(fd, 0o604)
    yield "fchmod of a pipe", lambda: os.fchmod(os.pipe()[0], 0o600)
    yield "fchmod of nothing", lambda: raw(91 if X86 else 52, 4000, 0o600)
    yield "fchmodat", lambda: os.chmod(file, 0o622, dir_fd=directory)
    yield "fchmodat of nothing", lambda: os.chmod(file, 0o622, dir_fd=4000)
    yield "set-id", lambda: os.chmod(file, 0o6755)
    yield "bad address", lambda: raw(90, 8, 0o600) if X86 else raw(53, AT_FDCWD, 8, 0o600)
    yield "chown", lambda: os.chown(file, *own)
    yield "chown of nobody", lambda: os.chown(file, -1, -1)
    yield "lchown", lambda: os.lchown(link, *own)
    yield "fchown", lambda: os.fchown(fd, *own)
    yield "fchownat", lambda: os.chown(file, *own, dir_fd=directory)
    yield "fchownat of itself", lambda: raw(260 if X86 else 54, fd, b"", *own, EMPTY_PATH)
    yield "utime", lambda: os.utime(file, (5, 6))
    yield "utime in nanoseconds", lambda: os.utime(file, ns=(7_000_000_008, 9_000_000_010))
    yield "utime of a link", lambda: os.utime(link, (11, 12), follow_symlinks=False)
    yield "utime of a descriptor", lambda: os.utime(fd, (13, 14))
    yield "utime of a directory", lambda: os.utime("directory", (15, 16))
    yield "utimensat without times", lambda: raw(UTIMENSAT, AT_FDCWD, b"other", 0, 0)
    yield "utimensat omits", lambda: raw(UTIMENSAT, AT_FDCWD, b"file", times(0, OMIT, 17, 18), 0)
    yield "utimensat omits both", lambda: raw(UTIMENSAT, AT_FDCWD, b"file", times(0, OMIT, 0, OMIT), 0)
    yield "utimensat now", lambda: raw(UTIMENSAT, AT_FDCWD, b"other", times(19, 20, 0, NOW), 0)
    yield "utimensat of a descriptor", lambda: raw(UTIMENSAT, fd, 0, times(21, 22, 23, 24), 0)
    yield "utimensat with too much", lambda: raw(UTIMENSAT, AT_FDCWD, b"file", times(1, 10**9, 2, 3), 0)
    yield "utimensat at a bad address", lambda: raw(UTIMENSAT, AT_FDCWD, b"file", 8, 0)
    if X86:
        yield "old utime", lambda: raw(132, b"file", struct.pack("<qq", 25, 26))
        yield "old utimes", lambda: raw(235, b"file", times(27, 28, 29, 30))
        yield "old futimesat", lambda: raw(261, AT_FDCWD, b"file", times(31, 32, 33, 34))
        yield "old utimes with too much", lambda: raw(235, b"file", times(1, 10**6, 2, 3))


def shown(path):
    status = os.lstat(path)
    moments = ["now" if moment > 10**18 else moment for moment in (status.st_atime_ns, status.st_mtime_ns)]
    return f"{status.st_mode:o} {moments[0]} {moments[1]}"


def main(at):
    os.umask(0o022)
    for name in ("file", "other"):
        os.close(os.open(f"{at}/{name}", os.O_CREAT | os.O_WRONLY, 0o666))
    os.mkdir(f"{at}/directory")
    os.symlink("file", f"{at}/link")
    for name in ("file", "other", "directory", "link"):
        os.utime(f"{at}/{name}", (1, 2), follow_symlinks=False)
    for name, attempt in attempts(at):
        try:
            attempt()
            outcome = "done"
        except OSError as error:
            outcome = errno.errorcode[error.errno or 0]
        seen = "; ".join(shown(path) for path in ("file", "directory", "link"))
        print(f"{name}: {outcome}; {seen}; {shown('other').split(' ')[2]}")


if __name__ == "__main__":
    main(sys.argv[1])
