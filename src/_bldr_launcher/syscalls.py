"""Linux system calls that the standard library lacks, and their constants.

The only module that sees ctypes, and only its core ``_ctypes``: the package around it makes thirty classes and a
closure when it is imported, which costs each start of ``bldr run`` 2 ms. Each wrapper takes and returns Python types,
tests the *return value*, then reads ``errno`` and raises ``OSError(errno, "name(arguments): text")``. No policy lives
here. Numbers are for x86_64 and aarch64; from 424 on they are the same on both. ``tests/architecture`` compares every
constant with the C headers.
"""

from __future__ import annotations

import _ctypes
import _struct as struct
import errno
import os
from _ctypes import _SimpleCData

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    _Simple: TypeAlias = _SimpleCData[Any]  # it is generic for type checkers only
else:
    _Simple = _SimpleCData

# The calls. Constants are read as attributes of the module; type checkers match what is listed with `kernel.Kernel`.
__all__ = [
    "Memory",
    "clone3",
    "close_range",
    "drop_bounding_set",
    "drop_capabilities",
    "empty_capability_sets",
    "fsconfig",
    "fsmount",
    "fsopen",
    "install_filter",
    "join_new_session_keyring",
    "landlock_allow_beneath",
    "landlock_create_ruleset",
    "landlock_restrict_self",
    "landlock_version",
    "look_for_shared_memory",
    "mount",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "openat2",
    "overwrite_arguments",
    "personality",
    "pivot_root",
    "prctl",
    "setdomainname",
    "sethostname",
    "umount2",
    "unshare",
]

# <linux/sched.h>
CLONE_PIDFD = 0x00001000
CLONE_NEWNS = 0x00020000
CLONE_INTO_CGROUP = 0x200000000  # <linux/sched.h>, clone3(2) only
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

# <linux/mount.h>
MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_NOATIME = 1024
MS_NODIRATIME = 2048
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_RELATIME = 1 << 21
MNT_DETACH = 2  # <sys/mount.h>
OPEN_TREE_CLONE = 1
MOVE_MOUNT_F_EMPTY_PATH = 0x00000004
MOVE_MOUNT_T_EMPTY_PATH = 0x00000040
FSOPEN_CLOEXEC = 0x00000001
FSMOUNT_CLOEXEC = 0x00000001
FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_CMD_CREATE = 6
MOUNT_ATTR_RDONLY = 0x00000001
MOUNT_ATTR_NOSUID = 0x00000002
MOUNT_ATTR_NODEV = 0x00000004
MOUNT_ATTR_NOEXEC = 0x00000008
MOUNT_ATTR_IDMAP = 0x00100000

# <linux/fcntl.h>, <fcntl.h>
AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000

# <linux/openat2.h>
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08

# <linux/prctl.h>
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NAME = 15
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_GET_NO_NEW_PRIVS = 39
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4

# <linux/capability.h>
LINUX_CAPABILITY_VERSION_3 = 0x20080522
CAP_SETFCAP = 31

# <linux/seccomp.h>
SECCOMP_SET_MODE_FILTER = 1
SECCOMP_FILTER_FLAG_NEW_LISTENER = 1 << 3
SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV = 1 << 5

PAGE = 4096  # bytes; a larger one is a multiple

# <linux/keyctl.h>
KEYCTL_JOIN_SESSION_KEYRING = 1

# <linux/landlock.h>
LANDLOCK_CREATE_RULESET_VERSION = 1
LANDLOCK_RULE_PATH_BENEATH = 1

_NUMBERS = {
    "x86_64": {"pivot_root": 155, "capset": 126, "keyctl": 250, "seccomp": 317, "shmget": 29, "renameat2": 316},
    "aarch64": {"pivot_root": 41, "capset": 91, "keyctl": 219, "seccomp": 277, "shmget": 194, "renameat2": 276},
}
MACHINE = os.uname().machine
NR = {
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "clone3": 435,
    "close_range": 436,
    "openat2": 437,
    "mount_setattr": 442,
    "landlock_create_ruleset": 444,
    "landlock_add_rule": 445,
    "landlock_restrict_self": 446,
    **_NUMBERS.get(MACHINE, {}),
}


class _int(_Simple):
    _type_ = "i"


class _uint(_Simple):
    _type_ = "I"


class _long(_Simple):
    _type_ = "l"


class _ulong(_Simple):
    _type_ = "L"


class _uint64(_Simple):
    _type_ = "Q"


class _ushort(_Simple):
    _type_ = "H"


class _text(_Simple):
    _type_ = "z"


class _pointer(_Simple):
    _type_ = "P"


class _Function(_ctypes.CFuncPtr):
    """A function of libc that keeps its ``errno`` for :func:`_ctypes.get_errno`."""

    _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO
    _restype_ = _int


_size = _ulong  # size_t, on each machine of _NUMBERS
_libc = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]  # None: what this process has loaded already


def _function(name: str, *argtypes: type) -> Callable[..., int]:
    """Take a function of libc; it is a new object each time, so the types are ours alone."""
    function = _Function(_ctypes.dlsym(_libc, name))
    function.argtypes = argtypes
    return function


def _raw(name: str, *argtypes: type) -> Callable[..., int]:
    """Take syscall(2) for one call that libc may lack: its types are set once, so that a call costs no conversion."""
    number = NR.get(name)
    if number is None:

        def missing(*_arguments: object) -> int:
            _ctypes.set_errno(errno.ENOSYS)
            return -1

        return missing
    function = _Function(_ctypes.dlsym(_libc, "syscall"))
    function.argtypes = (_long, *argtypes)
    function.restype = _long

    def call(*arguments: object) -> int:
        return function(number, *arguments)  # type: ignore[no-any-return]  # restype says int

    return call


_mount = _function("mount", _text, _text, _text, _ulong, _text)
_umount2 = _function("umount2", _text, _int)
_sethostname = _function("sethostname", _text, _size)
_setdomainname = _function("setdomainname", _text, _size)
_personality = _function("personality", _ulong)
_prctl = _function("prctl", _int, _ulong, _ulong, _ulong, _ulong)
_prctl_text = _function("prctl", _int, _text, _ulong, _ulong, _ulong)
_unshare = _function("unshare", _int)
_memmove = _function("memmove", _pointer, _text, _size)
_clone3 = _raw("clone3", _pointer, _size)
_pivot_root = _raw("pivot_root", _text, _text)
_open_tree = _raw("open_tree", _int, _text, _uint)
_move_mount = _raw("move_mount", _int, _text, _int, _text, _uint)
_mount_setattr = _raw("mount_setattr", _int, _text, _uint, _pointer, _size)
_fsopen = _raw("fsopen", _text, _uint)
_fsconfig = _raw("fsconfig", _int, _uint, _text, _text, _int)
_fsmount = _raw("fsmount", _int, _uint, _uint)
_openat2 = _raw("openat2", _int, _text, _pointer, _size)
_close_range = _raw("close_range", _uint, _uint, _uint)
_capset = _raw("capset", _text, _text)
_keyctl = _raw("keyctl", _int, _ulong, _ulong, _ulong, _ulong)
_seccomp = _raw("seccomp", _uint, _uint, _pointer)
_shmget = _raw("shmget", _int, _size, _int)
_process_vm_readv = _function("process_vm_readv", _int, _pointer, _ulong, _pointer, _ulong, _ulong)
_landlock_create_ruleset = _raw("landlock_create_ruleset", _text, _size, _uint)
_landlock_add_rule = _raw("landlock_add_rule", _int, _int, _pointer, _uint)
_landlock_restrict_self = _raw("landlock_restrict_self", _int, _uint)


class mount_attr(_ctypes.Structure):
    """``struct mount_attr`` of <linux/mount.h>, 32 bytes."""

    _fields_ = (
        ("attr_set", _uint64),
        ("attr_clr", _uint64),
        ("propagation", _uint64),
        ("userns_fd", _uint64),
    )


class open_how(_ctypes.Structure):
    """``struct open_how`` of <linux/openat2.h>, 24 bytes."""

    _fields_ = (("flags", _uint64), ("mode", _uint64), ("resolve", _uint64))


class sock_fprog(_ctypes.Structure):
    """``struct sock_fprog`` of <linux/filter.h>."""

    _fields_ = (("len", _ushort), ("filter", _text))


class iovec(_ctypes.Structure):
    """``struct iovec`` of <bits/types/struct_iovec.h>, 16 bytes."""

    _fields_ = (("iov_base", _ulong), ("iov_len", _size))


class _iovecs(_ctypes.Array):  # type: ignore[type-arg]  # of three of them
    _type_ = iovec
    _length_ = 3


class _page(_ctypes.Array):  # type: ignore[type-arg]  # of bytes
    _type_ = type("_byte", (_Simple,), {"_type_": "B"})
    _length_ = 4096


class landlock_path_beneath_attr(_ctypes.Structure):
    """``struct landlock_path_beneath_attr`` of <linux/landlock.h>, packed, 12 bytes."""

    _pack_ = 1
    _layout_ = "ms"  # what _pack_ means; CPython 3.14 wants it said
    _fields_ = (("allowed_access", _uint64), ("parent_fd", _int))


class clone_args(_ctypes.Structure):
    """``struct clone_args`` of <linux/sched.h>, 88 bytes (version 2, with the cgroup field)."""

    _fields_ = tuple(
        (name, _uint64)
        for name in (
            "flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size", "tls", "set_tid",
            "set_tid_size", "cgroup",
        )
    )  # fmt: skip


def _failure(call: str, *arguments: object) -> OSError:
    number = _ctypes.get_errno()
    shown = ", ".join(os.fsdecode(item) if isinstance(item, bytes) else str(item) for item in arguments)
    return OSError(number, f"{call}({shown}): {os.strerror(number)}")


def clone3(flags: int, exit_signal: int, cgroup_fd: int = -1) -> int:
    """Start a child with clone3(2), Linux 5.3; into another cgroup since Linux 5.7.

    The caller must have one thread: nothing of libc or CPython is told that the process is a new one.

    Args:
        flags: ``CLONE_*`` of <linux/sched.h>.
        exit_signal: What the parent gets when the child ends.
        cgroup_fd: Directory of the cgroup (version 2) that it is born in; -1 for the caller's.

    Returns:
        The number of the child; 0 in the child, like fork(2).
    """
    if cgroup_fd >= 0:
        args = clone_args(flags=flags | CLONE_INTO_CGROUP, exit_signal=exit_signal, cgroup=cgroup_fd)
    else:
        args = clone_args(flags=flags, exit_signal=exit_signal)
    pid = _clone3(_ctypes.byref(args), _ctypes.sizeof(args))
    if pid < 0:
        raise _failure("clone3", hex(flags))
    return pid


def unshare(flags: int) -> None:
    """unshare(2); ``os.unshare`` came with Python 3.12."""
    if _unshare(flags) < 0:
        raise _failure("unshare", hex(flags))


def mount(source: bytes | None, target: bytes, fstype: bytes | None, flags: int, data: bytes | None = None) -> None:
    """mount(2). ``MS_RDONLY`` is ignored together with ``MS_BIND``: use :func:`mount_setattr`."""
    if _mount(source, target, fstype, flags, data) < 0:
        raise _failure("mount", source or b"none", target, fstype or b"", hex(flags))


def umount2(target: bytes, flags: int) -> None:
    """umount2(2)."""
    if _umount2(target, flags) < 0:
        raise _failure("umount2", target, flags)


def pivot_root(new_root: bytes, put_old: bytes) -> None:
    """pivot_root(2); ``pivot_root(".", ".")`` stacks the old root over the new one, as the manual page describes."""
    if _pivot_root(new_root, put_old) < 0:
        raise _failure("pivot_root", new_root, put_old)


def open_tree(dir_fd: int, path: bytes, flags: int) -> int:
    """open_tree(2), Linux 5.2: an O_PATH descriptor of a mount or, with ``OPEN_TREE_CLONE``, of a detached copy."""
    fd = _open_tree(dir_fd, path, flags)
    if fd < 0:
        raise _failure("open_tree", path, hex(flags))
    return fd


def move_mount(from_fd: int, from_path: bytes, to_fd: int, to_path: bytes, flags: int) -> None:
    """move_mount(2), Linux 5.2."""
    if _move_mount(from_fd, from_path, to_fd, to_path, flags) < 0:
        raise _failure("move_mount", from_path, to_path, hex(flags))


def mount_setattr(
    dir_fd: int, path: bytes, flags: int, *, set_: int = 0, clear: int = 0, propagation: int = 0, userns_fd: int = 0
) -> None:
    """mount_setattr(2), Linux 5.12; with ``AT_RECURSIVE`` it reaches every mount below."""
    attr = mount_attr(set_, clear, propagation, userns_fd)
    if _mount_setattr(dir_fd, path, flags, _ctypes.byref(attr), 32) < 0:
        raise _failure("mount_setattr", path, f"+{set_:#x}", f"-{clear:#x}")


def fsopen(fstype: bytes) -> int:
    """fsopen(2), Linux 5.2: a context in which a new file system is configured."""
    fd = _fsopen(fstype, FSOPEN_CLOEXEC)
    if fd < 0:
        raise _failure("fsopen", fstype)
    return fd


def fsconfig(fd: int, command: int, key: bytes | None, text: bytes | None) -> None:
    """fsconfig(2), Linux 5.2."""
    if _fsconfig(fd, command, key, text, 0) < 0:
        raise _failure("fsconfig", command, key or b"", text or b"")


def fsmount(fd: int, attributes: int) -> int:
    """fsmount(2), Linux 5.2: a detached mount of the configured file system."""
    mount_fd = _fsmount(fd, FSMOUNT_CLOEXEC, attributes)
    if mount_fd < 0:
        raise _failure("fsmount", hex(attributes))
    return mount_fd


def openat2(dir_fd: int, path: bytes, flags: int, resolve: int) -> int:
    """openat2(2), Linux 5.6."""
    how = open_how(flags | os.O_CLOEXEC, 0, resolve)
    fd = _openat2(dir_fd, path, _ctypes.byref(how), 24)
    if fd < 0:
        raise _failure("openat2", path, hex(flags), hex(resolve))
    return fd


def close_range(first: int, last: int) -> None:
    """close_range(2), Linux 5.9."""
    if _close_range(first, last, 0) < 0:
        raise _failure("close_range", first, last)


def sethostname(name: bytes) -> None:
    """sethostname(2)."""
    if _sethostname(name, len(name)) < 0:
        raise _failure("sethostname", name)


def setdomainname(name: bytes) -> None:
    """setdomainname(2)."""
    if _setdomainname(name, len(name)) < 0:
        raise _failure("setdomainname", name)


def personality(persona: int) -> None:
    """personality(2)."""
    if _personality(persona) < 0:
        raise _failure("personality", hex(persona))


def prctl(option: int, argument: int | bytes = 0) -> int:
    """prctl(2) for the options with at most one argument; unused ones must be 0.

    Args:
        option: ``PR_*`` of <linux/prctl.h>.
        argument: A number, or text whose address is given.

    Returns:
        What the option returns; 0 for those that only set something.
    """
    call = _prctl_text if isinstance(argument, bytes) else _prctl
    answer = call(option, argument, 0, 0, 0)
    if answer < 0:
        raise _failure("prctl", option, argument)
    return answer


def drop_bounding_set() -> None:
    """Empty the capability bounding set but for CAP_SETFCAP, which :func:`drop_capabilities` decides on."""
    for capability in range(64):
        if capability != CAP_SETFCAP and _prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0:
            if _ctypes.get_errno() == errno.EINVAL:  # one past the last capability of this kernel
                return
            raise _failure("prctl", "PR_CAPBSET_DROP", capability)


def drop_capabilities(*, keep_setfcap: bool = False) -> None:
    """Empty the ambient, inheritable, permitted and effective sets and what is left of the bounding set.

    A process that shall make a user namespace in which its own id 0 is mapped needs CAP_SETFCAP for it since Linux 5.12
    (user_namespaces(7)); nothing else is ever kept.
    """
    if not keep_setfcap and _prctl(PR_CAPBSET_DROP, CAP_SETFCAP, 0, 0, 0) < 0:
        raise _failure("prctl", "PR_CAPBSET_DROP", "CAP_SETFCAP")
    empty_capability_sets(keep_setfcap=keep_setfcap)


def empty_capability_sets(*, keep_setfcap: bool = False) -> None:
    """Empty the ambient, inheritable, permitted and effective sets; with no_new_privs they stay empty."""
    if _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0:
        raise _failure("prctl", "PR_CAP_AMBIENT_CLEAR_ALL")
    kept = (1 << CAP_SETFCAP if keep_setfcap else 0).to_bytes(4, "little")
    header = LINUX_CAPABILITY_VERSION_3.to_bytes(4, "little") + bytes(4)
    # struct __user_cap_data_struct: effective, permitted, inheritable of capabilities 0 to 31, then of the others
    if _capset(header, kept + kept + bytes(16)) < 0:
        raise _failure("capset", "drop")


def overwrite_arguments() -> None:
    """Blank the memory behind /proc/PID/cmdline: every sandbox can read it of its own process 1.

    ``arg_start`` and ``arg_end`` are fields 48 and 49 of /proc/self/stat, see proc(5).
    """
    with open("/proc/self/stat", "rb") as stat:
        fields = stat.read().rpartition(b") ")[2].split()
    start, end = int(fields[45]), int(fields[46])  # the first two fields are before the parenthesis
    if 0 < start < end:
        name = b"bldr-init\0"[: end - start]
        _memmove(start, name.ljust(end - start, b"\0"), end - start)


def join_new_session_keyring() -> None:
    """keyctl(2) ``KEYCTL_JOIN_SESSION_KEYRING``: keyrings are not namespaced, so the caller's is left behind."""
    if _keyctl(KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0) < 0:
        raise _failure("keyctl", "KEYCTL_JOIN_SESSION_KEYRING")


def install_filter(program: bytes, flags: int = 0) -> int:
    """seccomp(2) ``SECCOMP_SET_MODE_FILTER``; needs no_new_privs or CAP_SYS_ADMIN.

    Args:
        program: An array of ``struct sock_filter``, 8 bytes each.
        flags: ``SECCOMP_FILTER_FLAG_*``.

    Returns:
        0, or a descriptor when ``SECCOMP_FILTER_FLAG_NEW_LISTENER`` asks for one.
    """
    fprog = sock_fprog(len(program) // 8, program)
    answer = _seccomp(SECCOMP_SET_MODE_FILTER, flags, _ctypes.byref(fprog))
    if answer < 0:
        raise _failure("seccomp", "SECCOMP_SET_MODE_FILTER", hex(flags))
    return answer


def look_for_shared_memory() -> None:
    """shmget(2) for a segment that nobody has; it only fails, with ENOENT where the call is allowed."""
    if _shmget(0x626C6472, 0, 0) < 0:
        raise _failure("shmget")


def landlock_version() -> int:
    """The Landlock ABI of this kernel; the system call is asked, because the list of LSMs may be unreadable."""
    version = _landlock_create_ruleset(None, 0, LANDLOCK_CREATE_RULESET_VERSION)
    if version < 0:
        raise _failure("landlock_create_ruleset", "version")
    return version


def landlock_create_ruleset(attributes: bytes) -> int:
    """landlock_create_ruleset(2); ``attributes`` is ``struct landlock_ruleset_attr`` as bytes."""
    fd = _landlock_create_ruleset(attributes, len(attributes), 0)
    if fd < 0:
        raise _failure("landlock_create_ruleset")
    return fd


def landlock_allow_beneath(ruleset_fd: int, parent_fd: int, access: int) -> None:
    """landlock_add_rule(2) with ``LANDLOCK_RULE_PATH_BENEATH``."""
    attr = landlock_path_beneath_attr(access, parent_fd)
    if _landlock_add_rule(ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, _ctypes.byref(attr), 0) < 0:
        raise _failure("landlock_add_rule", hex(access))


def landlock_restrict_self(ruleset_fd: int) -> None:
    """landlock_restrict_self(2)."""
    if _landlock_restrict_self(ruleset_fd, 0) < 0:
        raise _failure("landlock_restrict_self")


class Memory:
    """Reads the memory of other processes by process_vm_readv(2), into one buffer that is used again and again."""

    __slots__ = ("_constants", "_data", "_pack", "_vectors")

    def __init__(self) -> None:
        self._data = bytearray(PAGE)
        vectors = _iovecs()  # one here, two there: a page that is not there must not hide the one before it
        vectors[0].iov_base = _ctypes.addressof(_page.from_buffer(self._data))
        vectors[0].iov_len = PAGE
        self._vectors = memoryview(vectors).cast("B")
        self._pack = struct.Struct("<4Q").pack_into
        here = _ctypes.addressof(vectors)
        self._constants = _pointer(here), _ulong(1), _pointer(here + _ctypes.sizeof(iovec)), _ulong(2), _ulong(0)

    def read(self, pid: int, address: int, size: int) -> bytes:
        """Read up to a page; what is returned is shorter where nothing more is there."""
        return bytes(self._data[: self._fill(pid, address, min(size, PAGE))])

    def text(self, pid: int, address: int) -> bytes | None:
        """Read up to a NUL byte; None when there is none within a page, or nothing at all."""
        for size in (256, PAGE):
            end = self._data.find(0, 0, self._fill(pid, address, size))
            if end >= 0:
                return bytes(self._data[:end])
        return None

    def _fill(self, pid: int, address: int, size: int) -> int:
        first = min(PAGE - (address & (PAGE - 1)), size)
        here, one, there, two, none = self._constants
        self._pack(self._vectors, 16, address, first, (address + first) & 0xFFFFFFFFFFFFFFFF, size - first)
        return max(0, _process_vm_readv(pid, here, one, there, one if first == size else two, none))
