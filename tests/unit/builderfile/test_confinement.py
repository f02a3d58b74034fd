"""From a target to the spec of its sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from bldr.builderfile.confinement import needs_of, spec_of
from bldr.builderfile.label import Label
from bldr.builderfile.workspace import Resolved, resolve
from bldr.errors import OverlappingPathsError
from bldr.model.environment import EnvSet
from bldr.model.network import NetworkPolicy
from bldr.model.spec import SandboxSpec
from tests.unit.builderfile.workspaces import workspace

EXAMPLE = {
    "Builderfile": """
        target("app") {
            type: executable;
            sources: ["main.c"];
            deps: ["//lib:util"];
            hermetic: {
                inputs: ["/opt/tools", "data"];
                outputs: ["logs/"];
                temps: ["/tmp/build", "scratch"];
                network: { allowHosts: ["a.org:443"]; }
                memory: "1G";
                resources: { openFiles: 64; }
                process: { maxChildren: 3; }
                env: { "LANG": "C", "CC": "gcc" };
            }
        }
        target("alone") { type: custom; command: "true"; }
    """,
    "main.c": "",
    "lib/Builderfile": """
        target("util") { type: library; sources: ["util.c"]; headers: ["util.h"]; deps: [":base"]; }
        target("base") { type: library; sources: ["base.c"]; headers: ["base.h"]; }
    """,
    "lib/util.c": "",
    "lib/util.h": "",
    "lib/base.c": "",
    "lib/base.h": "",
}
APP = Label("", "app")


@pytest.fixture
def targets(tmp_path: Path) -> dict[Label, Resolved]:
    return resolve(workspace(tmp_path, EXAMPLE))


def spec(targets: dict[Label, Resolved], label: Label = APP, workspace_at: str | None = None) -> SandboxSpec:
    return spec_of(
        targets[label],
        root="/w",
        output_dir=".builder/out",
        temp_dir="/tmp/t",
        needs=needs_of(label, targets),
        workspace_at=workspace_at,
    )


def test_a_target_needs_the_headers_and_products_of_all_below_it(targets: dict[Label, Resolved]) -> None:
    assert needs_of(APP, targets) == ("lib/base.h", "bin/libbase.a", "lib/util.h", "bin/libutil.a")
    assert needs_of(Label("lib", "base"), targets) == ()


def test_it_sees_what_is_declared_and_nothing_else(targets: dict[Label, Resolved]) -> None:
    found = spec(targets)
    paths = [
        "main.c", "lib/util.h", "lib/base.h", "bin/libutil.a", "data/x", "Builderfile", "lib/util.c", ".builder/out/x", "logs/x",
        "scratch/x", "bin/app", "",
    ]  # fmt: skip

    assert {path: found.access(f"/w/{path}") for path in paths} == {
        "main.c": "read",
        "lib/util.h": "read",
        "lib/base.h": "read",
        "bin/libutil.a": "read",
        "data/x": "read",
        "Builderfile": "none",
        "lib/util.c": "none",
        ".builder/out/x": "write",
        "logs/x": "write",
        "scratch/x": "write",
        "bin/app": "none",
        "": "none",
    }
    assert [found.access(path) for path in ("/opt/tools/cc", "/tmp/build/x", "/usr/bin/cc", "/etc/passwd")] == [
        "read", "write", "read", "none",
    ]  # fmt: skip


def test_settings_come_through(targets: dict[Label, Resolved]) -> None:
    found = spec(targets)

    assert found.network == NetworkPolicy.allow_hosts(["a.org:443"])
    assert found.environment == EnvSet.hermetic() | EnvSet({"LANG": "C", "CC": "gcc"})
    assert (found.limits.memory, found.limits.open_files, found.limits.processes) == (1 << 30, 64, 128)
    assert found.limits.explicit == {"memory", "open_files"}
    assert found.process.max_children == 3


def test_the_workspace_can_be_shown_elsewhere(targets: dict[Label, Resolved]) -> None:
    found = spec(targets, workspace_at="/workspace")

    assert found.host_path("/workspace/main.c") == "/w/main.c"
    assert found.host_path("/workspace/logs/x") == "/w/logs/x"
    assert found.host_path("/opt/tools/cc") == "/opt/tools/cc"
    assert found.access("/workspace/scratch/x") == "write"
    assert found.access("/w/main.c") == "none"


def test_where_the_workspace_lies_makes_no_difference_inside(targets: dict[Label, Resolved]) -> None:
    specs = [
        spec_of(targets[APP], root=root, output_dir="out", temp_dir="/tmp/t", workspace_at="/workspace")
        for root in ("/w", "/home/me/w")
    ]

    assert specs[0].inputs == specs[1].inputs
    assert specs[0].outputs == specs[1].outputs
    assert specs[0].temps == specs[1].temps


def test_a_target_without_files_sees_no_file_of_the_workspace(targets: dict[Label, Resolved]) -> None:
    assert spec(targets, Label("", "alone")).access("/w/main.c") == "none"


def test_an_output_over_an_input_is_refused(targets: dict[Label, Resolved]) -> None:
    with pytest.raises(OverlappingPathsError):
        spec_of(targets[APP], root="/w", output_dir=".", temp_dir="/tmp/t")
