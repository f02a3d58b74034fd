"""Try to make a cgroup (version 2) with controllers, as the launcher does, and remove it again.

Runs in the interpreter of ``trials.py``. What is switched on for the trial in a cgroup that exists is switched off
again, and processes are left where they are: that bldr may move itself is concluded from who else is there.
"""

from __future__ import annotations

import errno
import fcntl
import os

from _bldr_launcher.cgroup import CONTROLLERS, PREFIX, Hierarchy, candidates, find_hierarchy
from _bldr_launcher.pseudofile import read, write
from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["CgroupTrial", "Situation", "try_cgroup"]


class Situation:
    """What was met."""

    WORKS = "works"
    NONE = "none"  # nothing is mounted
    V1 = "v1"  # version 1 only
    HYBRID = "hybrid"  # version 2 is there, and its controllers belong to version 1
    OUTSIDE = "outside"  # our own cgroup is not below what is mounted
    READ_ONLY = "read-only"
    DENIED = "denied"  # by permissions
    FULL = "full"  # a limit of descendants
    BUSY = "busy"  # others are in a cgroup that would have to hand controllers down
    WITHOUT_CONTROLLERS = "without-controllers"  # neither memory nor pids is handed down
    OTHER = "other"


@value
class CgroupTrial:
    """What came of it.

    Args:
        situation: One of the constants of ``Situation``.
        errno: What the kernel answered, 0 where nothing was asked.
        path: The cgroup in which it was tried last.
        controllers: What a cgroup of a sandbox would have.
    """

    situation: str
    errno: int = 0
    path: str = ""
    controllers: tuple[str, ...] = ()

    def line(self) -> str:
        """Return it as one line; the path is last, because it may hold anything."""
        return f"{self.situation} {self.errno} {','.join(self.controllers)} {self.path}"

    @staticmethod
    def read(line: str) -> CgroupTrial | None:
        """Read such a line; ``None`` when it is none."""
        situation, _, rest = line.partition(" ")
        number, _, rest = rest.partition(" ")
        controllers, _, path = rest.partition(" ")
        if not number.isdecimal():
            return None
        return CgroupTrial(situation, int(number), path, tuple([name for name in controllers.split(",") if name]))


_SITUATIONS = {
    errno.EROFS: Situation.READ_ONLY,
    errno.EACCES: Situation.DENIED,
    errno.EPERM: Situation.DENIED,
    errno.EAGAIN: Situation.FULL,
    errno.EBUSY: Situation.BUSY,
}


def try_cgroup(ours: Collection[int]) -> CgroupTrial:
    """Try it in our own cgroup, then in each one above it.

    Args:
        ours: Numbers of processes that bldr would move into a leaf of their own, where they are in the way.

    Returns:
        The first place that works; else what was met in the nearest one, which says most.
    """
    with open("/proc/self/mountinfo", "rb") as mounts, open("/proc/self/cgroup", "rb") as own:
        mountinfo, membership = mounts.read(), own.read()
    hierarchy = find_hierarchy(mountinfo, membership)
    has_first = b" - cgroup " in mountinfo
    if isinstance(hierarchy, str):
        if b" - cgroup2 " in mountinfo:
            return CgroupTrial(Situation.OUTSIDE)
        return CgroupTrial(Situation.V1 if has_first else Situation.NONE)
    if _belong_to_first(membership):
        return CgroupTrial(Situation.HYBRID, path=hierarchy.mount)
    nearest: CgroupTrial | None = None
    for parent in candidates(hierarchy):
        found = _try_in(parent, hierarchy, ours)
        if found.situation == Situation.WORKS:
            return found
        nearest = nearest or found
    return nearest or CgroupTrial(Situation.OTHER)


def _belong_to_first(membership: bytes) -> bool:
    """Whether version 1 has the controllers that matter; one belongs to one hierarchy only (cgroups(7))."""
    taken: set[bytes] = set()
    for line in membership.splitlines():
        number, _, rest = line.partition(b":")
        if number != b"0":
            taken.update(rest.partition(b":")[0].split(b","))
    return bool(taken & {b"memory", b"pids"})


def _try_in(parent: str, hierarchy: Hierarchy, ours: Collection[int]) -> CgroupTrial:
    path = f"{parent}/{PREFIX}{os.urandom(8).hex()}"  # were we killed now, a launcher would remove it
    switched: list[str] = []
    made = False
    try:
        os.mkdir(path)
        made = True
        with _Lock(path):
            alone = parent == hierarchy.own and {int(word) for word in _words(f"{parent}/cgroup.procs")} <= set(ours)
            given = _hand_down(parent, switched, alone=alone)
    except OSError as error:
        number = error.errno or 0
        return CgroupTrial(_SITUATIONS.get(number, Situation.OTHER), number, parent)
    finally:
        if made:
            os.rmdir(path)
        for name in reversed(switched):
            _switch_off(parent, name)
    if "memory" not in given and "pids" not in given:
        return CgroupTrial(Situation.WITHOUT_CONTROLLERS, 0, parent)
    return CgroupTrial(Situation.WORKS, 0, parent, given)


class _Lock:
    """Keeps others from taking the cgroup for a leftover."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def __exit__(self, *_error: object) -> None:
        os.close(self._fd)


def _hand_down(parent: str, switched: list[str], *, alone: bool) -> tuple[str, ...]:
    """Let a cgroup hand its controllers on; returns those that it can.

    Args:
        parent: Its directory.
        switched: Gets the controllers that were switched on.
        alone: Whether nobody but us is in it, so that bldr would move away.

    Raises:
        OSError: It may not, or others are in the way.
    """
    have, there = _words(f"{parent}/cgroup.subtree_control"), _words(f"{parent}/cgroup.controllers")
    wanted = tuple([name for name in CONTROLLERS if name in there])
    for name in wanted:
        if name in have:
            continue
        try:
            write(f"{parent}/cgroup.subtree_control", f"+{name}".encode())
        except OSError as error:
            if error.errno == errno.EBUSY and alone:
                break
            raise
        switched.append(name)
    return wanted


def _switch_off(parent: str, name: str) -> None:
    try:
        write(f"{parent}/cgroup.subtree_control", f"-{name}".encode())
    except OSError:
        pass  # somebody else has begun to use it meanwhile


def _words(path: str) -> list[str]:
    return os.fsdecode(read(path)).split()
