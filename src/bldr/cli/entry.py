"""The process of ``bldr``: what is done before anything else is imported, and how it ends."""

from __future__ import annotations

import atexit
import gc
import os
import sys

from bldr.cli.imports import find_directly

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

__all__ = ["open_missing_streams", "start"]

_FAILED = 125  # bldr itself failed


def start() -> NoReturn:
    """Be the process of ``bldr``: run it, then end at once. Never returns.

    Nothing is left to finalise when the exit functions have run, and taking the interpreter apart takes 4 ms of the
    30 that ``bldr run -- true`` takes. The cycle collector finds nothing in so short a life, either (1 ms).
    """
    gc.disable()
    open_missing_streams()
    find_directly()
    begun = _begin(sys.argv[1:])
    from bldr.cli.main import main

    status = _FAILED
    try:
        status = main(begun=begun)
        atexit._run_exitfuncs()  # noqa: SLF001 - what the interpreter calls, too; it ends the launcher
    finally:
        os._exit(status)


def _begin(arguments: Sequence[str]) -> tuple[int, int] | None:
    """Fork the launcher before anything else is loaded: it takes as long to get ready as this process.

    Returns:
        Its process number and the descriptor of the socket to it; ``None`` when it is too early to tell whether one
        is needed, or when there is no room for it, which whoever needs it will report.
    """
    if sys.platform == "linux" and arguments[:1] == ["run"] and "--" in arguments:
        import _socket

        try:
            ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
            pid = os.fork()  # noqa: TID251  there is one thread
        except OSError:  # who needs a launcher tries again, and reports it
            return None
        if pid == 0:
            from _bldr_launcher import child

            child.become(theirs.detach())
        return pid, ours.detach()
    return None


def open_missing_streams() -> None:
    """Open ``/dev/null`` where the caller closed a standard stream.

    Otherwise the next file that bldr opens would get the number of that stream, and the command or a message would
    write into it.
    """
    for fd, flags in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(fd)
        except OSError:
            os.set_inheritable(os.open(os.devnull, flags), True)  # it gets the lowest free number, which is this one
