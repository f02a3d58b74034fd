"""From options and settings to a spec."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bldr.cli.options import UsageError, parse
from bldr.cli.request import Request, request, split_mapping
from bldr.cli.settings import Settings
from bldr.cli.verbs_of_runs import RUN
from bldr.errors import OverlappingPathsError, SpecError
from bldr.model.limits import ResourceLimits
from bldr.model.process import ProcessPolicy
from bldr.model.spec import Access


def asked(*arguments: str, cwd: str = "/", settings: Settings | None = None, **environment: str) -> Request:
    parsed = parse(RUN, ["--toolchain", "none", *arguments])
    return request(parsed, settings or Settings(), cwd, environment)


def refused(*arguments: str, cwd: str = "/") -> tuple[str, str]:
    with pytest.raises(UsageError) as caught:
        asked(*arguments, cwd=cwd)
    return caught.value.message, caught.value.hint


@pytest.mark.parametrize(
    ("text", "host", "at"),
    [
        ("src", "src", None),
        ("/a/b", "/a/b", None),
        ("/a:/b", "/a", "/b"),
        ("/a:/b:/c", "/a:/b", "/c"),
        ("a:b", "a:b", None),
        ("C:x:/in", "C:x", "/in"),
        ("/a\\:/b", "/a:/b", None),
        ("/a\\:/b:/c", "/a:/b", "/c"),
        ("/a:/b\\:/c", "/a", "/b:/c"),
        ("a\\b", "a\\b", None),
        ("a\\\\:/b", "a\\", "/b"),
        ("a:", "a:", None),
        ("a\\", "a\\", None),
    ],
)
def test_a_mapping_splits_at_the_last_colon_before_a_slash(text: str, host: str, at: str | None) -> None:
    assert split_mapping(text) == (host, at)


@given(st.text(alphabet="a:/\\ ", min_size=1), st.none() | st.text(alphabet="a:/\\ ").map("/".__add__))
def test_every_pair_of_paths_can_be_written(host: str, at: str | None) -> None:
    """Escaping backslashes and colons is always enough."""

    def escaped(text: str) -> str:
        return text.replace("\\", "\\\\").replace(":", "\\:")

    assert split_mapping(escaped(host) + ("" if at is None else ":" + escaped(at))) == (host, at)


def test_the_defaults_are_a_private_tmp_a_small_environment_and_no_network() -> None:
    spec = asked().spec

    assert spec.access("/tmp/x") == Access.WRITE
    assert spec.environment["HOME"] == "/tmp"
    assert spec.network.is_hermetic
    assert spec.limits.explicit == frozenset()
    assert (spec.hostname, spec.uid) == ("bldr", 0)


def test_relative_paths_are_relative_to_the_callers_directory() -> None:
    spec = asked("-i", "src", "-i", ".", "-o", "../out", "-t", "scratch", cwd="/home/me/project").spec

    assert spec.access("/home/me/project/src") == Access.READ
    assert spec.access("/home/me/out") == Access.WRITE
    assert spec.access("/home/me/project/scratch") == Access.WRITE
    assert spec.host_path("/home/me/project/scratch") == ""


def test_an_output_inside_an_input_carves_it() -> None:
    spec = asked("-i", ".", "-o", "build", cwd="/w").spec

    assert (spec.access("/w/build/x"), spec.access("/w/x")) == (Access.WRITE, Access.READ)


def test_an_input_inside_an_output_is_an_error() -> None:
    with pytest.raises(OverlappingPathsError):
        asked("-i", "/w/out/src", "-o", "/w/out")


def test_parents_behind_a_link_are_those_of_its_target(tmp_path: Path) -> None:
    """The kernel resolves ``link/..`` to the parent of the target, and so do we."""
    (tmp_path / "far" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to("far/deep")
    here = os.path.realpath(tmp_path)

    spec = asked("-i", "link/../x", "-i", "far/../y", cwd=here).spec

    assert spec.access(f"{here}/far/x") == Access.READ
    assert spec.access(f"{here}/y") == Access.READ


def test_an_input_can_be_shown_elsewhere() -> None:
    spec = asked("-i", "/host/src:/src").spec

    assert spec.host_path("/src/main.c") == "/host/src/main.c"
    assert spec.access("/host/src") == Access.NONE


def test_a_relative_path_without_a_directory_is_refused() -> None:
    assert refused("-i", "src", cwd="") == (
        "-i src: the path is relative, and the current directory was deleted",
        "cd to a directory that exists",
    )


@pytest.mark.parametrize("arguments", [("-i", ""), ("-i", ":/x"), ("-o", ""), ("-t", ""), ("--cwd", "")])
def test_an_empty_path_is_refused(arguments: tuple[str, ...]) -> None:
    assert "the path is empty" in refused(*arguments)[0]


def test_variables_are_set_or_passed_through() -> None:
    spec = asked("-e", "A=1=2", "-e", "B", "-e", "LANG=C", "-e", "EMPTY=", B="from caller", C="not passed").spec

    assert dict(spec.environment.items()) == {
        "A": "1=2",
        "B": "from caller",
        "EMPTY": "",
        "HOME": "/tmp",
        "LANG": "C",
        "PATH": "/usr/bin:/bin",
        "TMPDIR": "/tmp",
        "TZ": "UTC",
    }


def test_home_is_a_temp_even_when_the_whole_host_is_an_input() -> None:
    spec = asked("-i", "/", "-o", "/w/out").spec

    assert spec.environment["HOME"] == spec.environment["TMPDIR"]
    assert spec.environment["HOME"] in spec.temps
    assert spec.access("/tmp/x") == Access.READ
    assert asked("-i", "/", "-e", "HOME=/tmp").spec.environment["HOME"] == "/tmp"


def test_a_variable_that_the_caller_lacks_cannot_be_passed_through() -> None:
    assert refused("-e", "MISSING") == (
        "-e MISSING: the caller has no variable 'MISSING' to pass through",
        "give it a value: -e MISSING=VALUE",
    )


def test_a_variable_without_a_name_is_refused_by_the_spec() -> None:
    with pytest.raises(SpecError):
        asked("-e", "=x")


def test_flags_win_over_settings_and_settings_over_defaults() -> None:
    settings = Settings(limits=ResourceLimits(memory="1G", cpu_time="60s"), hosts=("a.example",))

    limits = asked("--memory", "2G", settings=settings).spec.limits

    assert (limits.memory, limits.cpu_time, limits.processes) == (2 << 30, 60.0, 128)
    assert limits.explicit == {"memory", "cpu_time"}
    assert [str(one) for one in asked(settings=settings).spec.network.endpoints] == ["a.example"]
    assert [str(one) for one in asked("--allow-host", "b.example:443", settings=settings).spec.network.endpoints] == [
        "b.example:443"
    ]


def test_every_limit_has_an_option() -> None:
    limits = asked("--cpu-time", "90s", "--processes", "9", "--file-size", "1M", "--open-files", "99").spec.limits

    assert (limits.cpu_time, limits.processes, limits.file_size, limits.open_files) == (90.0, 9, 1 << 20, 99)
    assert asked("--timeout", "1.5s").timeout == 1.5
    assert asked("--tmp-size", "1G").spec.limits.tmp_size == 1 << 30


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--memory", "4GB"), "--memory '4GB' is not a size"),
        (("--timeout", "soon"), "--timeout 'soon' is not a duration"),
        (("--timeout", "0"), "--timeout '0' is too short"),
        (("--processes", "many"), "--processes 'many' is not a whole number"),
        (("--open-files", "0"), "--open-files '0' is out of range"),
        (("--tmp-size", "0"), "--tmp-size '0' is too small"),
        (("--uid", "root"), "--uid 'root' is not a numeric user id"),
        (("--uid", "4294967295"), "--uid '4294967295' is not a numeric user id"),
    ],
)
def test_a_number_that_cannot_be_read_names_its_option(arguments: tuple[str, ...], said: str) -> None:
    assert refused(*arguments)[0].startswith(said)


def test_identity_and_guarantees_are_passed_on() -> None:
    spec = asked(
        "--hostname=box", "--uid=1000", "--allow-userns", "--require=no-network=network-namespace", "--require",
        "reads-confined", "--allow-degraded", "syscalls-filtered, ipc-isolated",
    ).spec  # fmt: skip

    assert (spec.hostname, spec.uid, spec.process.allow_userns) == ("box", 1000, True)
    assert spec.require == (("no-network", "network-namespace"), ("reads-confined", ""))
    assert spec.allow_degraded == {"syscalls-filtered", "ipc-isolated"}


def test_the_callers_directory_is_kept_where_the_sandbox_shows_it(tmp_path: Path) -> None:
    here = os.path.realpath(tmp_path)
    (tmp_path / "sub").mkdir()

    assert asked("-i", ".", cwd=here).cwd == here
    assert asked("-o", ".", cwd=here).cwd == here
    assert asked("-i", "..", cwd=f"{here}/sub").cwd == f"{here}/sub"
    assert asked(cwd="/nowhere/here").cwd == "/"
    assert asked(cwd="").cwd == "/"


def test_a_directory_below_a_temp_is_not_there_but_the_temp_is() -> None:
    assert asked(cwd="/tmp").cwd == "/tmp"
    assert asked(cwd="/tmp/project").cwd == "/"
    assert asked("-i", "/tmp/project/src", cwd="/tmp/project").cwd == "/tmp/project"


def test_a_directory_that_a_mapping_does_not_have_is_not_there(tmp_path: Path) -> None:
    here = os.path.realpath(tmp_path)

    assert asked("-i", f"{here}:/shown", cwd="/shown/absent").cwd == "/"


def test_a_directory_can_be_asked_for_also_relatively() -> None:
    assert asked("--cwd", "/src").cwd == "/src"
    assert asked("--cwd", "sub", cwd="/w").cwd == "/w/sub"


def test_a_flag_wins_over_a_setting_for_processes_and_programs() -> None:
    strict = Settings(fork=False, exec=False)

    assert asked().spec.process == ProcessPolicy.hermetic()
    assert asked("--fork", "false").spec.process == ProcessPolicy(allow_fork=False)
    assert asked("--exec", "no").spec.process == ProcessPolicy(allow_exec=False)
    assert asked(settings=strict).spec.process == ProcessPolicy(allow_fork=False, allow_exec=False)
    assert asked("--fork", "true", settings=strict).spec.process == ProcessPolicy(allow_exec=False)
    assert refused("--fork", "never")[0] == "--fork: 'never' is neither true nor false"


def test_that_a_sandbox_outlives_bldr_can_be_asked_for() -> None:
    lasting = Settings(kill_on_parent_exit=False)

    assert asked("--kill-on-parent-exit", "no").spec.process == ProcessPolicy(kill_on_parent_exit=False)
    assert asked(settings=lasting).spec.process == ProcessPolicy(kill_on_parent_exit=False)
    assert asked("--kill-on-parent-exit", "yes", settings=lasting).spec.process == ProcessPolicy.hermetic()
