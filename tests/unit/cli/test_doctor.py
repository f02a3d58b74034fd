"""What doctor prints of its findings."""

from __future__ import annotations

import json

from bldr.cli.doctor import LowerRung, render, to_dict
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
LOWER = LowerRung(("writes-confined", "no-network"), ("reads-confined", "processes-isolated"), "landlock")
NO_LOWER = LowerRung(cause="Landlock is missing", remedy="use a newer kernel")


def report(*findings: Finding) -> HostReport:
    return HostReport("linux-namespaces", FACTS, findings)


def test_a_missing_mechanism_is_followed_by_cause_and_fix() -> None:
    lines = render(report(MISSING, WORKS), GOOD, LOWER, colours=False).splitlines()

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
    assert lines[-2] == (
        "Hermetic builds are impossible here: the setting user.max_user_namespaces=0 forbids user namespaces."
    )


def test_what_is_not_needed_does_not_spoil_the_verdict() -> None:
    text = render(report(WORKS, OPTIONAL), GOOD, LOWER, colours=False)

    assert "works (ABI 7)" in text
    assert "cause: too old" in text
    assert text.endswith("Hermetic builds are possible here.\n")


def test_a_sandbox_that_fails_as_a_whole_is_an_obstacle_too() -> None:
    text = render(report(WORKS), ("it did not start", "mend it", "sandbox.setup"), NO_LOWER, colours=False)

    assert "    cause: it did not start\n    fix:   mend it\n" in text
    assert "    cause: Landlock is missing\n    fix:   use a newer kernel\n" in text
    assert text.endswith("Hermetic builds are impossible here: it did not start.\n")


def test_where_hermetic_builds_are_impossible_the_weaker_sandbox_is_offered_by_name() -> None:
    text = render(report(MISSING), ("it did not start", "", ""), LOWER, colours=False)

    assert "works (landlock)" in text
    assert text.endswith(
        "A weaker sandbox is possible: bldr run --allow-degraded reads-confined,processes-isolated ...\n"
    )
    assert "weaker" not in render(report(WORKS), GOOD, LOWER, colours=False)


def test_colours_change_nothing_but_colours() -> None:
    colourful = render(report(MISSING, WORKS, OPTIONAL), GOOD, LOWER, colours=True)
    plain = colourful
    for code in ("31", "32", "33", "0"):
        plain = plain.replace(f"\x1b[{code}m", "")

    assert plain == render(report(MISSING, WORKS, OPTIONAL), GOOD, LOWER, colours=False)
    assert colourful.count("\x1b[31m") == 1
    assert colourful.count("\x1b[33m") == 1


def test_the_report_is_json() -> None:
    document = json.loads(json.dumps(to_dict(report(MISSING, WORKS), GOOD, LOWER)))

    assert document["hermetic_builds_possible"] is False
    assert document["mechanisms"][0]["code"] == "sandbox.userns-disabled"
    assert document["host"] == dict(FACTS)
    assert to_dict(report(WORKS), GOOD, LOWER)["hermetic_builds_possible"] is True
    assert to_dict(report(WORKS), ("x", "", ""), NO_LOWER)["hermetic_builds_possible"] is False
