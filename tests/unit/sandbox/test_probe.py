"""From the lines of the trials to findings."""

from __future__ import annotations

import json

import pytest

from bldr.model.receipt import Guarantee
from bldr.sandbox.linux.facts import HostFacts
from bldr.sandbox.linux.probe import findings_of, run_trials
from bldr.sandbox.probe import Finding, HostReport, Outcome, probe_host

USER = HostFacts(kernel="6.12.1", uid=1000, max_user_namespaces=15000)


def found(report: str, facts: HostFacts = USER) -> dict[str, Finding]:
    return {finding.mechanism: finding for finding in findings_of(report, facts)}


def test_a_line_becomes_a_finding() -> None:
    findings = found("user-namespace\tworks\t\nlandlock\tworks\tABI 7\nseccomp\t22\tsome text\n")

    assert findings["user-namespace"].outcome == Outcome.WORKS
    assert (findings["landlock"].outcome, findings["landlock"].detail) == (Outcome.WORKS, "ABI 7")
    assert (findings["seccomp"].outcome, findings["seccomp"].errno) == (Outcome.MISSING, 22)
    assert "CONFIG_SECCOMP_FILTER" in findings["seccomp"].remedy


def test_what_builds_on_a_missing_mechanism_was_not_reached() -> None:
    findings = found("user-namespace\t1\t\n")

    assert findings["user-namespace"].outcome == Outcome.MISSING
    assert (findings["map-identity"].outcome, findings["map-identity"].detail) == (
        Outcome.NOT_REACHED,
        "needs user-namespace",
    )
    assert (findings["clone3"].outcome, findings["clone3"].detail) == (Outcome.NOT_REACHED, "the trial did not end")


def test_only_root_of_the_host_needs_mapped_ids() -> None:
    assert found("")["idmap"].outcome == Outcome.NOT_NEEDED
    root = HostFacts(uid=0, capabilities=(1 << 41) - 1)
    assert found("", root)["idmap"].outcome == Outcome.NOT_REACHED


def test_lines_that_are_no_lines_are_passed_over() -> None:
    assert found("nonsense\n\t\t\nuser-namespace\n\nuser-namespace\tworks\t\nuser-namespace\t1\t\n")[
        "user-namespace"
    ].outcome == (Outcome.WORKS)


def test_every_guarantee_of_the_profile_but_the_environment_depends_on_a_mechanism() -> None:
    covered = {name for finding in findings_of("", USER) for name in finding.guarantees}

    assert set(Guarantee.PROFILE) - covered == {Guarantee.ENVIRONMENT_SCRUBBED}


def test_a_missing_mechanism_that_is_needed_is_an_obstacle() -> None:
    report = HostReport("p", (), findings_of("user-namespace\t28\t\noverlay\t1\t\n", USER))

    assert [finding.mechanism for finding in report.obstacles] == ["user-namespace"]


def test_a_finding_is_json() -> None:
    finding = found("user-namespace\t28\t\n")["user-namespace"]

    document = json.loads(json.dumps(finding.to_dict()))

    assert document["outcome"] == "missing"
    assert document["guarantees"] == ["reads-confined", "writes-confined", "inputs-read-only"]


@pytest.mark.needs("user-namespaces")
def test_this_host_is_probed_for_real() -> None:
    report = probe_host()

    assert report.obstacles == ()
    assert {finding.outcome for finding in report.findings if finding.needed} == {Outcome.WORKS}


@pytest.mark.needs("user-namespaces")
def test_the_trials_print_one_line_a_stage() -> None:
    names = [line.split("\t")[0] for line in run_trials("user").splitlines()]

    assert len(set(names)) == len(names)
    assert {"user-namespace", "pivot", "seccomp-notify", "landlock"} <= set(names)
