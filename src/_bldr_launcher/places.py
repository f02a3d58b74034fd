"""Where cgroups can be made, as the launcher finds it and as the supervisor is told of it."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _bldr_launcher import cgroup

__all__ = ["described", "find"]


def find() -> cgroup.Place | None:
    """Find where cgroups can be made; None where the kernel has them, but none of their controllers.

    A look at one short file spares most containers the search: controllers that serve version 1 serve no other.
    """
    with open("/proc/self/cgroup", "rb") as own:
        if b":memory:" in own.read():
            return None
    from _bldr_launcher import cgroup

    try:
        return cgroup.find_place((os.getpid(), os.getppid()))
    except OSError as error:
        return cgroup.nowhere(str(error))


def described(place: cgroup.Place | None) -> list[bytes]:
    """What the supervisor is told of the place."""
    if place is None:
        return [b"", b"", b"0", b"the controllers belong to cgroup version 1 here"]
    words = (place.path, " ".join(place.controllers), "1" if place.delegates else "0", place.why)
    return [os.fsencode(word) for word in words]
