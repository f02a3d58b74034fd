"""What each step of a plan does where there are no namespaces. Runs in the process that becomes the command.

What a rule allows is collected first and comes into force with ``confine``. Every argument is bytes. A step raises
``OSError`` and knows nothing of reporting.
"""

from __future__ import annotations

import _socket
import errno
import fcntl
import os
import stat

from _bldr_launcher import landlock, seccomp, steps, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from _bldr_launcher.kernel import Kernel

__all__ = ["CANARY_FILE", "OPERATIONS", "Confinement"]

CANARY_FILE = b"canary"  # in the scratch directory of an execution: the caller's own file, which no rule allows


STREAMS = {os.O_RDONLY: b"stream-in", os.O_WRONLY: b"stream-out", os.O_RDWR: b"stream-both"}


class Confinement(steps.State):
    """What the steps of one sandbox share."""

    def __init__(
        self, scratch: bytes, abi: int, give_listener: Callable[[int], None], kernel: Kernel = syscalls
    ) -> None:
        super().__init__(-1, b"", kernel)
        self.scratch = scratch
        self.abi = abi
        self.give_listener = give_listener  # passes the listener of the filter on to init
        self.rules: list[tuple[bytes, bytes, bytes]] = []


def allow(state: Confinement, path: bytes, access: bytes, kind: bytes) -> None:
    state.rules.append((path, access, kind))


def temp(state: Confinement, index: bytes, at: bytes) -> None:
    state.rules.append((state.scratch + b"/" + index, b"write", b"dir"))


def temp_at(state: Confinement, path: bytes) -> None:
    state.rules.append((path, b"write", b"dir"))


def confine(state: Confinement) -> None:
    """Enter the domain. Files that are the standard streams may be opened again (/dev/stdout), as they are open now."""
    for fd in (0, 1, 2):
        mode = os.fstat(fd).st_mode
        if stat.S_ISREG(mode) or stat.S_ISCHR(mode):
            access = STREAMS[fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE]
            state.rules.append((b"/proc/self/fd/%d" % fd, access, b"file"))
    landlock.confine(state.rules, state.abi, state.kernel)


def drop(state: Confinement) -> None:
    state.kernel.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    state.kernel.empty_capability_sets()


def filter_(state: Confinement) -> None:
    state.kernel.install_filter(seccomp.userns_filter())
    state.kernel.install_filter(seccomp.sandbox_filter(mounts=False, chown_succeeds=False))
    state.kernel.install_filter(seccomp.shared_host_filter())
    listener = seccomp.install_with_listener(seccomp.attributes_filter(state.refused), state.kernel)
    try:
        state.give_listener(listener)
    finally:
        os.close(listener)


def canary(state: Confinement, guarantee: bytes, kind: bytes, argument: bytes) -> None:
    CANARIES[kind](state, argument)


def _canary_own_file(state: Confinement, _argument: bytes) -> None:
    """Only Landlock keeps the caller from this file, whose owner it is."""
    path = state.scratch + b"/" + CANARY_FILE
    for flags, what in ((os.O_RDONLY, "reading"), (os.O_WRONLY, "writing")):
        steps.must_fail(
            lambda flags=flags: os.close(os.open(path, flags | os.O_CLOEXEC)),  # type: ignore[misc]
            (errno.EACCES,),
            f"{what} a file that was not declared",
        )
    for change, what in ((lambda: os.chmod(path, 0o644), "mode"), (lambda: os.utime(path), "times")):
        steps.must_fail(change, (errno.EROFS,), f"changing the {what} of a file that was not declared")


def _canary_no_socket(_state: Confinement, _argument: bytes) -> None:
    for family in (_socket.AF_INET, _socket.AF_INET6, _socket.AF_UNIX, _socket.AF_NETLINK):
        steps.must_fail(
            lambda family=family: _socket.socket(family, _socket.SOCK_DGRAM).close(),  # type: ignore[misc]
            (errno.EACCES,),
            f"making a socket of family {family}",
        )


def _canary_no_shared_memory(_state: Confinement, _argument: bytes) -> None:
    steps.must_fail(syscalls.look_for_shared_memory, (errno.ENOSYS,), "looking for shared memory")


CANARIES: dict[bytes, Callable[[Confinement, bytes], None]] = {
    **steps.CANARIES,
    b"own-file": _canary_own_file,
    b"no-socket": _canary_no_socket,
    b"no-shared-memory": _canary_no_shared_memory,
}

OPERATIONS: dict[bytes, Callable[..., None]] = {
    b"rlimit": steps.rlimit,
    b"allow": allow,
    b"temp": temp,
    b"temp-at": temp_at,
    b"confine": confine,
    b"drop": drop,
    b"refuse": steps.refuse,
    b"seccomp": filter_,
    b"canary": canary,
}
