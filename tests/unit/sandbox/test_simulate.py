"""The mount table refuses plans that the kernel would refuse, or that would change something of the host."""

from __future__ import annotations

import pytest

from bldr.model.spec import Access
from bldr.sandbox.linux import steps
from bldr.sandbox.linux.plan import Plan
from bldr.sandbox.linux.simulate import MountTable, PlanError, simulate
from bldr.sandbox.linux.steps import Step

PREPARED = (steps.NewRoot(), steps.MountProc(), steps.MakeDevices())
CLOSED = (steps.Seal(), steps.Pivot())


def table_of(*middle: Step) -> MountTable:
    return simulate(Plan((*PREPARED, *middle, *CLOSED)))


def bind(at: str, where: str = "skeleton", kind: str = "dir") -> steps.Bind:
    return steps.Bind(f"/host{at}", at, kind, where)


def test_a_sealed_bind_can_be_read() -> None:
    table = table_of(bind("/w"))

    assert (table.access("/w/x"), table.access("/"), table.host_path("/w/x")) == (Access.READ, Access.NONE, "/host/w/x")


def test_an_unsealed_bind_can_be_written() -> None:
    plan = Plan((*PREPARED, bind("/w"), bind("/w/a", "inside"), steps.Seal(), steps.Unseal("/w"), steps.Pivot()))
    deep = Plan(
        (*PREPARED, bind("/w"), bind("/w/a", "inside"), steps.Seal(), steps.Unseal("/w", deep=True), steps.Pivot())
    )

    assert [simulate(plan).access(path) for path in ("/w", "/w/a")] == [Access.WRITE, Access.READ]
    assert [simulate(deep).access(path) for path in ("/w", "/w/a")] == [Access.WRITE, Access.WRITE]


def test_a_later_mount_hides_an_earlier_one() -> None:
    table = table_of(bind("/w"), steps.Mask("/w/a", "dir", "inside"))

    assert [table.access(path) for path in ("/w/a/x", "/w/ab")] == [Access.NONE, Access.READ]


def test_links_are_followed() -> None:
    table = table_of(steps.MakeLink("/a", "w/b"), bind("/w"), steps.ShowLink("/w/b", "../w/c"))

    assert table.host_path("/a/x") == "/host/w/c/x"


def test_what_the_sandbox_itself_consists_of_belongs_to_no_set() -> None:
    table = table_of(steps.MakeDirectory("/etc"), steps.WriteFile("/etc/passwd", 0o644, b""), bind("/etc/x"))

    paths = ("/", "/etc", "/etc/passwd", "/dev", "/dev/null", "/dev/shm/x", "/proc/1")
    assert {table.access(path) for path in paths} == {Access.NONE}


@pytest.mark.parametrize(
    ("middle", "why"),
    [
        ([bind("/w/a")], "directory '/w' was not made"),
        ([bind("/w"), bind("/w")], "'/w' is there already"),
        ([bind("/w"), bind("/w/a")], "does not belong to a skeleton"),
        ([bind("/w"), steps.MakeDirectory("/w/a")], "does not belong to a skeleton"),
        ([bind("/w", kind="file"), bind("/w/a", "inside")], "nothing of the host is shown there"),
        ([bind("/w", "inside")], "nothing of the host is shown there"),
        ([steps.MakeDirectory("/w"), bind("/w", "inside")], "of our own making"),
        ([bind("/w"), bind("/w/a/b", "inside"), bind("/w/a", "inside")], "hides what was made at '/w/a/b'"),
        ([bind("/w"), steps.Mask("/w/a", "dir", "inside"), bind("/w/a/b", "inside")], "nothing of the host"),
        ([bind("/w"), steps.Absent("/w/a"), bind("/w/a/b", "inside")], "nothing of the host is shown there"),
        ([bind("/w"), steps.Mask("/w/a", "dir", "graft")], "nothing to hide in a directory of our own"),
        ([steps.MakeLink("/a", "w"), bind("/w"), bind("/a/b", "inside")], "nothing of the host is shown there"),
        ([bind("/w"), steps.ShowLink("/w/a", "b"), bind("/w/a/c", "inside")], "a link is on the way"),
        ([steps.MakeLink("/a", "w"), steps.MakeLink("/a", "w")], "'/a' is there already"),
        ([steps.ShowLink("/a", "w")], "nothing of the host is there"),
        ([steps.Unseal("/proc")], "it is not a sealed mount"),
        ([steps.Seal(), steps.Unseal("/nowhere")], "it is not a sealed mount"),
        ([steps.Seal(), bind("/w")], "it would stay writable"),
        ([steps.Seal(), steps.Pivot(), bind("/w")], "the host is out of reach by now"),
        ([steps.Pivot()], "the root is still writable"),
    ],
)
def test_a_step_that_cannot_be_done_is_an_error_of_the_plan(middle: list[Step], why: str) -> None:
    with pytest.raises(PlanError, match=why):
        table_of(*middle)


def test_a_plan_has_to_change_to_its_root() -> None:
    with pytest.raises(PlanError, match="does not change to its new root"):
        simulate(Plan(PREPARED))


def test_a_plan_has_to_make_a_root_first() -> None:
    with pytest.raises(PlanError, match="there is no root yet"):
        simulate(Plan((bind("/w"), *CLOSED)))
