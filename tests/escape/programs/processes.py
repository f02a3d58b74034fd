"""Attempts on processes, shared memory and identity of the host, and on what the caller has left open.

Places: ``victim`` (number of a process of the host), ``marker`` (an argument of it), ``secret`` (a host file),
``leaked`` (number of a descriptor of the host directory ``world``), ``key`` (of System V objects), ``name`` (of a
message queue, a shared memory file and a kernel key), ``hostname``, ``cgroup``, ``terminal``.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import struct
import termios

from tests.escape.programs.calls import address, as_host_root, buffer, call, with_capabilities

PTRACE_ATTACH, PTRACE_DETACH = 16, 17  # <linux/ptrace.h>
KEYCTL_SEARCH, KEYCTL_JOIN_SESSION_KEYRING, KEY_SPEC_SESSION_KEYRING = 10, 1, -3  # <linux/keyctl.h>
TIOCLINUX = 0x541C  # <asm-generic/ioctls.h>


def see_host_process(at):
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{number}/cmdline", "rb") as file:
                if at.marker.encode() in file.read().split(b"\0"):
                    return int(number)
        except OSError:
            continue
    raise LookupError("no process has the marker among its arguments")


def watch_host_process(at):
    os.close(os.pidfd_open(at.victim))


def read_memory_of_host_process(at):
    mine = buffer(bytes(8))
    local, remote = struct.pack("PN", address(mine), 8), struct.pack("PN", 0x1000, 8)
    try:
        call("process_vm_readv", at.victim, buffer(local), 1, buffer(remote), 1, 0)
    except OSError as error:
        if error.errno != 14:  # EFAULT: the process was reached, the address is not mapped in it
            raise


def look_for_host_process(at):
    return os.stat(f"/proc/{at.victim}").st_uid


@with_capabilities
def trace_init(at):
    # Outside, init of the attempt's own process namespace traces nobody and can be traced itself.
    call("ptrace", PTRACE_ATTACH, 1, 0, 0)
    os.waitpid(1, 0x40000000)  # __WALL
    call("ptrace", PTRACE_DETACH, 1, 0, 0)


@with_capabilities
def read_environment_of_init(at):
    with open("/proc/1/environ", "rb") as file:
        file.read()


@with_capabilities
def read_descriptor_of_init(at):
    return os.readlink("/proc/1/fd/0")


@with_capabilities
def open_descriptor_of_init(at):
    os.close(os.open("/proc/1/fd/1", os.O_PATH))


@with_capabilities
def enter_root_of_init(at):
    return os.listdir("/proc/1/root")


@with_capabilities
def enter_directory_of_init(at):
    return os.listdir("/proc/1/cwd")


@with_capabilities
def open_memory_of_init(at):
    os.close(os.open("/proc/1/mem", os.O_RDWR))


@with_capabilities
def read_maps_of_init(at):
    with open("/proc/1/maps", "rb") as file:
        return len(file.read()) > 0


@with_capabilities
def take_descriptor_of_init(at):
    os.close(call("pidfd_getfd", os.pidfd_open(1), 0, 0))


def read_arguments_of_init(at):
    """The arguments of process 1 must not tell what the caller's command line was."""
    number = 1 if at.inside else os.getppid()
    with open(f"/proc/{number}/cmdline", "rb") as file:
        if file.read().strip(b"\0") in (b"", b"bldr-init"):
            raise LookupError("the arguments are empty")


def open_by_leaked_descriptor(at):
    return os.listdir(at.leaked)


def read_by_leaked_descriptor(at):
    os.close(os.open("undeclared", os.O_RDONLY, dir_fd=at.leaked))


def list_descriptors(at):
    return sorted(int(name) for name in os.listdir("/proc/self/fd"))


def find_host_name(at):
    if at.hostname not in (os.uname().nodename, socket.gethostname()):
        raise LookupError("another name")


def find_domain_name(at):
    with open("/proc/sys/kernel/domainname", encoding="ascii") as file:
        if file.read().strip() != at.domainname:
            raise LookupError("another name")


def find_host_name_in_files(at):
    for path in ("/etc/hostname", "/etc/hosts", "/proc/sys/kernel/hostname"):
        try:
            with open(path, encoding="utf-8") as file:
                if at.hostname in file.read().split():
                    return path
        except FileNotFoundError:
            continue
    raise LookupError("no file has the name")


def find_control_group(at):
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        return file.read().splitlines()


def find_shared_memory(at):
    return call("shmget", at.key, 0, 0)


def find_semaphore(at):
    return call("semget", at.key, 0, 0)


def find_message_queue(at):
    return call("msgget", at.key, 0)


def open_posix_message_queue(at):
    os.close(call("mq_open", at.name.encode(), os.O_RDWR, 0, 0))


def open_posix_shared_memory(at):
    os.close(os.open(f"/dev/shm/{at.name}", os.O_RDWR))


def find_key_in_session_keyring(at):
    return call("keyctl", KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, b"user", at.name.encode(), 0)


def request_key(at):
    return call("request_key", b"user", at.name.encode(), 0, 0)


def add_key(at):
    return call("add_key", b"user", b"bldr-test:added", b"payload", 7, KEY_SPEC_SESSION_KEYRING)


def join_session_keyring(at):
    return call("keyctl", KEYCTL_JOIN_SESSION_KEYRING, 0)


def see_key_in_proc(at):
    with open("/proc/keys", encoding="utf-8") as file:
        if at.name not in file.read():
            raise LookupError("no such key")


def see_terminal_of_host(at):
    if not os.path.exists(at.terminal):
        raise LookupError("no such terminal")


def _own_terminal():
    """Open a terminal and make it the controlling one."""
    _, follower = os.openpty()
    os.setsid()
    fcntl.ioctl(follower, termios.TIOCSCTTY, 0)
    return follower


def type_into_terminal(at):
    fcntl.ioctl(_own_terminal(), termios.TIOCSTI, b"x")


def type_into_terminal_with_high_bits(at):
    """CVE-2019-10063: a filter that compares 64 bits does not recognise this, and the kernel ignores the high half."""
    call("ioctl", _own_terminal(), 0x5A5A_0000_0000_0000 | termios.TIOCSTI, buffer(b"x"))


def paste_into_console(at):
    call("ioctl", _own_terminal(), TIOCLINUX, buffer(b"\3"))


def paste_into_console_with_high_bits(at):
    call("ioctl", _own_terminal(), 0x0000_0001_0000_0000 | TIOCLINUX, buffer(b"\3"))


def list_devices(at):
    return sorted(os.listdir("/dev"))


def list_terminals(at):
    return sorted(os.listdir("/dev/pts"))


def list_sys(at):
    return len(os.listdir("/sys"))


def open_controlling_terminal(at):
    os.close(os.open("/dev/tty", os.O_RDWR))


@as_host_root
def set_host_name_by_sysctl(at):
    with open("/proc/sys/kernel/hostname", "w", encoding="ascii") as file:
        file.write("renamed")


@with_capabilities
def set_host_name(at):
    call("sethostname", b"renamed", 7)


@with_capabilities
def set_domain_name(at):
    call("setdomainname", b"renamed", 7)


@as_host_root
def open_core_pattern(at):
    os.close(os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY))


@as_host_root
def open_kernel_log(at):
    os.close(os.open("/proc/kmsg", os.O_RDONLY | os.O_NONBLOCK))


def signal_host_process(at):
    """Last: the victim does not survive it."""
    os.kill(at.victim, signal.SIGUSR1)
