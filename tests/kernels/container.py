"""Start a command in a container that takes away what others take away, one thing at a time. Run as root, as a program.

``container.py [--seccomp] [--mask] [--caps] [--rocg] [--uid=N] -- COMMAND…``: Docker's filter of system calls (in short),
its covered parts of /proc and read-only /sys, its capabilities, its read-only cgroups.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

CLONE_FLAGS = 0x00020000 | 0x20000000 | 0x08000000 | 0x04000000 | 0x02000000  # mounts, pids, IPC, host name, cgroups
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = (
    1,
    2,
    4,
    8,
    32,
    4096,
    16384,
    1 << 18,
)
MNT_DETACH = 2
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
NR_CAPSET, NR_SECCOMP = 126, 317  # x86_64
CAPABILITIES = 0xA80425FB  # Docker's fourteen
CAPABILITY_VERSION_3 = 0x20080522

EMPTY = ("acpi", "scsi", "asound")
HIDDEN = ("kcore", "keys", "timer_list", "sched_debug", "latency_stats", "interrupts")
READ_ONLY = ("bus", "fs", "irq", "sys", "sysrq-trigger")

# <linux/filter.h>, <linux/seccomp.h>
LOAD, EQUAL, ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
ALLOW, REFUSE, NOT_THERE = 0x7FFF0000, 0x00050001, 0x00050026  # EPERM, ENOSYS
CLONE, CLONE3, NEW_NAMESPACES = 56, 435, 0x7E020000
# mount, umount2, pivot_root, unshare, setns, the new mount calls, bpf, perf, keys, io_uring, modules, ptrace-like reads, …
DENIED = (
    *(
        165,
        166,
        155,
        272,
        308,
        428,
        429,
        430,
        431,
        432,
        433,
        442,
        321,
        298,
        248,
        249,
        250,
        425,
        426,
        427,
        169,
        175,
        176,
    ),
    *(313, 246, 320, 323, 310, 311, 163, 167, 168, 179, 305),
)

libc = ctypes.CDLL(None, use_errno=True)


def checked(answer, what):
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source, target, fstype=None, flags=0):
    words = [None if text is None else text.encode() for text in (source, target, fstype)]
    checked(libc.mount(*words, ctypes.c_ulong(flags), None), f"mount on {target}")


def mask_proc():
    for path in (f"/proc/{name}" for name in EMPTY):
        if os.path.isdir(path):
            mount("tmpfs", path, "tmpfs", MS_RDONLY)
    for path in (f"/proc/{name}" for name in HIDDEN):
        if os.path.exists(path):
            mount("/dev/null", path, flags=MS_BIND)
    for path in (f"/proc/{name}" for name in READ_ONLY):
        if os.path.exists(path):
            mount(path, path, flags=MS_BIND | MS_REC)
            mount(None, path, flags=MS_BIND | MS_REMOUNT | MS_RDONLY)
    mount(None, "/sys", flags=MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)


def drop_capabilities():
    for number in range(64):
        if not CAPABILITIES >> number & 1:
            libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)  # EINVAL beyond the last
    header = struct.pack("=II", CAPABILITY_VERSION_3, 0)
    sets = struct.pack("=6I", CAPABILITIES, CAPABILITIES, 0, 0, 0, 0)
    checked(libc.syscall(NR_CAPSET, header, sets), "capset")


def install_filter():
    program = [(LOAD, 0, 0, 0), (EQUAL, 0, 1, CLONE3), (RETURN, 0, 0, NOT_THERE)]
    program += [(EQUAL, 0, 4, CLONE), (LOAD, 0, 0, 16), (ANY_BIT, 0, 1, NEW_NAMESPACES), (RETURN, 0, 0, REFUSE)]
    program += [(RETURN, 0, 0, ALLOW)]
    for number in DENIED:
        program += [(EQUAL, 0, 1, number), (RETURN, 0, 0, REFUSE)]
    program += [(RETURN, 0, 0, ALLOW)]
    instructions = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in program))
    pointer = struct.pack("@HP", len(program), ctypes.addressof(instructions))
    checked(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    checked(libc.syscall(NR_SECCOMP, 1, 0, pointer), "seccomp")


def main(arguments):
    options, command = arguments[: arguments.index("--")], arguments[arguments.index("--") + 1 :]
    uid = next((int(word.removeprefix("--uid=")) for word in options if word.startswith("--uid=")), 0)
    checked(libc.unshare(CLONE_FLAGS), "unshare")
    if child := os.fork():
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        sys.exit(128 - code if code < 0 else code)
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    checked(libc.umount2(b"/proc", MNT_DETACH), "unmount /proc")
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    if "--mask" in options:
        mask_proc()
    if "--rocg" in options:
        flags = MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC
        mount(None, "/sys/fs/cgroup", flags=flags)
    if "--caps" in options:
        drop_capabilities()
    if "--seccomp" in options:
        install_filter()
    if uid:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
