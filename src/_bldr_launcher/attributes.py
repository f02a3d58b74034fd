"""Changes of modes, owners and times, which no rule of Landlock covers: allowed beneath outputs and temps only.

The filter of the command hands these calls to init (seccomp_unotify(2)), and init makes the change itself: it opens the
target, looks at what it has opened, and changes exactly that. Nothing that the command does meanwhile to a path or to
its memory can lead the change elsewhere.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import time

from _bldr_launcher import seccomp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from _bldr_launcher.policy import Referee

    Times: TypeAlias = tuple[int | None, int | None]

__all__ = ["serve"]

# <linux/seccomp.h>
NOTIF_RECV, NOTIF_SEND, NOTIF_ID_VALID = 0xC0502100, 0xC0182101, 0x40082102
NOTIFICATION = struct.Struct("<QIIiIQ6Q")  # struct seccomp_notif with its struct seccomp_data
RESPONSE = struct.Struct("<QqiI")  # struct seccomp_notif_resp
FLAG_CONTINUE = 1
LONGEST_PATH = 4096  # PATH_MAX of <linux/limits.h>
AT_FDCWD, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH = -100, 0x100, 0x1000  # <fcntl.h>
UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2  # <sys/stat.h>
NOW = -1  # in place of nanoseconds


def serve(listener: int, writable: Sequence[bytes], referee: Referee | None = None) -> None:
    """Answer until nobody asks any more; runs in a thread of init.

    Args:
        listener: Descriptor of the filter.
        writable: Canonical directories beneath which changes are allowed.
        referee: Decides on calls that make processes or execute programs.
    """
    machine = os.uname().machine
    names = {number: name for name, number in {**seccomp.SHARED_NUMBERS, **seccomp.NUMBERS[machine]}.items()}
    request = bytearray(NOTIFICATION.size)
    while True:
        request[:] = bytes(NOTIFICATION.size)
        try:
            fcntl.ioctl(listener, NOTIF_RECV, request)
        except OSError as error:
            if error.errno in (errno.EINTR, errno.ENOENT):  # ENOENT: who asked has been killed
                continue
            return
        number, pid, _, call, _, _, *arguments = NOTIFICATION.unpack(request)
        name = names[call]
        goes_on = False
        try:
            if name in CALLS:
                change, target = CALLS[name](_Caller(listener, number, pid), arguments)
                _change(target, change, writable)
            elif referee is not None:
                referee.judge(name, pid)
                goes_on = True
            answer = 0
        except OSError as error:
            answer = error.errno or errno.EIO
        try:
            fcntl.ioctl(listener, NOTIF_SEND, RESPONSE.pack(number, 0, -answer, FLAG_CONTINUE if goes_on else 0))
        except OSError:
            continue  # who asked has been killed, or asks again after a signal
        if goes_on and referee is not None:
            referee.command_executed = True


class _Caller:
    """The process that made a call."""

    def __init__(self, listener: int, number: int, pid: int) -> None:
        self.listener = listener
        self.number = number
        self.pid = pid

    def is_the_one(self) -> None:
        """Check that its process number has not gone to somebody else since the call.

        Raises:
            OSError: ENOENT; it does not matter what is answered.
        """
        fcntl.ioctl(self.listener, NOTIF_ID_VALID, struct.pack("<Q", self.number))

    def memory(self, address: int, size: int) -> bytes:
        """Read its memory, as far as it is there."""
        fd = os.open(f"/proc/{self.pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.is_the_one()
            return _read_at(fd, size, address)
        finally:
            os.close(fd)

    def path(self, address: int) -> bytes:
        """Read a path from its memory."""
        path, end, _ = self.memory(address, LONGEST_PATH).partition(b"\0")
        if not end:
            raise OSError(errno.ENAMETOOLONG, "a path without an end")
        for own in (b"/proc/self/", b"/proc/thread-self/"):
            if path.startswith(own):
                return b"/proc/%d/" % self.pid + path[len(own) :]
        return b"/proc/%d/fd/" % self.pid + path[8:] if path.startswith(b"/dev/fd/") else path

    def open(self, directory: int, address: int, flags: int = 0) -> int:
        """Open what a call names, for looking at it only.

        Args:
            directory: What a relative path begins at: a descriptor of the caller, or AT_FDCWD.
            address: Of the path; 0 for the descriptor itself.
            flags: AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH.
        """
        path = self.path(address) if address else b""
        if not path and address and not flags & AT_EMPTY_PATH:
            raise OSError(errno.ENOENT, "an empty path")
        number = directory & 0xFFFFFFFF
        place = b"cwd" if number == AT_FDCWD & 0xFFFFFFFF else b"fd/%d" % number
        base = self.base(place) if path[:1] != b"/" else -1
        if not path:
            return self.checked(base)
        nofollow = os.O_NOFOLLOW if flags & AT_SYMLINK_NOFOLLOW else 0
        try:
            found = os.open(path, os.O_PATH | os.O_CLOEXEC | nofollow, dir_fd=base if base >= 0 else None)
        finally:
            if base >= 0:
                os.close(base)
        return self.checked(found)

    def base(self, place: bytes) -> int:
        """Open its working directory, or what one of its descriptors is."""
        try:
            return os.open(b"/proc/%d/" % self.pid + place, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            raise OSError(errno.EBADF, "no such descriptor") from None

    def checked(self, fd: int) -> int:
        """Return a descriptor that was opened by way of its process number."""
        try:
            self.is_the_one()
        except OSError:
            os.close(fd)
            raise
        return fd


def _read_at(memory: int, size: int, address: int) -> bytes:
    try:
        return os.pread(memory, size, address)
    except OverflowError:
        raise OSError(errno.EFAULT, "no such address") from None
    except OSError as error:
        raise OSError(errno.EFAULT if error.errno == errno.EIO else error.errno, "nothing there") from None


def _change(fd: int, change: Callable[[str], None], writable: Sequence[bytes]) -> None:
    """Make a change to what has been opened, if it is beneath a writable directory; closes the descriptor.

    Raises:
        OSError: EROFS where it is not, as a read-only mount would answer.
    """
    try:
        link = f"/proc/self/fd/{fd}"
        where = os.readlink(os.fsencode(link))
        is_ours = any(where == place or where.startswith(place + b"/") for place in writable)
        if where.startswith(b"/") and not is_ours:  # a pipe has no path, and belongs to nobody else
            raise OSError(errno.EROFS, "not beneath an output or a temp")
        change(link)
    finally:
        os.close(fd)


def _mode(caller: _Caller, directory: int, path: int, mode: int, flags: int = 0) -> tuple[Callable[[str], None], int]:
    return lambda link: os.chmod(link, mode & 0o7777), caller.open(directory, path, flags)


def _owner(
    caller: _Caller, directory: int, path: int, ids: Sequence[int], flags: int = 0
) -> tuple[Callable[[str], None], int]:
    uid, gid = (-1 if item & 0xFFFFFFFF == seccomp.SAME_ID else item & 0xFFFFFFFF for item in ids)
    return lambda link: os.chown(link, uid, gid), caller.open(directory, path, flags)


def _times(
    caller: _Caller, directory: int, path: int, times: Times, flags: int = 0
) -> tuple[Callable[[str], None], int]:
    def change(link: str) -> None:
        status = os.stat(link)  # a link in /proc leads to exactly what is open, even to a symbolic link
        known = (status.st_atime_ns, status.st_mtime_ns)
        now = time.time_ns()
        wanted = [old if new is None else now if new == NOW else new for old, new in zip(known, times, strict=True)]
        os.utime(link, ns=(wanted[0], wanted[1]))

    return change, caller.open(directory, path, flags)


def _read_times(caller: _Caller, address: int, form: str, scale: int) -> Times:
    """Read two times: seconds, each with a fraction in units of ``scale`` nanoseconds; now when there are none."""
    if not address:
        return NOW, NOW
    layout = struct.Struct(form)
    data = caller.memory(address, layout.size)
    if len(data) < layout.size:
        raise OSError(errno.EFAULT, "no times there")
    numbers: tuple[int, ...] = layout.unpack(data)
    if len(numbers) == 2:
        return numbers[0] * 10**9, numbers[1] * 10**9
    return _nanoseconds(numbers[0], numbers[1], scale), _nanoseconds(numbers[2], numbers[3], scale)


def _nanoseconds(seconds: int, fraction: int, scale: int) -> int | None:
    if scale == 1 and fraction in (UTIME_NOW, UTIME_OMIT):
        return NOW if fraction == UTIME_NOW else None
    if not 0 <= fraction * scale < 10**9:
        raise OSError(errno.EINVAL, "more than a second")
    return max(0, seconds * 10**9 + fraction * scale)


CALLS: dict[str, Callable[[_Caller, list[int]], tuple[Callable[[str], None], int]]] = {
    "chmod": lambda who, a: _mode(who, AT_FDCWD, a[0], a[1]),
    "fchmod": lambda who, a: _mode(who, a[0], 0, a[1]),
    "fchmodat": lambda who, a: _mode(who, a[0], a[1], a[2]),
    "fchmodat2": lambda who, a: _mode(who, a[0], a[1], a[2], a[3]),
    "chown": lambda who, a: _owner(who, AT_FDCWD, a[0], a[1:3]),
    "lchown": lambda who, a: _owner(who, AT_FDCWD, a[0], a[1:3], AT_SYMLINK_NOFOLLOW),
    "fchown": lambda who, a: _owner(who, a[0], 0, a[1:3]),
    "fchownat": lambda who, a: _owner(who, a[0], a[1], a[2:4], a[4]),
    "utime": lambda who, a: _times(who, AT_FDCWD, a[0], _read_times(who, a[1], "<qq", 1)),
    "utimes": lambda who, a: _times(who, AT_FDCWD, a[0], _read_times(who, a[1], "<qqqq", 1000)),
    "futimesat": lambda who, a: _times(who, a[0], a[1], _read_times(who, a[2], "<qqqq", 1000)),
    "utimensat": lambda who, a: _times(who, a[0], a[1], _read_times(who, a[2], "<qqqq", 1), a[3]),
}
