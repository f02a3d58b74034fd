"""Probing Linux: start the trials, read their lines, explain what failed."""

from __future__ import annotations

import os
import sys

from bldr.model.receipt import Guarantee
from bldr.model.value import value
from bldr.sandbox.linux.cgroup_remedies import cgroup_finding
from bldr.sandbox.linux.facts import HostFacts, read_facts
from bldr.sandbox.linux.remedies import explain_failure
from bldr.sandbox.probe import Finding, HostReport, Outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["findings_of", "probe_linux", "run_trials"]

_PATIENCE = 120  # seconds for all trials together
_LONGEST_REPORT = 65536  # bytes; what the trials say is short

_FILES = (Guarantee.READS_CONFINED, Guarantee.WRITES_CONFINED, Guarantee.INPUTS_READ_ONLY)
_PROCESSES = (Guarantee.PROCESSES_ISOLATED, Guarantee.NO_SURVIVORS)


@value
class _Mechanism:
    """A mechanism in the table: its name and the name of the trial are the same."""

    name: str
    method: str
    guarantees: tuple[str, ...] = ()
    needed: bool = True
    needs: str = ""  # the mechanism without which this one is not reached


_TABLE = (
    _Mechanism("user-namespace", "unshare in a child", _FILES),
    _Mechanism("map-identity", "map one id into it", _FILES, needs="user-namespace"),
    _Mechanism("mount-namespace", "unshare inside it", _FILES, needs="map-identity"),
    _Mechanism("pid-namespace", "unshare inside it", _PROCESSES, needs="map-identity"),
    _Mechanism("network-namespace", "unshare inside it", (Guarantee.NO_NETWORK,), needs="map-identity"),
    _Mechanism("ipc-namespace", "unshare inside it", (Guarantee.IPC_ISOLATED,), needs="map-identity"),
    _Mechanism("uts-namespace", "unshare inside it", (Guarantee.HOST_IDENTITY_HIDDEN,), needs="map-identity"),
    _Mechanism("cgroup-namespace", "unshare inside it", (Guarantee.HOST_IDENTITY_HIDDEN,), needs="map-identity"),
    _Mechanism("hostname", "set it inside", (Guarantee.HOST_IDENTITY_HIDDEN,), needs="uts-namespace"),
    _Mechanism("loopback-up", "bring lo up inside", (), needs="network-namespace"),
    _Mechanism("private-mounts", "make / private inside", _FILES, needs="mount-namespace"),
    _Mechanism("new-root", "mount a tmpfs by fsopen", _FILES, needs="private-mounts"),
    _Mechanism("proc", "mount a new /proc", (Guarantee.PROCESSES_ISOLATED,), needs="new-root"),
    _Mechanism("devices", "bind /dev/null ..., mount devpts", (), needs="new-root"),
    _Mechanism("mount-setattr", "seal a tree of mounts", (Guarantee.INPUTS_READ_ONLY,), needed=False, needs="new-root"),
    _Mechanism("pivot", "pivot_root, detach the old root", _FILES, needs="new-root"),
    _Mechanism("no-new-privileges", "set and read it back", (Guarantee.NO_NEW_PRIVILEGES,)),
    _Mechanism("seccomp", "filter a call, then make it", (Guarantee.SYSCALLS_FILTERED,)),
    _Mechanism("clone3", "start a child with it"),
    _Mechanism("pidfd", "signal through one", (Guarantee.WALL_TIMEOUT,)),
    _Mechanism("landlock", "deny a write, then try it", (Guarantee.WRITES_CONFINED,), needed=False),
    _Mechanism("close-range", "close one descriptor", needed=False),
    _Mechanism("openat2", "open without links", needed=False),
    _Mechanism("idmap", "map the owner of a directory", needed=False),
    _Mechanism("seccomp-notify", "answer a call of a child", needed=False),
    _Mechanism("overlay", "mount one inside", needed=False, needs="new-root"),
    _Mechanism("pressure", "read what waits for memory", needed=False),
)


def probe_linux() -> HostReport:
    """Try every mechanism."""
    facts = read_facts()
    report = run_trials("root" if facts.is_host_root else "user")
    return HostReport("linux-namespaces", _told(facts), findings_of(report, facts))


def run_trials(mode: str) -> str:
    """Run ``trials.py`` in an interpreter of its own and return what it printed."""
    import subprocess

    import _bldr_launcher
    import bldr

    files = (bldr.__file__, _bldr_launcher.__file__)
    packages = sorted({os.path.dirname(os.path.dirname(os.path.abspath(str(file)))) for file in files})
    program = "import sys; sys.path.extend(sys.argv[2:]); from bldr.sandbox.linux.trials import main; main(sys.argv[1])"
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", program, mode, *packages],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        return (error.stdout or b"")[:_LONGEST_REPORT].decode("utf-8", "replace")
    return done.stdout[:_LONGEST_REPORT].decode("utf-8", "replace")


def findings_of(report: str, facts: HostFacts) -> tuple[Finding, ...]:
    """Make findings of the lines of ``trials.py``."""
    answers: dict[str, tuple[str, str]] = {}
    for line in report.split("\n"):
        name, _, rest = line.partition("\t")
        outcome, _, detail = rest.partition("\t")
        if name and outcome:
            answers.setdefault(name, (outcome, detail))
    findings = [_finding(mechanism, answers, facts) for mechanism in _TABLE]
    findings.append(cgroup_finding(answers.get("cgroup", ("", ""))[1], facts))
    return tuple(findings)


def _finding(mechanism: _Mechanism, answers: Mapping[str, tuple[str, str]], facts: HostFacts) -> Finding:
    outcome, detail = answers.get(mechanism.name, ("", ""))
    number, cause, remedy, code = 0, "", "", ""
    if outcome == "works":
        outcome = Outcome.WORKS
    elif outcome.isdecimal():
        number, outcome = int(outcome), Outcome.MISSING
        cause, remedy, code = explain_failure(mechanism.name, number, facts)
    elif mechanism.name == "idmap" and not facts.is_host_root:
        outcome, detail = Outcome.NOT_NEEDED, "only root's sandboxes map ids"
    else:
        outcome, detail = (
            Outcome.NOT_REACHED,
            f"needs {mechanism.needs}" if mechanism.needs else "the trial did not end",
        )
    return Finding(
        mechanism.name,
        mechanism.method,
        outcome,
        errno=number,
        detail=detail,
        guarantees=mechanism.guarantees,
        needed=mechanism.needed,
        cause=cause,
        remedy=remedy,
        code=code,
    )


def _told(facts: HostFacts) -> tuple[tuple[str, str], ...]:
    told = [
        ("kernel", f"Linux {facts.kernel} {os.uname().machine}"),
        ("user", f"uid {facts.uid}" + (" (root of the host)" if facts.is_host_root else "")),
        ("interpreter", f"Python {sys.version.split()[0]}, {facts.interpreter}"),
    ]
    for name, text in (
        ("container", facts.container),
        ("security modules", ", ".join(facts.lsms)),
        ("security label", facts.label),
    ):
        if text:
            told.append((name, text))
    if facts.nested:
        told.append(("nested", "inside a user namespace"))
    if facts.seccomp == 2:
        told.append(("seccomp", "a filter is installed already"))
    return tuple(told)
