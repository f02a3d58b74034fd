"""Overlays beside I, O and T: what a builder accepts, carves and refuses."""

from __future__ import annotations

import pytest

from bldr.errors import OverlappingPathsError
from bldr.model.paths import PathSet
from bldr.model.spec import Access, Role, SandboxSpecBuilder


def carving() -> SandboxSpecBuilder:
    return SandboxSpecBuilder.create().carve()


def test_an_overlay_can_be_written_and_shows_the_host() -> None:
    spec = SandboxSpecBuilder.create().overlay("/w", "/src").build()

    assert (spec.access("/src/a"), spec.host_path("/src/a")) == (Access.WRITE, "/w/a")
    assert spec.overlays == PathSet.subtree("/src")


def test_the_innermost_of_inputs_and_overlays_counts() -> None:
    spec = carving().input("/w").overlay("/w/src").input("/w/src/vendor").overlay("/w/src/vendor/x").build()

    found = {path: spec.access(path) for path in ("/w/a", "/w/src/a", "/w/src/vendor/a", "/w/src/vendor/x/a")}
    assert found == {
        "/w/a": Access.READ,
        "/w/src/a": Access.WRITE,
        "/w/src/vendor/a": Access.READ,
        "/w/src/vendor/x/a": Access.WRITE,
    }


def test_a_hole_of_an_input_in_an_overlay_stays_a_hole() -> None:
    spec = carving().overlay("/w").input(PathSet.subtree("/w/a") - PathSet.subtree("/w/a/secret")).build()

    assert spec.access("/w/a/secret") == Access.NONE


def test_outputs_and_temps_leave_holes_in_an_overlay() -> None:
    spec = carving().overlay("/w").output("/w/out").temp("/w/tmp").build()

    assert spec.overlays == PathSet.subtree("/w") - PathSet.of(["/w/out", "/w/tmp"])


@pytest.mark.parametrize("carves", [False, True])
def test_a_toolchain_yields_to_an_overlay(carves: bool) -> None:
    builder = SandboxSpecBuilder.create().with_toolchain("system").overlay("/usr")
    spec = (builder.carve() if carves else builder).build()

    assert spec.overlays == PathSet.subtree("/usr")
    assert [one.role for one in spec.declarations if one.at == "/usr"] == [Role.OVERLAY]
    assert spec.access("/bin") == Access.READ


def test_a_default_temp_yields_to_an_overlay() -> None:
    spec = carving().default_temp("/tmp").overlay("/tmp/w").build()

    assert spec.access("/tmp/w") == Access.WRITE
    assert not spec.temps.contains("/tmp/w")


@pytest.mark.parametrize(
    ("builder", "message"),
    [
        (carving().input("/w").overlay("/w"), "the overlay '/w' and the input '/w' are the same path"),
        (carving().output("/w").overlay("/w/a"), "the overlay '/w/a' lies inside the output '/w'"),
        (carving().temp("/w").overlay("/w"), "the overlay '/w' and the temp '/w' are the same path"),
        (
            SandboxSpecBuilder.create().input("/w").overlay("/w/a"),
            "the overlay '/w/a' lies inside the input '/w'",
        ),
        (
            carving().overlay("/w", "/src").output("/w/out", "/out"),
            "the output '/w/out' lies inside the overlay '/w'",
        ),
    ],
)
def test_what_contradicts_an_overlay_is_refused(builder: SandboxSpecBuilder, message: str) -> None:
    with pytest.raises(OverlappingPathsError) as caught:
        builder.build()

    assert caught.value.message == message
    assert caught.value.hint
