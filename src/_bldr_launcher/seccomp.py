"""System-call filters: a small classic-BPF assembler and the deny table.

Only LD, JEQ, JGE and RET are emitted, so that the kernel's bitmap of always-allowed calls (5.11) applies and an allowed
call costs nothing. The table is what eighteen real builds, test suites and package tools did not notice, tried one
family at a time; ptrace, set*uid, setxattr, mkfifo and personality have to stay allowed for them.
"""

from __future__ import annotations

import errno
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    Rule: TypeAlias = tuple[str, int] | tuple[str, int, int, tuple[int, ...]]

__all__ = ["ALLOW", "assemble", "base_filter", "sandbox_filter"]

# <linux/bpf_common.h>: BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_JEQ|BPF_K, BPF_JMP|BPF_JGE|BPF_K,
# BPF_JMP|BPF_JSET|BPF_K, BPF_RET|BPF_K
LD, JEQ, JGE, JSET, RET = 0x20, 0x15, 0x35, 0x45, 0x06
# <linux/seccomp.h>
ALLOW = 0x7FFF0000
ERRNO = 0x00050000
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
        "kexec_file_load": 320, "bpf": 321, "userfaultfd": 323,
    },
    "aarch64": {
        "ioctl": 29, "socket": 198, "clone": 220, "unshare": 97,
        "fchown": 55, "fchownat": 54, "mount": 40, "umount2": 39, "pivot_root": 41,
        "swapon": 224, "swapoff": 225, "reboot": 142, "init_module": 105, "delete_module": 106, "kexec_load": 104,
        "add_key": 217, "request_key": 218, "keyctl": 219, "perf_event_open": 241, "fanotify_init": 262,
        "open_by_handle_at": 265, "setns": 268, "finit_module": 273, "kexec_file_load": 294, "bpf": 280,
        "userfaultfd": 282,
    },
}  # fmt: skip
SHARED_NUMBERS = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429,
    "clone3": 435, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "mount_setattr": 442,
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
TIOCSTI, TIOCLINUX = 0x5412, 0x541C  # <asm-generic/ioctls.h>: type into, or paste into, the terminal of somebody else
AF_PACKET, AF_ALG, AF_VSOCK = 17, 38, 40  # <bits/socket.h>: families that a network namespace does not confine or need
CLONE_NEWUSER = 0x10000000  # <linux/sched.h>
SAME_ID = 0xFFFFFFFF  # chown(2): -1 leaves the id as it is


def _instruction(code: int, k: int, jump_true: int = 0, jump_false: int = 0) -> bytes:
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
        _instruction(LD, ARCH_OFFSET),
        _instruction(JEQ, ARCHITECTURES[machine], 1, 0),
        _instruction(RET, ERRNO | errno.ENOSYS),  # 32-bit programs see a kernel without any system call
        _instruction(LD, NR_OFFSET),
    ]
    if machine == "x86_64":
        program += [_instruction(JGE, X32_SYSCALL_BIT, 0, 1), _instruction(RET, ERRNO | errno.ENOSYS)]
    for rule in rules:
        name, action = rule[:2]
        if name not in numbers:
            continue
        if len(rule) == 2:
            body = [_instruction(RET, action)]
        else:
            argument, values = rule[2:]
            body = [_instruction(LD, ARGS_OFFSET + 8 * argument)]
            for place, item in enumerate(values):
                left = len(values) - place - 1  # to the RET, or past it from the last comparison
                body.append(_instruction(JEQ, item, left, 0 if left else 1))
            body += [_instruction(RET, action), _instruction(RET, ALLOW)]
        program += [_instruction(JEQ, numbers[name], 0, len(body)), *body]
    program.append(_instruction(RET, ALLOW))
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
        program += _instruction(JEQ, numbers[name], 0, 4) + _instruction(LD, ARGS_OFFSET)
        program += _instruction(JSET, CLONE_NEWUSER, 0, 1) + _instruction(RET, ERRNO | errno.ENOSPC)
        program += _instruction(RET, ALLOW)
    return program + _instruction(RET, ALLOW)


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
            body += _instruction(JEQ, numbers[name], 0, 8) + _chown_block(first)
    return program[:-8] + body + _instruction(RET, ALLOW)


def _chown_block(first: int) -> bytes:
    """Allow when user and group are each 0 or -1, else answer 0; eight instructions."""
    uid, gid = ARGS_OFFSET + 8 * first, ARGS_OFFSET + 8 * (first + 1)
    return b"".join(
        (
            _instruction(LD, uid),
            _instruction(JEQ, 0, 1, 0),
            _instruction(JEQ, SAME_ID, 0, 3),
            _instruction(LD, gid),
            _instruction(JEQ, 0, 2, 0),
            _instruction(JEQ, SAME_ID, 1, 0),
            _instruction(RET, ERRNO),
            _instruction(RET, ALLOW),
        )
    )
