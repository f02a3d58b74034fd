"""Process trees as /proc shows them: what runs below a process, and what all of it uses.

The formats are those of proc(5). A process may end between two looks at it, so everything here takes what is left.
Trees are read ten times a second and more, so by plain system calls: a file object costs as much as the read itself.
"""

from __future__ import annotations

import os
import time

from _bldr_launcher.pseudofile import read
from bldr.model.timeline import ProcessSnapshot
from bldr.model.value import value
from bldr.sandbox.protocol import ProcessReading, Reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "Stat",
    "TreeMeter",
    "argv_of",
    "host_pid",
    "parse_stat",
    "pressure",
    "readings",
    "snapshots",
    "tree",
]

TICK = 1.0 / os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 0.01
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_LONGEST_STAT = 1024  # bytes; 52 numbers and a name of 64 characters
_LONGEST_ARGV = 4096  # bytes that are kept of a command line
_LARGEST_LIST = 65536  # bytes of a list of children: about ten thousand


@value
class Stat:
    """What /proc/PID/stat says of a process.

    Args:
        pid: Its number.
        parent: That of its parent.
        name: The first 15 bytes of its program's name, or what it calls itself.
        state: One letter, see :class:`bldr.ProcessSnapshot`.
        user_time: Seconds of CPU time in user mode, of all its threads.
        system_time: Seconds of CPU time in the kernel.
        reaped_user_time: Those of the children that it has waited for.
        reaped_system_time: As above.
        threads: How many it has.
        begun: Seconds since boot.
        resident: Bytes of memory that it has in use, shared ones too.
    """

    pid: int
    parent: int
    name: str
    state: str
    user_time: float
    system_time: float
    reaped_user_time: float
    reaped_system_time: float
    threads: int
    begun: float
    resident: int


def parse_stat(data: bytes) -> Stat:
    """Read the line of /proc/PID/stat. The name may hold spaces and parentheses, so the last one ends it.

    Raises:
        ValueError: It is no such line.
    """
    head, _, rest = data.rpartition(b") ")
    pid, _, name = head.partition(b" (")
    fields = rest.split()
    if len(fields) < 22:
        raise ValueError(f"{len(fields)} fields behind the name of a process where 22 are expected")
    return Stat(
        int(pid),
        int(fields[1]),
        os.fsdecode(name),
        fields[0].decode("ascii"),
        int(fields[11]) * TICK,
        int(fields[12]) * TICK,
        int(fields[13]) * TICK,
        int(fields[14]) * TICK,
        int(fields[17]),
        int(fields[19]) * TICK,
        int(fields[21]) * PAGE,
    )


def tree(root: int) -> list[Stat]:
    """Look at a process and everything below it, parents before children; empty when it is gone.

    Who loses its parent becomes a child of the namespace's process 1, so below an init nobody is missed; a process that
    is started while this reads may be.
    """
    found: list[Stat] = []
    waiting = [root]
    seen = {root}
    while waiting:
        pid = waiting.pop()
        try:
            about = parse_stat(read(f"/proc/{pid}/stat", _LONGEST_STAT))
            found.append(about)
            for task in (pid,) if about.threads == 1 else map(int, os.listdir(f"/proc/{pid}/task")):
                fresh = [int(one) for one in read(f"/proc/{pid}/task/{task}/children", _LARGEST_LIST).split()]
                waiting += [one for one in fresh if one not in seen]
                seen.update(fresh)
        except (OSError, ValueError):
            continue  # it has just ended
    return found


def argv_of(pid: int) -> tuple[str, ...]:
    """The arguments of a process, cut after some thousand bytes; empty when it is gone or has none."""
    try:
        data = read(f"/proc/{pid}/cmdline", _LONGEST_ARGV)
    except OSError:
        return ()
    return tuple([os.fsdecode(word) for word in data.rstrip(b"\0").split(b"\0")]) if data else ()


def snapshots(processes: Iterable[Stat]) -> tuple[ProcessSnapshot, ...]:
    """Look closer at processes that are about to be ended."""
    return tuple(
        [
            ProcessSnapshot(
                one.pid,
                one.parent,
                argv_of(one.pid) or (one.name,),
                one.state,
                one.resident,
                one.user_time + one.system_time,
                _waits_in(one.pid),
            )
            for one in processes
        ]
    )


def readings(processes: Iterable[Stat]) -> tuple[ProcessReading, ...]:
    """What each process uses, for whoever records them."""
    return tuple(
        [
            ProcessReading(one.pid, one.parent, one.name, one.user_time + one.system_time, one.resident, one.begun)
            for one in processes
        ]
    )


def pressure(directory: str = "/proc/pressure", suffix: str = "") -> tuple[tuple[str, float], ...]:
    """The share of the last ten seconds in which somebody waited, in percent, by resource; empty without PSI."""
    found = []
    for resource in ("cpu", "memory", "io"):
        try:
            some = read(f"{directory}/{resource}{suffix}", 512).split()
            found.append((resource, float(some[1].partition(b"=")[2])))
        except (OSError, IndexError, ValueError):
            continue  # a kernel without PSI, or one that was told not to count
    return tuple(found)


def clock() -> float:
    """Seconds since boot, with the time in which the machine was suspended; process starts are dated by it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def host_pid(pidfd: int) -> int:
    """The number that the caller knows a process by; -1 when it has been reaped (pidfd_open(2))."""
    for line in read(f"/proc/self/fdinfo/{pidfd}", 4096).splitlines():
        if line.startswith(b"Pid:"):
            return int(line.split()[1])
    return -1


class TreeMeter:
    """Adds up what the processes below one use, without that one.

    Memory is what is resident and not shared, plus the largest shared part: pages that a fork has not touched yet count
    for parent and child, so it is an upper estimate. :meth:`proportional_memory` is exact and slow.

    Args:
        root: The process above; init, or a supervisor.
        includes_root: Whether it counts as well.
        skips: Tells of a process of ours, which is not measured itself; what it has started is.
    """

    mechanism = "sampling"

    def __init__(self, root: int, *, includes_root: bool = False, skips: Callable[[Stat], bool] | None = None) -> None:
        self._root = root
        self._includes_root = includes_root
        self._skips = skips
        self._user = self._system = 0.0

    def look(self, *, closely: bool = False) -> tuple[Reading, tuple[ProcessReading, ...]]:
        """Measure now; see :class:`bldr.sandbox.protocol.Meter`."""
        user = system = 0.0
        threads = private = shared = 0
        disk: list[int] | None = [0, 0]
        measured = []
        for one in tree(self._root):
            # Who has reaped an orphan has its time in its own account, and an init does little else.
            user += one.reaped_user_time
            system += one.reaped_system_time
            if self._is_ours(one):
                continue
            user += one.user_time
            system += one.system_time
            if one.state == "Z":
                continue
            measured.append(one)
            threads += one.threads
            resident, common = _memory_of(one)
            private += resident - common
            shared = max(shared, common)
            disk = _added(disk, one.pid)
        # Between the end of a process and its being waited for, its time is in nobody's account.
        self._user, self._system = max(user, self._user), max(system, self._system)
        reading = Reading(
            user_time=self._user,
            system_time=self._system,
            memory=private + shared,
            processes=len(measured),
            threads=threads,
            disk_read=None if disk is None else disk[0],
            disk_write=None if disk is None else disk[1],
        )
        return reading, readings(measured) if closely else ()

    def _is_ours(self, one: Stat) -> bool:
        if one.pid == self._root:
            return not self._includes_root
        return self._skips is not None and self._skips(one)

    def proportional_memory(self) -> int | None:
        """Bytes in which a page that several share counts once in all; ``None`` when the kernel does not tell us."""
        total = 0
        for one in tree(self._root):
            try:
                if not self._is_ours(one):
                    total += _proportional(one.pid)
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has just ended
            except OSError:
                return None
        return total

    def examine(self) -> tuple[tuple[ProcessSnapshot, ...], tuple[tuple[str, float], ...]]:
        """Say what each process is about; the pressure is the whole host's."""
        return snapshots([one for one in tree(self._root) if not self._is_ours(one)]), pressure()

    argv_of = staticmethod(argv_of)
    clock = staticmethod(clock)

    def calm(self) -> None:
        """Nobody is slowed down by sampling."""


def _proportional(pid: int) -> int:
    for line in read(f"/proc/{pid}/smaps_rollup", 4096).splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _memory_of(one: Stat) -> tuple[int, int]:
    """Resident bytes, and how many of them are shared."""
    try:
        fields = read(f"/proc/{one.pid}/statm", 256).split()
        return int(fields[1]) * PAGE, int(fields[2]) * PAGE
    except (OSError, IndexError, ValueError):
        return one.resident, 0


def _added(disk: list[int] | None, pid: int) -> list[int] | None:
    """Add a process's disk traffic and that of the children that it has waited for; ``None`` when we may not know."""
    if disk is None:
        return None
    try:
        counters = dict([line.split(b": ") for line in read(f"/proc/{pid}/io", 1024).splitlines()])
        return [disk[0] + int(counters[b"read_bytes"]), disk[1] + int(counters[b"write_bytes"])]
    except PermissionError:  # who may not trace a process is not told
        return None
    except (OSError, ValueError, KeyError):  # it has just ended
        return disk


def _waits_in(pid: int) -> str:
    try:
        name = os.fsdecode(read(f"/proc/{pid}/wchan", 256))
    except OSError:
        return ""
    return "" if name == "0" else name
