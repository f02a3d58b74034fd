"""What ``bldr run`` says when real tools fail in a sandbox, and what ``bldr explain`` tells afterwards."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.capabilities import other_device

pytestmark = pytest.mark.needs("user-namespaces")

Run = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def place(host_dir: Path) -> Path:
    """A project, an output, and things beside it that are not declared."""
    for name in ("src", "out", "hidden", "state", "home"):
        (host_dir / name).mkdir()
    (host_dir / "hidden" / "data.txt").write_text("data\n", "ascii")
    return host_dir


@pytest.fixture
def environment(place: Path) -> dict[str, str]:
    return {
        "PATH": f"{place}/hidden:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(place / "home"),
        "XDG_STATE_HOME": str(place / "state"),
        "LANG": "C.UTF-8",
    }


@pytest.fixture
def fail(bldr: Callable[..., subprocess.CompletedProcess[bytes]], place: Path, environment: dict[str, str]) -> Run:
    """Run a command that fails in the project; returns its status, and what bldr said with the place written as @."""

    def run(*words: str, options: tuple[str, ...] = ()) -> tuple[int, list[str]]:
        arguments = ["run", "-i", place / "src", "-o", place / "out", *options, "--", *words]
        done = bldr(*arguments, cwd=place / "src", env=environment)
        said = [line for line in done.stderr.decode().split("\n") if line.startswith("bldr: ")]
        return done.returncode, [line.removeprefix("bldr: ").replace(str(place), "@") for line in said]

    return run


NOT_SHOWN = "is on the host, and the sandbox does not show it: it was not declared"


@pytest.mark.needs("c-compiler")
def test_gcc_misses_a_header(fail: Run, place: Path) -> None:
    (place / "src" / "main.c").write_text('#include "foo.h"\n', "ascii")
    (place / "hidden" / "foo.h").write_text("", "ascii")

    status, said = fail("cc", f"-I{place}/hidden", "-c", "main.c", "-o", f"{place}/out/main.o")

    assert status == 1
    assert said == [f"likely cause: @/hidden/foo.h {NOT_SHOWN}", "hint: to allow it: -i @/hidden/foo.h"]


def test_a_shell_misses_a_tool(fail: Run, place: Path) -> None:
    tool = place / "hidden" / "mytool"
    tool.write_text("#!/bin/sh\n", "ascii")
    tool.chmod(0o755)

    status, said = fail("sh", "-c", "mytool")

    assert status == 127
    assert said[0] == f"likely cause: @/hidden/mytool {NOT_SHOWN}"
    assert said[1].startswith("hint: to allow it: -i @/hidden/mytool -e PATH=")
    assert said[1].endswith(":@/hidden")
    status, said = fail("mytool")
    assert status == 127
    assert said[0] == "the command 'mytool' is not in the sandbox"
    assert said[1].startswith(f"hint: @/hidden/mytool {NOT_SHOWN}: -i @/hidden/mytool -e PATH=")


@pytest.mark.needs("c-compiler")
def test_a_program_misses_a_shared_library(fail: Run, place: Path, environment: dict[str, str]) -> None:
    (place / "lib.c").write_text("int answer(void) { return 42; }\n", "ascii")
    (place / "use.c").write_text("int answer(void); int main(void) { return answer() != 42; }\n", "ascii")
    library = place / "hidden" / "libanswer.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, place / "lib.c"], check=True)
    subprocess.run(["cc", "-o", place / "src" / "use", place / "use.c", f"-L{place}/hidden", "-lanswer"], check=True)
    environment["LD_LIBRARY_PATH"] = str(place / "hidden")

    status, said = fail("./use")

    assert status == 127
    assert said == [f"likely cause: @/hidden/libanswer.so {NOT_SHOWN}", "hint: to allow it: -i @/hidden/libanswer.so"]


def test_an_input_is_written_to(fail: Run) -> None:
    status, said = fail("touch", "file")

    assert status == 1
    assert said == [
        "likely cause: @/src/file cannot be written: it is in an input, and inputs are read-only",
        "hint: to allow it: -o @/src or --overlay @/src",
    ]


def test_something_else_is_written_to(fail: Run, place: Path) -> None:
    status, said = fail("sh", "-c", f"echo x > {place}/hidden/new")

    assert status == 2
    assert said == [
        "likely cause: @/hidden/new cannot be written: it is in no output and no temp",
        "hint: to allow it: -o @/hidden",
    ]


def test_the_system_is_written_to(fail: Run) -> None:
    _, said = fail("sh", "-c", "echo x > /usr/share/x")

    assert said[1].startswith("hint: beware: it belongs to the system")


@pytest.mark.parametrize(
    ("url", "endpoint"), [("https://git.example/x", "git.example:443"), ("git://git.example/x", "git.example:9418")]
)
def test_git_cannot_resolve_a_name(fail: Run, url: str, endpoint: str) -> None:
    status, said = fail("git", "ls-remote", url)

    assert status == 128
    assert said == [
        "likely cause: git.example cannot be reached: there is no network in the sandbox",
        f"hint: to allow it: --allow-host {endpoint}",
    ]


@pytest.mark.needs("system-python")
def test_python_cannot_connect(fail: Run) -> None:
    code = "import urllib.request; urllib.request.urlopen('http://192.0.2.1/')"

    status, said = fail("/usr/bin/python3", "-c", code)

    assert status == 1
    assert said[0] == "likely cause: 192.0.2.1 cannot be reached: there is no network in the sandbox"


@pytest.mark.needs("system-python")
def test_python_misses_a_file_and_a_variable(fail: Run, place: Path, environment: dict[str, str]) -> None:
    status, said = fail("/usr/bin/python3", "-c", f"open('{place}/hidden/data.txt')")

    assert (status, said[0]) == (1, f"likely cause: @/hidden/data.txt {NOT_SHOWN}")
    environment["MY_TOKEN"] = "secret"
    status, said = fail("/usr/bin/python3", "-c", "import os; os.environ['MY_TOKEN']")
    assert said == [
        "likely cause: perhaps the variable MY_TOKEN was missed: the caller has it, and it was not passed on",
        "hint: to allow it: -e MY_TOKEN",
    ]


@pytest.mark.needs("system-node", "system-npm")
def test_npm_misses_a_file(fail: Run, place: Path) -> None:
    script = {"name": "x", "version": "1.0.0", "scripts": {"build": f"cat {place}/hidden/data.txt"}}
    (place / "src" / "package.json").write_text(json.dumps(script), "ascii")

    status, said = fail("/usr/bin/npm", "run", "build", options=("-e", f"HOME={place}/out"))

    assert status != 0
    assert said == [f"likely cause: @/hidden/data.txt {NOT_SHOWN}", "hint: to allow it: -i @/hidden/data.txt"]


@pytest.mark.needs("java")
def test_javac_misses_a_source(fail: Run, place: Path) -> None:
    (place / "src" / "A.java").write_text("class A { B b; }\n", "ascii")
    (place / "hidden" / "B.java").write_text("class B {}\n", "ascii")

    status, said = fail("javac", "-d", f"{place}/out", "A.java", "../hidden/B.java")

    assert status == 2
    assert said == [f"likely cause: @/hidden/B.java {NOT_SHOWN}", "hint: to allow it: -i @/hidden/B.java"]


@pytest.mark.needs("pkg-config")
def test_pkg_config_misses_a_package(fail: Run, place: Path, environment: dict[str, str]) -> None:
    (place / "hidden" / "foo.pc").write_text("Name: foo\nDescription: foo\nVersion: 1\n", "ascii")
    environment["PKG_CONFIG_PATH"] = str(place / "hidden")

    status, said = fail("pkg-config", "--cflags", "foo")

    assert status == 1
    assert said[:2] == [f"likely cause: @/hidden/foo.pc {NOT_SHOWN}", "hint: to allow it: -i @/hidden/foo.pc"]


@pytest.mark.needs("cmake")
def test_cmake_misses_a_file(fail: Run, place: Path) -> None:
    (place / "src" / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.10)\nproject(x NONE)\ninclude(../hidden/x.cmake)\n"
    )
    (place / "hidden" / "x.cmake").write_text("", "ascii")

    status, said = fail("cmake", "-S", ".", "-B", "../out/build")

    assert status == 1
    assert said == [f"likely cause: @/hidden/x.cmake {NOT_SHOWN}", "hint: to allow it: -i @/hidden/x.cmake"]


@pytest.mark.needs("cmake")
def test_cmake_misses_a_package(fail: Run, place: Path, environment: dict[str, str]) -> None:
    (place / "src" / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.10)\nproject(x NONE)\nfind_package(Foo REQUIRED)\n"
    )
    (place / "hidden" / "FooConfig.cmake").write_text("", "ascii")
    environment["CMAKE_PREFIX_PATH"] = str(place / "hidden")

    status, said = fail("cmake", "-S", ".", "-B", "../out/build")

    assert status == 1
    assert said[:2] == [
        f"likely cause: @/hidden/FooConfig.cmake {NOT_SHOWN}",
        "hint: to allow it: -i @/hidden/FooConfig.cmake -e CMAKE_PREFIX_PATH",
    ]


@pytest.mark.needs("rust")
def test_cargo_misses_a_dependency_and_writes_to_an_input(fail: Run, place: Path) -> None:
    root = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, check=True, text=True).stdout.strip()
    tools = ("-i", root, "-e", "CARGO_HOME=/tmp", "-e", f"RUSTC={root}/bin/rustc")
    package = '[package]\nname = "{}"\nversion = "0.1.0"\n'
    for name, directory in (("x", place / "src"), ("dep", place / "hidden" / "dep")):
        (directory / "src").mkdir(parents=True)
        (directory / "src" / "lib.rs").write_text("", "ascii")
        (directory / "Cargo.toml").write_text(package.format(name), "ascii")
    build = (f"{root}/bin/cargo", "build", "--offline", "--target-dir", "../out")

    status, said = fail(*build, options=tools)

    assert status == 101
    assert said[0] == "likely cause: @/src/Cargo.lock cannot be written: it is in an input, and inputs are read-only"
    assert said[1] == "hint: to allow it: -o @/src or --overlay @/src"
    with (place / "src" / "Cargo.toml").open("a") as file:
        file.write(f'[dependencies]\ndep = {{ path = "{place}/hidden/dep" }}\n')
    status, said = fail(*build, options=tools)
    assert status == 101
    assert said[:2] == [
        f"likely cause: @/hidden/dep/Cargo.toml {NOT_SHOWN}",
        "hint: to allow it: -i @/hidden/dep/Cargo.toml",
    ]


@pytest.mark.needs("system-mount")
def test_a_program_with_the_set_id_bit_cannot_work(fail: Run) -> None:
    _, said = fail("mount", "-t", "tmpfs", "none", "/tmp")

    assert said == [
        "likely cause: mount needs the rights of another user, and nothing in a sandbox can gain rights (no_new_privs)"
    ]


@pytest.mark.needs("other-device")
def test_a_device_is_missing(fail: Run) -> None:
    device = other_device()

    _, said = fail("cat", device)

    assert said == [f"likely cause: {device} {NOT_SHOWN}", f"hint: to allow it: -i {device}"]


def test_a_secret_is_warned_about(fail: Run, place: Path) -> None:
    (place / "home" / ".ssh").mkdir()
    (place / "home" / ".ssh" / "id_ed25519").write_text("key\n", "ascii")

    _, said = fail("cat", f"{place}/home/.ssh/id_ed25519")

    assert said[2] == "hint: beware: it looks like a secret: whatever the command runs could read it"


@pytest.mark.needs("system-python")
def test_limits_are_told_with_their_option(fail: Run) -> None:
    status, said = fail("sleep", "60", options=("--timeout", "1"))

    assert (status, said) == (124, ["timed out after 1 s"])
    status, said = fail("/usr/bin/python3", "-c", "x = bytearray(10**9); input()", options=("--memory", "100M"))
    assert (status, said[-1]) == (124, "hint: to allow it: --memory MORE")


@pytest.mark.parametrize("options", [("-q",), ("--trace", "off")])
def test_who_does_not_want_to_know_is_not_told(fail: Run, place: Path, options: tuple[str, ...]) -> None:
    _, said = fail("cat", f"{place}/hidden/data.txt", options=options)

    assert said == []


def test_a_failure_of_another_kind_is_not_explained(fail: Run) -> None:
    assert fail("false") == (1, [])


def test_who_succeeds_is_not_explained(fail: Run, place: Path) -> None:
    status, said = fail("sh", "-c", f"cat {place}/hidden/data.txt; true")

    assert (status, said) == (0, [])
    assert not (place / "state" / "bldr").exists()


def test_a_trace_finds_what_no_message_says(
    fail: Run,
    place: Path,
    environment: dict[str, str],
    bldr: Callable[..., subprocess.CompletedProcess[bytes]],
) -> None:
    status, said = fail("sh", "-c", f"test -e {place}/hidden/data.txt", options=("--explain-on-failure",))

    assert status == 1
    assert said == [
        "it failed; running it once more, traced, to find out why",
        f"likely cause: @/hidden/data.txt {NOT_SHOWN}",
        "hint: to allow it: -i @/hidden/data.txt",
    ]
    told = bldr("explain", env=environment)
    text = told.stdout.decode().replace(str(place), "@")
    assert told.returncode == 0
    assert f"1. @/hidden/data.txt {NOT_SHOWN} (traced)" in text
    assert "   what the command saw: No such file or directory" in text
    assert "   who: sh -c" in text
    assert "   nearest declared path: @/" in text
    assert "   in Python: .input('@/hidden/data.txt')" in text
    assert '   in a Builderfile: hermetic: { inputs: ["@/hidden/data.txt"]; }' in text
    assert "Declared and not used: @/src" in text
    document = json.loads(bldr("explain", "--json", env=environment).stdout)
    assert document["causes"][0]["subject"] == f"{place}/hidden/data.txt"


def test_explain_without_a_failed_run(
    bldr: Callable[..., subprocess.CompletedProcess[bytes]], environment: dict[str, str]
) -> None:
    told = bldr("explain", env=environment)

    assert (told.returncode, told.stdout) == (1, b"")
    assert b"there is no record of a failed run" in told.stderr


def test_both_streams_of_a_command_keep_their_order(
    bldr_argv: list[str], place: Path, environment: dict[str, str]
) -> None:
    script = "for i in 1 2 3 4 5; do echo out $i; echo err $i >&2; done; exit 3"

    done = subprocess.run(
        [*bldr_argv, "run", "--", "sh", "-c", script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd="/",
        check=False,
    )

    assert done.returncode == 3
    expected = [line for number in range(1, 6) for line in (f"out {number}", f"err {number}")]
    assert done.stdout.decode().splitlines()[:10] == expected
