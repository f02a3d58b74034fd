"""Carving: outputs and temps leave holes in inputs. And host paths that are shown at two places."""

from __future__ import annotations

import pytest

from bldr.errors import InvalidPathError, OverlappingPathsError
from bldr.model.environment import EnvSet
from bldr.model.limits import ResourceLimits
from bldr.model.paths import PathSet
from bldr.model.spec import Access, HermeticSpecBuilder, Role, SandboxSpecBuilder


def carving() -> SandboxSpecBuilder:
    return SandboxSpecBuilder.create().carve()


def test_an_output_and_a_temp_leave_holes_in_an_input() -> None:
    spec = carving().input("/w").output("/w/build").temp("/w/tmp").build()

    assert spec.inputs == PathSet.subtree("/w") - PathSet.of(["/w/build", "/w/tmp"])
    assert spec.access("/w/build/x") == Access.WRITE
    assert spec.access("/w/tmp/x") == Access.WRITE
    assert spec.access("/w/src") == Access.READ


def test_an_output_leaves_a_hole_in_the_toolchain() -> None:
    spec = carving().with_toolchain("system").output("/usr/lib/mine").output("/etc/perl").build()

    assert spec.access("/usr/lib/mine") == Access.WRITE
    assert spec.access("/usr/lib/other") == Access.READ
    assert spec.access("/etc/perl") == Access.WRITE
    assert [one.role for one in spec.declarations if one.at == "/etc/perl"] == [Role.OUTPUT]


@pytest.mark.parametrize(
    ("builder", "message"),
    [
        (
            carving().input("/w").input("/w/out/x").output("/w/out"),
            "the input '/w/out/x' lies inside the output '/w/out'",
        ),
        (carving().input("/w").output("/w"), "the input '/w' and the output '/w' are the same path"),
        (carving().input("/w/t/x").temp("/w/t"), "the input '/w/t/x' lies inside the temp '/w/t'"),
        (carving().output("/w/out").temp("/w"), "the output '/w/out' lies inside the temp '/w'"),
        (carving().output("/w/out").temp("/w/out/t"), "the temp '/w/out/t' lies inside the output '/w/out'"),
    ],
)
def test_what_cannot_be_carved_is_refused(builder: SandboxSpecBuilder, message: str) -> None:
    with pytest.raises(OverlappingPathsError) as caught:
        builder.build()

    assert caught.value.message == message
    assert caught.value.hint


def test_an_output_under_another_name_leaves_a_hole_where_the_input_shows_it() -> None:
    """``-i .:/src -o ./build:/out``: /src/build is the directory that /out writes."""
    spec = carving().input("/w", at="/src").output("/w/build", at="/out").build()

    assert spec.inputs == PathSet.subtree("/src") - PathSet.subtree("/src/build")
    assert spec.host_path("/out/x") == "/w/build/x"


def test_that_hole_spares_what_is_shown_in_it_from_elsewhere() -> None:
    spec = carving().input("/w", at="/src").input("/q", at="/src/build/q").output("/w/build", at="/out").build()

    assert spec.access("/src/build/q/x") == Access.READ
    assert spec.access("/src/build/x") == Access.NONE


def test_nothing_is_cut_out_where_another_input_is_shown_instead() -> None:
    spec = carving().input("/w", at="/src").input("/q", at="/src/build").output("/w/build", at="/out").build()

    assert spec.inputs == PathSet.subtree("/src")


def test_nothing_is_cut_out_of_another_input_that_is_shown_on_the_way() -> None:
    """/src/sub/build shows /q/build, although without the second input it would show the output."""
    spec = carving().input("/w", at="/src").input("/q", at="/src/sub").output("/w/sub/build", at="/out").build()

    assert spec.inputs == PathSet.subtree("/src")
    assert spec.host_path("/src/sub/build") == "/q/build"


def test_the_toolchain_does_not_show_what_an_output_writes() -> None:
    spec = carving().with_toolchain("system").output("/usr/lib/mine", at="/out").build()

    assert spec.access("/usr/lib/mine") == Access.NONE


@pytest.mark.parametrize(
    "builder",
    [
        SandboxSpecBuilder.create().input("/w", at="/src").output("/w/build", at="/out"),
        SandboxSpecBuilder.create().input("/w", at="/src").output("/w", at="/out"),
        carving().input("/w", at="/src").output("/w", at="/out"),
        carving().input("/w/build/gen", at="/gen").output("/w/build", at="/out"),
        carving().input("/w/build/gen", at="/gen").output("/w/build"),
    ],
)
def test_an_alias_that_cannot_be_cut_out_is_refused_with_the_host_paths(builder: SandboxSpecBuilder) -> None:
    with pytest.raises(OverlappingPathsError) as caught:
        builder.build()

    assert caught.value.first.startswith("/w")
    assert caught.value.second.startswith("/w")
    assert "share files of the host" in caught.value.hint


def test_a_spec_for_a_build_reads_sources_and_writes_output_and_temp() -> None:
    spec = HermeticSpecBuilder.for_build(
        workspace_root="/workspace",
        sources=["/workspace/src/main.d", "lib", b"vendor/x"],
        output_dir="/workspace/bin",
        temp_dir="/tmp/build",
    )

    assert spec.access("/workspace/src/main.d") == Access.READ
    assert spec.access("/workspace/lib/a.c") == Access.READ
    assert spec.access("/workspace/vendor/x") == Access.READ
    assert spec.access("/workspace/src/other.d") == Access.NONE
    assert spec.access("/workspace/bin/main") == Access.WRITE
    assert spec.access("/tmp/build/x") == Access.WRITE
    assert spec.access("/tmp/x") == Access.WRITE
    assert spec.access("/usr/bin/cc") == Access.READ
    assert spec.access("/etc/passwd") == Access.NONE
    assert spec.environment == EnvSet.hermetic()
    assert spec.limits == ResourceLimits.hermetic()
    assert spec.network.is_hermetic
    assert spec.toolchain == "system"


def test_without_sources_the_workspace_is_the_input() -> None:
    spec = HermeticSpecBuilder.for_build("/workspace", [], "bin", "tmp")

    assert spec.access("/workspace/anything") == Access.READ
    assert spec.access("/workspace/bin/x") == Access.WRITE
    assert spec.access("/workspace/tmp/x") == Access.WRITE


def test_a_workspace_under_tmp_is_no_special_case() -> None:
    spec = HermeticSpecBuilder.for_build("/tmp/w", ["src"], "out", "/tmp/w/t")

    assert spec.access("/tmp/w/src/x") == Access.READ
    assert spec.access("/tmp/w/out/x") == Access.WRITE
    assert spec.access("/tmp/w/t/x") == Access.WRITE
    assert spec.host_path("/tmp/w/src/x") == "/tmp/w/src/x"
    assert spec.host_path("/tmp/w/t/x") == ""


def test_the_toolchain_of_a_build_can_be_none() -> None:
    assert HermeticSpecBuilder.for_build("/w", ["src"], "out", "/t", toolchain="none").access("/usr") == Access.NONE


def test_a_spec_for_a_test_reads_the_workspace_and_writes_only_to_the_temp() -> None:
    spec = HermeticSpecBuilder.for_test(workspace_root="/workspace", test_dir="tests", temp_dir="/tmp/test")

    assert spec.access("/workspace/tests/test_x.py") == Access.READ
    assert spec.access("/workspace/src/x.py") == Access.READ
    assert spec.access("/tmp/test/x") == Access.WRITE
    assert not spec.outputs


def test_a_test_directory_may_lie_outside_the_workspace() -> None:
    spec = HermeticSpecBuilder.for_test("/workspace", "/checks", "/tmp/test")

    assert spec.access("/checks/x") == Access.READ


def test_a_source_inside_the_output_is_refused() -> None:
    with pytest.raises(OverlappingPathsError, match=r"^the input '/w/out/gen\.c' lies inside the output '/w/out'$"):
        HermeticSpecBuilder.for_build("/w", ["src", "out/gen.c"], "out", "/t")


def test_a_workspace_that_is_relative_is_refused() -> None:
    with pytest.raises(InvalidPathError, match="workspace root"):
        HermeticSpecBuilder.for_build("w", [], "out", "/t")


@pytest.mark.parametrize("source", ["", "../x", "a\0b"])
def test_a_source_that_cannot_be_meant_is_refused(source: str) -> None:
    with pytest.raises(InvalidPathError):
        HermeticSpecBuilder.for_build("/w", [source], "out", "/t")


def test_one_path_is_not_a_list_of_sources() -> None:
    with pytest.raises(TypeError, match="sources is a list of paths"):
        HermeticSpecBuilder.for_build("/w", "src", "out", "/t")
