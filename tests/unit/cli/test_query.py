"""``bldr query``: the questions, and the forms of answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bldr.cli.main import main
from tests.unit.builderfile.workspaces import files

EXAMPLE = {
    "Builderfile": """
        target("app") { type: executable; sources: ["main.c"]; deps: ["//lib:util", "//lib:log"]; }
        target("check") { type: test; command: "./check"; deps: [":app"]; }
    """,
    "main.c": "",
    "lib/Builderfile": """
        target("util") { type: library; sources: ["util.c"]; headers: ["*.h"]; deps: [":base"]; }
        target("log") { type: library; sources: ["log.c"]; deps: [":base"]; }
        target("base") { type: library; sources: ["base.c"]; }
    """,
    "lib/util.c": "",
    "lib/log.c": "",
    "lib/base.c": "",
    "lib/util.h": "",
}


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(files(tmp_path, EXAMPLE))
    return tmp_path


@pytest.fixture
def answer(capfd: pytest.CaptureFixture[str]):
    def ask(words: str) -> str:
        assert main(["query", *words.split()]) == 0
        out, err = capfd.readouterr()
        assert err == ""
        return out

    return ask


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", "//:app //:check //lib:base //lib:log //lib:util"),
        ("targets", "//:app //:check //lib:base //lib:log //lib:util"),
        ("targets lib/... app", "//:app //lib:base //lib:log //lib:util"),
        ("deps app", "//lib:base //lib:log //lib:util"),
        ("deps --direct app", "//lib:log //lib:util"),
        ("deps check //lib:base", "//:app //lib:base //lib:log //lib:util"),
        ("rdeps //lib:base", "//:app //:check //lib:log //lib:util"),
        ("rdeps //lib:base --direct", "//lib:log //lib:util"),
        ("rdeps check", ""),
    ],
)
def test_an_answer_is_a_label_a_line(answer, words: str, expected: str) -> None:
    assert answer(words).split() == expected.split()


def test_paths(answer) -> None:
    assert answer("paths check //lib:base") == (
        "//:check -> //:app -> //lib:log -> //lib:base\n//:check -> //:app -> //lib:util -> //lib:base\n"
    )


def test_there_is_no_path(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["query", "paths", "//lib:base", "app"]) == 0
    assert capfd.readouterr() == ("", "bldr: //lib:base does not need //:app\n")


def test_json(answer, root: Path) -> None:
    found = json.loads(answer("deps --json app"))

    assert (found["schema"], found["root"]) == (1, str(root))
    assert [target["label"] for target in found["targets"]] == ["//lib:base", "//lib:log", "//lib:util"]
    assert found["targets"][2] == {
        "label": "//lib:util",
        "type": "library",
        "language": "c",
        "sources": ["lib/util.c"],
        "headers": ["lib/util.h"],
        "generated": [],
        "deps": ["//lib:base"],
        "command": [],
        "outputs": ["bin/libutil.a"],
        "options": {},
        "hermetic": {
            "enabled": True,
            "inputs": [],
            "outputs": [],
            "temps": [],
            "network": [],
            "timeout": None,
            "limits": {},
            "process": {
                "max_children": None,
                "kill_on_parent_exit": True,
                "allow_userns": False,
                "allow_fork": True,
                "allow_exec": True,
            },
            "env": {},
            "toolchain": "system",
        },
        "place": "lib/Builderfile:2",
    }


def test_settings_as_json(answer, root: Path) -> None:
    (root / "Builderfile").write_text(
        'target("a") { type: custom; command: "x"; hermetic: { enabled: true; inputs: ["/caf\\xe9"]; outputs: ["o/"];'
        ' temps: ["t"]; network: { allowHosts: ["a.org"]; } timeout: "1m"; memory: "1K";'
        ' process: { maxChildren: 2; } env: { "A": "b" }; } }',
        encoding="ascii",
    )

    (target,) = json.loads(answer("targets --json a"))["targets"]

    assert target["hermetic"] == {
        "enabled": True,
        "inputs": [r"/caf\xe9"],
        "outputs": ["o/"],
        "temps": ["t"],
        "network": ["a.org"],
        "timeout": 60.0,
        "limits": {"memory": 1024},
        "process": {
            "max_children": 2,
            "kill_on_parent_exit": True,
            "allow_userns": False,
            "allow_fork": True,
            "allow_exec": True,
        },
        "env": {"A": "b"},
        "toolchain": "system",
    }


def test_options_as_json(answer, root: Path) -> None:
    (root / "Builderfile").write_text(
        'target("a") { type: library; language: c; sources: ["a.c"]; flags: ["-O2"]; defines: { A: "1"; }'
        ' includes: ["include"]; linkFlags: ["-lm"]; linkage: shared; }',
        encoding="ascii",
    )
    (root / "a.c").touch()

    (target,) = json.loads(answer("targets --json a"))["targets"]

    assert target["outputs"] == ["bin/liba.so"]
    assert target["options"] == {
        "flags": ["-O2"],
        "includes": ["include"],
        "link_flags": ["-lm"],
        "defines": {"A": "1"},
        "linkage": "shared",
    }


def test_paths_as_json(answer) -> None:
    found = json.loads(answer("paths app //lib:base --json"))

    assert found["count"] == 2
    assert found["paths"][0] == ["//:app", "//lib:log", "//lib:base"]
    assert [target["label"] for target in found["targets"]] == ["//:app", "//lib:base", "//lib:log", "//lib:util"]


def test_graphviz(answer) -> None:
    assert answer("targets --graphviz app check //lib:log") == (
        "digraph bldr {\n"
        "    rankdir=LR;\n"
        '    node [fontname="sans-serif"];\n'
        '    "//:app" [shape=box];\n'
        '    "//:check" [shape=diamond];\n'
        '    "//lib:log" [shape=ellipse];\n'
        '    "//:app" -> "//lib:log";\n'
        '    "//:check" -> "//:app";\n'
        "}\n"
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("dpes app", "there is no question 'dpes'"),
        ("deps", "deps needs a target"),
        ("paths app", "paths needs two targets"),
        ("paths app //...", "paths needs one target at each end"),
        ("--json --graphviz", "two forms of one answer"),
        ("deps aap", "hint: did you mean //:app?"),
        ("deps :a/b", "is not a label"),
    ],
)
def test_a_question_that_cannot_be_understood(capfd: pytest.CaptureFixture[str], words: str, told: str) -> None:
    assert main(["query", *words.split()]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert told in err


def test_mistakes_are_shown_with_the_way_to_their_files(
    root: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "Builderfile").write_text("\n".join(f'target("t{n}") {{ tpye: x; }}' for n in range(15)), encoding="ascii")
    monkeypatch.chdir(root / "lib")

    assert main(["query"]) == 2
    err = capfd.readouterr().err
    assert err.startswith("bldr: ../Builderfile:1:8: the target 't0' has no type\n")
    assert "bldr:       |                ^^^^\nbldr: hint: did you mean type?\n" in err
    assert err.endswith("bldr: 10 more mistakes\n")


def test_more_paths_than_anybody_reads(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lines = ['target("a8") { type: custom; command: "x"; }']
    for n in range(8):
        lines.append(f'target("a{n}") {{ type: custom; command: "x"; deps: [":b{n}", ":c{n}"]; }}')
        lines += [f'target("{x}{n}") {{ type: custom; command: "x"; deps: [":a{n + 1}"]; }}' for x in "bc"]
    (root / "Builderfile").write_text("\n".join(lines), encoding="ascii")

    assert main(["query", "paths", "a0", "a8"]) == 0
    out, err = capfd.readouterr()
    assert (out.count("\n"), err) == (100, "bldr: 156 more paths\n")
