"""Specs and the strict builder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bldr.errors import InvalidPathError, OverlappingPathsError, SpecError
from bldr.model.environment import EnvSet
from bldr.model.limits import ResourceLimits
from bldr.model.network import NetworkPolicy
from bldr.model.paths import PathSet
from bldr.model.process import ProcessPolicy
from bldr.model.receipt import Guarantee
from bldr.model.spec import Access, Declaration, Role, SandboxSpec, SandboxSpecBuilder
from bldr.model.value import replace

create = SandboxSpecBuilder.create


def test_the_example_of_the_original_document_builds() -> None:
    spec = (
        create()
        .input("/workspace/src")
        .output("/workspace/bin")
        .temp("/tmp/build")
        .with_network(NetworkPolicy.hermetic())
        .env("PATH", "/usr/bin:/bin")
        .build()
    )

    assert spec.access("/workspace/src/main.c") == Access.READ
    assert spec.access("/workspace/bin/main") == Access.WRITE
    assert spec.access("/tmp/build/x.o") == Access.WRITE
    assert spec.access("/workspace") == Access.NONE
    assert spec.access("/etc/passwd") == Access.NONE
    assert dict(spec.environment) == {"PATH": "/usr/bin:/bin"}
    assert spec.network.is_hermetic


def test_nothing_is_declared_at_the_start() -> None:
    spec = create().build()

    assert spec == SandboxSpec()
    assert not spec.inputs | spec.outputs | spec.temps
    assert spec.environment == EnvSet()
    assert spec.limits == ResourceLimits.hermetic()
    assert spec.process == ProcessPolicy.hermetic()
    assert (spec.toolchain, spec.hostname, spec.uid, spec.limits.tmp_size) == ("none", "bldr", 0, None)


def test_every_setting_arrives_in_the_spec() -> None:
    limits, policy = ResourceLimits(memory="2G"), ProcessPolicy(max_children=16)
    spec = (
        create()
        .with_resources(limits)
        .with_process(policy)
        .with_network(NetworkPolicy.allow_hosts(["github.com"]))
        .env_set(EnvSet({"A": "1", "B": "2"}))
        .env("B", "3")
        .hostname("box")
        .uid(1000)
        .tmp_size("64M")
        .allow_degraded("network", "memory-limit")
        .require("writes-confined", "mount namespace")
        .build()
    )

    assert spec.limits == limits.merge(ResourceLimits(tmp_size="64M"))
    assert spec.process == policy
    assert [str(endpoint) for endpoint in spec.network.endpoints] == ["github.com"]
    assert dict(spec.environment) == {"A": "1", "B": "3"}
    assert (spec.hostname, spec.uid, spec.limits.tmp_size) == ("box", 1000, 64 * 2**20)
    assert spec.allow_degraded == {Guarantee.NO_NETWORK, Guarantee.NETWORK_ALLOW_LIST, Guarantee.MEMORY_LIMIT}
    assert spec.require == ((Guarantee.WRITES_CONFINED, "mount namespace"),)
    assert create().with_limits(limits).build().limits == limits


@pytest.mark.parametrize("path", ["/work", b"/work", Path("/work"), "/work/", "//work/."])
def test_a_path_may_be_text_bytes_or_an_object(path: str) -> None:
    spec = create().input(path).build()

    assert spec.declarations == (Declaration(Role.INPUT, "/work", "/work"),)


@pytest.mark.parametrize("name", ["a\nb", "it's", 'q"q', "c:d", "-", "a b", b"\xff\xfe", "$(x)", "\\", "ü", "*"])
def test_a_strange_name_is_only_a_name(name: str | bytes) -> None:
    path = "/w/" + os.fsdecode(name)
    spec = create().input("/w/sub", at=path).output(path + "x").build()

    assert spec.access(path + "/file") == Access.READ
    assert spec.access(path + "x") == Access.WRITE
    assert spec.host_path(path + "/file") == "/w/sub/file"
    assert SandboxSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    "declare",
    [
        lambda path: create().input(path),
        lambda path: create().output(path),
        lambda path: create().temp(path),
        lambda path: create().default_temp(path),
        lambda path: create().input("/w", at=path),
        lambda path: create().output("/w", at=path),
    ],
)
@pytest.mark.parametrize("path", ["", "relative", "/a/../b", "/a\0b"])
def test_a_path_that_cannot_be_meant_is_refused_where_it_is_declared(
    declare: Callable[[str], object], path: str
) -> None:
    with pytest.raises(InvalidPathError):
        declare(path)


@pytest.mark.parametrize(
    ("builder", "message", "hint"),
    [
        (
            create().input("/w").output("/w/bin"),
            "the output '/w/bin' lies inside the input '/w'",
            "leave a hole in the input: PathSet.subtree('/w') - PathSet.subtree('/w/bin'), or let carve() do it",
        ),
        (
            create().input("/w/bin/x").output("/w/bin"),
            "the input '/w/bin/x' lies inside the output '/w/bin'",
            "what is in an output can be read as well: do not declare '/w/bin/x' as input",
        ),
        (
            create().input("/w").output("/w"),
            "the input '/w' and the output '/w' are the same path",
            "what is in an output can be read as well: do not declare '/w' as input",
        ),
        (
            create().input("/w").temp("/w/tmp"),
            "the temp '/w/tmp' lies inside the input '/w'",
            "a temp starts empty and would hide the input: move the temp '/w/tmp' out of '/w'",
        ),
        (
            create().output("/w/out").temp("/w"),
            "the output '/w/out' lies inside the temp '/w'",
            "a temp is removed and an output is kept: move one of '/w/out' and '/w' elsewhere",
        ),
        (
            create().with_toolchain("system").output("/usr/mine"),
            "the output '/usr/mine' lies inside the input '/usr' of the toolchain system",
            "leave a hole in the input: PathSet.subtree('/usr') - PathSet.subtree('/usr/mine'), or let carve() do it",
        ),
        (
            create().input("/h", at="/w").output("/o", at="/w/bin"),
            "the output '/w/bin' (from '/o') lies inside the input '/w' (from '/h')",
            "leave a hole in the input: PathSet.subtree('/w') - PathSet.subtree('/w/bin'), or let carve() do it",
        ),
    ],
)
def test_an_overlap_is_refused_with_both_paths_and_the_fix(
    builder: SandboxSpecBuilder, message: str, hint: str
) -> None:
    with pytest.raises(OverlappingPathsError) as caught:
        builder.build()

    assert caught.value.message == message
    assert caught.value.hint == hint
    assert caught.value.code == "spec.paths-overlap"


def test_an_overlap_names_the_nearest_of_nested_declarations() -> None:
    with pytest.raises(OverlappingPathsError, match=r"^the output '/w/a/b/o' lies inside the input '/w/a/b'$"):
        create().input("/w").input("/w/a").input("/w/a/b").output("/w/a/b/o").build()


def test_neighbours_with_a_common_beginning_do_not_overlap() -> None:
    spec = create().input("/work").output("/workshop").temp("/wor").build()

    assert spec.access("/work") == Access.READ
    assert spec.access("/workshop") == Access.WRITE


def test_a_set_with_a_hole_makes_room_for_an_output() -> None:
    holed = PathSet.subtree("/w") - PathSet.subtree("/w/out")
    spec = create().input(holed).output("/w/out").build()

    assert spec.inputs == holed
    assert spec.access("/w/out/x") == Access.WRITE
    assert [one.at for one in spec.declarations] == ["/w", "/w/out"]


def test_a_set_with_a_hole_can_be_shown_elsewhere() -> None:
    spec = create().input(PathSet.subtree("/w") - PathSet.subtree("/w/secret"), at="/src").build()

    assert spec.inputs == PathSet.subtree("/src") - PathSet.subtree("/src/secret")
    assert spec.host_path("/src/main.c") == "/w/main.c"
    assert spec.host_path("/src/secret/key") == ""


def test_a_set_of_several_roots_is_declared_root_by_root() -> None:
    spec = create().input(PathSet.of(["/a", "/b"])).build()

    assert [one.at for one in spec.declarations] == ["/a", "/b"]
    with pytest.raises(InvalidPathError, match="an input of 2 roots"):
        create().input(PathSet.of(["/a", "/b"]), at="/c")


def test_a_part_that_is_put_back_into_a_hole_is_declared_too() -> None:
    chosen = PathSet.subtree("/w") - PathSet.subtree("/w/out") | PathSet.subtree("/w/out/keep")
    spec = create().input(chosen).build()

    assert [one.at for one in spec.declarations] == ["/w", "/w/out/keep"]
    assert spec.host_path("/w/out/keep/x") == "/w/out/keep/x"
    assert spec.host_path("/w/out/x") == ""


def test_declaring_the_same_twice_is_declaring_it_once() -> None:
    once = create().input("/w").output("/o").temp("/t").build()
    twice = create().input("/w").input("/w/").output("/o").output("/o").temp("/t").temp("/t").build()

    assert once == twice


def test_two_host_paths_cannot_be_shown_at_one_place() -> None:
    with pytest.raises(OverlappingPathsError) as caught:
        create().input("/a", at="/w").input("/b", at="/w")

    assert caught.value.message == "the input at '/w' is declared twice, from '/a' and from '/b'"
    assert (caught.value.first, caught.value.second) == ("/a", "/b")
    assert caught.value.hint


def test_one_host_path_can_be_shown_at_two_places() -> None:
    spec = create().input("/h", at="/a").input("/h", at="/b").build()

    assert spec.host_path("/a/x") == spec.host_path("/b/x") == "/h/x"


def test_the_nearest_declaration_says_what_is_shown() -> None:
    spec = create().input("/h", at="/w").input("/other", at="/w/sub").output("/result", at="/out").build()

    assert spec.host_path("/w/x") == "/h/x"
    assert spec.host_path("/w/sub") == "/other"
    assert spec.host_path("/w/sub/x") == "/other/x"
    assert spec.host_path("/w/submarine") == "/h/submarine"
    assert spec.host_path("/out/a.o") == "/result/a.o"
    assert spec.host_path("/elsewhere") == ""


def test_the_whole_root_can_be_an_input() -> None:
    spec = create().carve().input("/").output("/w/out").default_temp("/tmp").build()

    assert spec.access("/") == Access.READ
    assert spec.access("/w/out/x") == Access.WRITE
    assert spec.access("/tmp/x") == Access.READ
    assert spec.host_path("/etc/passwd") == "/etc/passwd"


def test_a_declared_input_takes_the_place_of_one_of_the_toolchain() -> None:
    spec = create().with_toolchain("system").input("/opt/tools", at="/bin").build()
    at_bin = [one for one in spec.declarations if one.at == "/bin"]

    assert at_bin == [Declaration(Role.INPUT, "/bin", "/opt/tools")]


def test_a_declared_input_fills_a_hole_of_the_toolchain() -> None:
    spec = create().with_toolchain("system").input("/usr/local/include").build()

    assert spec.access("/usr/local/include/x.h") == Access.READ
    assert spec.access("/usr/local/lib") == Access.NONE


def test_a_default_temp_yields_without_a_word() -> None:
    spec = create().input("/tmp/w/src").output("/tmp/w/out").default_temp("/tmp").build()

    assert spec.access("/tmp/w/src/x") == Access.READ
    assert spec.access("/tmp/w/out/x") == Access.WRITE
    assert spec.access("/tmp/x") == Access.WRITE
    assert spec.temps == PathSet.subtree("/tmp") - PathSet.of(["/tmp/w/src", "/tmp/w/out"])
    assert Declaration(Role.TEMP, "/tmp", origin="default") in spec.declarations


@pytest.mark.parametrize("path", ["/tmp", "/"])
def test_a_default_temp_that_is_an_input_is_no_temp(path: str) -> None:
    spec = create().input(path).default_temp("/tmp").build()

    assert spec.access("/tmp") == Access.READ
    assert not spec.temps
    assert all(one.role != Role.TEMP for one in spec.declarations)


def homes(spec: SandboxSpec) -> set[str]:
    return {spec.environment["HOME"], spec.environment["TMPDIR"]}


def test_home_is_the_default_temp_where_nothing_is_in_its_way() -> None:
    for builder in (create(), create().input("/tmp/w/src").output("/tmp/w/out"), create().temp("/tmp")):
        spec = builder.default_home().build()

        assert homes(spec) == {"/tmp"}
        assert "/tmp" in spec.temps


@pytest.mark.parametrize(
    "builder",
    [
        create().carve().input("/").output("/w/out"),
        create().input("/tmp"),
        create().output("/tmp"),
        create().carve().input("/").temp("/tmp/mine"),
    ],
)
def test_home_is_a_temp_of_its_own_where_the_default_temp_yields(builder: SandboxSpecBuilder) -> None:
    spec = builder.default_home().build()
    (home,) = homes(spec)

    assert home not in ("/", "/tmp")
    assert home in spec.temps
    assert spec.access(f"{home}/x") == Access.WRITE
    assert Declaration(Role.TEMP, home, origin="default") in spec.declarations


def test_a_home_that_was_set_stays() -> None:
    spec = create().input("/tmp").env("HOME", "/w").default_home().build()

    assert spec.environment["HOME"] == "/w"
    assert spec.environment["TMPDIR"] in spec.temps


def test_who_declares_the_place_of_the_other_home_has_it() -> None:
    spec = create().input("/tmp").input("/bldr-home/src").default_home().build()

    assert spec.access("/bldr-home/src/x") == Access.READ
    assert spec.access("/bldr-home/x") == Access.NONE


def test_a_default_temp_that_was_also_declared_is_a_declared_one() -> None:
    spec = create().temp("/tmp").default_temp("/tmp").build()

    assert spec.declarations == (Declaration(Role.TEMP, "/tmp"),)


def test_a_spec_cannot_be_made_with_sets_that_overlap() -> None:
    with pytest.raises(OverlappingPathsError, match="the input '/w/o' and the output '/w/o'"):
        SandboxSpec(inputs=PathSet.subtree("/w"), outputs=PathSet.subtree("/w/o"))
    spec = create().input("/w").output("/o").build()
    with pytest.raises(OverlappingPathsError):
        replace(spec, temps=PathSet.subtree("/w/t"))


@pytest.mark.parametrize("name", ["", "a b", "a_b", "-a", "a-", "a..b", "ü", "a" * 65, "a/b", "a\n"])
def test_what_is_no_host_name_is_refused(name: str) -> None:
    with pytest.raises(SpecError) as caught:
        create().hostname(name)

    assert caught.value.code == "spec.hostname-invalid"


@pytest.mark.parametrize("uid", [-1, 2**32 - 1, 1.0, "0", True])
def test_what_is_no_user_id_is_refused(uid: int) -> None:
    with pytest.raises(SpecError) as caught:
        create().uid(uid).build()

    assert caught.value.code == "spec.uid-invalid"


def test_a_guarantee_that_is_unknown_is_refused_with_the_nearest_name() -> None:
    for declare in (create().require, create().allow_degraded):
        with pytest.raises(SpecError) as caught:
            declare("no-netwrk")

        assert caught.value.code == "spec.guarantee-unknown"
        assert caught.value.hint == "did you mean no-network or network?"


def test_a_guarantee_cannot_be_required_and_allowed_to_be_weaker() -> None:
    with pytest.raises(SpecError) as caught:
        create().require("no-network").allow_degraded("network").build()

    assert caught.value.code == "spec.guarantee-contradiction"
    assert "'no-network'" in caught.value.message


def test_declarations_are_sorted_with_parents_first_whatever_the_order() -> None:
    one = create().input("/b").input("/a-b").input("/a/c").input("/a").build()
    two = create().input("/a").input("/a/c").input("/b").input("/a-b").build()

    assert [declaration.at for declaration in one.declarations] == ["/a", "/a/c", "/a-b", "/b"]
    assert one == two
    assert one.digest() == two.digest()


def test_a_builder_can_be_used_again_after_building() -> None:
    builder = create().with_toolchain("system").input("/w").default_temp("/tmp")
    first = builder.build()

    assert builder.build() == first
    assert builder.output("/o").build().outputs == PathSet.subtree("/o")
    assert first.outputs == PathSet.empty()
