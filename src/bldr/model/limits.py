"""Ceilings for what an execution uses, and the one place where sizes and durations are read.

A size is a number of bytes: an ``int``, or text with a unit that is a power of 1024 (``4G``, ``512M``, ``64KiB``).
``4GB`` is refused, because it means 4 * 1000³ to some and 4 * 1024³ to others. A duration is a number of seconds: an
``int``, a ``float``, a ``timedelta``, or text such as ``90``, ``1.5s``, ``250ms``, ``30m``, ``1h``, ``2d``.
"""

from __future__ import annotations

from bldr.errors import InvalidLimitError
from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import timedelta
    from typing import TypeAlias

    Size: TypeAlias = int | str
    Duration: TypeAlias = int | float | str | timedelta

__all__ = ["LIMITS", "ResourceLimits", "parse_count", "parse_duration", "parse_share", "parse_size"]

_KIB = 1024
_SIZE_UNITS = {
    "": 1,
    "K": _KIB,
    "M": _KIB**2,
    "G": _KIB**3,
    "T": _KIB**4,
    "KiB": _KIB,
    "MiB": _KIB**2,
    "GiB": _KIB**3,
    "TiB": _KIB**4,
}
_LARGEST_SIZE = 2**63 - 1  # off_t and rlim_t of the kernel are signed 64 bit numbers for our purposes
_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST = 10 * 365 * 86400.0  # seconds
_LARGEST_COUNT = 2**22  # PID_LIMIT in <linux/threads.h>; also above every nr_open in use
_LARGEST_WEIGHT = 10_000  # CGROUP_WEIGHT_MAX in <linux/cgroup.h>
_SMALLEST_SHARE = 0.01  # of a CPU: the kernel grants at least 1 ms of its period of 100 ms (sched/core.c)
_LARGEST_SHARE = 8192  # of CPUs; NR_CPUS of the largest configurations
LIMITS = (
    "memory", "cpu_time", "processes", "file_size", "disk_io", "disk_rate", "network_io", "cpu_weight", "cpus",
    "open_files", "core_size", "tmp_size",
)  # fmt: skip


def parse_size(size: Size, *, what: str = "size", minimum: int = 1) -> int:
    """Read a size.

    Args:
        size: Bytes, or text such as ``4G``.
        what: How an error calls it, for example ``memory`` or ``BUILDER_HERMETIC_MEMORY``.
        minimum: The least number of bytes that makes sense.

    Returns:
        The number of bytes.

    Raises:
        InvalidLimitError: It is not a size, or too small or too large.

    Example:
        >>> parse_size("64K"), parse_size("4GiB")
        (65536, 4294967296)
    """
    if type(size) is int:
        count = size
    elif isinstance(size, str):
        number, unit = _number_and_unit(size)
        if unit not in _SIZE_UNITS or not number.isdecimal():
            raise _not_a_size(size, what, _size_hint(number, unit))
        # A number of more digits than int() converts is too large for a size anyway.
        count = int(number) * _SIZE_UNITS[unit] if len(number) < 20 else _LARGEST_SIZE + 1
    else:
        raise _not_a_size(size, what, "write a number of bytes as int")
    if count < minimum:
        raise InvalidLimitError(
            f"{what} {size!r} is too small: it must be at least {minimum} {'byte' if minimum == 1 else 'bytes'}",
            hint="write a size such as 4G or 512M",
        )
    if count > _LARGEST_SIZE:
        raise InvalidLimitError(
            f"{what} {size!r} is too large: the kernel counts up to {_LARGEST_SIZE} bytes",
            hint="write less, or leave it out",
        )
    return count


def parse_duration(duration: Duration, *, what: str = "duration", allow_zero: bool = False) -> float:
    """Read a duration.

    Args:
        duration: Seconds, a ``timedelta``, or text such as ``1h``.
        what: How an error calls it, for example ``timeout``.
        allow_zero: Whether 0 makes sense.

    Returns:
        The number of seconds.

    Raises:
        InvalidLimitError: It is not a duration, or negative, zero or longer than ten years.

    Example:
        >>> parse_duration("30m"), parse_duration("250ms"), parse_duration(1.5)
        (1800.0, 0.25, 1.5)
    """
    if type(duration) is int or type(duration) is float:
        seconds = duration
    elif isinstance(duration, str):
        number, unit = _number_and_unit(duration)
        whole, _, fraction = number.partition(".")
        if unit not in _SECONDS or not whole.isdecimal() or (fraction and not fraction.isdecimal()):
            raise _not_a_duration(duration, what)
        seconds = float(number) * _SECONDS[unit]
    else:
        total = getattr(duration, "total_seconds", None)
        if total is None:
            raise _not_a_duration(duration, what)
        seconds = total()
    if not (seconds < 0 or seconds >= 0):  # true of NaN only
        raise _not_a_duration(duration, what)
    if seconds < 0 or (seconds == 0 and not allow_zero):
        least = "0 seconds or more" if allow_zero else "more than 0 seconds"
        raise InvalidLimitError(
            f"{what} {duration!r} is too short: it must be {least}",
            hint="write a duration such as 30m, or leave it out for no limit",
        )
    if seconds > _LONGEST:
        raise InvalidLimitError(
            f"{what} {duration!r} is too long: the longest is ten years", hint="leave it out for no limit"
        )
    return float(seconds)


def parse_count(count: int | str, *, what: str = "count", minimum: int = 1, maximum: int = _LARGEST_COUNT) -> int:
    """Read a number of things, such as processes or open files.

    Raises:
        InvalidLimitError: It is not a whole number, or too small or too large.
    """
    if type(count) is int:
        number = count
    elif isinstance(count, str) and count.isascii() and count.isdecimal():
        number = int(count) if len(count) < 20 else _LARGEST_COUNT + 1
    else:
        raise InvalidLimitError(
            f"{what} {count!r} is not a whole number", hint=f"write a number such as {max(minimum, 64)}"
        )
    if not minimum <= number <= maximum:
        raise InvalidLimitError(
            f"{what} {count!r} is out of range: it must be from {minimum} to {maximum}",
            hint="leave it out for no limit",
        )
    return number


def parse_share(share: float | str, *, what: str = "share") -> float:
    """Read a number of CPUs, such as 0.5 or 2.

    Raises:
        InvalidLimitError: It is not a number, or too small or too large.
    """
    number = 0.0
    if type(share) is int or type(share) is float:
        number = float(share)
    elif isinstance(share, str):
        whole, _, fraction = share.partition(".")
        if share.isascii() and whole.isdecimal() and (fraction.isdecimal() or not fraction) and len(share) < 20:
            number = float(share)
    if not _SMALLEST_SHARE <= number <= _LARGEST_SHARE:  # false of NaN, too
        raise InvalidLimitError(
            f"{what} {share!r} is not a number of CPUs from {_SMALLEST_SHARE:g} to {_LARGEST_SHARE}",
            hint="write for example 0.5 or 2, or leave it out for no limit",
        )
    return number


@value
class ResourceLimits:
    """Ceilings of one execution. ``None`` sets no ceiling.

    Args:
        memory: Bytes of memory, of all processes together; files in memory (tmpfs) count where a cgroup counts.
        cpu_time: Seconds of CPU time, of all processes together.
        processes: How many processes and threads may exist at one time.
        file_size: Bytes that one file may grow to.
        disk_io: Bytes read from and written to disks, of all processes together.
        disk_rate: Bytes a second read from and, as many again, written to each disk of inputs, outputs and temps.
        network_io: Bytes that cross the border of the sandbox's network; what passes over loopback does not.
        cpu_weight: Share of a busy CPU in comparison with others, from 1 to 10,000; who asks for nothing has 100.
        cpus: How many CPUs' worth of time may be used; 1.5 is one and a half.
        open_files: How many files one process may hold open.
        core_size: Bytes of a core file; 0 writes none.
        tmp_size: Bytes that each temp can hold, in memory; ``None`` keeps the temps on disk.
        defaults: Names of the fields that nobody asked for. A limit that was asked for is enforced or refused; a
            default that this host cannot enforce is reported as not enforced.

    Raises:
        InvalidLimitError: A value cannot be read or makes no sense.

    Example:
        >>> limits = ResourceLimits.hermetic().merge(ResourceLimits(memory="2G", cpu_time="30m"))
        >>> limits.memory, limits.processes, sorted(limits.explicit)
        (2147483648, 128, ['cpu_time', 'memory'])
    """

    memory: int | None
    cpu_time: float | None
    processes: int | None
    file_size: int | None
    disk_io: int | None
    disk_rate: int | None
    network_io: int | None
    cpu_weight: int | None
    cpus: float | None
    open_files: int | None
    core_size: int | None
    tmp_size: int | None
    defaults: frozenset[str]

    def __init__(
        self,
        *,
        memory: Size | None = None,
        cpu_time: Duration | None = None,
        processes: int | str | None = None,
        file_size: Size | None = None,
        disk_io: Size | None = None,
        disk_rate: Size | None = None,
        network_io: Size | None = None,
        cpu_weight: int | str | None = None,
        cpus: float | str | None = None,
        open_files: int | str | None = None,
        core_size: Size | None = None,
        tmp_size: Size | None = None,
        defaults: frozenset[str] = frozenset(),
    ) -> None:
        put = object.__setattr__
        put(self, "memory", None if memory is None else parse_size(memory, what="memory"))
        put(self, "cpu_time", None if cpu_time is None else parse_duration(cpu_time, what="cpu_time"))
        put(self, "processes", None if processes is None else parse_count(processes, what="processes"))
        put(self, "file_size", None if file_size is None else parse_size(file_size, what="file_size"))
        put(self, "disk_io", None if disk_io is None else parse_size(disk_io, what="disk_io"))
        put(self, "disk_rate", None if disk_rate is None else parse_size(disk_rate, what="disk_rate"))
        put(self, "network_io", None if network_io is None else parse_size(network_io, what="network_io", minimum=0))
        weight = None if cpu_weight is None else parse_count(cpu_weight, what="cpu_weight", maximum=_LARGEST_WEIGHT)
        put(self, "cpu_weight", weight)
        put(self, "cpus", None if cpus is None else parse_share(cpus, what="cpus"))
        put(self, "open_files", None if open_files is None else parse_count(open_files, what="open_files"))
        put(self, "core_size", None if core_size is None else parse_size(core_size, what="core_size", minimum=0))
        put(self, "tmp_size", None if tmp_size is None else parse_size(tmp_size, what="tmp_size"))
        put(self, "defaults", defaults & self.names_set)

    @staticmethod
    def hermetic() -> ResourceLimits:
        """Return the defaults: 4 GiB of memory, 1 hour of CPU time, 128 processes."""
        return ResourceLimits(
            memory="4G", cpu_time="1h", processes=128, defaults=frozenset(("memory", "cpu_time", "processes"))
        )

    @property
    def names_set(self) -> frozenset[str]:
        """The names of the limits that have a value."""
        return frozenset([name for name in LIMITS if getattr(self, name) is not None])

    @property
    def explicit(self) -> frozenset[str]:
        """The names of the limits that were asked for."""
        return self.names_set - self.defaults

    def merge(self, other: ResourceLimits) -> ResourceLimits:
        """Return these limits with every value that ``other`` sets in its place."""
        theirs = other.names_set
        chosen = {name: getattr(other if name in theirs else self, name) for name in LIMITS}
        return ResourceLimits(defaults=(self.defaults - theirs) | other.defaults, **chosen)


def _number_and_unit(text: str) -> tuple[str, str]:
    """Split text into leading digits and points, and the rest; both are empty when other letters are in it."""
    if not text.isascii():
        return "", text
    number = text.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return number, text[len(number) :]


def _not_a_size(size: object, what: str, hint: str) -> InvalidLimitError:
    return InvalidLimitError(
        f"{what} {size!r} is not a size: write bytes, or a number with K, M, G or T (of 1024), such as 4G or 512M",
        hint=hint,
    )


def _size_hint(number: str, unit: str) -> str:
    number = number.strip()
    letter = unit[:1].upper()
    if not number.isdecimal() or letter not in _SIZE_UNITS or not letter:
        return "write for example 4G, 512M or 1048576"
    if unit[1:] in ("B", "b"):
        return f"write {number}{letter}: {unit!r} means powers of 1000 to some and of 1024 to others"
    return f"write {number}{letter}"


def _not_a_duration(duration: object, what: str) -> InvalidLimitError:
    return InvalidLimitError(
        f"{what} {duration!r} is not a duration: write seconds, or a number with ms, s, m, h or d, such as 90s or 1.5h",
        hint="write for example 300, 30m or 250ms",
    )
