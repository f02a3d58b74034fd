"""Attempts on the kernel: privilege, namespaces, mounts, and the calls that a filter has to refuse, or must not."""

from __future__ import annotations

import os
import platform
import signal
import struct

from tests.escape.programs.calls import (
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    MS_BIND,
    MS_REC,
    as_host_root,
    buffer,
    call,
    run_machine_code,
    with_capabilities,
)

AT_FDCWD, AT_RECURSIVE = -100, 0x8000  # <linux/fcntl.h>
OPEN_TREE_CLONE = 1  # <linux/mount.h>
NO_SUCH_CALL = 1000  # far above the newest number of any architecture
X32_SYSCALL_BIT = 0x40000000  # <asm/unistd.h>
USERFAULT_USER_MODE_ONLY = 1  # UFFD_USER_MODE_ONLY of <linux/userfaultfd.h>


def make_user_namespace(at):
    call("unshare", CLONE_NEWUSER)


def clone_into_user_namespace(at):
    arguments = buffer(struct.pack("=8Q", CLONE_NEWUSER, 0, 0, 0, signal.SIGCHLD, 0, 0, 0))
    pid = call("clone3", arguments, len(arguments))
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


@with_capabilities
def make_mount_namespace(at):
    call("unshare", CLONE_NEWNS)


@with_capabilities
def make_process_namespace(at):
    call("unshare", CLONE_NEWPID)


@with_capabilities
def make_network_namespace(at):
    call("unshare", CLONE_NEWNET)


@with_capabilities
def join_namespace(at):
    call("setns", os.open("/proc/self/ns/net", os.O_RDONLY), CLONE_NEWNET)


@with_capabilities
def mount_tmpfs(at):
    os.mkdir(f"{at.temp}/tmpfs.{at.unique}")
    call("mount", b"none", f"{at.temp}/tmpfs.{at.unique}".encode(), b"tmpfs", 0, 0)


@with_capabilities
def mount_bind(at):
    os.mkdir(f"{at.temp}/bind.{at.unique}")
    call("mount", b"/usr", f"{at.temp}/bind.{at.unique}".encode(), 0, MS_BIND | MS_REC, 0)


@with_capabilities
def mount_proc(at):
    os.mkdir(f"{at.temp}/proc.{at.unique}")
    call("mount", b"proc", f"{at.temp}/proc.{at.unique}".encode(), b"proc", 0, 0)


@with_capabilities
def copy_mount(at):
    os.close(call("open_tree", AT_FDCWD, b"/usr", OPEN_TREE_CLONE | AT_RECURSIVE))


@with_capabilities
def open_file_system(at):
    os.close(call("fsopen", b"tmpfs", 0))


@with_capabilities
def move_mount(at):
    tree = call("open_tree", AT_FDCWD, b"/usr", OPEN_TREE_CLONE | AT_RECURSIVE)
    os.mkdir(f"{at.temp}/moved.{at.unique}")
    call("move_mount", tree, b"", AT_FDCWD, f"{at.temp}/moved.{at.unique}".encode(), 4)  # MOVE_MOUNT_F_EMPTY_PATH


@with_capabilities
def change_root(at):
    os.chroot(at.temp)


@with_capabilities
def pivot_root(at):
    place = f"{at.temp}/pivot.{at.unique}"
    os.mkdir(place)
    if not at.inside:
        call("mount", b"none", place.encode(), b"tmpfs", 0, 0)
    os.chdir(place)
    call("pivot_root", b".", b".")


def ring(at):
    os.close(call("io_uring_setup", 1, buffer(bytes(120))))


def fault_handler(at):
    os.close(call("userfaultfd", os.O_CLOEXEC | USERFAULT_USER_MODE_ONLY))


@as_host_root
def load_bpf_map(at):
    attributes = buffer(struct.pack("=IIIII", 2, 4, 4, 1, 0) + bytes(52))  # BPF_MAP_TYPE_ARRAY of <linux/bpf.h>
    os.close(call("bpf", 0, attributes, len(attributes)))


@as_host_root
def count_events(at):
    attributes = buffer(struct.pack("=IIQ", 1, 112, 0) + bytes(96))  # PERF_TYPE_SOFTWARE of <linux/perf_event.h>
    os.close(call("perf_event_open", attributes, 0, -1, -1, 0))


@as_host_root
def watch_file_system(at):
    os.close(call("fanotify_init", 0, os.O_RDONLY))


@as_host_root
def reach_module_loader(at):
    try:
        call("finit_module", -1, b"", 0)
    except OSError as error:
        if error.errno != 9:  # EBADF: the kernel got as far as the descriptor
            raise


def call_that_does_not_exist(at):
    call(NO_SUCH_CALL)


def call_of_x32(at):
    if platform.machine() != "x86_64":
        raise LookupError("no such calls on this architecture")
    call(X32_SYSCALL_BIT | 39)  # getpid


def call_of_i386(at):
    """``mov eax, 20 (getpid); int 0x80; ret``: another table of numbers, on which a filter by number says nothing."""
    if platform.machine() != "x86_64":
        raise LookupError("no such calls on this architecture")
    answer = run_machine_code(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
    if answer < 0:
        raise OSError(-answer, os.strerror(-answer))
    return answer == os.getpid()


def call_clone3(at):
    arguments = buffer(struct.pack("=8Q", 0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0))
    pid = call("clone3", arguments, len(arguments))
    if pid == 0:
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def call_statx(at):
    call("statx", AT_FDCWD, b"/usr", 0, 0x7FF, buffer(bytes(256)))


def call_openat2(at):
    how = buffer(struct.pack("=QQQ", os.O_RDONLY, 0, 0))
    os.close(call("openat2", AT_FDCWD, b"/usr", how, len(how)))


def call_faccessat2(at):
    call("faccessat2", AT_FDCWD, b"/usr", os.R_OK, 0x200)  # AT_EACCESS


def call_fchmodat2(at):
    path = f"{at.temp}/mode.{at.unique}"
    with open(path, "w", encoding="ascii"):
        pass
    try:
        call("fchmodat2", AT_FDCWD, path.encode(), 0o600, 0)
    finally:
        os.unlink(path)


def call_close_range(at):
    call("close_range", 50, 60, 0)


def status(at):
    with open("/proc/self/status", encoding="utf-8") as file:
        rows = dict(line.rstrip("\n").split(":\t", 1) for line in file)
    names = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Groups", "Uid", "Gid")
    return {name: rows[name].strip() for name in names}
