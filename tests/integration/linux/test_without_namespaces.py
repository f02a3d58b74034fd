"""Sandboxes without namespaces: who gets them, and what they can do."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bldr import HermeticExecutor, PathSet, SandboxSpecBuilder
from bldr.errors import (
    BackendUnavailableError,
    BldrError,
    GuaranteeUnavailableError,
    InvalidCommandError,
)
from bldr.model.receipt import Guarantee
from bldr.sandbox.linux.landlock.backend import LandlockBackend
from bldr.sandbox.linux.launcher import Launcher
from bldr.sandbox.select import weaker_guarantees
from tests.capabilities import SYSTEM_PYTHON
from tests.landlocked import BOUND, builder, executor_of, say

pytestmark = pytest.mark.needs("landlock-truncate")

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]
WITHOUT = str(Path(__file__).parents[2] / "escape" / "without_namespaces.py")
WITH_ABI = str(Path(__file__).with_name("launcher_with_landlock_abi.py"))


@pytest.fixture
def executor() -> HermeticExecutor:
    return executor_of(builder())


# Who gets it


@pytest.fixture(params=["limit", "filter"])
def bldr_without(request: pytest.FixtureRequest, bldr_argv: list[str]) -> Run:
    """``bldr`` on a host that refuses namespaces: by the setting, and as a container does."""

    def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[bytes]:
        argv = [sys.executable, WITHOUT, request.param, *bldr_argv, *arguments]
        options = {"stdin": subprocess.DEVNULL, "capture_output": True, "timeout": BOUND} | options
        return subprocess.run(argv, check=False, **options)  # type: ignore[call-overload]  # all of them are known

    return run


@pytest.mark.needs("user-namespaces")
def test_nobody_gets_it_unasked_and_the_hint_names_what_has_to_be_accepted(bldr_without: Run) -> None:
    refused = bldr_without("run", "--", "true")

    assert (refused.returncode, refused.stdout) == (125, b"")
    offer = f"--allow-degraded {','.join(weaker_guarantees())}"
    assert offer.encode() in refused.stderr
    for name in weaker_guarantees():
        others = ",".join(other for other in weaker_guarantees() if other != name)
        assert bldr_without("run", "--allow-degraded", others, "--", "true").returncode == 125, name
    accepted = bldr_without("run", *offer.split(), "-v", "--", "echo", "hello")
    assert (accepted.returncode, accepted.stdout) == (0, b"hello\n")
    assert b"bldr: not hermetic (backend: linux-landlock)\n" in accepted.stderr


@pytest.mark.needs("user-namespaces")
def test_where_namespaces_can_be_had_nothing_is_weaker_whatever_is_accepted() -> None:
    result = HermeticExecutor.create(builder().allow_degraded(*weaker_guarantees()).build()).execute(["true"])

    assert (result.receipt.backend, result.hermetic) == ("linux-namespaces", True)


@pytest.mark.needs("user-namespaces")
def test_a_plan_is_that_of_the_sandbox_that_would_be_made(bldr_without: Run, host_dir: Path) -> None:
    accepted = ("--allow-degraded", ",".join(weaker_guarantees()))

    text = bldr_without("plan", *accepted, "-i", ".", cwd=host_dir).stdout.decode()

    assert f"  allow reading {host_dir}\n" in text
    assert "in place of /tmp" in text
    assert "bind" not in text


@pytest.mark.needs("user-namespaces")
def test_the_library_uses_it_as_the_command_does(bldr_without: Run, host_dir: Path) -> None:
    program = (
        "from bldr import *; from bldr.sandbox.select import weaker_guarantees as weaker\n"
        "spec = SandboxSpecBuilder.create().with_toolchain('system').allow_degraded(*weaker()).build()\n"
        "print(HermeticExecutor.platform(), HermeticExecutor.is_supported())\n"
        "print(HermeticExecutor.create(spec).execute(['true']).receipt.backend)\n"
    )
    (host_dir / "program.py").write_text(program, encoding="utf-8")
    argv = [sys.executable, WITHOUT, "filter", sys.executable, str(host_dir / "program.py")]

    done = subprocess.run(argv, capture_output=True, timeout=BOUND, check=False, text=True)

    assert (done.stdout, done.stderr) == ("linux-landlock False\nlinux-landlock\n", "")


@pytest.mark.needs("unprivileged-user", "system-python", "user-namespaces")
@pytest.mark.parametrize("how", ["limit", "filter"])
def test_it_needs_no_rights(run_unprivileged: Run, host_dir: Path, how: str) -> None:
    program = host_dir / "tests" / "escape" / "without_namespaces.py"
    program.parent.mkdir(parents=True)
    shutil.copy(WITHOUT, program)
    argv = [how, SYSTEM_PYTHON, "-m", "bldr", "run", "--allow-degraded", ",".join(weaker_guarantees()), "--"]

    done = run_unprivileged(str(program), *argv, "sh", "-c", 'id -u; echo a > "$TMPDIR/a"; cat "$TMPDIR/a"')

    assert (done.returncode, done.stdout, done.stderr) == (0, b"1234\na\n", b"")


def test_a_name_that_is_no_guarantee_is_a_mistake_of_the_command_line(bldr: Run) -> None:
    done = bldr("run", "--allow-degraded", "process-isolated", "--", "true")

    assert (done.returncode, done.stdout) == (2, b"")
    assert b"--allow-degraded: there is no guarantee 'process-isolated'" in done.stderr
    assert b"processes-isolated" in done.stderr


def test_the_whole_root_as_an_input_is_refused_with_what_to_do() -> None:
    with pytest.raises(BackendUnavailableError, match="the input '/' needs a mount namespace") as caught:
        executor_of(builder().input("/")).execute(["true"], timeout=BOUND)

    assert caught.value.code == "sandbox.beyond-landlock"
    assert caught.value.hint == "declare the directories that are needed, one by one"


# What it can do


def test_the_receipt_says_for_each_guarantee_what_enforced_it(executor: HermeticExecutor) -> None:
    result = executor.execute(["true"], timeout=BOUND)
    rows = {record.name: record for record in result.guarantees}

    assert (result.hermetic, result.receipt.backend) == (False, "linux-landlock")
    assert set(result.receipt.missing) == {Guarantee.PROCESSES_ISOLATED, Guarantee.HOST_IDENTITY_HIDDEN}
    assert rows[Guarantee.READS_CONFINED].enforced_by == ("landlock",)
    assert "names and metadata" in rows[Guarantee.READS_CONFINED].detail
    assert rows[Guarantee.NO_SURVIVORS].enforced_by == ("subreaper",)
    verified = {name for name, row in rows.items() if row.verified}
    assert verified >= {
        Guarantee.READS_CONFINED,
        Guarantee.WRITES_CONFINED,
        Guarantee.INPUTS_READ_ONLY,
        Guarantee.NO_NETWORK,
        Guarantee.NO_SURVIVORS,
        Guarantee.IPC_ISOLATED,
        Guarantee.NO_NEW_PRIVILEGES,
        Guarantee.SYSCALLS_FILTERED,
        Guarantee.ENVIRONMENT_SCRUBBED,
        Guarantee.TEMPS_REMOVED,
    }
    assert any("/tmp" in note for note in result.receipt.notes)


def untouched(status: os.stat_result) -> tuple[float, ...]:
    """What stays as it is where nothing is written: everything but the times of access and of the inode."""
    return (*status[:7], status.st_mtime_ns)


@pytest.mark.needs("c-compiler")
def test_a_program_is_built_and_inputs_stay_as_they_are(host_dir: Path) -> None:
    source, out = host_dir / "src", host_dir / "out"
    source.mkdir()
    out.mkdir()
    (source / "hello.c").write_text(
        '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n', encoding="ascii"
    )
    (source / "Makefile").write_text(
        "all: $(O)/hello\n$(O)/hello: $(O)/hello.o\n\tcc $< -o $@\n$(O)/%.o: %.c\n\tcc -O2 -c $< -o $@\n"
        "install: all\n\tinstall -m 750 -D $(O)/hello $(O)/bin/hello\n\tcp -a $(O)/bin $(O)/copy\n"
        "\ttar -C $(O) -cf $(O)/all.tar bin && mkdir $(O)/again && tar -C $(O)/again -xpf $(O)/all.tar\n",
        encoding="ascii",
    )
    before = {path: path.stat() for path in (source, *source.iterdir())}

    executor = executor_of(builder().input(source).output(out))
    result = executor.execute(["make", f"O={out}", "install"], str(source), timeout=BOUND)

    assert (result.exit_code, result.stderr) == (0, b"")
    assert subprocess.run([out / "again/bin/hello"], capture_output=True, check=True).stdout == b"hello\n"
    assert stat.S_IMODE((out / "copy/hello").stat().st_mode) == 0o750
    assert {path: untouched(path.stat()) for path in before} == {path: untouched(one) for path, one in before.items()}
    assert {path.stat().st_uid for path in out.rglob("*")} == {os.getuid()}


def test_temps_are_private_directories_that_variables_name_and_gone_afterwards(executor: HermeticExecutor) -> None:
    place, home, content, mode = say(
        executor, 'echo $TMPDIR; echo $HOME; ls -A "$TMPDIR" | wc -l; stat -c %a "$TMPDIR"'
    ).split()

    assert place == home != "/tmp"
    assert (content, mode) == ("0", "700")
    assert not os.path.exists(place)
    again = say(executor, 'mkdir "$TMPDIR/d"; touch "$TMPDIR/d/f"; chmod 555 "$TMPDIR/d"; echo $TMPDIR').strip()
    assert again != place
    assert not os.path.exists(again)


def test_home_can_be_written_when_the_hosts_own_tmp_is_an_input() -> None:
    made = SandboxSpecBuilder.create().carve().with_toolchain("system").env("PATH", "/usr/bin:/bin").default_home()

    said = say(
        executor_of(made.input("/tmp")), "echo x >~/.cache && mktemp >~/made && ls -A ~; test -w /tmp || echo $HOME"
    )

    assert said.split()[:2] == [".cache", "made"]
    assert not os.path.exists(said.split()[2])


def test_the_hosts_own_tmp_is_out_of_reach(executor: HermeticExecutor, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret", encoding="ascii")

    assert "secret" not in say(executor, 'ls /tmp; cat "$1/secret"; echo x > /tmp/new', str(tmp_path)).replace(
        f"{tmp_path}/secret", ""
    )


def test_a_temp_is_made_at_its_place_and_removed(host_dir: Path) -> None:
    place = host_dir / "made"
    executor = executor_of(builder().temp(place))

    assert (
        say(executor, 'ls -A "$1"; mkdir "$1/d"; echo text > "$1/d/f"; chmod 500 "$1/d"; cat "$1/d/f"', str(place))
        == "text\n"
    )
    assert not place.exists()
    with executor.start(["sh", "-c", "echo here; sleep 300"], stdout="pipe") as session:
        assert session.stdout is not None
        assert session.stdout.readline() == b"here\n"
        assert place.is_dir()
        with pytest.raises(BldrError, match="File exists"):
            executor.execute(["true"])
        assert place.is_dir()
    assert not place.exists()


def test_holes_in_inputs_cannot_be_read(host_dir: Path) -> None:
    for name in ("a/b/secret", "a/b/shown", "a/c/also"):
        path = host_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{path.name}\n", encoding="ascii")
    shown = PathSet.subtree(host_dir) - PathSet.subtree(host_dir / "a/b/secret")

    said = say(
        executor_of(builder().input(shown)),
        'cd "$1"; cat a/b/shown a/c/also; cat a/b/secret || echo refused',
        str(host_dir),
    )

    assert said.startswith("shown\nalso\n")
    assert said.endswith("refused\n")


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["no-such-command"], "spec.command-not-found"),
        (["/etc/passwd"], "spec.command-not-found"),
        (["/usr/share"], "spec.command-not-executable"),
        (["/etc/ld.so.cache"], "spec.command-not-executable"),
        (["/"], "spec.command-not-found"),
    ],
)
def test_a_command_that_cannot_be_executed_is_refused_as_elsewhere(
    executor: HermeticExecutor, argv: list[str], code: str
) -> None:
    with pytest.raises(InvalidCommandError) as caught:
        executor.execute(argv)

    assert caught.value.code == code


def test_a_command_whose_loader_was_not_declared_is_told_apart() -> None:
    made = SandboxSpecBuilder.create().input("/usr/bin/true")

    with pytest.raises(InvalidCommandError, match="interpreter"):
        executor_of(made).execute(["/usr/bin/true"])


def test_a_directory_that_was_not_declared_is_no_working_directory(executor: HermeticExecutor, host_dir: Path) -> None:
    with pytest.raises(InvalidCommandError) as caught:
        executor.execute(["true"], str(host_dir))

    assert caught.value.code == "spec.cwd-invalid"
    assert say(executor, "pwd", cwd="/tmp") != "/tmp\n"
    assert say(executor_of(builder().input(host_dir)), "pwd", cwd=str(host_dir)) == f"{host_dir}\n"


def test_what_nothing_here_enforces_cannot_be_required(executor: HermeticExecutor) -> None:
    assert executor_of(builder().require("no-network", "seccomp")).execute(["true"]).success
    with pytest.raises(GuaranteeUnavailableError, match="processes-isolated"):
        executor_of(builder().require("processes-isolated"))
    with pytest.raises(BackendUnavailableError, match="mount namespace"):
        executor_of(builder().input("/usr", "/elsewhere"))


def test_streams_are_passed_on_and_can_be_opened_again(executor: HermeticExecutor, host_dir: Path) -> None:
    every = bytes(range(256)) * 10_000
    assert executor.execute(["cat"], stdin=every, capture_limit=None).stdout == every
    assert say(executor, "echo a > /dev/stdout; echo b > /dev/stderr; echo c | cat /dev/fd/0") == "a\nb\nc\n"
    with open(host_dir / "log", "wb") as log:
        executor.execute(["sh", "-c", "echo first; echo again >> /dev/stdout"], stdout=log)
    assert (host_dir / "log").read_bytes() == b"first\nagain\n"


def test_a_file_that_is_standard_input_cannot_be_written_by_that_name(
    executor: HermeticExecutor, host_dir: Path
) -> None:
    path = host_dir / "text"
    path.write_text("as it was\n", encoding="ascii")
    with open(path, "rb") as text, open(host_dir / "log", "wb") as log:
        said = executor.execute(
            ["sh", "-c", "cat /dev/stdin; echo x > /dev/stdin; cat /dev/fd/2"], stdin=text, stderr=log
        )

    assert said.stdout == b"as it was\n"
    assert path.read_text(encoding="ascii") == "as it was\n"
    assert (host_dir / "log").read_bytes().count(b"ermission denied") == 2


@pytest.mark.needs("terminal")
def test_a_terminal_of_its_own(executor: HermeticExecutor) -> None:
    with executor.start(["sh", "-c", "tty; test -t 0 && echo yes > /dev/tty; stty size"], pty=True) as session:
        session.resize(30, 100)
        said = b""
        while True:
            try:
                chunk = os.read(session.pty_fd, 4096)
            except OSError:
                break
            if not chunk:
                break
            said += chunk
        assert session.wait(BOUND).exit_code == 0
    assert said.startswith(b"/dev/pts/")
    assert b"yes" in said


def test_no_descriptor_and_no_variable_is_inherited(executor: HermeticExecutor) -> None:
    reader, writer = os.pipe()
    os.set_inheritable(reader, True)
    try:
        said = say(executor, "ls /proc/self/fd | tr '\\n' ' '; env | cut -d= -f1 | sort | tr '\\n' ' '; umask")
    finally:
        os.close(reader)
        os.close(writer)
    assert said == "0 1 2 3 HOME LANG LC_ALL PATH PWD TMPDIR TZ 0022\n" or said.startswith("0 1 2 3 ")
    assert "PYTEST_CURRENT_TEST" not in said


# Changes of attributes, which init makes


def test_modes_owners_and_times_change_in_every_way_as_they_do_outside(host_dir: Path) -> None:
    program = Path(__file__).with_name("change_attributes.py")
    for name in ("outside", "inside"):
        (host_dir / name).mkdir()
    shutil.copy(program, host_dir / "program.py")
    argv = [SYSTEM_PYTHON, "-I", "-S", str(host_dir / "program.py")]

    outside = subprocess.run([*argv, str(host_dir / "outside")], capture_output=True, check=True, text=True)
    executor = executor_of(builder().input(host_dir / "program.py").output(host_dir / "inside"))
    inside = executor.execute([*argv, str(host_dir / "inside")], timeout=BOUND)

    assert inside.stderr == b""
    assert inside.stdout.decode().splitlines() == outside.stdout.splitlines()


def test_a_path_that_changes_meanwhile_leads_no_change_elsewhere(host_dir: Path) -> None:
    """A link points to the output and to the input in turn, as fast as it can."""
    (host_dir / "in").mkdir()
    (host_dir / "out").mkdir()
    for name in ("in", "out"):
        (host_dir / name / "file").write_text("", encoding="ascii")
        (host_dir / name / "file").chmod(0o644)
    program = (
        "import os, sys\nhere, there = sys.argv[1:]\nos.chdir(here)\n"
        "if os.fork() == 0:\n"
        "    while True:\n"
        "        for target in ('file', there + '/file'):\n"
        "            os.symlink(target, 'new'); os.rename('new', 'link')\n"
        "done, refused = 0, 0\n"
        "while done < 50 or refused < 50:\n"
        "    try:\n        os.chmod('link', 0o600); done += 1\n"
        "    except FileNotFoundError:\n        pass\n"
        "    except OSError as error:\n        assert error.errno == 30, error; refused += 1\n"
        "print('tried')\n"
    )
    executor = executor_of(builder().input(host_dir / "in").output(host_dir / "out"))

    result = executor.execute(
        ["python3", "-I", "-S", "-c", program, str(host_dir / "out"), str(host_dir / "in")], timeout=BOUND
    )

    assert (result.stdout, result.stderr) == (b"tried\n", b"")
    assert stat.S_IMODE((host_dir / "in/file").stat().st_mode) == 0o644
    assert stat.S_IMODE((host_dir / "out/file").stat().st_mode) == 0o600


# Older kernels


@pytest.mark.parametrize(
    "abi", [pytest.param(version, marks=pytest.mark.needs(f"landlock-abi-{version}")) for version in range(3, 8)]
)
def test_each_abi_confines_and_the_receipt_says_what_it_cannot(abi: int, host_dir: Path) -> None:
    (host_dir / "in").mkdir()
    (host_dir / "in/file").write_text("as it was", encoding="ascii")
    (host_dir / "secret").write_text("secret", encoding="ascii")
    launcher = Launcher(entry=[WITH_ABI, str(abi)], landlock=True)
    program = (
        "import os, sys\nplace = sys.argv[1]\n"
        "def tried(attempt):\n"
        "    try:\n        attempt()\n    except OSError as error:\n        return type(error).__name__\n"
        "    return 'possible'\n"
        "print(tried(lambda: open(place + '/secret')), tried(lambda: os.truncate(place + '/in/file', 0)),"
        " tried(lambda: os.kill(int(sys.argv[2]), 0)), open(place + '/in/file').read())\n"
    )
    try:
        executor = HermeticExecutor(LandlockBackend(builder().input(host_dir / "in").build(), launcher))
        result = executor.execute(
            ["python3", "-I", "-S", "-c", program, str(host_dir), str(os.getpid())], timeout=BOUND
        )
    finally:
        launcher.stop()

    signalled = "possible" if abi < 6 else "PermissionError"
    assert (result.stdout.decode(), result.stderr) == (f"PermissionError PermissionError {signalled} as it was\n", b"")
    rows = {record.name: record for record in result.guarantees}
    assert f"Landlock ABI {abi}" in rows["reads-confined"].detail
    assert ("kill" in rows["no-survivors"].detail) == (abi < 6)
    assert rows["no-network"].enforced_by == (("seccomp", "landlock") if abi >= 4 else ("seccomp",))
