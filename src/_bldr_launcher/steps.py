"""What each step of a plan does. Runs in init, between the namespaces and the command; one function an operation.

The working directory is the new root, which nothing of the host is in: the sources of binds come from the launcher as
detached trees, one for each ``bind`` and ``temp`` step, in their order. Every argument is bytes. A step raises
``OSError`` and knows nothing of reporting.
"""

from __future__ import annotations

import _socket
import errno
import os
import resource

from _bldr_launcher import landlock, mountinfo, seccomp, syscalls
from _bldr_launcher import overlay as overlay_
from _bldr_launcher.release import COUNTS_PER_NAMESPACE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container
    from typing import TypeAlias

    from _bldr_launcher.kernel import Kernel

    # Makes an entry: its name, and the descriptor of its directory or None for the working directory.
    Create: TypeAlias = Callable[[bytes, int | None], None]

__all__ = [
    "CANARIES",
    "OPERATIONS",
    "CanaryError",
    "State",
    "must_fail",
    "plant",
    "refuse",
    "rlimit",
    "scrubbed",
    "try_early",
]

WALK = syscalls.RESOLVE_NO_SYMLINKS | syscalls.RESOLVE_NO_MAGICLINKS | syscalls.RESOLVE_BENEATH
RESOURCES = {
    b"core": resource.RLIMIT_CORE,
    b"cpu": resource.RLIMIT_CPU,
    b"fsize": resource.RLIMIT_FSIZE,
    b"nofile": resource.RLIMIT_NOFILE,
    b"nproc": resource.RLIMIT_NPROC,
    b"stack": resource.RLIMIT_STACK,
}
PLANTED = b"BLDR_CANARY_"  # how the name of the variable begins that no command may get


class CanaryError(OSError):
    """Something that has to be impossible in this sandbox was possible."""


class State:
    """What the steps of one sandbox share."""

    def __init__(self, root: int, host_ipc: bytes, kernel: Kernel = syscalls) -> None:
        self.root = root  # descriptor of the new root
        self.host_ipc = host_ipc  # text of the launcher's /proc/self/ns/ipc
        self.kernel = kernel
        self.number = 0  # of the step that runs
        # returns (descriptor of the next source's tree, whether its ids are the caller's)
        self.next_tree: Callable[[], tuple[int, bool]] | None = None
        self.writable: frozenset[bytes] = frozenset()  # paths that will be unsealed
        self.held: dict[bytes, tuple[int, bytes]] = {}  # trees of outputs that wait for the seal, and their WHERE
        self.proc_failure: OSError | None = None  # why there is no fresh /proc
        self.filter_userns = False  # user namespaces have to be forbidden by the filter of system calls
        self.unmapped: list[int] = []  # numbers of the steps whose tree shows foreign ids
        self.tried: set[bytes] = set()  # canaries that were tried before the request came
        self.mask_made = False
        self.landlock_abi = 0
        self.refused: frozenset[bytes] = frozenset()  # of b"fork" and b"exec"
        self.passed_out: list[int] = []  # sockets for the gateway
        self.covers: list[tuple[bytes, int, int]] = []  # mounts that lie in trees of the host: path, device, inode


def _relative(at: bytes) -> bytes:
    return at[1:] or b"."


def _beneath(state: State, at: bytes, flags: int = os.O_PATH) -> int:
    """Open a path of the new root without following any link: what lies in a bound tree is not ours to trust."""
    return state.kernel.openat2(state.root, _relative(at), flags, WALK)


def _make_inside_temp(state: State, at: bytes, kind: bytes) -> None:
    """Make what is missing of a mount point and its parents in a temp or a layer, following no link."""
    *parents, last = _relative(at).split(b"/")
    fd = os.open(b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in parents:
            fd = _enter(fd, name)
        if kind == b"dir":
            _make_directory(last, fd)
        else:
            _make_file(last, fd)
    finally:
        os.close(fd)


def _make_file(name: bytes, parent: int) -> None:
    try:
        _new_file(name, parent)
    except FileExistsError:
        pass  # of the layer's own, or made for an earlier mount point; a link is refused when it is opened


def _make_directory(name: bytes, parent: int) -> None:
    try:
        os.mkdir(name, 0o755, dir_fd=parent)
    except FileExistsError:
        pass  # made for an earlier mount point


def _enter(parent: int, name: bytes) -> int:
    _make_directory(name, parent)
    child = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    os.close(parent)
    return child


def _make(state: State, at: bytes, where: bytes, create: Create) -> None:
    """Create an entry of our own: ``create(name, dir_fd)`` with a way to the directory that follows no link."""
    if where == b"skeleton":  # nothing but what earlier steps made; no lookup can be led astray
        create(_relative(at), None)
        return
    directory, _, name = at.rpartition(b"/")
    parent = _beneath(state, directory or b"/", os.O_PATH | os.O_DIRECTORY)
    try:
        create(name, parent)
    finally:
        os.close(parent)


def _make_mount_point(state: State, at: bytes, kind: bytes, where: bytes) -> None:
    if where in (b"temp", b"overlay"):
        _make_inside_temp(state, at, kind)
    elif where != b"inside":
        _make(state, at, where, _new_directory if kind == b"dir" else _new_file)


def _new_directory(name: bytes, parent: int | None) -> None:
    os.mkdir(name, 0o755, dir_fd=parent)


def _new_file(name: bytes, parent: int | None) -> None:
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
    os.close(os.open(name, flags, 0o644, dir_fd=parent))


def _attach(state: State, at: bytes, kind: bytes, where: bytes, *, scratch: bool = False) -> None:
    """Attach the next tree, which the launcher opened for this step, at a path of the new root."""
    _make_mount_point(state, at, kind, where)
    assert state.next_tree is not None
    tree, mapped = state.next_tree()
    if not mapped:
        state.unmapped.append(state.number)
    if at in state.writable and not scratch:
        state.held[at] = tree, where  # attached after the seal, so that each mount in it keeps its own flags
    else:
        _move(state, tree, at, where)


def hostname(state: State, name: bytes) -> None:
    """Set the host name, and the NIS domain name to what a kernel starts with."""
    state.kernel.sethostname(name)
    state.kernel.setdomainname(b"(none)")


def dir_(state: State, at: bytes, mode: bytes, where: bytes) -> None:
    if where == b"temp":
        _make_inside_temp(state, at, b"dir")
        return

    def create(name: bytes, parent: int | None) -> None:
        os.mkdir(name, int(mode, 8), dir_fd=parent)

    _make(state, at, where, create)


def file_(state: State, at: bytes, mode: bytes, content: bytes, where: bytes) -> None:
    def create(name: bytes, parent: int | None) -> None:
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        fd = os.open(name, flags, int(mode, 8), dir_fd=parent)
        try:
            os.write(fd, content)
        finally:
            os.close(fd)

    _make(state, at, where, create)


def link(state: State, at: bytes, target: bytes, where: bytes) -> None:
    def create(name: bytes, parent: int | None) -> None:
        os.symlink(target, name, dir_fd=parent)

    _make(state, at, where, create)


def bind(state: State, source: bytes, at: bytes, kind: bytes, where: bytes) -> None:
    _attach(state, at, kind, where)


def temp(state: State, index: bytes, at: bytes, mode: bytes, where: bytes) -> None:
    _attach(state, at, b"dir", where, scratch=True)


def copy(state: State, index: bytes, at: bytes, kind: bytes, where: bytes) -> None:
    _attach(state, at, kind, where, scratch=True)


def overlay(state: State, source: bytes, at: bytes, index: bytes, size: bytes, where: bytes) -> None:
    """Show a directory of the host at a path, with what is written in a layer on disk, or in memory without one."""
    _make_mount_point(state, at, b"dir", where)
    assert state.next_tree is not None
    lower, mapped = state.next_tree()
    if not mapped:
        raise OSError(errno.EINVAL, "its file system has no id-mapped mounts")
    layer = state.next_tree()[0] if index else _new_tmpfs(state, b"700", size)
    _move(state, overlay_.mount(lower, layer, state.kernel), at, where)


def tmpfs(state: State, at: bytes, size: bytes, mode: bytes, where: bytes) -> None:
    _make_mount_point(state, at, b"dir", where)
    _mount_tmpfs(state, at, mode, size, where)


def skeleton(state: State, at: bytes, mode: bytes, where: bytes) -> None:
    _make_mount_point(state, at, b"dir", where)
    _mount_tmpfs(state, at, mode, b"", where)


def _mount_tmpfs(state: State, at: bytes, mode: bytes, size: bytes, where: bytes) -> None:
    _move(state, _new_tmpfs(state, mode, size), at, where)


def _new_tmpfs(state: State, mode: bytes, size: bytes) -> int:
    context = state.kernel.fsopen(b"tmpfs")
    try:
        state.kernel.fsconfig(context, syscalls.FSCONFIG_SET_STRING, b"mode", mode)
        if size:
            state.kernel.fsconfig(context, syscalls.FSCONFIG_SET_STRING, b"size", size)
        state.kernel.fsconfig(context, syscalls.FSCONFIG_CMD_CREATE, None, None)
        return state.kernel.fsmount(context, syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV)
    finally:
        os.close(context)


def _move(state: State, tree: int, at: bytes, where: bytes) -> None:
    """Attach a detached mount at a path of the new root, and close its descriptor."""
    try:
        if where == b"inside":
            status = os.fstat(tree)
            state.covers.append((at, status.st_dev, status.st_ino))
        if where == b"skeleton":
            flags = syscalls.MOVE_MOUNT_F_EMPTY_PATH
            state.kernel.move_mount(tree, b"", syscalls.AT_FDCWD, _relative(at), flags)
            return
        target = _beneath(state, at)
        try:
            flags = syscalls.MOVE_MOUNT_F_EMPTY_PATH | syscalls.MOVE_MOUNT_T_EMPTY_PATH
            state.kernel.move_mount(tree, b"", target, b"", flags)
        finally:
            os.close(target)
    finally:
        os.close(tree)


def mask(state: State, at: bytes, kind: bytes, where: bytes) -> None:
    """Hide what is there: an empty directory, or a file that cannot be read (without capabilities root cannot, either).

    A directory stays readable: gcc stops when it may not look into /usr/local/include, and goes on when that is empty.
    """
    if kind == b"dir":
        _mount_tmpfs(state, at, b"555", b"4096", where)
        return
    name = b".bldr-masked"
    if not state.mask_made:
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0))
        state.mask_made = True
    _move(state, state.kernel.open_tree(state.root, name, syscalls.OPEN_TREE_CLONE | os.O_CLOEXEC), at, where)


def seal(state: State) -> None:
    if state.mask_made:
        os.unlink(b".bldr-masked")
    attributes = syscalls.MOUNT_ATTR_RDONLY | syscalls.MOUNT_ATTR_NOSUID
    try:
        flags = syscalls.AT_EMPTY_PATH | syscalls.AT_RECURSIVE
        state.kernel.mount_setattr(state.root, b"", flags, set_=attributes, propagation=syscalls.MS_PRIVATE)
    except OSError as error:
        if error.errno != errno.ENOSYS:  # before Linux 5.12
            raise
        state.kernel.mount(None, b"/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
        mountinfo.remount(b"/", state.kernel, set_=syscalls.MS_RDONLY | syscalls.MS_NOSUID)


def unseal(state: State, at: bytes, reach: bytes) -> None:
    """Make one mount writable again, or with ``all`` attach an output, whose mounts are as writable as on the host."""
    if at == b"/proc" and state.proc_failure is not None:
        return  # the host's, where a user could lower its own processes' chances in /proc/PID/oom_score_adj
    if reach == b"all":
        tree, where = state.held.pop(at)
        _move(state, tree, at, where)
        return
    fd = _beneath(state, at)
    try:
        state.kernel.mount_setattr(fd, b"", syscalls.AT_EMPTY_PATH, clear=syscalls.MOUNT_ATTR_RDONLY)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        mountinfo.remount(at, state.kernel, clear=syscalls.MS_RDONLY, recursive=False)
    finally:
        os.close(fd)


def pivot(state: State) -> None:
    """The old root is gone already: init changed to the new one before the request came (see ``root.leave_host``)."""
    os.chdir("/")
    os.close(state.root)


def no_userns(state: State) -> None:
    """Forbid user namespaces in this one: the limit cannot be raised again once the capabilities are gone."""
    try:
        fd = os.open("/proc/sys/user/max_user_namespaces", os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        if state.proc_failure is None:
            raise
        state.filter_userns = True  # the host's /proc, where containers make /proc/sys read-only or cover it
    else:
        try:
            os.write(fd, b"0")
        finally:
            os.close(fd)
    _hide_keys(state)


def _hide_keys(state: State) -> None:
    """Cover the lists of keys: keyrings are not namespaced, and the caller's would be named there.

    Only where no sandbox can be made inside: a /proc that is partly covered cannot be mounted a second time.
    """
    for path in (b"/proc/keys", b"/proc/key-users"):
        if os.path.exists(path):
            state.kernel.mount(b"/dev/null", path, None, syscalls.MS_BIND)


def rlimit(state: State, name: bytes, soft: bytes, hard: bytes) -> None:
    if name == b"nproc" and not COUNTS_PER_NAMESPACE:
        return
    which = RESOURCES[name]
    _, ceiling = resource.getrlimit(which)
    wanted = [resource.RLIM_INFINITY if text == b"unlimited" else int(text) for text in (soft, hard)]
    if ceiling != resource.RLIM_INFINITY:  # -1: compare numbers only
        wanted = [ceiling if item == resource.RLIM_INFINITY else min(item, ceiling) for item in wanted]
    resource.setrlimit(which, (wanted[0], wanted[1]))


def landlock_(state: State, *writable: bytes) -> None:
    state.landlock_abi = landlock.restrict_writes(writable, state.kernel)


def drop(state: State, keep_setfcap: bytes) -> None:
    """Give up all privilege. Not dumpable: the command must not read or trace the init that shares its id."""
    state.kernel.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    state.kernel.drop_capabilities(keep_setfcap=keep_setfcap == b"1")
    state.kernel.prctl(syscalls.PR_SET_DUMPABLE, 0)


def seccomp_(state: State, chown_succeeds: bytes, mounts: bytes) -> None:
    if state.filter_userns:
        state.kernel.install_filter(seccomp.userns_filter())
    state.kernel.install_filter(seccomp.sandbox_filter(mounts=mounts == b"1", chown_succeeds=chown_succeeds == b"1"))


def refuse(state: State, *refused: bytes) -> None:
    """Take note of what comes into force right before the command is executed, because it would stop that as well."""
    state.refused = frozenset(refused)


def canary(state: State, guarantee: bytes, kind: bytes, argument: bytes) -> None:
    if kind not in state.tried:
        CANARIES[kind](state, argument)


def try_early(state: State) -> None:
    """Try the canaries that only namespaces and the base filter decide, so that no request waits for them."""
    for kind in (b"unreachable", b"filtered", b"pid1", b"ipc"):
        CANARIES[kind](state, b"")
        state.tried.add(kind)


def network(operation: str) -> Callable[..., None]:
    """An operation of a module that the launcher loads with the first request that names it."""

    def call(state: State, *arguments: bytes) -> None:
        from _bldr_launcher import network

        getattr(network, operation)(state, *arguments)

    return call


def must_fail(attempt: Callable[[], object], expected: Container[int | None], what: str) -> None:
    """Make an attempt that has to fail.

    Raises:
        CanaryError: It did not, or not in an expected way.
    """
    try:
        attempt()
    except OSError as error:
        if error.errno in expected:
            return
        raise CanaryError(error.errno, f"{what}: {os.strerror(error.errno or 0)}") from error
    raise CanaryError(0, f"{what} was possible")


def _canary_absent(_state: State, path: bytes) -> None:
    must_fail(lambda: os.stat(path), (errno.ENOENT, errno.ENOTDIR, errno.EACCES), f"looking at {os.fsdecode(path)}")


def _canary_readonly(_state: State, path: bytes) -> None:
    """Try to write: an unnamed file in a directory, or the file opened for writing; neither changes anything."""
    flags = os.O_WRONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a fifo has nobody who reads it, ENXIO says so at once
    if os.path.isdir(path):
        flags |= os.O_TMPFILE
    expected = (errno.EROFS, errno.EACCES, errno.ENXIO)
    must_fail(lambda: os.close(os.open(path, flags)), expected, f"writing to {os.fsdecode(path)}")


def _canary_unreachable(_state: State, _argument: bytes) -> None:
    """Connecting a datagram socket sends nothing; it asks the kernel for a route to a documentation address."""
    outward = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        must_fail(lambda: outward.connect(("192.0.2.1", 9)), (errno.ENETUNREACH,), "a route out of the sandbox")
    finally:
        outward.close()


def _canary_unlisted(_state: State, address: bytes) -> None:
    from _bldr_launcher.network import canary_unlisted

    expected = (errno.ENETUNREACH,)
    must_fail(lambda: canary_unlisted(address.decode()), expected, f"a route to {address.decode()}")


def _canary_capless(_state: State, _argument: bytes) -> None:
    must_fail(lambda: syscalls.sethostname(b"x"), (errno.EPERM,), "setting the host name")
    if syscalls.prctl(syscalls.PR_GET_NO_NEW_PRIVS) != 1:
        raise CanaryError(0, "no_new_privs is not set")


def _canary_filtered(_state: State, _argument: bytes) -> None:
    must_fail(syscalls.join_new_session_keyring, (errno.EPERM,), "reaching the session keyring")


def _canary_hostname(_state: State, name: bytes) -> None:
    if os.uname().nodename.encode() != name:
        raise CanaryError(0, f"the host name is {os.uname().nodename!r}")


def _canary_pid1(_state: State, _argument: bytes) -> None:
    if os.getpid() != 1 or os.getppid() != 0:
        raise CanaryError(0, f"process {os.getpid()} of parent {os.getppid()} is not the first one")


def _canary_ipc(state: State, _argument: bytes) -> None:
    if os.readlink(b"/proc/self/ns/ipc") == state.host_ipc:
        raise CanaryError(0, "the IPC namespace is the host's")


def plant() -> None:
    """Set a variable in this process, and in every init that it clones, that no declared one can be mistaken for."""
    os.environb[PLANTED + os.urandom(8).hex().encode()] = b"1"


def _planted() -> bytes:
    return next((name for name in os.environb if name.startswith(PLANTED)), b"")


def _canary_unset(_state: State, _argument: bytes) -> None:
    """See that there is something to be left behind; whether it was is seen by :func:`scrubbed`."""
    if not _planted():
        raise CanaryError(0, "no variable is there that a command must not get")


def scrubbed(environment: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """Return what execve(2) is about to be given, in which the variable must not be that this process has.

    It is looked for here and not in /proc/PID/environ: a short command has ended before anybody can open that.

    Raises:
        CanaryError: The variable is there.
    """
    if _planted() in environment:
        raise CanaryError(0, "a variable that was not declared was passed on")
    return environment


CANARIES: dict[bytes, Callable[[State, bytes], None]] = {
    b"absent": _canary_absent,
    b"readonly": _canary_readonly,
    b"unlisted": _canary_unlisted,
    b"unreachable": _canary_unreachable,
    b"capless": _canary_capless,
    b"filtered": _canary_filtered,
    b"hostname": _canary_hostname,
    b"pid1": _canary_pid1,
    b"ipc": _canary_ipc,
    b"unset": _canary_unset,
}

OPERATIONS: dict[bytes, Callable[..., None]] = {
    b"hostname": hostname,
    b"names": network("names"),
    b"stand-in": network("stand_in"),
    b"pool": network("pool"),
    b"watch": network("watch"),
    b"dir": dir_,
    b"file": file_,
    b"link": link,
    b"bind": bind,
    b"temp": temp,
    b"copy": copy,
    b"overlay": overlay,
    b"tmpfs": tmpfs,
    b"skeleton": skeleton,
    b"mask": mask,
    b"seal": seal,
    b"unseal": unseal,
    b"pivot": pivot,
    b"no-userns": no_userns,
    b"rlimit": rlimit,
    b"landlock": landlock_,
    b"drop": drop,
    b"refuse": refuse,
    b"seccomp": seccomp_,
    b"canary": canary,
}
