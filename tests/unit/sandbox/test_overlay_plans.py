"""Plans with overlays, and what resolution makes of them."""

from __future__ import annotations

import pytest

from bldr.errors import InvalidPathError, OverlappingPathsError
from bldr.model.limits import ResourceLimits
from bldr.model.spec import Access, SandboxSpecBuilder
from bldr.sandbox.linux import steps
from bldr.sandbox.linux.plan import compile as compile_plan
from bldr.sandbox.linux.simulate import PlanError, simulate
from bldr.sandbox.linux.steps import Step
from bldr.sandbox.resolve import resolve
from bldr.sandbox.resolved import ResolvedSpec
from tests.property.plan_hosts import MemoryHost, with_toolchain
from tests.unit.sandbox.test_simulate import bind, table_of

HOST = MemoryHost(
    {
        "/w/src/main.c": "file",
        "/w/link": "-> src",
        "/w/out": "dir",
        "/usr/bin/cc": "file",
        "/bin": "-> usr/bin",
        "/dev/kvm": "device",
    }
)


def builder() -> SandboxSpecBuilder:
    return SandboxSpecBuilder.create().carve()


def resolved(given: SandboxSpecBuilder) -> ResolvedSpec:
    return resolve(given.build(), host=HOST)


def mounts(given: SandboxSpecBuilder, copied: dict[str, str] | None = None) -> list[Step]:
    types = steps.MountOverlay | steps.MountCopy | steps.MountScratch | steps.Bind
    return [step for step in compile_plan(resolved(given), copied or {}).steps if isinstance(step, types)]


def test_a_directory_is_an_overlay_and_a_file_a_copy() -> None:
    assert mounts(builder().overlay("/w/src", "/a").overlay("/w/src/main.c", "/b.c")) == [
        steps.MountOverlay("/w/src", "/a", 0, None, "skeleton"),
        steps.MountCopy(1, "/w/src/main.c", "/b.c", "file", "skeleton", "it is a file"),
    ]


def test_a_directory_that_cannot_be_an_overlay_is_a_copy() -> None:
    given = builder().overlay("/w").output("/w/out")

    assert mounts(given, {"/w": "it is a test"}) == [
        steps.MountCopy(0, "/w", "/w", "dir", "skeleton", "it is a test"),
        steps.Bind("/w/out", "/w/out", "dir", "overlay", writable=True),
    ]
    assert simulate(compile_plan(resolved(given), {"/w": "it is a test"})).access("/w/x") == Access.WRITE


def test_layers_are_in_memory_where_temps_are() -> None:
    given = builder().overlay("/w").temp("/t").with_limits(ResourceLimits(tmp_size="1M"))

    assert mounts(given) == [steps.MountOverlay("/w", "/w", None, 1 << 20, "skeleton")]
    assert steps.MountOverlay("/w", "/w", 0, None, "skeleton") in compile_plan(resolved(given), in_memory=False).steps


def test_mountpoints_in_an_overlay_need_not_exist() -> None:
    given = builder().overlay("/w").temp("/w/new/deep").input("/w/src/main.c", "/w/other/main.c")
    plan = compile_plan(resolved(given))

    assert {step.where for step in plan.steps if isinstance(step, steps.MountScratch)} == {"overlay"}
    assert not [step for step in plan.steps if isinstance(step, steps.MakeDirectory) and step.at.startswith("/w")]
    assert not resolved(given).grafts


def test_nothing_can_be_mounted_where_a_file_or_a_link_is() -> None:
    for at in ("/w/src/main.c/t", "/w/src/main.c"):
        with pytest.raises(OverlappingPathsError):
            resolved(builder().overlay("/w").temp(at))


def test_what_links_of_a_toolchain_lead_to_yields_to_the_overlay() -> None:
    spec = with_toolchain(builder().overlay("/usr").build(), ["/bin"])
    found = resolve(spec, host=HOST)

    assert [(one.at, one.role) for one in found.entries if one.role in ("overlay", "input")] == [
        ("/bin", "input"),
        ("/usr", "overlay"),
    ]
    assert simulate(compile_plan(found)).access("/bin/cc") == Access.WRITE
    assert found.effective().access("/usr/bin") == Access.WRITE


def test_a_device_is_no_overlay() -> None:
    host = MemoryHost({"/w/disk": "device"})

    with pytest.raises(InvalidPathError) as caught:
        resolve(builder().overlay("/w/disk").build(), host=host)
    assert caught.value.code == "spec.overlay-device"


@pytest.mark.parametrize("path", ["/", "/proc", "/sys", "/dev", "/dev/kvm"])
def test_what_every_sandbox_has_is_no_overlay(path: str) -> None:
    with pytest.raises(InvalidPathError) as caught:
        resolved(builder().overlay(path))
    assert caught.value.code == "spec.path-reserved"


def test_the_mount_table_refuses_a_mountpoint_of_an_overlay_elsewhere() -> None:
    with pytest.raises(PlanError):
        table_of(bind("/w"), bind("/w/a", "overlay"))
