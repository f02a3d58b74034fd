"""Tries each Linux mechanism for real. Runs in an interpreter of its own that is thrown away.

Cast: the *prober* is the user's Python; the *trier* is this process, with one thread; each trial runs in a *child* of
it, because a namespace, a filter or a Landlock domain cannot be left again. The trials use the launcher's own
functions, so that what works here works there. A line on standard output for each stage::

    name TAB "works" | errno TAB detail

The stages of the sandbox itself build on one another, so they run in one child and its children.
"""

from __future__ import annotations

import _signal
import fcntl
import os
import struct
import sys

from _bldr_launcher import landlock, root, seccomp, syscalls
from bldr.sandbox.linux.cgroup_trial import try_cgroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["main"]

_PATIENCE = 20  # seconds for one trial; a kernel that hangs must not hang doctor
_WORKS = "works"
_UNEXPECTED = 5  # EIO: the call succeeded and did not do what it should

_NAMESPACES = (
    ("mount-namespace", syscalls.CLONE_NEWNS),
    ("network-namespace", syscalls.CLONE_NEWNET),
    ("ipc-namespace", syscalls.CLONE_NEWIPC),
    ("uts-namespace", syscalls.CLONE_NEWUTS),
    ("cgroup-namespace", syscalls.CLONE_NEWCGROUP),
    ("pid-namespace", syscalls.CLONE_NEWPID),
)

# <linux/seccomp.h>
_NEW_LISTENER = 1 << 3
_USER_NOTIF = 0x7FC00000
_NOTIF_RECV, _NOTIF_SEND = 0xC0502100, 0xC0182101
_NOTIF_SIZE = 80
_GETPPID = {"x86_64": 110, "aarch64": 173}
_ANSWER = 4242  # what the notified getppid(2) is made to return


def main(mode: str) -> None:
    """Run all trials; ``mode`` is ``root`` for root of the host and ``user`` for everybody else, as in the launcher."""
    _isolated("user-namespace", lambda: _sandbox(mode))
    for name, trial in (
        ("clone3", _clone3),
        ("pidfd", _pidfd),
        ("close-range", _close_range),
        ("openat2", _openat2),
        ("no-new-privileges", _no_new_privileges),
        ("seccomp", _seccomp),
        ("seccomp-notify", _seccomp_notify),
        ("landlock", _landlock),
        ("pressure", _pressure),
    ):
        _isolated(name, lambda name=name, trial=trial: _tell(name, trial))  # type: ignore[misc]
    if mode == "root":
        _isolated("idmap", lambda: _tell("idmap", _idmap))
    ours = (os.getppid(), os.getpid())
    _isolated("cgroup", lambda: _tell("cgroup", lambda: try_cgroup((*ours, os.getpid())).line()))


def _say(name: str, outcome: str, detail: str = "") -> None:
    """One write per line, so that lines of two processes do not mix."""
    clean = detail.replace("\t", " ").replace("\n", " ")
    os.write(1, f"{name}\t{outcome}\t{clean}\n".encode("utf-8", "backslashreplace"))


def _tell(name: str, trial: Callable[[], object]) -> bool:
    try:
        answer = trial()
    except OSError as error:
        _say(name, str(error.errno or _UNEXPECTED), str(error.args[-1]))
        return False
    _say(name, _WORKS, answer if isinstance(answer, str) else "")
    return True


def _child(body: Callable[[], object]) -> int:
    """Run ``body`` in a child and return its wait status."""
    sys.stdout.flush()
    pid = os.fork()  # noqa: TID251  this process has one thread and is thrown away
    if pid == 0:
        status = 1
        try:
            _signal.alarm(_PATIENCE)
            body()
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(pid, 0)[1]


def _isolated(name: str, body: Callable[[], object]) -> None:
    status = _child(body)
    if os.WIFSIGNALED(status):
        _say(name, str(_UNEXPECTED), f"the trial was ended by signal {os.WTERMSIG(status)}")
    elif status:
        _say(name, str(_UNEXPECTED), "the trial failed unexpectedly")


def _sandbox(mode: str) -> None:
    """The chain of stages that makes a sandbox, in the order of the launcher."""
    uid, gid = os.geteuid(), os.getegid()

    def outside(pid: int) -> None:
        if mode == "root":
            _tell("map-identity", lambda: _map_outside(pid))

    def inside() -> None:
        if mode == "root":
            _take_identity()
        elif not _tell("map-identity", lambda: root.map_identity(0, uid, gid)):
            return
        made = {name for name, flag in _NAMESPACES if _tell(name, _unsharing(flag))}
        if "network-namespace" in made:
            _tell("loopback-up", root.loopback_up)
        if "uts-namespace" in made:
            _tell("hostname", lambda: syscalls.sethostname(b"bldr"))
        if made.issuperset(("mount-namespace", "pid-namespace")):
            _isolated("private-mounts", _mounts)

    _with_user_namespace(lambda: _tell("user-namespace", _unsharing(syscalls.CLONE_NEWUSER)), outside, inside)


def _unsharing(flag: int) -> Callable[[], object]:
    return lambda: syscalls.unshare(flag)


def _with_user_namespace(
    enter: Callable[[], object], outside: Callable[[int], None], inside: Callable[[], object]
) -> None:
    """Start a child that enters a namespace, run ``outside(pid)`` here, then ``inside`` there.

    The pipes carry nothing: the end of the one says that the child has entered (or is gone), of the other that it may
    go on (or that this process is gone).
    """
    entered_read, entered_write = os.pipe()
    allowed_read, allowed_write = os.pipe()
    pid = os.fork()  # noqa: TID251  this process has one thread and is thrown away
    if pid == 0:
        try:
            _signal.alarm(_PATIENCE)
            os.close(allowed_write)
            if enter():
                os.write(entered_write, b"e")
                if os.read(allowed_read, 1):
                    inside()
        finally:
            os._exit(0)
    os.close(entered_write)
    try:
        if os.read(entered_read, 1):
            outside(pid)
            os.write(allowed_write, b"a")
    finally:
        os.close(allowed_write)
        os.waitpid(pid, 0)


def _map_outside(pid: int) -> None:
    outer = _outside_id()
    root.map_identity(0, outer, outer, pid)


def _outside_id() -> int:
    """The host id that the launcher maps inside-root to when it is started by root."""
    from _bldr_launcher.wire import SANDBOX_ID

    return SANDBOX_ID


def _take_identity() -> None:
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def _mounts() -> None:
    """The first process of the new pid namespace fills a new root and makes it its own."""
    if not _tell("private-mounts", root.private_mounts) or not _tell("new-root", root.fresh_root):
        return
    _tell("proc", root.mount_proc)
    _tell("devices", root.make_devices)
    _tell("mount-setattr", _seal_recursively)
    _tell("overlay", _overlay)
    _tell("pivot", _pivot)


def _pivot() -> None:
    syscalls.pivot_root(b".", b".")
    syscalls.umount2(b".", syscalls.MNT_DETACH)
    os.chdir("/")


def _seal_recursively() -> None:
    """A tmpfs in a tmpfs: writing into the inner one must be refused after one call on the outer one."""
    os.mkdir("outer")
    syscalls.mount(b"bldr", b"outer", b"tmpfs", 0)
    os.mkdir("outer/inner")
    syscalls.mount(b"bldr", b"outer/inner", b"tmpfs", 0)
    syscalls.mount_setattr(syscalls.AT_FDCWD, b"outer", syscalls.AT_RECURSIVE, set_=syscalls.MOUNT_ATTR_RDONLY)
    try:
        os.mkdir("outer/inner/forbidden")
    except OSError as error:
        if error.errno == 30:  # EROFS
            return
        raise
    raise OSError(_UNEXPECTED, "a mount below a read-only one could be written")


def _overlay() -> None:
    """As an overlay for a writable view of an input would be mounted: upper directory on tmpfs, no trusted xattrs."""
    for name in ("lower", "upper", "work", "merged"):
        os.mkdir(name)
    syscalls.mount(b"bldr", b"merged", b"overlay", 0, b"lowerdir=lower,upperdir=upper,workdir=work,userxattr")
    os.mkdir("merged/new")


def _pressure() -> None:
    with open("/proc/pressure/memory", "rb") as file:  # opening fails where it was switched off at boot
        if not file.read(5).startswith(b"some "):
            raise OSError(_UNEXPECTED, "the file says something else")


def _clone3() -> None:
    pid = syscalls.clone3(0, _signal.SIGCHLD)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def _pidfd() -> None:
    fd = os.pidfd_open(os.getpid())
    try:
        _signal.pidfd_send_signal(fd, 0)
    finally:
        os.close(fd)


def _close_range() -> None:
    fd = os.dup(1)
    syscalls.close_range(fd, fd)
    try:
        os.fstat(fd)
    except OSError:
        return
    raise OSError(_UNEXPECTED, "a closed descriptor is still open")


def _openat2() -> None:
    """``/proc/self`` is a link, so opening it without links must be refused."""
    flags = os.O_PATH
    os.close(syscalls.openat2(syscalls.AT_FDCWD, b"/", flags, syscalls.RESOLVE_NO_SYMLINKS))
    try:
        os.close(syscalls.openat2(syscalls.AT_FDCWD, b"/proc/self", flags, syscalls.RESOLVE_NO_SYMLINKS))
    except OSError as error:
        if error.errno in (40, 2):  # ELOOP; ENOENT where no /proc is mounted
            return
        raise
    raise OSError(_UNEXPECTED, "a link was followed that must not be")


def _no_new_privileges() -> None:
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    if syscalls.prctl(syscalls.PR_GET_NO_NEW_PRIVS) != 1:
        raise OSError(_UNEXPECTED, "no_new_privs did not stay set")


def _seccomp() -> None:
    """The filter of every sandbox; the session keyring must be out of reach afterwards."""
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    syscalls.install_filter(seccomp.base_filter())
    try:
        syscalls.join_new_session_keyring()
    except OSError as error:
        if error.errno in (1, 38):  # EPERM; ENOSYS from a container that denies keyrings itself
            return
        raise
    raise OSError(_UNEXPECTED, "a filtered system call was possible")


def _seccomp_notify() -> None:
    """A child's getppid(2) is answered by its parent."""
    number = _GETPPID.get(syscalls.MACHINE)
    if number is None:
        raise OSError(38, f"no number of getppid is known for {syscalls.MACHINE}")
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    program = b"".join(
        struct.pack("<HBBI", *instruction)
        for instruction in (
            (seccomp.LD, 0, 0, seccomp.NR_OFFSET),
            (seccomp.JEQ, 0, 1, number),
            (seccomp.RET, 0, 0, _USER_NOTIF),
            (seccomp.RET, 0, 0, seccomp.ALLOW),
        )
    )
    listener = syscalls.install_filter(program, _NEW_LISTENER)
    pid = os.fork()  # noqa: TID251  as above
    if pid == 0:
        os._exit(0 if os.getppid() == _ANSWER else 1)
    request = bytearray(_NOTIF_SIZE)
    fcntl.ioctl(listener, _NOTIF_RECV, request)
    (serial,) = struct.unpack_from("<Q", request)
    fcntl.ioctl(listener, _NOTIF_SEND, struct.pack("<QqiI", serial, _ANSWER, 0, 0))
    if os.waitpid(pid, 0)[1]:
        raise OSError(_UNEXPECTED, "the notified call returned something else")


def _landlock() -> str:
    """Restrict writing to a place that is not below ``/dev``, then open ``/dev/null`` for writing."""
    version = syscalls.landlock_version()
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    if landlock.restrict_writes([b"/proc"]) == 0:
        raise OSError(95, f"ABI {version} is too old to be of use")
    try:
        os.close(os.open(os.devnull, os.O_WRONLY))
    except OSError as error:
        if error.errno == 13:  # EACCES
            return f"ABI {version}"
        raise
    raise OSError(_UNEXPECTED, "a write that Landlock denies was possible")


def _idmap() -> str:
    """Show a directory with its owner mapped, as root's sandboxes show inputs and outputs."""
    users = []

    def outside(pid: int) -> None:
        _map_outside(pid)
        users.append(os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC))

    def enter() -> bool:
        syscalls.unshare(syscalls.CLONE_NEWUSER)
        return True

    _with_user_namespace(enter, outside, lambda: None)
    if not users:
        raise OSError(_UNEXPECTED, "no user namespace to map with")
    where = os.getcwdb()
    flags = syscalls.OPEN_TREE_CLONE | os.O_CLOEXEC
    tree = syscalls.open_tree(syscalls.AT_FDCWD, where, flags)
    syscalls.mount_setattr(tree, b"", syscalls.AT_EMPTY_PATH, set_=syscalls.MOUNT_ATTR_IDMAP, userns_fd=users[0])
    return f"in {os.fsdecode(where)}"
