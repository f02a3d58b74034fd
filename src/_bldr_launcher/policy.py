"""What a command may not do with processes: make further ones, or execute further programs.

Two things have to be possible before it all the same: its own process is made, and it is executed once. So the filter
is installed between the two, and hands each call that it stops to init (seccomp_unotify(2)), or to the tracer where
there is one. That one lets exactly one execution pass: the first one after the attempts of the canary. Until that one
has happened nobody is under the filter but the process that becomes the command, so no program of the sandbox can take
its place. What the filter looks at are system call numbers and flags in registers, so nothing can be changed after the
look.
"""

from __future__ import annotations

import errno
import os
import time

from _bldr_launcher import seccomp, wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from _bldr_launcher.kernel import Kernel

__all__ = ["Referee", "install", "try_refused"]

LONGEST_ARGUMENTS = 1024  # bytes that are told of a command line


class Referee:
    """Decides on the calls that are stopped, and writes down what it has refused.

    It writes into memory that the supervisor holds as well, so that a kill, which leaves init no time to report, loses
    nothing. ``record`` is its descriptor: five items for each kind that was refused, as ``wire.pack`` writes them:
    kind, how often, and of the first one milliseconds, process and arguments.

    Args:
        refused: Of ``fork`` and ``exec``.
        sees_host: Whether process numbers are the host's, so that they mean something outside.
        record: Memory that somebody else has made for it; -1 for none.
    """

    def __init__(self, refused: Iterable[bytes], *, sees_host: bool = False, record: int = -1) -> None:
        self.command_executed = False
        self._untried = set(refused)  # the canary's attempts are yet to come
        self._sees_host = sees_host
        self._begun = time.monotonic()
        self._refusals: dict[bytes, list[bytes]] = {}
        self._counts: dict[bytes, int] = {}
        self.record = record if record >= 0 else os.memfd_create("refusals", os.MFD_CLOEXEC)

    def judge(self, call: str, pid: int) -> None:
        """Return when the call may go on.

        Args:
            call: Name of the system call.
            pid: Who calls, by its number here.

        Raises:
            PermissionError: It may not.
        """
        kind = b"exec" if call in seccomp.EXECUTING else b"fork"
        if kind in self._untried:
            self._untried.discard(kind)
        elif kind == b"exec" and not self.command_executed:
            return
        else:
            self._note(kind, pid)
        raise PermissionError(errno.EPERM, "refused by the policy")

    def _note(self, kind: bytes, pid: int) -> None:
        self._counts[kind] = self._counts.get(kind, 0) + 1
        if kind not in self._refusals:
            milliseconds = int((time.monotonic() - self._begun) * 1000)
            number = pid if self._sees_host else 0
            self._refusals[kind] = [b"%d" % milliseconds, b"%d" % number, _arguments_of(pid)]
        # It only ever grows, and fits into a page, which is written at once or not at all.
        found = [item for kind, first in self._refusals.items() for item in (kind, b"%d" % self._counts[kind], *first)]
        os.pwrite(self.record, wire.pack(found), 0)


def _arguments_of(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as text:
            return text.read(LONGEST_ARGUMENTS)
    except OSError:
        return b""  # it has been killed meanwhile


def install(refused: frozenset[bytes], kernel: Kernel) -> int:
    """Put the filter on this process.

    Where somebody listens already (a tracer, or a sandbox around this one) new processes are refused without a record.

    Returns:
        The descriptor of the listener; -1 when there is none.

    Raises:
        OSError: EBUSY when somebody listens already, and executions have to be refused.
    """
    try:
        return seccomp.install_with_listener(seccomp.policy_filter(refused), kernel)
    except OSError as error:
        if error.errno != errno.EBUSY or b"exec" in refused:
            raise
    kernel.install_filter(seccomp.policy_filter(refused, action=seccomp.ERRNO | errno.EPERM))
    return -1


def try_refused(refused: frozenset[bytes]) -> None:
    """Try what has to be refused from now on, once each, in the process that becomes the command.

    Raises:
        OSError: It was possible, or refused for another reason.
    """
    if b"fork" in refused:
        try:
            pid = os.fork()  # noqa: TID251  this process has one thread
        except PermissionError:
            pass  # refused, as it has to be
        else:
            if pid == 0:
                os._exit(0)
            raise OSError(0, "making a process was possible")
    if b"exec" in refused:
        try:
            os.execve(b"/", [b"/"], {})
        except OSError as error:
            if error.errno != errno.EPERM:  # a directory is refused with EACCES
                raise OSError(error.errno, "executing a program was not refused") from error
