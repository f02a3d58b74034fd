"""The launcher as a fork of its supervisor, which spares it the start of a second interpreter.

Only for a process with one thread: ``bldr run``. It forks before it has read its options, so this imports next to
nothing; the child imports the rest while its parent does the same.
"""

from __future__ import annotations

import os

__all__ = ["become", "fork"]


def fork(control: int, parent: str, *, landlock: bool = False) -> int:
    """Start a launcher that makes one sandbox, and return its process number.

    Args:
        control: Descriptor of its end of the socket to the supervisor; the caller closes its own copy.
        parent: Host directory below which temps are made.
        landlock: Whether its sandboxes are made without namespaces.

    Raises:
        OSError: No process can be started.
    """
    pid = os.fork()  # noqa: TID251  the caller has one thread
    if pid == 0:
        become(control, parent, landlock=landlock)
    return pid


def become(control: int, parent: str = "", *, landlock: bool = False) -> None:
    """Turn a fork into the launcher; never returns.

    Args:
        control: As for :func:`fork`.
        parent: As for :func:`fork`; found where it is not given.
        landlock: As for :func:`fork`.
    """
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):  # first of all: who reads what the caller prints must not have to wait for this one
            os.dup2(null, number)
        from _bldr_launcher import init, scratch, server

        init.close_all_but(control)
        os.setsid()
        os.chdir("/")
        kind = None
        if landlock:
            from _bldr_launcher.landlock_server import LandlockLauncher

            kind = LandlockLauncher
        server.serve(control, parent or scratch.find_parent(os.environ), ready=1, once=True, kind=kind)
    finally:
        os._exit(1)
