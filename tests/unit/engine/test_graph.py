"""Targets become actions in an order that fits their needs."""

from __future__ import annotations

import os

import pytest

from bldr.builderfile.label import Label
from bldr.builderfile.workspace import load, resolve
from bldr.engine.action import Action, intermediate
from bldr.engine.graph import Graph, graph_of
from bldr.errors import EngineError


def graph(folder: os.PathLike[str], text: str, *wanted: str, tests: bool = False) -> Graph:
    root = os.fspath(folder)
    with open(os.path.join(root, "Builderfile"), "w", encoding="utf-8") as file:
        file.write(text)
    workspace = load(root)
    labels = [Label.parse(name) for name in wanted] or list(workspace.targets)
    return graph_of(resolve(workspace, labels), labels, tests=tests)


def names(found: Graph) -> list[str]:
    return [str(action.target) for action in found.actions]


CHAIN = """
target("last") { type: custom; sources: ["b"]; deps: [":middle"]; command: "cp b c"; output: "c"; }
target("middle") { type: custom; sources: ["a"]; deps: [":first"]; command: "cp a b"; output: "b"; }
target("first") { type: custom; command: "echo > a"; output: "a"; }
target("other") { type: custom; command: "echo > d"; output: "d"; }
"""


def test_an_action_stands_behind_those_that_it_needs(tmp_path: os.PathLike[str]) -> None:
    found = graph(tmp_path, CHAIN, ":last")

    assert names(found) == ["//:first", "//:middle", "//:last"]
    assert found.needs == ((), (0,), (1,))
    assert found.urgency() == [3, 2, 1]


def test_a_command_sees_the_outputs_of_what_it_needs_and_not_what_these_were_made_from(
    tmp_path: os.PathLike[str],
) -> None:
    found = graph(tmp_path, CHAIN, ":last")

    assert [action.inputs for action in found.actions] == [(), ("a",), ("b",)]


def test_a_command_sees_what_libraries_that_it_needs_need_themselves(tmp_path: os.PathLike[str]) -> None:
    for name in ("low", "high"):
        with open(os.path.join(tmp_path, f"{name}.c"), "w", encoding="utf-8") as file:
            file.write(f"int {name};\n")
    found = graph(
        tmp_path,
        """
        target("made") { type: custom; command: "echo > made.h"; output: "made.h"; }
        target("low") { type: library; language: c; sources: ["low.c"]; deps: [":made"]; }
        target("high") { type: library; language: c; sources: ["high.c"]; deps: [":low"]; }
        target("use") { type: custom; deps: [":high"]; command: "ls > list"; output: "list"; }
        """,
        ":use",
    )

    assert set(found.actions[-1].inputs) == {"bin/libhigh.a", "bin/liblow.a", "made.h"}


def test_what_is_not_wanted_is_left_out(tmp_path: os.PathLike[str]) -> None:
    assert names(graph(tmp_path, CHAIN, ":other")) == ["//:other"]


def test_a_folder_that_is_an_input_waits_for_what_is_made_in_it(tmp_path: os.PathLike[str]) -> None:
    found = graph(
        tmp_path,
        """
        target("a") { type: custom; command: "echo > gen/a"; output: "gen/a"; }
        target("b") { type: custom; deps: [":a"]; command: "ls gen > b"; output: "b"; hermetic: { inputs: ["gen"]; } }
        """,
    )

    assert names(found) == ["//:a", "//:b"]
    assert found.needs == ((), (0,))


def test_a_file_in_a_folder_that_is_made_is_made_by_its_maker(tmp_path: os.PathLike[str]) -> None:
    found = graph(
        tmp_path,
        """
        target("b") { type: custom; deps: [":a"]; sources: ["gen/x"]; command: "cat gen/x > b"; output: "b"; }
        target("a") { type: custom; command: "echo > gen/x"; output: "gen/"; }
        """,
    )

    assert found.needs == ((), (0,))


def test_kept_folders_belong_to_the_action_and_may_stay_empty(tmp_path: os.PathLike[str]) -> None:
    found = graph(
        tmp_path,
        'target("a") { type: custom; command: "echo > a"; output: "a"; hermetic: { outputs: ["logs"]; } }',
    )

    assert found.actions[0].outputs == ("a", "logs/")
    assert found.optional == (("logs/",),)


def test_tests_are_run_only_where_that_is_wanted(tmp_path: os.PathLike[str]) -> None:
    text = 'target("t") { type: test; command: "true"; }'

    assert names(graph(tmp_path, text)) == []
    assert names(graph(tmp_path, text, tests=True)) == ["//:t"]


def test_a_long_chain_is_no_matter_of_the_stack(tmp_path: os.PathLike[str]) -> None:
    text = "".join(
        f'target("t{n}") {{ type: custom; command: "echo > o{n}"; output: "o{n}"; deps: [{(chr(34) + f":t{n - 1}" + chr(34)) if n else ""}]; }}\n'
        for n in range(1100)
    )

    assert len(graph(tmp_path, text, ":t1099").actions) == 1100


def test_intermediate_files_of_two_targets_never_meet() -> None:
    assert intermediate(Label("a", "b"), "c") != intermediate(Label("", "a"), "b/c")


def test_two_actions_that_make_one_path_are_a_fault(tmp_path: os.PathLike[str]) -> None:
    from bldr.engine import graph as module

    label = Label("", "x")
    actions = [Action(label, name, ("true",), outputs=("o",)) for name in ("one", "two")]

    with pytest.raises(EngineError) as error:
        module._ordered(actions, [(), ()], {})
    assert error.value.code == "engine.graph"
