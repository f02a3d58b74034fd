"""The receipt of an execution: which guarantees were asked for, what enforced them, and what was tried out."""

from __future__ import annotations

from bldr.errors import SpecError
from bldr.model.paths import printable
from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Guarantee", "GuaranteeRecord", "Receipt", "guarantees_named"]


class Guarantee:
    """The names of all guarantees.

    ``PROFILE`` is the hermetic profile: a result is hermetic when each of these was enforced. An allow-list of hosts is
    not in it, because a command that reaches the network depends on more than its inputs. ``LIMITS`` are reported
    beside the profile and do not decide it, and so are ``TEMPS_REMOVED`` and ``OVERLAYS_PRIVATE``.
    """

    READS_CONFINED = "reads-confined"
    WRITES_CONFINED = "writes-confined"
    INPUTS_READ_ONLY = "inputs-read-only"
    NO_NETWORK = "no-network"
    NETWORK_ALLOW_LIST = "network-allow-list"
    PROCESSES_ISOLATED = "processes-isolated"
    NO_SURVIVORS = "no-survivors"
    IPC_ISOLATED = "ipc-isolated"
    HOST_IDENTITY_HIDDEN = "host-identity-hidden"
    NO_NEW_PRIVILEGES = "no-new-privileges"
    SYSCALLS_FILTERED = "syscalls-filtered"
    ENVIRONMENT_SCRUBBED = "environment-scrubbed"
    MEMORY_LIMIT = "memory-limit"
    PROCESS_LIMIT = "process-limit"
    CPU_TIME_LIMIT = "cpu-time-limit"
    CPU_LIMIT = "cpu-limit"
    CPU_WEIGHT = "cpu-weight"
    DISK_IO_LIMIT = "disk-io-limit"
    DISK_RATE_LIMIT = "disk-rate-limit"
    NETWORK_IO_LIMIT = "network-io-limit"
    FILE_SIZE_LIMIT = "file-size-limit"
    NO_NEW_PROCESSES = "no-new-processes"
    NO_NEW_PROGRAMS = "no-new-programs"
    WALL_TIMEOUT = "wall-timeout"
    SILENCE_TIMEOUT = "silence-timeout"
    TEMPS_REMOVED = "temps-removed"
    OVERLAYS_PRIVATE = "overlays-private"

    PROFILE = (
        READS_CONFINED,
        WRITES_CONFINED,
        INPUTS_READ_ONLY,
        NO_NETWORK,
        PROCESSES_ISOLATED,
        NO_SURVIVORS,
        IPC_ISOLATED,
        HOST_IDENTITY_HIDDEN,
        NO_NEW_PRIVILEGES,
        SYSCALLS_FILTERED,
        ENVIRONMENT_SCRUBBED,
    )
    LIMITS = (
        MEMORY_LIMIT,
        PROCESS_LIMIT,
        CPU_TIME_LIMIT,
        CPU_LIMIT,
        CPU_WEIGHT,
        DISK_IO_LIMIT,
        DISK_RATE_LIMIT,
        NETWORK_IO_LIMIT,
        FILE_SIZE_LIMIT,
        NO_NEW_PROCESSES,
        NO_NEW_PROGRAMS,
        WALL_TIMEOUT,
        SILENCE_TIMEOUT,
    )
    ALL = (
        READS_CONFINED,
        WRITES_CONFINED,
        INPUTS_READ_ONLY,
        NO_NETWORK,
        NETWORK_ALLOW_LIST,
        PROCESSES_ISOLATED,
        NO_SURVIVORS,
        IPC_ISOLATED,
        HOST_IDENTITY_HIDDEN,
        NO_NEW_PRIVILEGES,
        SYSCALLS_FILTERED,
        ENVIRONMENT_SCRUBBED,
        *LIMITS,
        TEMPS_REMOVED,
        OVERLAYS_PRIVATE,
    )


# Short names for guarantees that stand or fall together.
_GROUPS = {
    "files": (Guarantee.READS_CONFINED, Guarantee.WRITES_CONFINED, Guarantee.INPUTS_READ_ONLY),
    "network": (Guarantee.NO_NETWORK, Guarantee.NETWORK_ALLOW_LIST),
    "processes": (Guarantee.PROCESSES_ISOLATED, Guarantee.NO_SURVIVORS),
    "identity": (Guarantee.IPC_ISOLATED, Guarantee.HOST_IDENTITY_HIDDEN),
    "privileges": (Guarantee.NO_NEW_PRIVILEGES, Guarantee.SYSCALLS_FILTERED),
    "limits": Guarantee.LIMITS,
}


def guarantees_named(names: Iterable[str]) -> tuple[str, ...]:
    """Return the guarantees of these names, each once, in the order of ``Guarantee.ALL``.

    A name is that of a guarantee, or one of the groups ``files``, ``network``, ``processes``, ``identity``,
    ``privileges`` and ``limits``.

    Raises:
        SpecError: A name is unknown.
    """
    found: set[str] = set()
    for name in names:
        if name in _GROUPS:
            found.update(_GROUPS[name])
        elif name in Guarantee.ALL:
            found.add(name)
        else:
            raise SpecError(
                f"there is no guarantee {name!r}", code="spec.guarantee-unknown", hint=_nearest_guarantee(name)
            )
    return tuple([name for name in Guarantee.ALL if name in found])


def _nearest_guarantee(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, (*Guarantee.ALL, *_GROUPS), n=3)
    return f"did you mean {' or '.join(near)}?" if near else f"the names are {', '.join((*_GROUPS, *Guarantee.ALL))}"


@value
class GuaranteeRecord:
    """What became of one guarantee.

    Args:
        name: One of ``Guarantee.ALL``.
        asked: Whether the spec asks for it.
        enforced_by: The mechanisms that enforced it, strongest first; empty when nothing did.
        verified: Whether a canary was tried in that very sandbox.
        detail: One sentence more, where there is something to say.
    """

    name: str
    asked: bool
    enforced_by: tuple[str, ...] = ()
    verified: bool = False
    detail: str = ""

    @property
    def enforced(self) -> bool:
        """Whether at least one mechanism enforced it."""
        return bool(self.enforced_by)

    def to_dict(self) -> dict[str, object]:
        """Return the record for JSON."""
        return {
            "guarantee": self.name,
            "asked": self.asked,
            "enforced_by": list(self.enforced_by),
            "verified": self.verified,
            "detail": printable(self.detail),
        }


@value
class Receipt:
    """What was enforced in one execution, by which backend, with remarks for people."""

    records: tuple[GuaranteeRecord, ...] = ()
    backend: str = ""
    notes: tuple[str, ...] = ()

    @property
    def hermetic(self) -> bool:
        """Whether every guarantee of the hermetic profile was enforced."""
        enforced = {record.name for record in self.records if record.enforced}
        return enforced.issuperset(Guarantee.PROFILE)

    @property
    def missing(self) -> tuple[str, ...]:
        """The guarantees of the hermetic profile that were not enforced."""
        enforced = {record.name for record in self.records if record.enforced}
        return tuple([name for name in Guarantee.PROFILE if name not in enforced])

    def record(self, name: str) -> GuaranteeRecord:
        """Return the record of a guarantee; one that nobody recorded was neither asked for nor enforced."""
        for record in self.records:
            if record.name == name:
                return record
        return GuaranteeRecord(name, asked=False)

    def to_dict(self) -> dict[str, object]:
        """Return the receipt for JSON."""
        return {
            "hermetic": self.hermetic,
            "backend": self.backend,
            "guarantees": [record.to_dict() for record in self.records],
            "notes": [printable(note) for note in self.notes],
        }
