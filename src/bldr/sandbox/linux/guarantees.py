"""Which mechanism gives which guarantee on Linux, what is refused, and the receipt of a sandbox."""

from __future__ import annotations

from _bldr_launcher.wire import SANDBOX_ID
from bldr.errors import GuaranteeUnavailableError
from bldr.model.receipt import Guarantee, GuaranteeRecord
from bldr.sandbox.linux import limits, policy
from bldr.sandbox.linux.prepared import OVERLAYFS, copy_reasons, mechanisms
from bldr.sandbox.linux.steps import Bind, Canary, MountScratch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from bldr.model.spec import SandboxSpec
    from bldr.sandbox.linux.launcher import Groups
    from bldr.sandbox.linux.plan import Plan
    from bldr.sandbox.linux.running import Facts

__all__ = ["notes", "records", "refuse_unavailable"]

MOUNTS = "mount-namespace"
LANDLOCK = "landlock"
GATEWAY = "gateway"
_MECHANISMS = {
    Guarantee.READS_CONFINED: (MOUNTS,),
    Guarantee.WRITES_CONFINED: (MOUNTS, LANDLOCK),
    Guarantee.INPUTS_READ_ONLY: (MOUNTS, LANDLOCK),
    Guarantee.NO_NETWORK: ("network-namespace",),
    Guarantee.NETWORK_ALLOW_LIST: ("network-namespace", GATEWAY),
    Guarantee.PROCESSES_ISOLATED: ("pid-namespace",),
    Guarantee.NO_SURVIVORS: ("pid-namespace", "init"),
    Guarantee.IPC_ISOLATED: ("ipc-namespace",),
    Guarantee.HOST_IDENTITY_HIDDEN: ("uts-namespace", "user-namespace"),
    Guarantee.NO_NEW_PRIVILEGES: ("no-new-privs", "capabilities", "user-namespace"),
    Guarantee.SYSCALLS_FILTERED: ("seccomp",),
    Guarantee.ENVIRONMENT_SCRUBBED: ("execve",),
    Guarantee.WALL_TIMEOUT: ("supervisor",),
    Guarantee.SILENCE_TIMEOUT: ("supervisor",),
    Guarantee.TEMPS_REMOVED: ("supervisor",),
    Guarantee.OVERLAYS_PRIVATE: (OVERLAYFS, "copy"),
}


def refuse_unavailable(spec: SandboxSpec, groups: Callable[[], Groups]) -> None:
    """Refuse a spec that asks for something which nothing here enforces.

    Args:
        spec: What is asked for.
        groups: Tells where cgroups are made.

    Raises:
        GuaranteeUnavailableError: It names the guarantee and how to go on without it.
    """
    limits.refuse_unavailable(spec, groups, _replaced(spec))
    policy.refuse_unavailable(spec)
    for guarantee, mechanism in spec.require:
        enforced_by = (
            _present(guarantee, spec) or limits.mechanisms(guarantee, spec) or policy.mechanisms(guarantee, spec)
        )
        if not enforced_by or (mechanism and mechanism not in enforced_by):
            by = f" by {mechanism}" if mechanism else ""
            otherwise = "set its limit" if guarantee in Guarantee.LIMITS else "leave the requirement out"
            offered = f"it is enforced by {', '.join(enforced_by)}" if enforced_by else otherwise
            raise GuaranteeUnavailableError(
                f"the guarantee {guarantee} cannot be enforced{by} here", guarantee=guarantee, hint=offered
            )


def _present(guarantee: str, spec: SandboxSpec) -> tuple[str, ...]:
    """The mechanisms that enforce a guarantee here: Landlock is not in every kernel, nor in a nested sandbox's way."""
    if guarantee == (Guarantee.NETWORK_ALLOW_LIST if spec.network.is_hermetic else Guarantee.NO_NETWORK):
        return ()
    mechanisms = _MECHANISMS.get(guarantee, ())
    if LANDLOCK not in mechanisms:
        return mechanisms
    from bldr.sandbox.linux.landlock.offer import landlock_abi

    if spec.process.allow_userns or not landlock_abi():
        return tuple([one for one in mechanisms if one != LANDLOCK])
    return mechanisms


def records(
    spec: SandboxSpec, plan: Plan, facts: Facts, *, timeout: bool, silence: bool
) -> tuple[GuaranteeRecord, ...]:
    """Write the receipt of one sandbox.

    A canary that is possible where it must not be stops the set-up, so every canary of the plan of a sandbox that has
    started was tried and did not succeed.
    """
    tried = {step.guarantee for step in plan.steps if isinstance(step, Canary)}
    rows = [_profile_row(name, spec, facts, tried=name in tried) for name in Guarantee.PROFILE]
    if not spec.network.is_hermetic:
        rows.append(_allow_list_row(spec, tried=Guarantee.NETWORK_ALLOW_LIST in tried))
    rows += limits.rows(spec, facts.group_files, grouped=bool(facts.group), replaced=_replaced(spec))
    rows += policy.rows(spec)
    if timeout:
        rows.append(GuaranteeRecord(Guarantee.WALL_TIMEOUT, True, _MECHANISMS[Guarantee.WALL_TIMEOUT]))
    if silence:
        rows.append(GuaranteeRecord(Guarantee.SILENCE_TIMEOUT, True, _MECHANISMS[Guarantee.SILENCE_TIMEOUT]))
    if any(isinstance(step, MountScratch) for step in plan.steps):
        removed = facts.temps_removed
        rows.append(GuaranteeRecord(Guarantee.TEMPS_REMOVED, True, _MECHANISMS[Guarantee.TEMPS_REMOVED], removed))
    if spec.overlays:
        detail = "; ".join(copy_reasons(plan))
        rows.append(GuaranteeRecord(Guarantee.OVERLAYS_PRIVATE, True, mechanisms(plan), detail=detail))
    return tuple(rows)


def _replaced(spec: SandboxSpec) -> dict[str, str]:
    """What enforces a limit in place of what does without a network."""
    return {} if spec.network.is_hermetic else {"network_io": GATEWAY}


def _allow_list_row(spec: SandboxSpec, *, tried: bool) -> GuaranteeRecord:
    mechanisms = _MECHANISMS[Guarantee.NETWORK_ALLOW_LIST]
    count = len(spec.network.endpoints)
    return GuaranteeRecord(Guarantee.NETWORK_ALLOW_LIST, True, mechanisms, tried, f"{count} allowed, by name")


def _profile_row(name: str, spec: SandboxSpec, facts: Facts, *, tried: bool) -> GuaranteeRecord:
    mechanisms = _MECHANISMS[name]
    detail = ""
    if LANDLOCK in mechanisms:
        if facts.landlock_abi:
            detail = f"Landlock ABI {facts.landlock_abi}"
        else:
            mechanisms = tuple(item for item in mechanisms if item != LANDLOCK)
            detail = "nested sandboxes rule Landlock out" if spec.process.allow_userns else "no Landlock on this kernel"
    if name == Guarantee.NO_NETWORK and not spec.network.is_hermetic:
        return GuaranteeRecord(name, False, (), False, "hosts are allowed, and what they send is no declared input")
    if name == Guarantee.NO_SURVIVORS:
        tried = facts.ended_clean
    if name == Guarantee.NO_NEW_PRIVILEGES and spec.process.allow_userns:
        detail = "CAP_SETFCAP of its own user namespace is kept for sandboxes inside"
    if name == Guarantee.ENVIRONMENT_SCRUBBED:
        detail = f"{len(spec.environment)} variables, given to execve as they are"
    if name == Guarantee.PROCESSES_ISOLATED and not facts.fresh_proc:
        return GuaranteeRecord(name, True, (), False, "the host's /proc is shown, because a new one is refused here")
    return GuaranteeRecord(name, True, mechanisms, tried, detail)


def notes(plan: Plan, facts: Facts) -> tuple[str, ...]:
    """Write the remarks of a receipt: where the caller's files could not be shown as inside-root's."""
    if not facts.unmapped:
        return ()
    wired = [step for step in plan.steps if step.encode()]
    return tuple(
        f"{step.at}: its file system has no id-mapped mounts, so {_consequence(step, facts)}"
        for step in [wired[number] for number in facts.unmapped if number < len(wired)]
        if isinstance(step, Bind)
    )


def _consequence(step: Bind, facts: Facts) -> str:
    if not step.writable:
        return "files that only root can read are unreadable"
    if step.source in facts.kept_outputs:
        return f"what was written belongs to uid {SANDBOX_ID}: {facts.kept_outputs[step.source]}"
    return f"what root owns in it belonged to uid {SANDBOX_ID} while the command ran"
