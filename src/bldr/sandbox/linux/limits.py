"""Which mechanism enforces which limit here, what is refused, and the rows of the receipt."""

from __future__ import annotations

import os

from _bldr_launcher.release import COUNTS_PER_NAMESPACE
from bldr.errors import GuaranteeUnavailableError
from bldr.model.receipt import Guarantee, GuaranteeRecord
from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bldr.model.limits import ResourceLimits
    from bldr.model.spec import SandboxSpec
    from bldr.sandbox.linux.launcher import Groups

__all__ = ["CGROUP", "WITHOUT_NAMESPACES", "mechanisms", "prefers_cgroup", "refuse_unavailable", "rows"]

CGROUP = "cgroup"


@value
class Limit:
    """How one limit is enforced.

    Args:
        name: The field of :class:`bldr.ResourceLimits`.
        guarantee: The guarantee that it gives.
        controller: The controller that enforces or counts it; empty when none does.
        file: What has to be written; empty when the controller only counts and bldr compares.
        otherwise: The mechanism without a cgroup; empty when there is none.
        detail: What the receipt says of the mechanism without a cgroup.
    """

    name: str
    guarantee: str
    controller: str = ""
    file: str = ""
    otherwise: str = ""
    detail: str = ""


_SAMPLED = "sampled ten times a second"
LIMITS = (
    Limit("memory", Guarantee.MEMORY_LIMIT, "memory", "memory.max", "sampling", f"{_SAMPLED}, without files in memory"),
    Limit("processes", Guarantee.PROCESS_LIMIT, "pids", "pids.max", "rlimit", "the first one too many ends everything"),
    Limit("cpu_time", Guarantee.CPU_TIME_LIMIT, "cpu", "", "sampling", _SAMPLED),
    Limit("file_size", Guarantee.FILE_SIZE_LIMIT, "", "", "rlimit"),
    Limit("disk_io", Guarantee.DISK_IO_LIMIT, "io", "", "sampling", _SAMPLED),
    Limit("disk_rate", Guarantee.DISK_RATE_LIMIT, "io", "io.max"),
    Limit("network_io", Guarantee.NETWORK_IO_LIMIT, "", "", "network-namespace", "nothing crosses its border"),
    Limit("cpus", Guarantee.CPU_LIMIT, "cpu", "cpu.max"),
    Limit("cpu_weight", Guarantee.CPU_WEIGHT, "cpu", "cpu.weight"),
)
_UNITS = {
    "memory": "bytes", "cpu_time": "s", "processes": "processes and threads", "file_size": "bytes", "disk_io": "bytes",
    "disk_rate": "bytes a second", "network_io": "bytes", "cpus": "CPUs", "cpu_weight": "of 10000",
}  # fmt: skip


WITHOUT_NAMESPACES = {"processes": "", "network_io": "seccomp"}
"""What enforces a limit in place of what a namespace would."""


def refuse_unavailable(
    spec: SandboxSpec, groups: Callable[[], Groups], replaced: Mapping[str, str] | None = None
) -> None:
    """Refuse limits that were asked for and that nothing here enforces.

    Args:
        spec: The limits and the requirements.
        groups: Tells where cgroups are made. Asked only when the answer matters, because it waits for the launcher.
        replaced: Mechanisms in place of the usual ones without a cgroup.

    Raises:
        GuaranteeUnavailableError: It names the limit, the cause and how to go on without it.
    """
    _refuse_more_than_the_host_has(spec.limits)
    replaced = replaced or {}
    required = {name: mechanism for name, mechanism in spec.require if mechanism == CGROUP}
    for limit in LIMITS:
        if limit.guarantee in spec.allow_degraded:
            continue
        asked = is_explicit(limit, spec)
        if limit.guarantee in required:
            _refuse_without_controller(
                limit, groups(), f"the guarantee {limit.guarantee} cannot be enforced by cgroup here"
            )
        elif (asked and not replaced.get(limit.name, limit.otherwise)) or (
            asked and limit.name == "processes" and not COUNTS_PER_NAMESPACE
        ):
            _refuse_without_controller(limit, groups(), f"the limit {limit.name} cannot be enforced here")


def is_explicit(limit: Limit, spec: SandboxSpec) -> bool:
    """Whether somebody asked for it."""
    if limit.name == "processes" and spec.process.max_children is not None:
        return True
    return limit.name in spec.limits.explicit


def prefers_cgroup(spec: SandboxSpec) -> bool:
    """Whether somebody asked for a limit that a cgroup enforces best; the defaults are worth no effort."""
    required = [name for name, mechanism in spec.require if mechanism == CGROUP]
    return any(limit.controller and (is_explicit(limit, spec) or limit.guarantee in required) for limit in LIMITS)


def mechanisms(name: str, spec: SandboxSpec) -> tuple[str, ...]:
    """The mechanisms that a limit may be required by, strongest first.

    Empty for what is no limit, and for a limit that is not set: then there is nothing to enforce.
    """
    for limit in LIMITS:
        if limit.guarantee == name and value_of(limit, spec) is not None:
            return tuple([one for one in (CGROUP if limit.controller else "", limit.otherwise) if one])
    return ()


def value_of(limit: Limit, spec: SandboxSpec) -> float | None:
    """What is allowed; ``None`` when it is not limited."""
    if limit.name == "processes":
        return spec.process_ceiling
    number: float | None = getattr(spec.limits, limit.name)
    return number


def _refuse_without_controller(limit: Limit, groups: Groups, what: str) -> None:
    if limit.controller in groups.controllers:
        return
    why = groups.why or f"the controller {limit.controller} is not handed down to {os.path.dirname(groups.path)}"
    raise GuaranteeUnavailableError(
        f"{what}, because there is no cgroup for it: {why}",
        guarantee=limit.guarantee,
        hint=(
            "start bldr where it may make cgroups (systemd-run --user --scope -p Delegate=yes bldr ...), or accept that"
            f" it is not enforced: --allow-degraded {limit.guarantee}"
        ),
    )


def _refuse_more_than_the_host_has(limits: ResourceLimits) -> None:
    """A limit that cannot be reached is a mistake: of the unit, or of the machine."""
    asked = limits.explicit
    if "memory" in asked and limits.memory is not None:
        have = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        _refuse_above("memory", limits.memory, have, "bytes of memory")
    if "tmp_size" in asked and limits.tmp_size is not None:
        _refuse_above("tmp_size", limits.tmp_size, _memory_and_swap(), "bytes of memory and swap")
    if "cpus" in asked and limits.cpus is not None:
        _refuse_above("cpus", limits.cpus, os.cpu_count() or 1, "CPUs")
    if "open_files" in asked and limits.open_files is not None:
        import resource

        have = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        if have != resource.RLIM_INFINITY:
            _refuse_above("open_files", limits.open_files, have, "as its hard limit of open files")


def _memory_and_swap() -> int:
    """Return the bytes that a tmpfs of this host can hold at most: its pages can be swapped out (tmpfs(5))."""
    with open("/proc/meminfo", encoding="ascii") as file:
        sizes = dict(line.split(":", 1) for line in file)
    return sum(int(sizes[name].split()[0]) << 10 for name in ("MemTotal", "SwapTotal"))


def _refuse_above(name: str, asked: float, have: float, what: str) -> None:
    if asked > have:
        raise GuaranteeUnavailableError(
            f"the limit {name} of {_in_full(asked)} is above what this host has: {_in_full(have)} {what}",
            guarantee={"memory": Guarantee.MEMORY_LIMIT, "cpus": Guarantee.CPU_LIMIT}.get(name, ""),
            hint="lower the limit, or leave it out",
        )


def _in_full(number: float) -> str:
    """Write a number of bytes without an exponent."""
    return str(int(number)) if number == int(number) else f"{number:g}"


def rows(
    spec: SandboxSpec, group_files: frozenset[str], *, grouped: bool, replaced: Mapping[str, str] | None = None
) -> list[GuaranteeRecord]:
    """Write the rows of the limits that were set.

    Args:
        spec: The limits.
        group_files: The files of the sandbox's cgroup that were written.
        grouped: Whether the sandbox had a cgroup.
        replaced: Mechanisms in place of the usual ones without a cgroup.
    """
    found = []
    replaced = replaced or {}
    for limit in LIMITS:
        number = value_of(limit, spec)
        if number is None:
            continue
        asked = is_explicit(limit, spec)
        text = f"{number:.12g} {_UNITS[limit.name]}"
        if limit.controller and (limit.file in group_files if limit.file else grouped):
            found.append(GuaranteeRecord(limit.guarantee, asked, (CGROUP,), detail=text))
        elif (otherwise := replaced.get(limit.name, limit.otherwise)) and (
            limit.name != "processes" or COUNTS_PER_NAMESPACE
        ):
            detail = f"{text}; {limit.detail}" if limit.detail and otherwise == limit.otherwise else text
            found.append(GuaranteeRecord(limit.guarantee, asked, (otherwise,), detail=detail))
        else:
            what = "limit" if asked else "default"
            found.append(GuaranteeRecord(limit.guarantee, asked, detail=f"the {what} {text} is not enforced"))
    return found
