"""What doctor prints of its findings."""

from __future__ import annotations

import json

from bldr.cli.doctor import render, to_dict
from bldr.sandbox.probe import Finding, HostReport, Outcome

WORKS = Finding("landlock", "deny a write, then try it", Outcome.WORKS, detail="ABI 7", guarantees=("writes-confined",))
MISSING = Finding(
    "user-namespace",
    "unshare in a child",
    Outcome.MISSING,
    errno=28,
    guarantees=("reads-confined", "writes-confined"),
    needed=True,
    cause="the setting user.max_user_namespaces=0 forbids user namespaces",
    remedy="sudo sysctl -w user.max_user_namespaces=15000",
    code="sandbox.userns-disabled",
)
OPTIONAL = Finding("overlay", "mount one inside", Outcome.MISSING, errno=1, cause="too old", remedy="newer")
FACTS = (("kernel", "Linux 6.12.1 x86_64"), ("user", "uid 1000"))
GOOD = ("", "", "")


def report(*findings: Finding) -> HostReport:
    return HostReport("linux-namespaces", FACTS, findings)


def test_a_missing_mechanism_is_followed_by_cause_and_fix() -> None:
    lines = render(report(MISSING, WORKS), GOOD, colours=False).splitlines()

    row = next(index for index, line in enumerate(lines) if line.startswith("user-namespace"))
    assert lines[row].split() == [
        "user-namespace",
        "unshare",
        "in",
        "a",
        "child",
        "ENOSPC",
        *["reads-confined,", "writes-confined"],
    ]
    assert lines[row + 1] == "    cause: the setting user.max_user_namespaces=0 forbids user namespaces"
    assert lines[row + 2] == "    fix:   sudo sysctl -w user.max_user_namespaces=15000"
    assert lines[-1] == (
        "Hermetic builds are impossible here: the setting user.max_user_namespaces=0 forbids user namespaces."
    )


def test_what_is_not_needed_does_not_spoil_the_verdict() -> None:
    text = render(report(WORKS, OPTIONAL), GOOD, colours=False)

    assert "works (ABI 7)" in text
    assert "cause: too old" in text
    assert text.endswith("Hermetic builds are possible here.\n")


def test_a_sandbox_that_fails_as_a_whole_is_an_obstacle_too() -> None:
    text = render(report(WORKS), ("it did not start", "mend it", "sandbox.setup"), colours=False)

    assert "    cause: it did not start\n    fix:   mend it\n" in text
    assert text.endswith("Hermetic builds are impossible here: it did not start.\n")


def test_colours_change_nothing_but_colours() -> None:
    colourful = render(report(MISSING, WORKS, OPTIONAL), GOOD, colours=True)
    plain = colourful
    for code in ("31", "32", "33", "0"):
        plain = plain.replace(f"\x1b[{code}m", "")

    assert plain == render(report(MISSING, WORKS, OPTIONAL), GOOD, colours=False)
    assert colourful.count("\x1b[31m") == 1
    assert colourful.count("\x1b[33m") == 1


def test_the_report_is_json() -> None:
    document = json.loads(json.dumps(to_dict(report(MISSING, WORKS), GOOD)))

    assert document["hermetic_builds_possible"] is False
    assert document["mechanisms"][0]["code"] == "sandbox.userns-disabled"
    assert document["host"] == dict(FACTS)
    assert to_dict(report(WORKS), GOOD)["hermetic_builds_possible"] is True
    assert to_dict(report(WORKS), ("x", "", ""))["hermetic_builds_possible"] is False
