"""Why no cgroup can be made: one cause and one remedy for each situation, from the line of the trial."""

from __future__ import annotations

import errno

import pytest

from bldr.sandbox.linux.cgroup_remedies import cgroup_finding
from bldr.sandbox.linux.cgroup_trial import CgroupTrial, Situation
from bldr.sandbox.linux.facts import HostFacts
from bldr.sandbox.probe import Outcome

USER = HostFacts(kernel="6.12.1", uid=1000)
SITUATIONS = [name for key, name in vars(Situation).items() if key.isupper()]


def test_a_line_says_what_the_trial_said() -> None:
    for trial in (
        CgroupTrial(Situation.WORKS, 0, "/sys/fs/cgroup/a b  c", ("memory", "pids")),
        CgroupTrial(Situation.NONE),
        CgroupTrial(Situation.DENIED, errno.EACCES, "/sys/fs/cgroup"),
    ):
        assert CgroupTrial.read(trial.line()) == trial


@pytest.mark.parametrize("line", ["", "works", "works x memory /sys", "the trial was ended by signal 9"])
def test_what_is_no_line_was_not_reached(line: str) -> None:
    assert cgroup_finding(line, USER).outcome == Outcome.NOT_REACHED


def test_what_works_names_the_controllers_that_are_there_and_those_that_are_not() -> None:
    found = cgroup_finding(CgroupTrial(Situation.WORKS, 0, "/c/x", ("memory", "pids", "cpu")).line(), USER)

    assert (found.outcome, found.detail) == (Outcome.WORKS, "memory, pids, cpu, without io in /c/x")


@pytest.mark.parametrize("situation", sorted(set(SITUATIONS) - {Situation.WORKS}))
def test_every_situation_has_a_cause_of_its_own(situation: str) -> None:
    def explained(name: str) -> tuple[str, str]:
        found = cgroup_finding(CgroupTrial(name, errno.EIO, "/c").line(), USER)
        assert (found.outcome, found.detail, found.errno) == (Outcome.MISSING, name, errno.EIO)
        return found.cause, found.remedy

    cause, remedy = explained(situation)
    assert cause
    assert remedy or situation == Situation.OTHER
    others = [explained(name)[0] for name in SITUATIONS if name not in (situation, Situation.WORKS)]
    assert cause not in others


def test_root_is_told_to_ask_the_system_and_a_user_the_session() -> None:
    line = CgroupTrial(Situation.DENIED, errno.EACCES, "/c").line()

    assert cgroup_finding(line, USER).remedy == "systemd-run --user --scope -p Delegate=yes bldr ..."
    assert cgroup_finding(line, HostFacts(uid=0)).remedy == "systemd-run --scope -p Delegate=yes bldr ..."


def test_a_container_is_told_how_to_be_started() -> None:
    line = CgroupTrial(Situation.READ_ONLY, errno.EROFS, "/c").line()

    assert "remount,rw" in cgroup_finding(line, USER).remedy
    assert "unmask=/sys/fs/cgroup" in cgroup_finding(line, HostFacts(container="podman")).remedy
    assert "container" in cgroup_finding(line, HostFacts(container="docker")).remedy
