"""System-call filters: a small classic-BPF assembler and the deny table.

Only LD, JEQ, JGE and RET are emitted, so that the kernel's bitmap of always-allowed calls (5.11) applies and an allowed
call costs nothing. The table is what eighteen real builds, test suites and package tools did not notice, tried one
family at a time; ptrace, set*uid, setxattr, mkfifo and personality have to stay allowed for them.
"""

from __future__ import annotations

import _struct as struct
import errno
import os

from _bldr_launcher import channel, syscalls, wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Sequence
    from typing import TypeAlias

    from _bldr_launcher.kernel import Kernel

    Rule: TypeAlias = tuple[str, int] | tuple[str, int, int, tuple[int, ...]]

__all__ = [
    "ALLOW",
    "assemble",
    "attributes_filter",
    "base_filter",
    "install_with_listener",
    "instruction",
    "let_trace",
    "policy_block",
    "policy_filter",
    "refusable",
    "sandbox_filter",
    "shared_host_filter",
    "userns_filter",
]

# <linux/bpf_common.h>: BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_JEQ|BPF_K, BPF_JMP|BPF_JGE|BPF_K,
# BPF_JMP|BPF_JSET|BPF_K, BPF_RET|BPF_K
LD, JEQ, JGE, JSET, RET = 0x20, 0x15, 0x35, 0x45, 0x06
# <linux/seccomp.h>
ALLOW = 0x7FFF0000
ERRNO = 0x00050000
USER_NOTIF = 0x7FC00000
# offsets in struct seccomp_data of <linux/seccomp.h>: nr, arch, instruction_pointer, args[6], all little-endian here
NR_OFFSET, ARCH_OFFSET, ARGS_OFFSET = 0, 4, 16
X32_SYSCALL_BIT = 0x40000000  # <asm/unistd.h>

# <linux/audit.h>
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# <asm/unistd_64.h> and <asm-generic/unistd.h>; a test compares them with the headers
NUMBERS = {
    "x86_64": {
        "ioctl": 16, "socket": 41, "clone": 56, "chown": 92, "fchown": 93, "lchown": 94, "mount": 165, "umount2": 166,
        "pivot_root": 155, "swapon": 167, "swapoff": 168, "reboot": 169, "init_module": 175, "delete_module": 176,
        "kexec_load": 246, "unshare": 272, "add_key": 248, "request_key": 249, "keyctl": 250, "fchownat": 260,
        "perf_event_open": 298, "fanotify_init": 300, "open_by_handle_at": 304, "setns": 308, "finit_module": 313,
        "kexec_file_load": 320, "bpf": 321, "userfaultfd": 323, "shmget": 29, "shmat": 30, "shmctl": 31,
        "socketpair": 53, "kill": 62, "semget": 64, "semop": 65, "chmod": 90, "fchmod": 91, "utime": 132,
        "setxattr": 188, "lsetxattr": 189, "fsetxattr": 190, "removexattr": 197, "lremovexattr": 198,
        "fremovexattr": 199, "utimes": 235, "futimesat": 261, "fchmodat": 268, "utimensat": 280, "semctl": 66,
        "msgget": 68, "msgsnd": 69, "msgrcv": 70, "msgctl": 71, "semtimedop": 220, "mq_open": 240, "mq_unlink": 241,
        "prlimit64": 302, "fork": 57, "vfork": 58, "execve": 59, "execveat": 322,
    },
    "aarch64": {
        "ioctl": 29, "socket": 198, "clone": 220, "unshare": 97,
        "fchown": 55, "fchownat": 54, "mount": 40, "umount2": 39, "pivot_root": 41,
        "swapon": 224, "swapoff": 225, "reboot": 142, "init_module": 105, "delete_module": 106, "kexec_load": 104,
        "add_key": 217, "request_key": 218, "keyctl": 219, "perf_event_open": 241, "fanotify_init": 262,
        "open_by_handle_at": 265, "setns": 268, "finit_module": 273, "kexec_file_load": 294, "bpf": 280,
        "userfaultfd": 282, "kill": 129, "mq_open": 180, "mq_unlink": 181, "msgget": 186, "msgctl": 187, "msgrcv": 188,
        "msgsnd": 189, "semget": 190, "semctl": 191, "semtimedop": 192, "semop": 193, "shmget": 194, "shmctl": 195,
        "setxattr": 5, "lsetxattr": 6, "fsetxattr": 7, "removexattr": 14, "lremovexattr": 15, "fremovexattr": 16,
        "fchmod": 52, "fchmodat": 53, "utimensat": 88, "shmat": 196, "socketpair": 199, "prlimit64": 261,
        "execve": 221, "execveat": 281,
    },
}  # fmt: skip
SHARED_NUMBERS = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429,
    "clone3": 435, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "mount_setattr": 442,
    "fchmodat2": 452, "setxattrat": 463, "removexattrat": 466, "file_setattr": 469,
}  # fmt: skip

NOT_PERMITTED = (
    "keyctl", "add_key", "request_key",  # keyrings are not namespaced
    "bpf", "perf_event_open", "userfaultfd", "open_by_handle_at", "fanotify_init",
    "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot", "swapon", "swapoff",
)  # fmt: skip
NOT_THERE = ("io_uring_setup", "io_uring_enter", "io_uring_register")  # ENOSYS makes callers fall back to plain calls
MOUNT_FAMILY = (
    "mount", "umount2", "pivot_root", "setns", "open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick",
    "mount_setattr",
)  # fmt: skip
SHARED_IPC = (
    "shmget", "shmat", "shmctl", "semget", "semop", "semtimedop", "semctl", "msgget", "msgsnd", "msgrcv", "msgctl",
    "mq_open", "mq_unlink",
)  # fmt: skip
ATTRIBUTES = (
    "chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat", "utime", "utimes", "futimesat",
    "utimensat",
)  # fmt: skip
EXTENDED = ("setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr")
FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR = 0x40086602, 0x401C5820  # <linux/fs.h>
TIOCSTI, TIOCLINUX = 0x5412, 0x541C  # <asm-generic/ioctls.h>: type into, or paste into, the terminal of somebody else
AF_PACKET, AF_ALG, AF_VSOCK = 17, 38, 40  # <bits/socket.h>: families that a network namespace does not confine or need
SOCK_DGRAM, SOCK_RAW, SOCK_NONBLOCK, SOCK_CLOEXEC = 2, 3, 0x800, 0x80000  # <bits/socket_type.h>
CLONE_NEWUSER, CLONE_THREAD = 0x10000000, 0x10000  # <linux/sched.h>
FORKING = ("fork", "vfork", "clone")
EXECUTING = ("execve", "execveat")
SAME_ID = 0xFFFFFFFF  # chown(2): -1 leaves the id as it is
EVERYBODY = 0xFFFFFFFF  # kill(2): -1 is every process that the caller may signal


def instruction(code: int, k: int, jump_true: int = 0, jump_false: int = 0) -> bytes:
    """Return one ``struct sock_filter``; jumps count the instructions to skip."""
    return struct.pack("<HBBI", code, jump_true, jump_false, k)


def assemble(rules: Sequence[Rule], machine: str) -> bytes:
    """Translate rules to a filter program.

    Args:
        rules: ``(name, action)`` or ``(name, action, argument, values)``: the action applies when the low 32 bits of
            that argument equal one of the values. ``int`` arguments must be compared so: the kernel ignores the high
            half, and a 64-bit comparison is got round by setting it (CVE-2019-10063). Calls that the architecture
            lacks are left out.
        machine: ``uname -m``.

    Returns:
        An array of ``struct sock_filter`` of <linux/filter.h>, 8 bytes each.

    Raises:
        KeyError: No numbers are known for the machine.
    """
    numbers = {**SHARED_NUMBERS, **NUMBERS[machine]}
    program = [
        instruction(LD, ARCH_OFFSET),
        instruction(JEQ, ARCHITECTURES[machine], 1, 0),
        instruction(RET, ERRNO | errno.ENOSYS),  # 32-bit programs see a kernel without any system call
        instruction(LD, NR_OFFSET),
    ]
    if machine == "x86_64":
        program += [instruction(JGE, X32_SYSCALL_BIT, 0, 1), instruction(RET, ERRNO | errno.ENOSYS)]
    for rule in rules:
        name, action = rule[:2]
        if name not in numbers:
            continue
        if len(rule) == 2:
            body = [instruction(RET, action)]
        else:
            argument, values = rule[2:]
            body = [instruction(LD, ARGS_OFFSET + 8 * argument)]
            for place, item in enumerate(values):
                left = len(values) - place - 1  # to the RET, or past it from the last comparison
                body.append(instruction(JEQ, item, left, 0 if left else 1))
            body += [instruction(RET, action), instruction(RET, ALLOW)]
        program += [instruction(JEQ, numbers[name], 0, len(body)), *body]
    program.append(instruction(RET, ALLOW))
    return b"".join(program)


def base_filter(machine: str = "") -> bytes:
    """The filter of every sandbox; the launcher installs it on itself once and each sandbox inherits it.

    Args:
        machine: ``uname -m``; this machine by default.

    Returns:
        A program as of :func:`assemble`.

    Raises:
        KeyError: No numbers are known for the machine.
    """
    rules: list[Rule] = [(name, ERRNO | errno.EPERM) for name in NOT_PERMITTED]
    rules += [(name, ERRNO | errno.ENOSYS) for name in NOT_THERE]
    rules.append(("ioctl", ERRNO | errno.EPERM, 1, (TIOCSTI, TIOCLINUX)))
    rules.append(("socket", ERRNO | errno.EAFNOSUPPORT, 0, (AF_PACKET, AF_ALG, AF_VSOCK)))
    return assemble(rules, machine or os.uname().machine)


def sandbox_filter(*, mounts: bool, chown_succeeds: bool, machine: str = "") -> bytes:
    """The part that differs between sandboxes.

    Args:
        mounts: Leave the mount family alone, for sandboxes inside this one.
        chown_succeeds: Inside-root may "change" owners to ids that are not mapped: chown(2) answers 0 and does nothing,
            as rootless image builders do, because ``tar`` and ``install`` run as root insist on it. A change to the own
            id, or to none, is left to the kernel.
        machine: ``uname -m``; this machine by default.

    Returns:
        A program as of :func:`assemble`; the same object each time.

    Raises:
        KeyError: No numbers are known for the machine.
    """
    machine = machine or os.uname().machine
    key = (mounts, chown_succeeds, machine)
    if key not in _assembled:  # the launcher fills this once, before it forks
        _assembled[key] = _assemble_sandbox_filter(mounts=mounts, chown_succeeds=chown_succeeds, machine=machine)
    return _assembled[key]


def userns_filter(machine: str | None = None) -> bytes:
    """A filter that forbids new user namespaces, for where the limit of them cannot be set.

    The flags of clone3(2) are in memory, where no filter can look; ENOSYS makes the C library use clone(2).
    """
    machine = machine or os.uname().machine
    numbers = {**SHARED_NUMBERS, **NUMBERS[machine]}
    program = assemble([("clone3", ERRNO | errno.ENOSYS)], machine)[:-8]
    for name in ("clone", "unshare"):
        program += instruction(JEQ, numbers[name], 0, 4) + instruction(LD, ARGS_OFFSET)
        program += instruction(JSET, CLONE_NEWUSER, 0, 1) + instruction(RET, ERRNO | errno.ENOSPC)
        program += instruction(RET, ALLOW)
    return program + instruction(RET, ALLOW)


def shared_host_filter(machine: str = "") -> bytes:
    """What a namespace keeps apart elsewhere, refused where the sandbox shares it with the host.

    No socket can be made: a path can lead to any daemon of the host, and no filter can see which. Pairs of connected
    stream sockets are left, which lead nowhere else; datagrams of a pair could be sent elsewhere. Other processes can
    neither be signalled all at once nor be given limits.

    Args:
        machine: ``uname -m``; this machine by default.

    Returns:
        A program as of :func:`assemble`.

    Raises:
        KeyError: No numbers are known for the machine.
    """
    machine = machine or os.uname().machine
    flags = (0, SOCK_NONBLOCK, SOCK_CLOEXEC, SOCK_NONBLOCK | SOCK_CLOEXEC)
    datagrams = tuple(kind | flag for kind in (SOCK_DGRAM, SOCK_RAW) for flag in flags)
    rules: list[Rule] = [
        ("socket", ERRNO | errno.EACCES),
        ("socketpair", ERRNO | errno.EACCES, 1, datagrams),
        ("kill", ERRNO | errno.EPERM, 0, (EVERYBODY,)),
    ]
    rules += [(name, ERRNO | errno.ENOSYS) for name in SHARED_IPC]
    program = assemble(rules, machine)[:-8]
    program += instruction(JEQ, NUMBERS[machine]["prlimit64"], 0, 3) + instruction(LD, ARGS_OFFSET)
    program += instruction(JEQ, 0, 1, 0) + instruction(RET, ERRNO | errno.EPERM)
    return program + instruction(RET, ALLOW)


def policy_filter(refused: Container[bytes], *, action: int = USER_NOTIF, machine: str = "") -> bytes:
    """Refuse new processes, but not new threads, and the execution of programs.

    The flags of clone3(2) are in memory, where no filter can look; ENOSYS makes the C library use clone(2).

    Args:
        refused: Of ``fork`` and ``exec``.
        action: What happens to such a call.
        machine: ``uname -m``; this machine by default.

    Returns:
        A program as of :func:`assemble`, to be installed with a listener unless ``action`` is another.

    Raises:
        KeyError: No numbers are known for the machine.
    """
    machine = machine or os.uname().machine
    return assemble([], machine)[:-8] + policy_block(refused, action, machine) + instruction(RET, ALLOW)


def refusable(machine: str) -> dict[int, str]:
    """Return the calls that a policy for processes may refuse, by their number.

    Args:
        machine: ``uname -m``.
    """
    numbers = NUMBERS[machine]
    return {numbers[name]: name for name in FORKING + EXECUTING if name in numbers}


def policy_block(refused: Container[bytes], action: int, machine: str) -> bytes:
    """Return the instructions of :func:`policy_filter`, for a filter that does more."""
    numbers = {**SHARED_NUMBERS, **NUMBERS[machine]}
    block = b""
    if b"fork" in refused:
        block += instruction(JEQ, numbers["clone3"], 0, 1) + instruction(RET, ERRNO | errno.ENOSYS)
        for name in ("fork", "vfork"):
            if name in numbers:
                block += instruction(JEQ, numbers[name], 0, 1) + instruction(RET, action)
        block += instruction(JEQ, numbers["clone"], 0, 4) + instruction(LD, ARGS_OFFSET)
        block += instruction(JSET, CLONE_THREAD, 1, 0) + instruction(RET, action) + instruction(RET, ALLOW)
    if b"exec" in refused:
        for name in EXECUTING:
            block += instruction(JEQ, numbers[name], 0, 1) + instruction(RET, action)
    return block


def install_with_listener(program: bytes, kernel: Kernel) -> int:
    """Install a filter; return the descriptor of its listener.

    Once received, a call waits for its answer whatever signals come: Go sends itself many, and would ask again.
    """
    flags = syscalls.SECCOMP_FILTER_FLAG_NEW_LISTENER
    try:
        return kernel.install_filter(program, flags | syscalls.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)
    except OSError as error:
        if error.errno != errno.EINVAL:  # before Linux 5.19
            raise
        return kernel.install_filter(program, flags)


def let_trace(path: bytes, link: int, kernel: Kernel, *records: int) -> None:
    """Put the filter that the launcher sends on this process, and give the tracer its listener.

    From then on each traced call waits for the tracer, which waits for the listener.

    Args:
        path: What is executed first: until then the command's process shares our memory, which nobody may read.
        link: Descriptor of the socket to the launcher, and to the tracer.
        kernel: The system calls.
        records: Descriptors that are given along.

    Raises:
        OSError: EBUSY where somebody around this sandbox listens already; EPIPE when the launcher is gone.
    """
    program, _ = channel.receive(link, wire.LARGEST_INLINE)
    if not program:
        raise OSError(errno.EPIPE, "the tracer is gone")
    root = os.open("/", os.O_DIRECTORY | os.O_CLOEXEC)
    listener = install_with_listener(program, kernel)
    try:
        channel.send(link, wire.pack([b"listener", path]), [listener, root, *records])
    finally:
        os.close(listener)
        os.close(root)


def attributes_filter(refused: Container[bytes] = (), *, machine: str = "") -> bytes:
    """Changes of attributes, which no rule of Landlock covers: modes, owners and times are for init to decide.

    Extended attributes seem to be missing, and so do the flags of files, wherever they are.

    Args:
        refused: What is for init to decide beside them, as for :func:`policy_filter`: there can be one listener only.
        machine: ``uname -m``; this machine by default.

    Returns:
        A program as of :func:`assemble`, to be installed with a listener.

    Raises:
        KeyError: No numbers are known for the machine.
    """
    rules: list[Rule] = [(name, USER_NOTIF) for name in ATTRIBUTES]
    rules += [(name, ERRNO | errno.EOPNOTSUPP) for name in EXTENDED]
    rules += [(name, ERRNO | errno.ENOSYS) for name in ("setxattrat", "removexattrat", "file_setattr")]
    rules.append(("ioctl", ERRNO | errno.ENOTTY, 1, (FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR)))
    machine = machine or os.uname().machine
    return assemble(rules, machine)[:-8] + policy_block(refused, USER_NOTIF, machine) + instruction(RET, ALLOW)


_assembled: dict[tuple[bool, bool, str], bytes] = {}


def _assemble_sandbox_filter(*, mounts: bool, chown_succeeds: bool, machine: str) -> bytes:
    numbers = {**SHARED_NUMBERS, **NUMBERS[machine]}
    rules: list[Rule] = [] if mounts else [(name, ERRNO | errno.EPERM) for name in MOUNT_FAMILY]
    program = assemble(rules, machine)
    if not chown_succeeds:
        return program
    body = b""
    for name, first in (("chown", 1), ("lchown", 1), ("fchown", 1), ("fchownat", 2)):
        if name in numbers:
            body += instruction(JEQ, numbers[name], 0, 8) + _chown_block(first)
    return program[:-8] + body + instruction(RET, ALLOW)


def _chown_block(first: int) -> bytes:
    """Allow when user and group are each 0 or -1, else answer 0; eight instructions."""
    uid, gid = ARGS_OFFSET + 8 * first, ARGS_OFFSET + 8 * (first + 1)
    return b"".join(
        (
            instruction(LD, uid),
            instruction(JEQ, 0, 1, 0),
            instruction(JEQ, SAME_ID, 0, 3),
            instruction(LD, gid),
            instruction(JEQ, 0, 2, 0),
            instruction(JEQ, SAME_ID, 1, 0),
            instruction(RET, ERRNO),
            instruction(RET, ALLOW),
        )
    )
