"""Start the launcher in an interpreter of its own."""

from __future__ import annotations

import _signal
import os
import sys

from _bldr_launcher import scratch
from bldr.errors import SandboxLostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CONTROL_FD", "open_mounts", "scratch_parent", "spawn"]

CONTROL_FD = 3


def spawn(control: int, entry: Sequence[str], arguments: Sequence[str]) -> int:
    """Start it, and return its process number.

    Args:
        control: Descriptor of its end of the socket to the supervisor.
        entry: The launcher's program; the package by default.
        arguments: What follows the descriptor; empty ones are left out.

    Raises:
        OSError: No process can be started.
    """
    program = entry or (os.path.dirname(scratch.__file__),)
    argv = [sys.executable, "-I", "-S", *program, str(CONTROL_FD), *filter(None, arguments)]
    with open(os.devnull, "r+b", buffering=0) as null:
        actions = [(os.POSIX_SPAWN_DUP2, null.fileno(), number) for number in (0, 1, 2)]
        actions.append((os.POSIX_SPAWN_DUP2, control, CONTROL_FD))
        return os.posix_spawn(
            sys.executable, argv, {}, file_actions=actions, setsigmask=(), setsigdef=(_signal.SIGCHLD,)
        )


def open_mounts() -> int:
    """Open what signals a change of the mount table; -1 where it cannot be."""
    try:
        return os.open("/proc/self/mounts", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1  # no /proc: the launcher will say so


def scratch_parent() -> str:
    """The host directory below which temps are made: on disk where there is a choice.

    Raises:
        SandboxLostError: ``TMPDIR`` names something that is no directory one can write to, or there is none at all.
    """
    if path := scratch.find_parent(os.environ):
        return path
    named = os.environ.get("TMPDIR") or "/var/tmp"
    raise SandboxLostError(
        f"no directory for temps: {named!r} is not a directory that can be written to",
        step="make the directory for temps",
        code="sandbox.no-scratch",
        hint="set TMPDIR to a directory on a disk with room",
    )
