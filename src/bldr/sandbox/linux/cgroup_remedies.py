"""Why no cgroup can be made here and what would change that: pure functions from a trial to a finding."""

from __future__ import annotations

import os

from _bldr_launcher.cgroup import CONTROLLERS
from bldr.model.receipt import Guarantee
from bldr.sandbox.linux.cgroup_trial import CgroupTrial, Situation
from bldr.sandbox.probe import Finding, Outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.sandbox.linux.facts import HostFacts

__all__ = ["cgroup_finding", "explain_cgroup"]

_VERSION_2 = (
    "boot with the kernel parameter systemd.unified_cgroup_hierarchy=1, which gives the controllers to version 2"
)


def cgroup_finding(answer: str, facts: HostFacts) -> Finding:
    """Make the finding of a trial.

    Args:
        answer: A line as of ``CgroupTrial.line``.
        facts: What the host says about itself.
    """
    trial = CgroupTrial.read(answer)
    outcome, detail, cause, remedy = Outcome.NOT_REACHED, "the trial did not end", "", ""
    if trial is not None and trial.situation == Situation.WORKS:
        lacking = [name for name in CONTROLLERS if name not in trial.controllers]
        without = f", without {', '.join(lacking)}" if lacking else ""
        outcome, detail = Outcome.WORKS, f"{', '.join(trial.controllers)}{without} in {trial.path}"
    elif trial is not None:
        outcome, detail = Outcome.MISSING, trial.situation
        cause, remedy = explain_cgroup(trial, facts)
    return Finding(
        "cgroup",
        "make one, hand controllers down",
        outcome,
        errno=trial.errno if trial is not None else 0,
        detail=detail,
        guarantees=(Guarantee.MEMORY_LIMIT, Guarantee.PROCESS_LIMIT),
        cause=cause,
        remedy=remedy,
    )


def explain_cgroup(trial: CgroupTrial, facts: HostFacts) -> tuple[str, str]:
    """Say why it did not work, in one sentence, and what would change that."""
    scope = f"systemd-run {'--user ' if facts.uid else ''}--scope -p Delegate=yes bldr ..."
    answers = {
        Situation.NONE: ("no cgroup file system is mounted", "mount -t cgroup2 cgroup2 /sys/fs/cgroup"),
        Situation.V1: ("only cgroup version 1 is mounted here", _VERSION_2),
        Situation.HYBRID: (f"the controllers of {trial.path} belong to cgroup version 1", _VERSION_2),
        Situation.OUTSIDE: (
            "our own cgroup lies outside of the hierarchy that is mounted here",
            "if this is a container: docker run --cgroupns=private ...",
        ),
        Situation.READ_ONLY: ("the cgroup file system is mounted read-only", _writable(facts)),
        Situation.DENIED: (f"nobody has delegated the cgroup {trial.path} to uid {facts.uid}", scope),
        Situation.FULL: (
            f"{trial.path} or one above it may have no more cgroups in it",
            "raise cgroup.max.descendants and cgroup.max.depth there",
        ),
        Situation.BUSY: (f"other processes are in the cgroup {trial.path}, so it cannot hand controllers down", scope),
        Situation.WITHOUT_CONTROLLERS: (
            f"neither memory nor pids is handed down to the cgroup {trial.path}",
            (
                "write +memory and +pids to cgroup.subtree_control of the cgroups above it; under systemd:"
                " Delegate=cpu io memory pids in the [Service] section of user@.service"
            ),
        ),
    }
    other = (f"a cgroup in {trial.path} was refused: {os.strerror(trial.errno)}", "")
    return answers.get(trial.situation, other)


def _writable(facts: HostFacts) -> str:
    """The marks of a container are seen in other places, too, so what helps elsewhere is said as well."""
    remount = "mount -o remount,rw /sys/fs/cgroup"
    if facts.container == "podman":
        return (
            f"podman run --security-opt unmask=/sys/fs/cgroup --cgroupns=private ...; outside of containers: {remount}"
        )
    if facts.container:
        return f"start the container with a writable /sys/fs/cgroup and --cgroupns=private; outside of one: {remount}"
    return remount
