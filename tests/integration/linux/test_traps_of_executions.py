"""Traps that other projects met, by their numbers; those that are attempts to escape are in tests/escape."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from bldr import HermeticExecutor, SandboxSpecBuilder
from bldr.errors import InvalidCommandError, SandboxSetupError

pytestmark = pytest.mark.needs("user-namespaces", "system-python")


def builder() -> SandboxSpecBuilder:
    return SandboxSpecBuilder.create().with_toolchain("system").default_temp("/tmp").env("PATH", "/usr/bin:/bin")


@pytest.fixture(scope="module")
def executor() -> HermeticExecutor:
    return HermeticExecutor.create(builder().build())


def output_of(executor: HermeticExecutor, *argv: str) -> str:
    return executor.execute(argv).check().stdout.decode()


def sh(executor: HermeticExecutor, script: str, *words: str) -> str:
    return output_of(executor, "sh", "-c", script, "sh", *words)


def test_trap_8_an_output_in_an_input_and_an_input_in_that_are_each_what_they_are(host_dir: Path) -> None:
    output = host_dir / "in" / "out"
    output.mkdir(parents=True)
    spec = builder().input(host_dir / "in").output(output).carve().build()
    said = sh(
        HermeticExecutor.create(spec),
        'for d in "$1" "$2"; do touch "$d/new" 2>/dev/null && echo written || echo refused; done',
        str(host_dir / "in"),
        str(output),
    )

    assert said.split() == ["refused", "written"]


def test_trap_9_each_hop_of_a_declared_link_is_visible_and_stays_a_link(host_dir: Path) -> None:
    (host_dir / "target").write_text("found", "utf-8")
    (host_dir / "second").symlink_to("target")
    (host_dir / "first").symlink_to(host_dir / "second")
    executor = HermeticExecutor.create(builder().input(host_dir / "first").build())

    assert sh(executor, 'cat "$1"', str(host_dir / "first")) == "found"
    assert sh(executor, 'readlink "$1" "$2"', str(host_dir / "first"), str(host_dir / "second")).split() == [
        str(host_dir / "second"),
        "target",
    ]


def test_trap_10_tools_that_write_beside_and_rename_work_in_an_output(host_dir: Path) -> None:
    """Trap 48, too: before its second version Landlock refused every rename between directories."""
    executor = HermeticExecutor.create(builder().output(host_dir).build())
    sh(executor, 'cd "$1"; mkdir a b; echo new > a/.tmp; mv a/.tmp b/result; ln b/result a/hard', str(host_dir))

    assert (host_dir / "b" / "result").read_text("utf-8") == "new\n"
    assert (host_dir / "a" / "hard").samefile(host_dir / "b" / "result")


def test_trap_10_the_place_of_an_output_cannot_be_removed_or_renamed(host_dir: Path) -> None:
    executor = HermeticExecutor.create(builder().output(host_dir).build())
    result = executor.execute(["rmdir", str(host_dir)])

    assert result.exit_code == 1
    assert host_dir.is_dir()


def test_traps_13_and_17_system_files_are_made_for_the_sandbox(executor: HermeticExecutor) -> None:
    assert sh(executor, "ls /sys 2>&1; ls /sys/fs/cgroup 2>&1; true").count("No such file") == 2
    assert sh(executor, "cat /etc/resolv.conf; readlink /etc/localtime; cat /etc/hostname") == "bldr\n"


def test_trap_22_the_host_name_can_be_looked_up(executor: HermeticExecutor) -> None:
    lookup = "import socket; print(socket.gethostname(), socket.gethostbyname(socket.gethostname()))"

    assert output_of(executor, "python3", "-c", lookup) == "bldr 127.0.0.1\n"


def test_trap_24_init_is_not_ended_by_its_children_and_reaps_strangers(executor: HermeticExecutor) -> None:
    script = """
        for signal in TERM INT HUP STOP KILL; do kill -$signal 1; done
        (sleep 0 & exec true)
        sh -c 'true & exec true'
        while grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null; do :; done
        exit 7
    """

    assert executor.execute(["sh", "-c", script]).exit_code == 7


def test_trap_24_the_status_is_that_of_the_command_and_not_of_the_last_process(executor: HermeticExecutor) -> None:
    assert executor.execute(["sh", "-c", "(exit 3) & wait; exit 5"]).exit_code == 5


def test_trap_25_failures_of_set_up_and_of_the_command_are_told_apart(executor: HermeticExecutor) -> None:
    with pytest.raises(InvalidCommandError) as absent:
        executor.execute(["no-such-program"])

    assert absent.value.code == "spec.command-not-found"
    assert [executor.execute(["sh", "-c", f"exit {status}"]).exit_code for status in (125, 126, 127)] == [125, 126, 127]
    assert not issubclass(InvalidCommandError, SandboxSetupError)


def test_trap_27_a_pipe_whose_reader_has_gone_ends_the_writer(executor: HermeticExecutor) -> None:
    assert sh(executor, "(yes; echo $? >&2) | head -1") == "y\n"


def test_trap_35_a_program_that_was_just_written_can_be_executed(executor: HermeticExecutor) -> None:
    script = """
import os, shutil, subprocess, threading
failures = []
def write_and_run(number):
    for turn in range(10):
        path = f"/tmp/program-{number}-{turn}"
        shutil.copy("/bin/true", path)
        os.chmod(path, 0o755)
        failures.append(subprocess.call([path]))
threads = [threading.Thread(target=write_and_run, args=[number]) for number in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(sum(failures), len(failures))
"""

    assert output_of(executor, "python3", "-c", script) == "0 40\n"


def test_trap_37_names_and_arguments_that_are_no_text_arrive_as_they_are(host_dir: Path) -> None:
    name = os.fsdecode(b"not \xff text")
    (host_dir / name).write_bytes(b"found")
    executor = HermeticExecutor.create(builder().input(host_dir / name).env("NAME", name).build())

    assert executor.execute(["cat", str(host_dir / name)]).stdout == b"found"
    assert executor.execute(["printenv", "NAME"]).stdout == b"not \xff text\n"
    assert executor.execute(["printf", "%s", name]).stdout == b"not \xff text"


def test_trap_40_programs_are_looked_up_in_the_path_of_the_sandbox(host_dir: Path, monkeypatch) -> None:
    shutil.copy("/bin/true", host_dir / "my-program")
    monkeypatch.setenv("PATH", f"{host_dir}:{os.environ['PATH']}")
    hidden = HermeticExecutor.create(builder().build())
    shown = HermeticExecutor.create(builder().input(host_dir).env("PATH", str(host_dir)).build())

    assert shutil.which("my-program") == str(host_dir / "my-program")
    with pytest.raises(InvalidCommandError):
        hidden.execute(["my-program"])
    assert shown.execute(["my-program"]).exit_code == 0


def test_trap_50_localhost_is_up_in_both_families(executor: HermeticExecutor) -> None:
    talk = """
import socket
for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"), (socket.AF_INET, "localhost")):
    server = socket.create_server((host, 0), family=family)
    socket.create_connection(server.getsockname()[:2], 5).close()
    print(host)
"""

    assert output_of(executor, "python3", "-c", talk).split() == ["127.0.0.1", "::1", "localhost"]


def test_trap_62_temps_go_where_tmpdir_says(host_dir: Path, bldr, monkeypatch) -> None:
    done = bldr(
        "run", "--", "sh", "-c", "echo x > /tmp/file; echo $TMPDIR", env={**os.environ, "TMPDIR": str(host_dir)}
    )

    assert (done.returncode, done.stdout) == (0, b"/tmp\n")
    assert list(host_dir.iterdir()) == []


def test_a_descriptor_that_the_caller_leaves_open_is_not_open_inside(host_dir: Path, bldr) -> None:
    """Trap 34: the control is the same command without bldr."""
    fd = os.open(host_dir, os.O_RDONLY)
    look = ["sh", "-c", f"ls /proc/self/fd/{fd}/ && echo open"]
    try:
        outside = subprocess.run(look, check=False, capture_output=True, pass_fds=[fd])
        inside = bldr("run", "--", *look, pass_fds=[fd])
    finally:
        os.close(fd)

    assert outside.stdout == b"open\n"
    assert inside.stdout == b""
    assert inside.returncode == 2
