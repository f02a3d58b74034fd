"""What the one look at a host makes of a spec."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from bldr.model.paths import PathSet
from bldr.model.spec import Access, HermeticSpecBuilder, SandboxSpec, SandboxSpecBuilder
from bldr.sandbox.linux.plan import compile as compile_plan
from bldr.sandbox.linux.simulate import simulate
from bldr.sandbox.linux.steps import Bind, MakeLink, ShowLink
from bldr.sandbox.resolve import MADE, Entry, ResolvedSpec, resolve
from bldr.sandbox.resolved import follow_links
from tests.property.plan_hosts import MemoryHost, with_toolchain


def strict() -> SandboxSpecBuilder:
    return SandboxSpecBuilder.create()


def declared(resolved: ResolvedSpec) -> list[tuple[str, str, str]]:
    """Return role, place and host path of what is shown, without the synthesised files."""
    return [(one.role, one.at, one.target or one.host) for one in resolved.entries if one.role != "made"]


def inputs_of(*paths: str) -> SandboxSpec:
    builder = strict()
    for path in paths:
        builder.input(path)
    return builder.build()


def test_a_file_a_directory_and_a_device_keep_their_kind() -> None:
    host = MemoryHost({"/w/f": "file", "/w/d": "dir", "/dev/kvm": "device"})

    resolved = resolve(inputs_of("/w/f", "/w/d", "/dev/kvm"), host=host)

    assert [(one.at, one.kind) for one in resolved.entries if one.role == "input"] == [
        ("/dev/kvm", "device"),
        ("/w/d", "dir"),
        ("/w/f", "file"),
    ]


def test_a_declared_link_and_its_target_are_both_shown() -> None:
    host = MemoryHost({"/w/link": "-> ../x/real", "/x/real": "dir"})

    resolved = resolve(inputs_of("/w/link"), host=host)

    assert declared(resolved) == [("input", "/w/link", "../x/real"), ("input", "/x/real", "/x/real")]
    assert simulate(compile_plan(resolved)).access("/w/link/file") == Access.READ


def test_each_hop_of_a_declared_link_is_shown() -> None:
    host = MemoryHost({"/a": "-> b", "/b": "-> /c/./d", "/c/d": "-> ../e", "/e": "file"})

    resolved = resolve(inputs_of("/a"), host=host)

    assert declared(resolved) == [
        ("input", "/a", "b"),
        ("input", "/b", "/c/./d"),
        ("input", "/c/d", "../e"),
        ("input", "/e", "/e"),
    ]


def test_a_link_among_the_ancestors_of_a_declared_path_is_shown() -> None:
    host = MemoryHost({"/bin": "-> usr/bin", "/usr/bin/sh": "file"})

    resolved = resolve(inputs_of("/bin/sh"), host=host)

    assert declared(resolved) == [("input", "/bin", "usr/bin"), ("input", "/usr/bin/sh", "/usr/bin/sh")]


def test_a_link_target_that_is_declared_as_well_is_bound_once() -> None:
    host = MemoryHost({"/bin": "-> usr/bin", "/usr/bin": "dir"})

    steps = compile_plan(resolve(inputs_of("/bin", "/usr"), host=host)).steps

    assert [step for step in steps if isinstance(step, Bind | MakeLink)] == [
        MakeLink("/bin", "usr/bin"),
        Bind("/usr", "/usr", "dir", "skeleton"),
    ]


def test_a_link_inside_a_declared_directory_is_not_followed() -> None:
    """It dangles inside: whoever wants its target declares the link, or the target."""
    host = MemoryHost({"/w/link": "-> /secret", "/secret": "file"})

    resolved = resolve(inputs_of("/w"), host=host)

    assert declared(resolved) == [("input", "/w", "/w")]


def test_a_link_on_the_way_that_a_bind_shows_already_is_not_made_again() -> None:
    host = MemoryHost({"/w/link": "-> src", "/w/src/a": "dir"})

    spec = strict().carve().input("/w").output("/w/link/a").build()
    steps = compile_plan(resolve(spec, host=host)).steps

    assert [step for step in steps if isinstance(step, Bind | MakeLink | ShowLink)] == [
        Bind("/w", "/w", "dir", "skeleton"),
        ShowLink("/w/link", "src"),
        Bind("/w/src/a", "/w/src/a", "dir", "inside", writable=True),
    ]


def test_an_output_that_is_a_link_is_writable_where_the_link_leads() -> None:
    host = MemoryHost({"/w/out": "-> /disk/out", "/disk/out": "dir"})

    resolved = resolve(strict().output("/w/out").build(), host=host)
    table = simulate(compile_plan(resolved))

    assert declared(resolved) == [("output", "/disk/out", "/disk/out"), ("input", "/w/out", "/disk/out")]
    assert table.access("/w/out/x") == Access.WRITE
    assert table.host_path("/w/out/x") == "/disk/out/x"


def test_a_mapped_link_is_shown_as_what_it_leads_to() -> None:
    """The text of the link would mean another path at the other place."""
    host = MemoryHost({"/w/link": "-> real", "/w/real": "file"})

    resolved = resolve(strict().input("/w/link", "/in/name").build(), host=host)

    assert declared(resolved) == [("input", "/in/name", "/w/real")]


def test_a_mapped_place_behind_a_link_of_the_sandbox_goes_where_the_link_leads() -> None:
    host = MemoryHost({"/bin": "-> usr/bin", "/usr/bin/sh": "file", "/tool": "file"})
    spec = strict().input("/bin").input("/usr").input("/tool", "/bin/tool").build()

    resolved = resolve(spec, host=host)

    assert ("input", "/usr/bin/tool", "/tool") in declared(resolved)
    assert [graft.at for graft in resolved.grafts] == ["/usr/bin"]


def test_a_mapped_place_behind_a_link_of_a_mapped_tree_goes_where_the_link_leads() -> None:
    host = MemoryHost({"/h/link": "-> sub", "/h/sub/x": "file", "/f": "file"})

    resolved = resolve(strict().input("/h", "/w").input("/f", "/w/link/x").build(), host=host)

    assert declared(resolved) == [
        ("input", "/w", "/h"),
        ("input", "/w/link", "sub"),
        ("input", "/w/sub/x", "/f"),
    ]
    assert resolved.grafts == ()


def test_a_temp_needs_nothing_on_the_host() -> None:
    resolved = resolve(strict().temp("/anywhere/t").build(), host=MemoryHost({}))

    assert declared(resolved) == [("temp", "/anywhere/t", "")]


def test_a_temp_at_a_link_of_an_input_goes_where_the_link_leads() -> None:
    host = MemoryHost({"/w/tmp": "-> /var/t"})

    resolved = resolve(strict().carve().input("/w").temp("/w/tmp").build(), host=host)

    assert declared(resolved) == [("temp", "/var/t", ""), ("input", "/w", "/w"), ("input", "/w/tmp", "/var/t")]


def test_a_default_temp_yields_to_an_input_that_a_link_brings_into_it() -> None:
    host = MemoryHost({"/w/link": "-> /tmp/x/real", "/tmp/x/real": "dir"})
    spec = strict().input("/w/link").default_temp("/tmp").build()

    table = simulate(compile_plan(resolve(spec, host=host)))

    assert [table.access(path) for path in ("/tmp/a", "/tmp/x", "/tmp/x/real/b")] == ["write", "write", "read"]


def test_an_input_below_the_default_temp_is_mounted_in_it() -> None:
    spec = strict().input("/tmp/proj").default_temp("/tmp").build()

    plan = compile_plan(resolve(spec, host=MemoryHost({"/tmp/proj/src": "dir"})))

    assert Bind("/tmp/proj", "/tmp/proj", "dir", "temp") in plan.steps


def test_optional_inputs_that_the_host_lacks_are_left_out() -> None:
    host = MemoryHost({"/lib": "dir", "/lib64": "-> nowhere"})
    spec = with_toolchain(strict().build(), ["/lib", "/lib32", "/lib64"])

    resolved = resolve(spec, host=host)

    assert declared(resolved) == [("input", "/lib", "/lib")]
    assert resolved.absent == ("/lib32", "/lib64")
    assert resolved.effective().inputs == PathSet.subtree("/lib")


def test_many_optional_inputs_of_a_directory_cost_one_listing() -> None:
    host = MemoryHost({"/etc/n3": "file"})
    spec = with_toolchain(strict().build(), [f"/etc/n{number}" for number in range(40)])

    resolved = resolve(spec, host=host)

    assert declared(resolved) == [("input", "/etc/n3", "/etc/n3")]
    assert [path for path in host.looks if path.startswith("/etc/n")] == ["/etc/n3"]


def test_optional_inputs_of_a_directory_that_cannot_be_listed_are_looked_for_one_by_one() -> None:
    host = MemoryHost({"/etc/n3": "file"}, unreadable=frozenset({"/etc"}))
    spec = with_toolchain(strict().build(), [f"/etc/n{number}" for number in range(40)])

    assert declared(resolve(spec, host=host)) == [("input", "/etc/n3", "/etc/n3")]


def test_an_input_in_a_hole_of_the_toolchain_leaves_the_rest_of_the_hole_hidden() -> None:
    host = MemoryHost({"/usr/bin/sh": "file", "/usr/local/go/bin": "dir", "/usr/local/secret": "file"})
    spec = strict().carve().with_toolchain("system").input("/usr/local/go").build()

    table = simulate(compile_plan(resolve(spec, host=host)))

    expected = {"/usr/local": "none", "/usr/local/secret": "none", "/usr/local/go/bin": "read", "/usr/bin/sh": "read"}
    assert {path: table.access(path) for path in expected} == expected


def test_a_whole_usr_has_no_hole() -> None:
    host = MemoryHost({"/usr/local/x": "file"})
    spec = strict().carve().with_toolchain("system").input("/usr").build()

    assert simulate(compile_plan(resolve(spec, host=host))).access("/usr/local/x") == Access.READ


def test_a_hole_that_is_a_link_is_left_out_of_a_rebuilt_directory() -> None:
    """Nothing can be mounted on a link."""
    host = MemoryHost({"/w/link": "-> /etc/passwd", "/w/src": "dir", "/w/a": "-> src"})
    spec = strict().input(PathSet.subtree("/w") - PathSet.subtree("/w/link")).build()

    resolved = resolve(spec, host=host)

    assert [[child.at for child in graft.children] for graft in resolved.grafts] == [["/w/a", "/w/src"]]
    assert simulate(compile_plan(resolved)).access("/w/link") == Access.NONE


def test_a_missing_mountpoint_in_an_input_rebuilds_the_directory_around_it_only() -> None:
    host = MemoryHost({"/w/a/file": "file", "/w/a/dir": "dir", "/w/a/link": "-> dir", "/w/b": "dir"})
    spec = strict().carve().input("/w").temp("/w/a/t/u").build()

    resolved = resolve(spec, host=host)

    (graft,) = resolved.grafts
    assert (graft.at, graft.host) == ("/w/a", "/w/a")
    assert [(child.at, child.kind) for child in graft.children] == [
        ("/w/a/dir", "dir"),
        ("/w/a/file", "file"),
        ("/w/a/link", "link"),
    ]
    assert resolved.notes == ("'/w/a' is rebuilt from its entries, because '/w/a/t/u' is no mountpoint on the host",)


def test_a_file_in_the_place_of_a_mountpoint_is_replaced() -> None:
    host = MemoryHost({"/w/t": "file", "/w/u": "file"})

    resolved = resolve(strict().carve().input("/w").temp("/w/t").build(), host=host)

    assert [child.at for child in resolved.grafts[0].children] == ["/w/u"]


def test_rebuilt_directories_nest() -> None:
    host = MemoryHost({"/w/a/f": "file", "/w/b/f": "file"})
    spec = strict().carve().input("/w").temp("/w/new").temp("/w/a/new").build()

    resolved = resolve(spec, host=host)

    assert [(graft.at, [child.at for child in graft.children]) for graft in resolved.grafts] == [
        ("/w", ["/w/b"]),
        ("/w/a", ["/w/a/f"]),
    ]


@pytest.mark.parametrize("kind", ["dir", "-> f"])
def test_a_file_is_not_mounted_on_something_else(kind: str) -> None:
    host = MemoryHost({"/w/x": kind, "/w/f": "file", "/other": "file"})

    resolved = resolve(strict().input("/w").input("/other", "/w/x").build(), host=host)

    if kind == "dir":
        assert [child.at for child in resolved.grafts[0].children] == ["/w/f"]
    else:
        assert ("input", "/w/f", "/other") in declared(resolved)


def test_a_hole_behind_a_link_is_hidden_where_the_link_leads() -> None:
    host = MemoryHost({"/w/link": "-> src", "/w/src/key": "file", "/w/src/a": "file"})
    spec = strict().input(PathSet.subtree("/w") - PathSet.subtree("/w/link/key")).build()

    resolved = resolve(spec, host=host)
    table = simulate(compile_plan(resolved))

    assert [table.access(path) for path in ("/w/src/key", "/w/link/key", "/w/link/a")] == ["none", "none", "read"]
    assert resolved.effective().access("/w/src/key") == Access.NONE


def test_an_output_behind_two_links_is_writable_where_they_lead() -> None:
    host = MemoryHost({"/w/link": "-> src", "/w/src/out": "-> /w/real", "/w/real": "dir"})

    sets = resolve(strict().carve().input("/w").output("/w/link/out").build(), host=host).effective()

    assert sets.outputs == PathSet.subtree("/w/real")


def test_a_temp_that_comes_back_in_a_hole_follows_the_links_of_the_input() -> None:
    """A default temp yields to an input, but not where the input has a hole."""
    host = MemoryHost({"/t/in": "-> /t/real", "/t/real/a": "-> /x/a"})
    given = PathSet.subtree("/t/in") - PathSet.subtree("/t/in/a")
    resolved = resolve(strict().input(given).default_temp("/t").build(), host=host)

    table = simulate(compile_plan(resolved))

    assert [table.access(path) for path in ("/t/in/a", "/x/a", "/t/real/b", "/t/b")] == [
        "write",
        "write",
        "read",
        "write",
    ]
    assert resolved.effective().temps.contains("/x/a")


def test_what_the_caller_shows_at_the_place_of_a_toolchain_wins() -> None:
    host = MemoryHost({"/bin": "-> usr/bin", "/usr/bin/sh": "file", "/mine": "dir"})
    for builder in (strict().input("/mine", "/usr/bin"), strict().output("/mine", "/usr/bin")):
        resolved = resolve(with_toolchain(builder.build(), ["/bin"]), host=host)
        table = simulate(compile_plan(resolved))

        assert table.host_path("/bin/sh") == "/mine/sh"
        assert resolved.absent == ("/bin",)
        assert resolved.effective().access("/usr/bin") == table.access("/bin")


def test_nothing_is_rebuilt_when_every_mountpoint_exists() -> None:
    host = MemoryHost({"/w/out": "dir", "/w/tmp": "dir", "/w/f": "file"})

    resolved = resolve(strict().carve().input("/w").output("/w/out").temp("/w/tmp").build(), host=host)

    assert resolved.grafts == ()
    assert resolved.notes == ()


def test_the_root_as_input_brings_no_dev_proc_and_sys() -> None:
    host = MemoryHost({"/usr": "dir", "/bin": "-> usr/bin", "/dev/sda": "device", "/sys": "dir", "/w/out": "dir"})

    resolved = resolve(strict().carve().input("/").output("/w/out").build(), host=host)
    table = simulate(compile_plan(resolved))

    expected = {"/": "read", "/usr/x": "read", "/w": "read", "/w/out": "write", "/dev/sda": "none", "/sys": "none"}
    assert {path: table.access(path) for path in expected} == expected
    assert {path: resolved.effective().access(path) for path in expected} == expected


def test_sys_is_shown_to_who_asks_even_beside_the_root() -> None:
    host = MemoryHost({"/usr": "dir", "/sys/class": "dir"})

    table = simulate(compile_plan(resolve(inputs_of("/", "/sys"), host=host)))

    assert table.access("/sys/class") == Access.READ


def test_a_part_of_sys_can_be_declared_beside_the_root() -> None:
    host = MemoryHost({"/usr": "dir", "/sys/class": "dir", "/sys/fs": "dir"})

    table = simulate(compile_plan(resolve(inputs_of("/", "/sys/class"), host=host)))

    assert (table.access("/sys/class"), table.access("/sys/fs"), table.access("/sys")) == ("read", "none", "none")


def test_a_root_file_system_can_be_shown_at_the_root() -> None:
    host = MemoryHost({"/images/a/bin": "-> usr/bin", "/images/a/usr/bin/sh": "file", "/images/a/etc/passwd": "file"})

    resolved = resolve(strict().input("/images/a", "/").build(), host=host)
    table = simulate(compile_plan(resolved))

    assert table.host_path("/bin/sh") == "/images/a/usr/bin/sh"
    assert table.host_path("/etc/passwd") == "/images/a/etc/passwd"


def test_a_device_can_be_added_beside_a_root_file_system() -> None:
    host = MemoryHost({"/images/a/dev": "dir", "/dev/kvm": "device"})

    resolved = resolve(strict().input("/images/a", "/").input("/dev/kvm").build(), host=host)

    assert resolved.grafts[0].at == "/"
    assert len(resolved.grafts) == 1
    assert simulate(compile_plan(resolved)).host_path("/dev/kvm") == "/dev/kvm"


def test_a_device_that_every_sandbox_has_may_be_declared() -> None:
    resolved = resolve(inputs_of("/dev/null"), host=MemoryHost({"/dev/null": "device"}))

    assert Bind("/dev/null", "/dev/null", "file", "inside") in compile_plan(resolved).steps


def test_a_link_into_proc_is_shown_and_not_followed() -> None:
    """``/proc/self`` is somebody else inside."""
    host = MemoryHost({"/etc/mtab": "-> ../proc/self/mounts", "/proc/self": "-> 17"})

    resolved = resolve(inputs_of("/etc/mtab"), host=host)

    assert declared(resolved) == [("input", "/etc/mtab", "../proc/self/mounts")]
    assert "/proc/self" not in host.looks
    assert simulate(compile_plan(resolved)).access("/etc/mtab") == Access.NONE


def test_synthesised_files_are_added_to_every_sandbox() -> None:
    resolved = resolve(strict().build(), host=MemoryHost({}))

    assert tuple(one.at for one in resolved.entries) == MADE


@pytest.mark.parametrize("path", ["/", "/etc"])
def test_no_file_is_synthesised_in_what_the_caller_declared(path: str) -> None:
    host = MemoryHost({"/etc/passwd": "file"})

    assert not [one for one in resolve(inputs_of(path), host=host).entries if one.role == "made"]


def test_a_declared_file_of_etc_replaces_the_synthesised_one() -> None:
    resolved = resolve(inputs_of("/etc/hosts"), host=MemoryHost({"/etc/hosts": "file"}))

    assert [one.at for one in resolved.entries if one.role == "made"] == [path for path in MADE if path != "/etc/hosts"]


def test_a_toolchain_cannot_replace_a_synthesised_file() -> None:
    host = MemoryHost({"/etc/hosts": "file", "/etc/x": "file"})
    spec = with_toolchain(strict().build(), ["/etc/hosts", "/etc/x"])

    resolved = resolve(spec, host=host)

    assert Entry("/etc/hosts", "", "made", "file") in resolved.entries
    assert resolved.effective().access("/etc/hosts") == Access.NONE
    assert simulate(compile_plan(resolved)).access("/etc/hosts") == Access.NONE


def test_a_toolchain_that_holds_all_of_etc_is_rebuilt_around_the_synthesised_files() -> None:
    host = MemoryHost({"/etc/hosts": "file", "/etc/x": "file"})

    resolved = resolve(with_toolchain(strict().build(), ["/etc"]), host=host)
    table = simulate(compile_plan(resolved))

    assert table.host_path("/etc/x") == "/etc/x"
    assert table.host_path("/etc/hosts") == ""


def test_the_canary_is_something_that_the_host_has_and_the_sandbox_lacks() -> None:
    host = MemoryHost({"/etc/fstab": "file", "/etc/profile": "file", "/root": "dir"})

    assert resolve(strict().build(), host=host).canary == "/etc/fstab"
    assert resolve(inputs_of("/etc/fstab"), host=host).canary == "/etc/profile"
    assert resolve(inputs_of("/etc"), host=host).canary == "/root"
    assert resolve(inputs_of("/"), host=host).canary == ""


def test_nested_and_repeated_declarations_become_one_bind() -> None:
    host = MemoryHost({"/w/src/a.c": "file"})

    resolved = resolve(inputs_of("/w", "/w/src", "/w/src/a.c", "/w"), host=host)

    assert declared(resolved) == [("input", "/w", "/w")]


def test_nested_outputs_become_one_bind() -> None:
    host = MemoryHost({"/o/p": "dir"})

    assert declared(resolve(strict().output("/o").output("/o/p").build(), host=host)) == [("output", "/o", "/o")]


def test_nested_temps_become_one() -> None:
    resolved = resolve(strict().temp("/t").temp("/t/x").build(), host=MemoryHost({}))

    assert declared(resolved) == [("temp", "/t", "")]


def test_five_thousand_inputs_cost_one_look_at_each_of_them_and_each_directory() -> None:
    paths = [f"/w/d{number % 50}/f{number}" for number in range(5000)]
    host = MemoryHost(dict.fromkeys(paths, "file"))

    resolved = resolve(inputs_of(*paths), host=host)

    assert len([one for one in resolved.entries if one.role == "input"]) == 5000
    assert len(host.looks) < 5000 + 50 + 20


ODD_NAMES = [
    b"a b",
    b"quo'te\"",
    b"new\nline",
    b"co:lon",
    b"\xff\xfe",
    b"tab\t",
    b"back\\slash",
    "ü€".encode(),
    b"-x",
    b"*",
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_name_survives_down_to_the_wire(name: bytes, host_dir: Path) -> None:
    path = os.fsencode(host_dir) + b"/" + name
    os.mkdir(path)
    Path(os.fsdecode(path), "file").touch()

    plan = compile_plan(resolve(strict().input(path + b"/file").build()))

    assert (b"bind", path + b"/file", path + b"/file", b"file", b"skeleton") in plan.requests()
    assert all(line.isprintable() for line in plan.describe())


def test_a_real_tree_of_all_kinds(host_dir: Path) -> None:
    (host_dir / "dir" / "sub").mkdir(parents=True)
    (host_dir / "file").touch()
    (host_dir / "link").symlink_to("dir/sub")
    os.mkfifo(host_dir / "fifo")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.fspath(host_dir / "socket"))
    listener.close()

    resolved = resolve(inputs_of(*(os.fspath(path) for path in host_dir.iterdir())))

    kinds = {os.path.relpath(one.at, host_dir): one.kind for one in resolved.entries if one.role == "input"}
    assert kinds == {
        "dir": "dir",
        "file": "file",
        "fifo": "file",
        "link": "link",
        "socket": "file",
    }


def test_the_system_toolchain_of_this_host_resolves() -> None:
    spec = HermeticSpecBuilder.for_test(workspace_root="/usr", test_dir="/usr/share", temp_dir="/scratch")

    table = simulate(compile_plan(resolve(spec)))

    assert table.access("/usr/bin/env") == Access.READ
    assert table.access("/bin/sh") == Access.READ
    assert table.access("/etc/shadow") == Access.NONE


def test_following_known_links_ends_even_in_a_loop() -> None:
    assert follow_links("/a/x", {"/a": "b", "/b": "a"})
