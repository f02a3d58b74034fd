"""Syntax tree to targets: what the words mean. What is wrong is in tests/golden/test_diagnostics.py."""

from __future__ import annotations

import pytest

from bldr.builderfile.label import Label
from bldr.builderfile.lowering import SHELL, Declared, lower
from bldr.builderfile.parse import parse
from bldr.builderfile.schema import LANGUAGES, RESOURCES
from bldr.builderfile.source import Source
from bldr.builderfile.target import Hermetic, Options, Target
from bldr.errors import BuilderfileError
from bldr.model.environment import EnvSet
from bldr.model.limits import LIMITS, ResourceLimits
from bldr.model.network import NetworkPolicy
from bldr.model.process import ProcessPolicy


def lowered(text: str, folder: str = "") -> tuple[Declared, ...]:
    return lower(parse(Source("Builderfile", text)), folder)


def target(entries: str, folder: str = "") -> Target:
    (declared,) = lowered(f'target("a") {{ {entries} }}', folder)
    return declared.target


def hermetic(entries: str, folder: str = "") -> Hermetic:
    return target(f'type: library; sources: ["a.c"]; hermetic: {{ {entries} }}', folder).hermetic


def mistake(text: str) -> BuilderfileError:
    with pytest.raises(BuilderfileError) as caught:
        lowered(text)
    return caught.value


def test_every_key_of_a_target() -> None:
    assert target(
        'type: test; language: python; sources: ["t/*.py"]; headers: ["h/*.h"]; deps: [":b", "//lib:c"];'
        ' command: ["pytest", "-q"]; output: ["report.xml", "logs/"];'
    ) == Target(
        Label("", "a"),
        "test",
        "python",
        ("t/*.py",),
        ("h/*.h",),
        (Label("", "b"), Label("lib", "c")),
        ("pytest", "-q"),
        ("report.xml", "logs/"),
    )


def test_every_option() -> None:
    assert target(
        'type: library; sources: ["a.c"]; flags: ["-O2", "-O2"]; defines: { NDEBUG: ""; "A": "1 2"; };'
        ' includes: ["include", "//gen", "."]; linkFlags: ["-lm"]; linkage: shared;',
        "lib",
    ).options == Options(
        flags=("-O2", "-O2"),
        defines=(("NDEBUG", ""), ("A", "1 2")),
        includes=("lib/include", "gen", "lib"),
        link_flags=("-lm",),
        linkage="shared",
    )
    assert target('type: executable; sources: ["a.py"]; main: "a.b:run";').options.main == "a.b:run"
    assert target('type: test; sources: ["a.py"]; runner: pytest;').options.runner == "pytest"


def test_every_key_of_hermetic() -> None:
    assert hermetic(
        'enabled: true; inputs: ["/opt/tools", "data"]; outputs: ["dist/"]; temps: ["/tmp/build", "tmp"];'
        ' network: { enabled: true; allowHosts: ["github.com:443", "example.org"]; } memory: "4G"; timeout: "1h";'
        " resources: { cpuTime: 90; processes: 8; }"
        " process: { maxChildren: 3; killOnParentExit: false; allowUserns: true; allowFork: false; allowExec: false; }"
        ' env: { "LANG": "C.UTF-8", CC: "gcc" }; toolchain: none;'
    ) == Hermetic(
        enabled=True,
        inputs=("/opt/tools", "data"),
        outputs=("dist/",),
        temps=("/tmp/build", "tmp"),
        network=NetworkPolicy.allow_hosts(["github.com:443", "example.org"]),
        timeout=3600.0,
        limits=ResourceLimits(memory="4G", cpu_time=90, processes=8),
        process=ProcessPolicy(3, kill_on_parent_exit=False, allow_userns=True, allow_fork=False, allow_exec=False),
        env=EnvSet({"LANG": "C.UTF-8", "CC": "gcc"}),
        toolchain="none",
    )


def test_what_is_not_said_has_its_default() -> None:
    assert hermetic("") == Hermetic()
    assert target('type: library; sources: ["a.c"];') == Target(Label("", "a"), "library", sources=("a.c",))


@pytest.mark.parametrize(
    "network",
    ["network: false;", "network: { enabled: false; }", 'network: { enabled: false; allowHosts: ["a.org"]; }'],
)
def test_a_network_that_is_off_reaches_nothing(network: str) -> None:
    assert hermetic(network).network.is_hermetic


def test_naming_hosts_opens_the_network_to_them() -> None:
    assert not hermetic('network: { allowHosts: ["a.org"]; }').network.is_hermetic


def test_every_limit_of_the_model_is_a_resource() -> None:
    assert set(RESOURCES.values()) == set(LIMITS)
    assert hermetic("resources: { fileSize: 1K; openFiles: 4; cpus: 0.5; networkIo: 0; }").limits == ResourceLimits(
        file_size=1024, open_files=4, cpus=0.5, network_io=0
    )


def test_only_what_is_set_is_asked_for() -> None:
    assert hermetic("memory: 1G;").limits.explicit == {"memory"}


def test_one_text_is_a_line_for_the_shell_that_ends_at_the_first_failure() -> None:
    assert target('type: custom; command: "false; true";').command == (*SHELL, "false; true")
    assert "-e" in SHELL


def test_an_output_may_be_one_text() -> None:
    assert target('type: custom; command: "x"; output: "gen/x.h";').output == ("gen/x.h",)


def test_paths_are_relative_to_the_folder_or_to_the_workspace() -> None:
    found = target(
        'type: library; sources: ["a.c", "./b.c", "../c.c", "../../d.c", "//e.c", "!f.c", "!//g.c"]; output: "//bin/x/";',
        "lib/deep",
    )

    assert found.sources == ("lib/deep/a.c", "lib/deep/b.c", "lib/c.c", "d.c", "e.c", "!lib/deep/f.c", "!g.c")
    assert found.output == ("bin/x/",)
    assert found.label == Label("lib/deep", "a")


def test_inputs_may_be_paths_of_the_host() -> None:
    assert hermetic('inputs: ["/opt//tools/", "data", "//", "//share/x"];', "lib").inputs == (
        "/opt/tools", "lib/data", ".", "share/x",
    )  # fmt: skip


def test_a_test_needs_sources_or_a_command() -> None:
    assert target('type: test; command: "./check";').sources == ()
    assert target('type: test; sources: ["t.c"];').command == ()
    assert mistake('target("a") { type: test; }').code == "builderfile.key-missing"


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_is_known(language: str) -> None:
    assert target(f'type: library; sources: ["a"]; language: {language};').language == language


def test_all_mistakes_of_a_file_are_told_in_the_order_of_their_places() -> None:
    error = mistake('target("a") { tpye: library; }\ntarget("b") { type: libary; sources: ["../x"]; }')
    places = [(one.line, one.column, one.code) for one in (error, *error.also)]

    assert places == [
        (1, 8, "builderfile.key-missing"),
        (1, 15, "builderfile.key-unknown"),
        (2, 21, "builderfile.type-unknown"),
        (2, 39, "builderfile.path-escapes"),
    ]


def test_where_each_part_stands_is_known() -> None:
    text = 'target("a") { type: library; sources: ["a.c", "b.c"]; }'
    (declared,) = lowered(text)
    spans = [declared.name, declared.spans["type"], *declared.items["sources"]]

    assert [text[span.start : span.end] for span in spans] == ['"a"', "library", '"a.c"', '"b.c"']
    assert declared.place == "Builderfile:1"
