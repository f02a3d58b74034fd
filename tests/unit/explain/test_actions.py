"""Why an action failed: what it missed of the workspace and of the host, with the words of a Builderfile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bldr import ExecutionResult, SandboxSpec, SandboxSpecBuilder
from bldr.builderfile.workspace import load, resolve
from bldr.engine.action import WORKSPACE
from bldr.engine.graph import Graph, graph_of
from bldr.engine.outcome import Outcome, Status
from bldr.explain.actions import causes_of_action, lines_of_action

TARGETS = """
target("main") { type: custom; sources: ["src/main.c"]; command: "cc"; output: "main"; }
target("util") { type: library; language: c; sources: ["util/util.c"]; headers: ["util/util.h"]; }
target("made") { type: custom; command: "echo"; output: "gen/made.h"; }
"""


class Site:
    """A workspace whose target ``main`` has failed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("src/main.c", "src/near.h", "util/util.c", "util/util.h", "data/table.txt"):
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).touch()
        (root / "Builderfile").write_text(TARGETS)
        workspace = load(os.fspath(root))
        labels = list(workspace.targets)
        self.graph: Graph = graph_of(resolve(workspace, labels), labels)

    def told(self, printed: str, spec: SandboxSpec | None = None, **how: object) -> list[str]:
        (action,) = (one for one in self.graph.actions if one.target.name == "main")
        result = ExecutionResult(("cc",), 1)
        known = {"result": result, "spec": spec or SandboxSpecBuilder().input("/usr").build()} | how
        outcome = Outcome(action, Status.FAILED, **known)  # type: ignore[arg-type]
        found = causes_of_action(outcome, self.graph, os.fspath(self.root), {"PATH": "/usr/bin"}, printed.encode())
        return lines_of_action(outcome, found)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_files_of_the_workspace_are_told_with_who_has_to_declare_them(site: Site) -> None:
    missing = "src/main.c:1:10: fatal error: {}: No such file or directory\n"

    assert site.told(missing.format("near.h")) == [
        "hint: 'src/near.h' is in the workspace and not declared: add \"//src/near.h\" to headers of //:main"
    ]
    assert site.told(missing.format("util/util.h")) == [
        "hint: 'util/util.h' is a header of //:util: add \"//:util\" to deps of //:main"
    ]
    assert site.told(missing.format("gen/made.h")) == [
        "hint: 'gen/made.h' is made by //:made: add \"//:made\" to deps of //:main"
    ]
    assert site.told(f"cat: {WORKSPACE}/data/table.txt: No such file or directory\n") == [
        "hint: 'data/table.txt' is in the workspace and not declared: add \"//data/table.txt\" to sources of //:main"
    ]
    assert site.told("cat: data/nowhere.txt: No such file or directory\n") == []


def test_what_the_host_has_is_told_in_the_words_of_a_builderfile(site: Site, tmp_path: Path) -> None:
    table = tmp_path / "table"
    table.touch()

    assert site.told(f"cat: {table}: No such file or directory\n") == [
        f"likely cause: {table} is on the host, and the sandbox does not show it: it was not declared",
        f'hint: to allow it, write into //:main: hermetic: {{ inputs: ["{table}"]; }}',
    ]


def test_writes_are_told_relative_to_the_workspace(site: Site) -> None:
    lines = site.told(f"sh: 1: cannot create {WORKSPACE}/data/new: Read-only file system\n")

    assert lines == [
        f"likely cause: {WORKSPACE}/data/new cannot be written: it is in no output and no temp",
        'hint: to allow it, write into //:main: hermetic: { outputs: ["data/"]; }',
    ]


def test_a_command_that_could_not_start_is_looked_for_on_the_host(site: Site) -> None:
    spec = SandboxSpecBuilder().input("/usr/share").env("PATH", "/usr/bin").build()
    (action,) = (one for one in site.graph.actions if one.target.name == "main")
    outcome = Outcome(action, Status.FAILED, problem="it is not in the sandbox", hint="declare it", spec=spec)

    found = causes_of_action(outcome, site.graph, os.fspath(site.root), {}, b"")

    assert action.argv[0] == "/bin/sh"
    (_, hint) = lines_of_action(outcome, found)
    assert hint.startswith("hint: to allow it, write into //:main: hermetic: { inputs: [")
    assert "/bin/sh" in hint
    assert lines_of_action(outcome, ()) == ["hint: declare it"]


def test_without_a_sandbox_nothing_is_guessed(site: Site) -> None:
    printed = "cat: data/table.txt: No such file or directory\n"
    (action,) = (one for one in site.graph.actions if one.target.name == "main")
    outcome = Outcome(action, Status.FAILED, result=ExecutionResult(("cc",), 1))

    assert causes_of_action(outcome, site.graph, os.fspath(site.root), {}, printed.encode()) == ()
