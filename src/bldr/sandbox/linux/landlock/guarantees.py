"""Which mechanism gives which guarantee without namespaces, and the receipt of such a sandbox."""

from __future__ import annotations

from bldr.errors import GuaranteeUnavailableError
from bldr.model.receipt import Guarantee, GuaranteeRecord
from bldr.sandbox.linux import limits, policy
from bldr.sandbox.linux.landlock.offer import SCOPING_ABI
from bldr.sandbox.linux.launcher import Groups
from bldr.sandbox.linux.steps import Canary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.model.spec import SandboxSpec
    from bldr.sandbox.linux.plan import Plan
    from bldr.sandbox.linux.running import Facts

__all__ = ["notes", "records", "refuse_unavailable"]

_LANDLOCK = "landlock"
_MECHANISMS = {
    Guarantee.READS_CONFINED: (_LANDLOCK,),
    Guarantee.WRITES_CONFINED: (_LANDLOCK, "seccomp"),
    Guarantee.INPUTS_READ_ONLY: (_LANDLOCK, "seccomp"),
    Guarantee.NO_NETWORK: ("seccomp", _LANDLOCK),
    Guarantee.NO_SURVIVORS: ("subreaper",),
    Guarantee.IPC_ISOLATED: ("seccomp", _LANDLOCK),
    Guarantee.NO_NEW_PRIVILEGES: ("no-new-privs", "capabilities"),
    Guarantee.SYSCALLS_FILTERED: ("seccomp",),
    Guarantee.ENVIRONMENT_SCRUBBED: ("execve",),
    Guarantee.WALL_TIMEOUT: ("supervisor",),
    Guarantee.SILENCE_TIMEOUT: ("supervisor",),
    Guarantee.TEMPS_REMOVED: ("supervisor",),
}
_DETAILS = {
    Guarantee.READS_CONFINED: "contents only: names and metadata of everything stay visible",
    Guarantee.WRITES_CONFINED: "extended attributes cannot be written at all",
    Guarantee.NO_NETWORK: "no sockets but connected pairs: there is no loopback either",
    Guarantee.PROCESSES_ISOLATED: "the processes of the host are seen, but cannot be traced",
    Guarantee.IPC_ISOLATED: "there is no System V IPC, no message queue and no POSIX shared memory",
    Guarantee.HOST_IDENTITY_HIDDEN: "the host's name and the caller's id are seen",
}
_NO_GROUPS = Groups(why="sandboxes without namespaces have none")
_UNSCOPED = f"before Landlock ABI {SCOPING_ABI} the command can kill what would end its processes"


def refuse_unavailable(spec: SandboxSpec) -> None:
    """Refuse what namespaces could enforce and nothing here does.

    Raises:
        GuaranteeUnavailableError: It names the guarantee and how to go on without it.
    """
    policy.refuse_unavailable(spec)
    limits.refuse_unavailable(spec, lambda: _NO_GROUPS, limits.WITHOUT_NAMESPACES)
    for guarantee, mechanism in spec.require:
        enforced_by = (
            _MECHANISMS.get(guarantee) or _without_groups(guarantee, spec) or policy.mechanisms(guarantee, spec)
        )
        if not enforced_by or (mechanism and mechanism not in enforced_by):
            by = f" by {mechanism}" if mechanism else ""
            raise GuaranteeUnavailableError(
                f"the guarantee {guarantee} cannot be enforced{by} without namespaces",
                guarantee=guarantee,
                hint=f"it is enforced by {', '.join(enforced_by)}" if enforced_by else "leave the requirement out",
            )


def _without_groups(guarantee: str, spec: SandboxSpec) -> tuple[str, ...]:
    return tuple(
        [name for name in limits.mechanisms(guarantee, spec) if name not in (limits.CGROUP, "network-namespace")]
    )


def records(
    spec: SandboxSpec, plan: Plan, facts: Facts, *, timeout: bool, silence: bool
) -> tuple[GuaranteeRecord, ...]:
    """Write the receipt of one sandbox; a canary that was possible would have stopped the set-up."""
    tried = {step.guarantee for step in plan.steps if isinstance(step, Canary)}
    rows = [_profile_row(name, spec, facts, tried=name in tried) for name in Guarantee.PROFILE]
    if not spec.network.is_hermetic:
        detail = "no host can be reached: the list is not enforced, so nothing was let through"
        rows.append(GuaranteeRecord(Guarantee.NETWORK_ALLOW_LIST, asked=True, detail=detail))
    rows += limits.rows(spec, frozenset(), grouped=False, replaced=limits.WITHOUT_NAMESPACES)
    rows += policy.rows(spec)
    for name, is_set in ((Guarantee.WALL_TIMEOUT, timeout), (Guarantee.SILENCE_TIMEOUT, silence)):
        if is_set:
            rows.append(GuaranteeRecord(name, True, _MECHANISMS[name]))
    if spec.temps:
        removed = facts.temps_removed
        rows.append(GuaranteeRecord(Guarantee.TEMPS_REMOVED, True, _MECHANISMS[Guarantee.TEMPS_REMOVED], removed))
    return tuple(rows)


def _profile_row(name: str, spec: SandboxSpec, facts: Facts, *, tried: bool) -> GuaranteeRecord:
    mechanisms = _MECHANISMS.get(name, ())
    detail = _DETAILS.get(name, "")
    is_scoped = facts.landlock_abi >= SCOPING_ABI
    if name == Guarantee.NO_NETWORK and facts.landlock_abi < 4:
        mechanisms = ("seccomp",)
    if name == Guarantee.NO_SURVIVORS:
        tried = facts.ended_clean
        detail = "" if is_scoped else _UNSCOPED
    if name == Guarantee.PROCESSES_ISOLATED and is_scoped:
        detail = "the processes of the host are seen, but can be neither traced nor signalled"
    if name == Guarantee.ENVIRONMENT_SCRUBBED:
        detail = f"{len(spec.environment)} variables"
    if name == Guarantee.READS_CONFINED:
        detail = f"Landlock ABI {facts.landlock_abi}, {detail}"
    return GuaranteeRecord(name, True, mechanisms, tried, detail)


def notes(temps: dict[str, str]) -> tuple[str, ...]:
    """Write the remarks of a receipt.

    Args:
        temps: Where each temp was that is not at its own place.
    """
    moved = [f"{at} is the host's and out of reach: the temp was {place}" for at, place in temps.items()]
    return ("there were no namespaces: the command ran on the host's own files, as the caller", *moved)
