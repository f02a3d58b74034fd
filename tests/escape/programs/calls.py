"""System calls by name, for attempts. They ask the kernel directly and share no code with what is tested."""

from __future__ import annotations

import ctypes  # noqa: TID251  attempts must not depend on the wrappers of the product
import os

# <asm/unistd_64.h>, <asm-generic/unistd.h>
NUMBERS = {
    "x86_64": {
        "add_key": 248, "bpf": 321, "fanotify_init": 300, "finit_module": 313, "ioctl": 16, "keyctl": 250, "mount": 165,
        "mq_open": 240, "mq_unlink": 241, "msgctl": 71, "msgget": 68, "name_to_handle_at": 303, "open_by_handle_at": 304,
        "perf_event_open": 298, "pivot_root": 155, "process_vm_readv": 310, "ptrace": 101, "request_key": 249,
        "semctl": 66, "semget": 64, "setdomainname": 171, "sethostname": 170, "setns": 308, "shmctl": 31, "shmget": 29,
        "statx": 332, "umount2": 166, "unshare": 272, "userfaultfd": 323,
    },
    "aarch64": {
        "add_key": 217, "bpf": 280, "fanotify_init": 262, "finit_module": 273, "ioctl": 29, "keyctl": 219, "mount": 40,
        "mq_open": 180, "mq_unlink": 181, "msgctl": 187, "msgget": 186, "name_to_handle_at": 264,
        "open_by_handle_at": 265, "perf_event_open": 241, "pivot_root": 41, "process_vm_readv": 270, "ptrace": 117,
        "request_key": 218, "semctl": 191, "semget": 190, "setdomainname": 162, "sethostname": 161, "setns": 268,
        "shmctl": 195, "shmget": 194, "statx": 291, "umount2": 39, "unshare": 97, "userfaultfd": 282,
    },
}[os.uname().machine]  # fmt: skip
NUMBERS |= {
    "pidfd_open": 434, "clone3": 435, "close_range": 436, "openat2": 437, "pidfd_getfd": 438, "faccessat2": 439,
    "io_uring_setup": 425, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432,
    "mount_setattr": 442, "fchmodat2": 452,
}  # fmt: skip

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = (
    0x00020000,
    0x10000000,
    0x20000000,
    0x40000000,
)  # <linux/sched.h>
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC = 1, 32, 4096, 0x4000  # <linux/mount.h>

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc["syscall"]
_syscall.restype = ctypes.c_long


def call(name, *arguments):
    """Make a system call; integers are passed as 64 bits, so that their high half arrives as given.

    Raises:
        OSError: The kernel refused.
    """
    number = NUMBERS[name] if isinstance(name, str) else name
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    answer = _syscall(ctypes.c_long(number), *words)
    if answer < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")
    return answer


def buffer(content):
    """Bytes at an address of their own, which the kernel may write to."""
    return ctypes.create_string_buffer(content, len(content))


def address(thing):
    """The address of a buffer, as an integer."""
    return ctypes.addressof(thing)


def with_capabilities(attempt):
    """Mark an attempt whose control needs the capabilities of root in namespaces of its own."""
    attempt.control = "namespaces"
    return attempt


def as_host_root(attempt):
    """Mark an attempt whose control needs real root."""
    attempt.control = "host-root"
    return attempt


def run_machine_code(code):
    """Execute a few instructions and return what they leave in the result register."""
    import mmap

    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    return ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
