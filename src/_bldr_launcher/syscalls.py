"""Linux system calls that the standard library lacks, and their constants.

The only module that sees ctypes. Each wrapper takes and returns Python types, tests the *return value*, then reads
``errno`` and raises ``OSError(errno, "name(arguments): text")``. No policy lives here. Numbers are for x86_64 and
aarch64; from 424 on they are the same on both. ``tests/architecture`` compares every constant with the C headers.
"""

import ctypes
import os

__all__: list[str] = []

# <linux/sched.h>
CLONE_PIDFD = 0x00001000
CLONE_NEWNS = 0x00020000
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
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MNT_DETACH = 2  # <sys/mount.h>
OPEN_TREE_CLONE = 1
MOVE_MOUNT_F_EMPTY_PATH = 0x00000004
MOVE_MOUNT_T_EMPTY_PATH = 0x00000040
FSOPEN_CLOEXEC = 0x00000001
FSMOUNT_CLOEXEC = 0x00000001
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
PR_SET_NO_NEW_PRIVS = 38
PR_GET_NO_NEW_PRIVS = 39
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4

# <linux/capability.h>
LINUX_CAPABILITY_VERSION_3 = 0x20080522

# <linux/seccomp.h>
SECCOMP_SET_MODE_FILTER = 1

# <linux/keyctl.h>
KEYCTL_JOIN_SESSION_KEYRING = 1

# <linux/landlock.h>
LANDLOCK_CREATE_RULESET_VERSION = 1
LANDLOCK_RULE_PATH_BENEATH = 1

_NUMBERS = {
    "x86_64": {"pivot_root": 155, "capset": 126, "keyctl": 250, "seccomp": 317},
    "aarch64": {"pivot_root": 41, "capset": 91, "keyctl": 219, "seccomp": 277},
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

_long = ctypes.c_long
_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc["syscall"]
_syscall.restype = _long
_mount = _libc["mount"]
_mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p]
_mount.restype = ctypes.c_int
_umount2 = _libc["umount2"]
_umount2.argtypes = [ctypes.c_char_p, ctypes.c_int]
_umount2.restype = ctypes.c_int
_sethostname = _libc["sethostname"]
_sethostname.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
_sethostname.restype = ctypes.c_int
_prctl = _libc["prctl"]
_prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong]
_prctl.restype = ctypes.c_int
_unshare = _libc["unshare"]
_unshare.argtypes = [ctypes.c_int]
_unshare.restype = ctypes.c_int


class mount_attr(ctypes.Structure):
    """``struct mount_attr`` of <linux/mount.h>, 32 bytes."""

    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


class open_how(ctypes.Structure):
    """``struct open_how`` of <linux/openat2.h>, 24 bytes."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


class sock_fprog(ctypes.Structure):
    """``struct sock_fprog`` of <linux/filter.h>."""

    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_char_p))


class landlock_path_beneath_attr(ctypes.Structure):
    """``struct landlock_path_beneath_attr`` of <linux/landlock.h>, packed, 12 bytes."""

    _pack_ = 1
    _layout_ = "ms"  # what _pack_ means; CPython 3.14 wants it said
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


class clone_args(ctypes.Structure):
    """``struct clone_args`` of <linux/sched.h>, 88 bytes (version 2, with the cgroup field)."""

    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in (
            "flags pidfd child_tid parent_tid exit_signal stack stack_size tls set_tid set_tid_size cgroup".split()
        )
    )


def _failure(call, *arguments):
    number = ctypes.get_errno()
    shown = ", ".join(os.fsdecode(item) if isinstance(item, bytes) else str(item) for item in arguments)
    return OSError(number, f"{call}({shown}): {os.strerror(number)}")


def _call(name, *arguments):
    """Make the raw system call; integers are passed as ``long``, so that pointers and flags keep 64 bits."""
    number = NR.get(name)
    if number is None:
        raise OSError(38, f"{name}: no system call number is known for {MACHINE}")
    return _syscall(_long(number), *[_long(item) if isinstance(item, int) else item for item in arguments])


def clone3(flags, exit_signal):
    """Start a child with clone3(2); returns 0 in the child, like fork(2).

    The caller must have one thread: nothing of libc or CPython is told that the process is a new one.
    """
    args = clone_args(flags=flags, exit_signal=exit_signal)
    pid = _call("clone3", ctypes.byref(args), ctypes.sizeof(args))
    if pid < 0:
        raise _failure("clone3", hex(flags))
    return pid


def unshare(flags):
    """unshare(2); ``os.unshare`` came with Python 3.12."""
    if _unshare(flags) < 0:
        raise _failure("unshare", hex(flags))


def mount(source, target, fstype, flags, data=None):
    """mount(2). ``MS_RDONLY`` is ignored together with ``MS_BIND``: use :func:`mount_setattr`."""
    if _mount(source, target, fstype, flags, data) < 0:
        raise _failure("mount", source or b"none", target, fstype or b"", hex(flags))


def umount2(target, flags):
    """umount2(2)."""
    if _umount2(target, flags) < 0:
        raise _failure("umount2", target, flags)


def pivot_root(new_root, put_old):
    """pivot_root(2); ``pivot_root(".", ".")`` stacks the old root over the new one, as the manual page describes."""
    if _call("pivot_root", new_root, put_old) < 0:
        raise _failure("pivot_root", new_root, put_old)


def open_tree(dir_fd, path, flags):
    """open_tree(2), Linux 5.2: an O_PATH descriptor of a mount or, with ``OPEN_TREE_CLONE``, of a detached copy."""
    fd = _call("open_tree", dir_fd, path, flags)
    if fd < 0:
        raise _failure("open_tree", path, hex(flags))
    return fd


def move_mount(from_fd, from_path, to_fd, to_path, flags):
    """move_mount(2), Linux 5.2."""
    if _call("move_mount", from_fd, from_path, to_fd, to_path, flags) < 0:
        raise _failure("move_mount", from_path, to_path, hex(flags))


def mount_setattr(dir_fd, path, flags, *, set_=0, clear=0, userns_fd=0):
    """mount_setattr(2), Linux 5.12; with ``AT_RECURSIVE`` it reaches every mount below."""
    attr = mount_attr(set_, clear, 0, userns_fd)
    if _call("mount_setattr", dir_fd, path, flags, ctypes.byref(attr), ctypes.sizeof(attr)) < 0:
        raise _failure("mount_setattr", path, f"+{set_:#x}", f"-{clear:#x}")


def fsopen(fstype):
    """fsopen(2), Linux 5.2: a context in which a new file system is configured."""
    fd = _call("fsopen", fstype, FSOPEN_CLOEXEC)
    if fd < 0:
        raise _failure("fsopen", fstype)
    return fd


def fsconfig(fd, command, key, text):
    """fsconfig(2), Linux 5.2."""
    if _call("fsconfig", fd, command, key, text, 0) < 0:
        raise _failure("fsconfig", command, key or b"", text or b"")


def fsmount(fd, attributes):
    """fsmount(2), Linux 5.2: a detached mount of the configured file system."""
    mount_fd = _call("fsmount", fd, FSMOUNT_CLOEXEC, attributes)
    if mount_fd < 0:
        raise _failure("fsmount", hex(attributes))
    return mount_fd


def openat2(dir_fd, path, flags, resolve):
    """openat2(2), Linux 5.6."""
    how = open_how(flags | os.O_CLOEXEC, 0, resolve)
    fd = _call("openat2", dir_fd, path, ctypes.byref(how), ctypes.sizeof(how))
    if fd < 0:
        raise _failure("openat2", path, hex(flags), hex(resolve))
    return fd


def close_range(first, last):
    """close_range(2), Linux 5.9."""
    if _call("close_range", first, last, 0) < 0:
        raise _failure("close_range", first, last)


def sethostname(name):
    """sethostname(2)."""
    if _sethostname(name, len(name)) < 0:
        raise _failure("sethostname", name)


def prctl(option, argument=0):
    """prctl(2) for the options with at most one argument; unused ones must be 0."""
    if isinstance(argument, bytes):
        argument = ctypes.cast(argument, ctypes.c_void_p).value
    answer = _prctl(option, argument, 0, 0, 0)
    if answer < 0:
        raise _failure("prctl", option, argument)
    return answer


def drop_bounding_set():
    """Empty the capability bounding set, so that no exec can bring one back, see capabilities(7)."""
    for capability in range(64):
        if _prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0:
            if ctypes.get_errno() == 22:  # EINVAL: one past the last capability of this kernel
                return
            raise _failure("prctl", "PR_CAPBSET_DROP", capability)


def drop_capabilities():
    """Empty the ambient, inheritable, permitted and effective sets, see capabilities(7)."""
    if _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0:
        raise _failure("prctl", "PR_CAP_AMBIENT_CLEAR_ALL")
    header = LINUX_CAPABILITY_VERSION_3.to_bytes(4, "little") + bytes(4)
    if _call("capset", header, bytes(24)) < 0:
        raise _failure("capset", "empty")


def overwrite_arguments():
    """Blank the memory behind /proc/PID/cmdline: every sandbox can read it of its own process 1.

    ``arg_start`` and ``arg_end`` are fields 48 and 49 of /proc/self/stat, see proc(5).
    """
    with open("/proc/self/stat", "rb") as stat:
        fields = stat.read().rpartition(b") ")[2].split()
    start, end = int(fields[45]), int(fields[46])  # the first two fields are before the parenthesis
    if 0 < start < end:
        name = b"bldr-init\0"[: end - start]
        ctypes.memset(start, 0, end - start)
        ctypes.memmove(start, name, len(name))


def join_new_session_keyring():
    """keyctl(2) ``KEYCTL_JOIN_SESSION_KEYRING``: keyrings are not namespaced, so the caller's is left behind."""
    if _call("keyctl", KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0) < 0:
        raise _failure("keyctl", "KEYCTL_JOIN_SESSION_KEYRING")


def install_filter(program, flags=0):
    """seccomp(2) ``SECCOMP_SET_MODE_FILTER``; needs no_new_privs or CAP_SYS_ADMIN."""
    fprog = sock_fprog(len(program) // 8, program)
    answer = _call("seccomp", SECCOMP_SET_MODE_FILTER, flags, ctypes.byref(fprog))
    if answer < 0:
        raise _failure("seccomp", "SECCOMP_SET_MODE_FILTER", hex(flags))
    return answer


def landlock_version():
    """The Landlock ABI of this kernel; the system call is asked, because the list of LSMs may be unreadable."""
    version = _call("landlock_create_ruleset", 0, 0, LANDLOCK_CREATE_RULESET_VERSION)
    if version < 0:
        raise _failure("landlock_create_ruleset", "version")
    return version


def landlock_create_ruleset(attributes):
    """landlock_create_ruleset(2); ``attributes`` is ``struct landlock_ruleset_attr`` as bytes."""
    fd = _call("landlock_create_ruleset", attributes, len(attributes), 0)
    if fd < 0:
        raise _failure("landlock_create_ruleset")
    return fd


def landlock_allow_beneath(ruleset_fd, parent_fd, access):
    """landlock_add_rule(2) with ``LANDLOCK_RULE_PATH_BENEATH``."""
    attr = landlock_path_beneath_attr(access, parent_fd)
    if _call("landlock_add_rule", ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, ctypes.byref(attr), 0) < 0:
        raise _failure("landlock_add_rule", hex(access))


def landlock_restrict_self(ruleset_fd):
    """landlock_restrict_self(2)."""
    if _call("landlock_restrict_self", ruleset_fd, 0) < 0:
        raise _failure("landlock_restrict_self")
