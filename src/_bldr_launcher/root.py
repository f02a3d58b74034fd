"""The part of a sandbox that is the same for all of them, made before the request is known: identity, loopback, root.

The new root is a tmpfs that is mounted on ``/``. A path that starts with ``/`` still names the old root (the lookup
starts at the process's root and does not cross a mount there), a relative one the new root, which is the working
directory from here to ``pivot_root``. So nothing of the host is hidden by the mounts while they are made.
"""

from __future__ import annotations

import _signal
import _socket
import _struct as struct
import fcntl
import os

from _bldr_launcher import channel, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _bldr_launcher.kernel import Kernel

__all__ = [
    "DEVICES",
    "bind_host_proc",
    "fresh_root",
    "identity_namespace",
    "is_host_root",
    "leave_host",
    "loopback_up",
    "make_devices",
    "map_identity",
    "mount_proc",
    "private_mounts",
]

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
LINKS = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
)
SIOCSIFFLAGS = 0x8914  # <linux/sockios.h>
IFF_UP_RUNNING = 0x1 | 0x40  # <linux/if.h>


def map_identity(uid: int, host_uid: int, host_gid: int, pid: int | str = "self", gid: int | None = None) -> None:
    """Write the maps of a new user namespace: inside ``uid`` is ``host_uid``, and nobody else exists.

    ``setgroups`` must be denied before an unprivileged writer may set the group map (user_namespaces(7)).

    Args:
        uid: The id inside.
        host_uid: The user id that it is on the host.
        host_gid: The group id that it is on the host.
        pid: A process of the namespace.
        gid: The group id inside; ``uid`` by default.

    Raises:
        OSError: The maps were written before, or the writer may not map these ids.
    """
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {host_uid} 1"),
        ("gid_map", f"{uid if gid is None else gid} {host_gid} 1"),
    ):
        fd = os.open(f"/proc/{pid}/{name}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)


def loopback_up() -> None:
    """Bring ``lo`` up; the kernel then adds 127.0.0.1 and ::1 on its own."""
    probe = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        fcntl.ioctl(probe, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP_RUNNING))
    finally:
        probe.close()


def private_mounts(kernel: Kernel = syscalls) -> None:
    """Cut propagation: without it mounts leak out and in, and ``pivot_root`` refuses a shared parent."""
    kernel.mount(None, b"/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)


def fresh_root(kernel: Kernel = syscalls) -> int:
    """Mount a tmpfs on ``/`` and make it the working directory.

    Args:
        kernel: The system calls; a test puts one that fails in its place.

    Returns:
        The descriptor of its root, which the caller owns.

    Raises:
        OSError: The file system cannot be made or mounted.
    """
    context = kernel.fsopen(b"tmpfs")
    try:
        kernel.fsconfig(context, syscalls.FSCONFIG_SET_STRING, b"source", b"bldr")
        kernel.fsconfig(context, syscalls.FSCONFIG_SET_STRING, b"mode", b"755")
        kernel.fsconfig(context, syscalls.FSCONFIG_CMD_CREATE, None, None)
        root = kernel.fsmount(context, syscalls.MOUNT_ATTR_NOSUID)
    finally:
        os.close(context)
    kernel.move_mount(root, b"", syscalls.AT_FDCWD, b"/", syscalls.MOVE_MOUNT_F_EMPTY_PATH)
    os.fchdir(root)
    return root


def mount_proc(kernel: Kernel = syscalls) -> None:
    """Mount a fresh /proc of the new process namespace.

    Raises:
        OSError: EPERM where the host's own /proc is partly covered, as in a container ("mount too revealing").
    """
    os.mkdir("proc", 0o555)
    kernel.mount(b"proc", b"proc", b"proc", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)


def bind_host_proc(kernel: Kernel = syscalls) -> None:
    """Show the host's /proc: the degraded stand-in where a fresh one is refused. It is sealed with everything else."""
    kernel.mount(b"/proc", b"proc", None, syscalls.MS_BIND | syscalls.MS_REC)


def leave_host(kernel: Kernel = syscalls) -> None:
    """Make the new root the root and detach the old one, which ``pivot_root(".", ".")`` left on top of it.

    The detachment waits for a grace period of the kernel (about a millisecond), so it is done before the request.
    """
    kernel.pivot_root(b".", b".")
    kernel.umount2(b".", syscalls.MNT_DETACH)
    os.chdir("/")


def make_devices(kernel: Kernel = syscalls) -> None:
    """Fill /dev: six nodes bound from the host (mknod(2) is refused in a user namespace), links, shm and pts."""
    os.mkdir("dev", 0o755)
    for name in DEVICES:
        os.close(os.open(f"dev/{name}", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o666))
        kernel.mount(b"/dev/" + name.encode(), b"dev/" + name.encode(), None, syscalls.MS_BIND)
    for name, target in LINKS:
        os.symlink(target, f"dev/{name}")
    os.mkdir("dev/shm", 0o1777)
    kernel.mount(b"shm", b"dev/shm", b"tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, b"mode=1777")
    os.mkdir("dev/pts", 0o755)
    kernel.mount(
        b"devpts", b"dev/pts", b"devpts", syscalls.MS_NOSUID | syscalls.MS_NOEXEC, b"newinstance,ptmxmode=0666,mode=620"
    )


def is_host_root() -> bool:
    """Whether this is root of the initial user namespace with its capabilities; only then 0 inside must not be 0."""
    with open("/proc/self/uid_map", "rb") as maps:
        whole = maps.read().split() == [b"0", b"0", b"4294967295"]
    if not whole or os.geteuid() != 0:
        return False
    with open("/proc/self/status", "rb") as status:
        for line in status:
            if line.startswith(b"CapEff:"):
                return bool(int(line.split()[1], 16) >> 21 & 1)  # CAP_SYS_ADMIN of <linux/capability.h>
    return False


def identity_namespace(inside: int, kernel: Kernel) -> int:
    """A user namespace whose map shows the caller's id 0 as another one; only its descriptor is used."""
    ours, theirs = channel.pair()
    pid = kernel.clone3(syscalls.CLONE_NEWUSER, _signal.SIGCHLD)
    if pid == 0:
        os.close(ours)
        os.read(theirs, 1)
        os._exit(0)
    os.close(theirs)
    try:
        map_identity(0, inside, inside, pid)
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(ours)
        os.waitpid(pid, 0)
