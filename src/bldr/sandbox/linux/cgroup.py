"""What a sandbox's cgroup (version 2) is told to enforce, and what it says of the sandbox's processes.

Files and their formats: cgroup-v2.rst of the kernel's documentation. Each file but cgroup.procs is optional: which are
there depends on controllers and on the kernel's version.
"""

from __future__ import annotations

import os

from _bldr_launcher.pseudofile import read, write
from bldr.errors import GuaranteeUnavailableError
from bldr.sandbox.linux.processes import Stat, argv_of, clock, parse_stat, pressure, readings, snapshots
from bldr.sandbox.protocol import Reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from bldr.model.spec import SandboxSpec
    from bldr.model.timeline import ProcessSnapshot
    from bldr.sandbox.protocol import ProcessReading

__all__ = ["FIELDS", "CgroupMeter", "disks_of", "open_alarms", "rings", "settings"]

# The file that enforces a limit, and the controller that has it.
FIELDS = {
    "memory": ("memory.max", "memory"),
    "processes": ("pids.max", "pids"),
    "cpus": ("cpu.max", "cpu"),
    "cpu_weight": ("cpu.weight", "cpu"),
    "disk_rate": ("io.max", "io"),
}
_PERIOD = 100_000  # microseconds, in which a quota of CPU time is handed out; the kernel's own default
_HEADROOM = 16  # part of the memory limit before which everybody is slowed down, so that they can be looked at
_INIT = 1  # process of ours in each sandbox
_SMALL_FILE = 4096  # bytes


def settings(spec: SandboxSpec, disks: Iterable[str]) -> list[tuple[bytes, bytes, bytes]]:
    """What is written into the cgroup of a sandbox: file, value, and ``1`` where it may not be left out.

    Args:
        spec: The limits; those that were asked for may not be left out.
        disks: ``MAJOR:MINOR`` of the disks whose rate is limited.
    """
    limits = spec.limits

    def needed(name: str) -> bytes:
        return b"1" if name in limits.explicit else b"0"

    found: list[tuple[bytes, bytes, bytes]] = []
    if limits.memory is not None:
        found += [
            (b"memory.max", b"+%d" % limits.memory, needed("memory")),
            (b"memory.swap.max", b"0", b"0"),  # without it a limit only makes the host swap
            (b"memory.oom.group", b"1", b"0"),
            (b"memory.high", b"+%d" % (limits.memory - limits.memory // _HEADROOM), b"0"),
        ]
    ceiling = spec.process_ceiling
    if ceiling is not None:
        found.append((b"pids.max", b"%d" % (ceiling + _INIT), needed("processes")))
    if limits.cpus is not None:
        found.append((b"cpu.max", b"%d %d" % (limits.cpus * _PERIOD, _PERIOD), b"1"))
    if limits.cpu_weight is not None:
        found.append((b"cpu.weight", b"%d" % limits.cpu_weight, b"1"))
    if limits.disk_rate is not None:
        rate = limits.disk_rate
        found += [(b"io.max", f"{disk} rbps={rate} wbps={rate}".encode(), b"1") for disk in disks]
    return found


def controller(name: bytes) -> str:
    """The controller that has a file."""
    return os.fsdecode(name).partition(".")[0]


def disks_of(paths: Iterable[str]) -> list[str]:
    """The ``MAJOR:MINOR`` of the whole disks that paths lie on: io.max takes no partitions.

    Raises:
        GuaranteeUnavailableError: None of them is on a disk.
    """
    found = set()
    for path in paths:
        try:
            device = os.stat(path).st_dev
        except OSError:
            continue  # the plan has checked what is declared; this one has gone meanwhile
        entry = f"/sys/dev/block/{os.major(device)}:{os.minor(device)}"
        if not os.path.exists(entry):
            continue  # in memory, over the network, or an overlay of others
        above = os.path.dirname(os.path.realpath(entry))
        number = os.path.join(above if os.path.exists(f"{entry}/partition") else entry, "dev")
        found.add(os.fsdecode(read(number, 64)).strip())
    if not found:
        raise GuaranteeUnavailableError(
            "the limit disk_rate cannot be enforced: no declared path lies on a disk of its own",
            guarantee="disk-rate-limit",
            hint="leave --disk-rate out, or declare paths on a disk (not in memory, not on an overlay)",
        )
    return sorted(found)


class CgroupMeter:
    """Reads what the kernel has counted for a cgroup.

    Args:
        path: Its directory.
        base: Bytes that were in use, and seconds of CPU time that were used, before the command: bldr's own.
    """

    mechanism = "cgroup"

    def __init__(self, path: str, base: Before) -> None:
        self._path = path
        self._base = base
        self._calm = False

    def look(self, *, closely: bool = False) -> tuple[Reading, tuple[ProcessReading, ...]]:
        """Measure now; see :class:`bldr.sandbox.protocol.Meter`."""
        base = self._base
        cpu = self._table("cpu.stat")
        events = self._table("memory.events")
        peak = self._number("memory.peak")
        threads = self._number("pids.current")
        peak_threads = self._number("pids.peak")
        disk = self._disk()
        processes = self._processes() if closely else []
        reading = Reading(
            user_time=max(0.0, cpu.get("user_usec", 0) / 1e6 - base.user_time),
            system_time=max(0.0, cpu.get("system_usec", 0) / 1e6 - base.system_time),
            memory=max(0, (self._number("memory.current") or 0) - base.memory),
            processes=len(processes) if closely else max(0, len(self._pids()) - _INIT),
            threads=max(0, (threads or 0) - _INIT),
            disk_read=disk[0],
            disk_write=disk[1],
            peak_memory=None if peak is None else max(0, peak - base.memory),
            peak_threads=None if peak_threads is None else max(0, peak_threads - _INIT),
            # Never a count: with memory.oom.group it is larger than the number of processes.
            out_of_memory=events.get("oom_kill", 0) > 0,
            near_memory=not self._calm and events.get("high", 0) > 0,
            fork_refused=self._table("pids.events").get("max", 0) > 0,
            stalled=self._stalled(),
        )
        return reading, readings(processes) if closely else ()

    def proportional_memory(self) -> int | None:
        """The kernel counts each page once."""
        return None

    def examine(self) -> tuple[tuple[ProcessSnapshot, ...], tuple[tuple[str, float], ...]]:
        """Say what each process is about, and what this cgroup waits for."""
        return snapshots(self._processes()), pressure(self._path, ".pressure")

    argv_of = staticmethod(argv_of)
    clock = staticmethod(clock)

    def calm(self) -> None:
        """Let a command that was slowed down near its memory limit go on."""
        self._calm = True
        try:
            write(f"{self._path}/memory.high", b"max")
        except OSError:
            pass  # it has just been removed

    def _pids(self) -> list[int]:
        try:
            return [int(word) for word in read(f"{self._path}/cgroup.procs", 1 << 20).split()]
        except OSError:
            return []

    def _processes(self) -> list[Stat]:
        """The processes, parents before children, without the one of ours: the only one whose parent is not here."""
        found = []
        for pid in self._pids():
            try:
                found.append(parse_stat(read(f"/proc/{pid}/stat", 1024)))
            except (OSError, ValueError):
                continue  # it has just ended
        here = {one.pid for one in found}
        return sorted([one for one in found if one.parent in here], key=lambda one: one.begun)

    def _number(self, name: str) -> int | None:
        try:
            return int(read(f"{self._path}/{name}", 64))
        except (OSError, ValueError):
            return None

    def _table(self, name: str) -> dict[str, int]:
        return table(self._read(name))

    def _disk(self) -> tuple[int | None, int | None]:
        text = self._read("io.stat", 1 << 16)
        return disk_traffic(text) if text is not None else (None, None)

    def _stalled(self) -> float | None:
        totals = [stall(self._read(f"{resource}.pressure")) for resource in ("cpu", "memory", "io")]
        known = [total for total in totals if total is not None]
        return sum(known) if known else None

    def _read(self, name: str, size: int = _SMALL_FILE) -> bytes | None:
        try:
            return read(f"{self._path}/{name}", size)
        except OSError:
            return None


def open_alarms(path: str) -> list[int]:
    """Open the files of a cgroup that raise POLLPRI when a limit is met (cgroup-v2.rst); the caller closes them."""
    found = []
    for name in ("memory.events", "pids.events"):
        try:
            fd = os.open(f"{path}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue  # without the controller
        os.pread(fd, _SMALL_FILE, 0)  # else it is ready at once
        found.append(fd)
    return found


def rings(alarm: int) -> bool:
    """Whether the memory has come close to its limit, or a process was refused; also when the cgroup is gone.

    Most of what happens at a limit needs no look: a build that fills the page cache meets ``max`` all the time.
    """
    try:
        events = table(os.pread(alarm, _SMALL_FILE, 0))
    except OSError:
        return True
    return any(events.get(name, 0) for name in (("high", "oom_kill") if "high" in events else ("max",)))


class Before:
    """What a cgroup had used before the command was started."""

    __slots__ = ("memory", "system_time", "user_time")

    def __init__(self, memory: int = 0, user_time: float = 0.0, system_time: float = 0.0) -> None:
        self.memory = memory
        self.user_time = user_time
        self.system_time = system_time

    @staticmethod
    def of(path: str, memory: int) -> Before:
        """Look now."""
        try:
            cpu = table(read(f"{path}/cpu.stat", _SMALL_FILE))
        except OSError:
            cpu = {}
        return Before(memory, cpu.get("user_usec", 0) / 1e6, cpu.get("system_usec", 0) / 1e6)


def table(text: bytes | None) -> dict[str, int]:
    """Read lines of a name and a number."""
    found = {}
    for line in (text or b"").splitlines():
        name, _, number = line.partition(b" ")
        if number.isdigit():
            found[os.fsdecode(name)] = int(number)
    return found


def disk_traffic(text: bytes) -> tuple[int, int]:
    """Add up io.stat: bytes read and written of all disks."""
    total = {b"rbytes": 0, b"wbytes": 0}
    for line in text.splitlines():
        for word in line.split()[1:]:
            name, _, number = word.partition(b"=")
            if name in total and number.isdigit():
                total[name] += int(number)
    return total[b"rbytes"], total[b"wbytes"]


def stall(text: bytes | None) -> float | None:
    """Seconds of a pressure file (psi(7)) in which at least one process waited."""
    for line in (text or b"").splitlines():
        if line.startswith(b"some "):
            number = line.rpartition(b"total=")[2]
            return int(number) / 1e6 if number.isdigit() else None
    return None
