"""``bldr run`` as a user meets it: statuses, streams, signals, settings, odd surroundings."""

from __future__ import annotations

import errno
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.processes import Witness

pytestmark = pytest.mark.needs("user-namespaces")

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/", "LANG": "C.UTF-8"}


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (["true"], 0),
        (["false"], 1),
        (["sh", "-c", "exit 255"], 255),
        (["sh", "-c", "kill -9 $$"], 137),
        (["sh", "-c", "kill -TERM $$"], 143),
        (["no-such-command"], 127),
        (["/etc/passwd"], 126),
        (["/"], 126),
        ([""], 125),
    ],
)
def test_the_status_is_the_commands_own(bldr: Run, command: list[str], status: int) -> None:
    assert bldr("run", "--", *command).returncode == status


def test_a_timeout_is_told_apart_from_a_signal(bldr: Run) -> None:
    """It has to be long enough for the sandbox to be made: a timeout that passes before is another message."""
    done = bldr("run", "--timeout", "3000ms", "sleep", "60")

    assert (done.returncode, done.stdout, done.stderr) == (124, b"", b"bldr: timed out after 3 s\n")


def test_nothing_is_added_to_the_output_and_nothing_changed(bldr: Run) -> None:
    """Bytes of every value, in an amount that does not fit a pipe."""
    program = "import sys; b = bytes(range(256)) * 40000; sys.stdout.buffer.write(b); sys.stderr.buffer.write(b[::-1])"
    every = bytes(range(256)) * 40000

    done = bldr("run", "--", "/usr/bin/python3", "-I", "-S", "-c", program)

    assert done.returncode == 0
    assert done.stdout == every
    assert done.stderr == every[::-1]


USES_HOME = "echo x >~/.cache && mktemp >~/made && echo y >out/result && test ! -w /tmp && ls -A ~"


def test_home_can_be_written_when_the_whole_host_is_an_input(bldr: Run, host_dir: Path) -> None:
    """/tmp is an input then, so that what lies there can be read."""
    (host_dir / "out").mkdir()

    done = bldr("run", "-i", "/", "-o", "out", "--", "sh", "-c", USES_HOME, cwd=host_dir)

    assert (done.returncode, done.stdout.split()[:2]) == (0, [b".cache", b"made"]), done.stderr
    assert (host_dir / "out/result").read_text("ascii") == "y\n"
    assert not os.path.exists("/bldr-home")


@pytest.mark.needs("unprivileged-user")
def test_home_can_be_written_by_a_user_without_rights_when_the_whole_host_is_an_input(run_unprivileged: Run) -> None:
    script = 'mkdir out && exec /usr/bin/python3 -m bldr run -i / -o out -- sh -c "$1"'
    start = "import os, sys; os.execv('/bin/sh', ['sh', '-c', *sys.argv[1:]])"

    done = run_unprivileged("-c", start, script, "sh", USES_HOME)

    assert (done.returncode, done.stdout.split()[:2]) == (0, [b".cache", b"made"]), done.stderr


def test_standard_input_is_passed_on(bldr: Run) -> None:
    data = os.urandom(300_000)

    assert bldr("run", "--", "cat", stdin=None, input=data).stdout == data


def test_a_terminal_is_not_passed_on_as_standard_input(bldr: Run) -> None:
    leader, follower = pty.openpty()
    try:
        done = bldr("run", "--", "readlink", "/proc/self/fd/0", stdin=follower)
    finally:
        os.close(leader)
        os.close(follower)

    assert done.stdout == b"/dev/null\n"


def test_the_two_output_streams_may_be_one_file(bldr: Run, tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        bldr(
            "run", "--", "sh", "-c", "echo one; echo two >&2; echo three", stdout=log, stderr=log, capture_output=False
        )

    assert (tmp_path / "log").read_bytes() == b"one\ntwo\nthree\n"


def test_inputs_outputs_and_temps_are_what_they_are_called(bldr: Run, host_dir: Path) -> None:
    (host_dir / "src").mkdir()
    (host_dir / "out").mkdir()
    (host_dir / "src" / "a").write_text("content", encoding="ascii")
    (host_dir / "other").touch()
    script = "cat /else/a && cp src/a out/b && echo t > tmp/t && ! touch src/c 2>/dev/null && ls . tmp"
    sets = ("-i", "src", "-o", "out", "-t", "tmp", "-i", "src:/else")

    done = bldr("run", *sets, "--cwd", ".", "--", "sh", "-c", script, cwd=host_dir)

    (host_dir / "other").unlink()
    assert (done.returncode, done.stdout, done.stderr) == (0, b"content.:\nout\nsrc\ntmp\n\ntmp:\nt\n", b"")
    assert sorted(path.name for path in host_dir.rglob("*")) == ["a", "b", "out", "src"]


def test_the_command_starts_in_the_callers_directory_where_it_is_visible(bldr: Run, host_dir: Path) -> None:
    (host_dir / "sub").mkdir()

    assert bldr("run", "-i", ".", "pwd", cwd=host_dir).stdout.decode().strip() == str(host_dir)
    assert bldr("run", "-i", "sub", "pwd", cwd=host_dir).stdout.decode().strip() == "/"
    assert bldr("run", "pwd", cwd=host_dir).stdout == b"/\n"
    assert bldr("run", "-i", f"{host_dir}:/src", "--cwd", "/src/sub", "pwd").stdout == b"/src/sub\n"


def test_a_failure_outside_the_callers_directory_is_explained(bldr: Run, host_dir: Path) -> None:
    """Files that are declared one by one do not declare their directory, and relative names do not find them."""
    (host_dir / "file").write_text("found", encoding="ascii")

    lost = bldr("run", "-i", "file", "cat", "file", cwd=host_dir)
    assert lost.returncode == 1
    assert f"bldr: the command ran in '/', because its directory '{host_dir}' is not declared\n".encode() in lost.stderr
    assert f"bldr: hint: --cwd {host_dir}, or declare it: -i .\n".encode() in lost.stderr

    assert bldr("run", "-i", "file", "--cwd", ".", "cat", "file", cwd=host_dir).stdout == b"found"
    for quiet in (("-q", "-i", "file", "false"), ("-i", ".", "false"), ("-i", "file", "true"), ("false",)):
        assert b"ran in" not in bldr("run", *quiet, cwd=host_dir).stderr


def test_a_directory_that_is_not_there_cannot_be_started_in(bldr: Run) -> None:
    done = bldr("run", "--cwd", "/nowhere", "true")

    assert done.returncode == 125
    assert b"/nowhere" in done.stderr


@pytest.mark.parametrize(
    "name", ["with space", "quote'\"", "new\nline", "colon:name", "b\\slash", "-dash", "$HOME", "ünï"]
)
def test_names_that_shells_and_parsers_stumble_over(bldr: Run, host_dir: Path, name: str) -> None:
    (host_dir / name).mkdir()
    (host_dir / name / "file").write_text("found", encoding="ascii")
    written = str(host_dir / name).replace("\\", "\\\\").replace(":", "\\:")

    done = bldr("run", "-i", written, "cat", f"{host_dir}/{name}/file")

    assert (done.returncode, done.stdout) == (0, b"found")


def test_a_name_that_is_no_text(bldr: Run, host_dir: Path) -> None:
    path = os.fsencode(host_dir) + b"/\xff\xfe"
    os.mkdir(path)

    assert bldr("run", "-i", path, "ls", os.fsencode(host_dir)).stdout == b"\xff\xfe\n"
    done = bldr("run", "-i", path + b"x", "true")
    assert done.returncode == 125
    assert b"\\udcff" in done.stderr


def test_the_environment_is_what_was_declared(bldr: Run) -> None:
    done = bldr("run", "-e", "A=1", "-e", "B", "env", env={**ENVIRONMENT, "B": "2", "SECRET": "x"})

    assert sorted(done.stdout.decode().splitlines()) == [
        "A=1", "B=2", "HOME=/tmp", "LANG=C.UTF-8", "PATH=/usr/bin:/bin", "TMPDIR=/tmp", "TZ=UTC",
    ]  # fmt: skip


def test_identity_can_be_chosen(bldr: Run) -> None:
    done = bldr("run", "--hostname", "box", "--uid", "1000", "sh", "-c", "hostname; id -u; id -g")

    assert done.stdout.split() == [b"box", b"1000", b"1000"]


def test_a_file_size_limit_is_enforced(bldr: Run) -> None:
    done = bldr("run", "--file-size", "4K", "sh", "-c", "head -c 8192 /dev/zero > /tmp/x; stat -c %s /tmp/x")

    assert done.stdout == b"4096\n"


def test_a_small_tmp_is_full_when_it_is_full(bldr: Run) -> None:
    done = bldr("run", "--tmp-size", "64K", "sh", "-c", "head -c 1M /dev/zero > /tmp/x")

    assert done.returncode == 1
    assert os.strerror(errno.ENOSPC).encode() in done.stderr


class TestReports:
    def test_the_receipt_is_shown_on_standard_error(self, bldr: Run) -> None:
        done = bldr("run", "-v", "echo", "x")

        assert done.stdout == b"x\n"
        assert done.stderr.startswith(b"bldr: hermetic (backend: linux-namespaces)\n")
        assert all(line.startswith(b"bldr: ") for line in done.stderr.splitlines())

    def test_the_result_is_written_to_a_file(self, bldr: Run, host_dir: Path) -> None:
        (host_dir / "out").mkdir()

        done = bldr(
            "run", "--json", "r.json", "-o", "out", "--cwd", "out", "sh", "-c", "echo > f; exit 3", cwd=host_dir
        )

        result = json.loads((host_dir / "r.json").read_text(encoding="ascii"))
        assert done.returncode == result["exit_code"] == 3
        assert result["hermetic"] is True
        assert result["output_files"] == [str(host_dir / "out" / "f")]
        assert sorted(os.listdir(host_dir)) == ["out", "r.json"]

    def test_that_nothing_ran_is_written_too(self, bldr: Run, host_dir: Path) -> None:
        done = bldr("run", "--json", "r.json", "-i", "missing", "true", cwd=host_dir)

        assert done.returncode == 125
        result = json.loads((host_dir / "r.json").read_text(encoding="ascii"))
        assert result["error"]["code"] == "spec.path-missing"

    def test_nothing_runs_when_the_result_cannot_be_written(self, bldr: Run, host_dir: Path) -> None:
        (host_dir / "out").mkdir()

        done = bldr("run", "--json", "no/dir/r.json", "-o", "out", "--cwd", "out", "touch", "ran", cwd=host_dir)

        assert done.returncode == 125
        assert done.stderr.startswith(b"bldr: cannot write the result: No such file or directory 'no/dir/r.json'\n")
        assert os.listdir(host_dir / "out") == []


class TestSettings:
    def test_a_malformed_variable_is_named(self, bldr: Run) -> None:
        done = bldr("run", "true", env={**ENVIRONMENT, "BUILDER_HERMETIC_CPU_TIME": "soon"})

        assert done.returncode == 2
        assert done.stderr.startswith(b"bldr: BUILDER_HERMETIC_CPU_TIME 'soon' is not a duration")

    def test_the_file_counts_where_the_environment_says_nothing(self, bldr: Run, host_dir: Path) -> None:
        (host_dir / ".builderrc").write_text("BUILDER_HERMETIC_OPEN_FILES=77\n", encoding="ascii")
        (host_dir / "deep" / "down").mkdir(parents=True)

        def limit(*arguments: str, **environment: str) -> str:
            done = bldr(
                "run", *arguments, "sh", "-c", "ulimit -n", cwd=host_dir / "deep" / "down",
                env={**ENVIRONMENT, **environment},
            )  # fmt: skip
            assert done.stderr == b""
            return done.stdout.decode().strip()

        assert limit() == "77"
        assert limit(BUILDER_HERMETIC_OPEN_FILES="78") == "78"
        assert limit("--open-files", "79", BUILDER_HERMETIC_OPEN_FILES="78") == "79"

    def test_a_file_that_anybody_can_write_is_ignored_aloud(self, bldr: Run, host_dir: Path) -> None:
        (host_dir / ".builderrc").write_text("BUILDER_HERMETIC=false\n", encoding="ascii")
        (host_dir / ".builderrc").chmod(0o666)

        done = bldr("run", "ls", "/root", cwd=host_dir)

        assert done.returncode == 2
        assert b"bldr: '" in done.stderr
        assert b"is ignored: everybody can write it" in done.stderr


class TestWithoutASandbox:
    def test_it_is_said_and_the_result_is_not_hermetic(self, bldr: Run, host_dir: Path) -> None:
        (host_dir / "file").touch()

        done = bldr("run", "--json", "r", "-e", "A=1", "sh", "-c", "ls; echo $A $B", cwd=host_dir,
                    env={**ENVIRONMENT, "BUILDER_HERMETIC": "false", "B": "2"})  # fmt: skip

        assert (done.returncode, done.stdout) == (0, b"file\n1 2\n")
        assert (
            done.stderr == b"bldr: NOT hermetic: running without a sandbox, because BUILDER_HERMETIC is set to false\n"
        )
        result = json.loads((host_dir / "r").read_text(encoding="ascii"))
        assert result["hermetic"] is False
        assert result["receipt"]["backend"] == "fallback"

    @pytest.mark.parametrize(
        ("command", "status"),
        [
            (["sh", "-c", "exit 5"], 5),
            (["sh", "-c", "kill -9 $$"], 137),
            (["no-such-command"], 127),
            (["/etc/passwd"], 126),
            (["--timeout", "100ms", "--", "sleep", "60"], 124),
        ],
    )
    def test_the_statuses_are_the_same(self, bldr: Run, command: list[str], status: int) -> None:
        assert bldr("run", *command, env={**ENVIRONMENT, "BUILDER_HERMETIC": "false"}).returncode == status

    @pytest.mark.parametrize("option", [("--require", "no-network"), ("--memory", "1G"), ("--file-size", "1M")])
    def test_what_was_demanded_is_refused(self, bldr: Run, option: tuple[str, str]) -> None:
        done = bldr("run", *option, "echo", "ran", env={**ENVIRONMENT, "BUILDER_HERMETIC": "false"})

        assert (done.returncode, done.stdout) == (125, b"")
        assert option[0].encode() in done.stderr

    def test_a_timeout_ends_grandchildren_too(self, bldr: Run, host_dir: Path) -> None:
        script = "sh -c 'trap \"\" TERM; sleep 30; touch survived' & wait"

        bldr("run", "--timeout", "100ms", "sh", "-c", script, cwd=host_dir,
             env={**ENVIRONMENT, "BUILDER_HERMETIC": "false"})  # fmt: skip

        assert os.listdir(host_dir) == []


class TestOddSurroundings:
    @pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
    def test_closed_streams(self, bldr_argv: list[str], closed: str) -> None:
        line = f'"$@" run -v -- sh -c "echo out; echo err >&2; exit 4" {closed}'

        done = subprocess.run(["sh", "-c", line, "sh", *bldr_argv], capture_output=True, timeout=60, check=False)

        assert done.returncode == 4
        assert b"Traceback" not in done.stderr

    def test_a_reader_that_has_gone(self, bldr_argv: list[str]) -> None:
        for arguments in (["help", "run"], ["plan"], ["doctor"]):
            reading, writing = os.pipe()
            os.close(reading)
            done = subprocess.run(
                [*bldr_argv, *arguments], stdout=writing, stderr=subprocess.PIPE, timeout=60, check=False
            )
            os.close(writing)
            assert (done.returncode, done.stderr) == (141, b"")

    def test_a_full_disk_under_the_output_of_a_page(self, bldr_argv: list[str]) -> None:
        with open("/dev/full", "wb") as full:
            done = subprocess.run([*bldr_argv, "help"], stdout=full, stderr=subprocess.PIPE, timeout=60, check=False)

        assert (done.returncode, done.stderr) == (125, b"bldr: No space left on device\n")

    def test_a_directory_that_was_deleted(self, bldr_argv: list[str], host_dir: Path) -> None:
        line = 'mkdir gone && cd gone && rmdir "$PWD" && "$@"'

        def run(*arguments: str) -> subprocess.CompletedProcess[bytes]:
            return subprocess.run(
                ["sh", "-c", line, "sh", *bldr_argv, *arguments],
                cwd=host_dir,
                capture_output=True,
                timeout=60,
                check=False,
            )

        assert run("run", "pwd").stdout == b"/\n"
        done = run("run", "-i", ".", "pwd")
        assert done.returncode == 2
        assert b"the current directory was deleted" in done.stderr

    @pytest.mark.parametrize("missing", ["HOME", "PATH", "LANG", "USER"])
    def test_a_variable_that_programs_count_on_is_unset(self, bldr: Run, missing: str) -> None:
        environment = {name: text for name, text in ENVIRONMENT.items() if name != missing}

        assert bldr("run", "echo", "x", env=environment).stdout == b"x\n"

    def test_no_variable_at_all(self, bldr: Run) -> None:
        assert bldr("run", "echo", "x", env={}).stdout == b"x\n"

    @pytest.mark.parametrize("directory", ["/does/not/exist", "/proc", "relative", "/etc/passwd"])
    def test_a_tmpdir_that_is_none(self, bldr: Run, directory: str) -> None:
        done = bldr("run", "echo", "x", env={**ENVIRONMENT, "TMPDIR": directory})

        assert (done.returncode, done.stdout) == (125, b"")
        assert done.stderr.startswith(b"bldr: ")
        assert b"hint: " in done.stderr

    def test_a_terminal_type_or_locale_that_nobody_knows(self, bldr: Run) -> None:
        environment = {**ENVIRONMENT, "TERM": "no-such-terminal", "LC_ALL": "xx_XX.bogus"}

        done = bldr("run", "-v", "echo", "x", env=environment)

        assert (done.returncode, done.stdout) == (0, b"x\n")

    def test_hostile_names_are_shown_escaped(self, bldr: Run) -> None:
        done = bldr("run", "-i", "/no/\x1b[2J\n/such", "true")

        assert done.returncode == 125
        assert b"\x1b" not in done.stderr
        assert all(line.startswith(b"bldr: ") for line in done.stderr.splitlines())


class Started:
    """``bldr run`` in the background; the command says when it is ready."""

    def __init__(self, bldr_argv: list[str], *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*bldr_argv, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def end(self) -> tuple[int, bytes]:
        out, _ = self.process.communicate(timeout=60)
        return self.process.returncode, out


class TestSignals:
    TRAP = "trap 'echo got it; exit 9' INT TERM HUP; echo ready; while :; do sleep 0.01; done"
    DEAF = "trap '' INT TERM HUP; echo ready; while :; do sleep 0.01; done"

    @pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_the_first_one_is_passed_on(self, bldr_argv: list[str], signum: int) -> None:
        started = Started(bldr_argv, "run", "sh", "-c", self.TRAP)
        started.process.send_signal(signum)

        assert started.end() == (9, b"got it\n")

    @pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
    def test_a_command_that_does_not_mind_ends_by_it(self, bldr_argv: list[str], signum: int) -> None:
        started = Started(bldr_argv, "run", "sh", "-c", "echo ready; exec sleep 60")
        started.process.send_signal(signum)

        assert started.end() == (128 + signum, b"")

    def test_the_second_one_kills(self, bldr_argv: list[str]) -> None:
        started = Started(bldr_argv, "run", "sh", "-c", self.DEAF)
        started.process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + 30
        while started.process.poll() is None and time.monotonic() < deadline:
            started.process.send_signal(signal.SIGINT)  # a flood, and bldr ends all the same

        assert started.end()[0] in (137, 130)  # 130 when both came before bldr knew that the command runs

    def test_ctrl_c_on_a_terminal_reaches_the_command_once(self, bldr_argv: list[str]) -> None:
        script = (
            "import signal\n"
            "signal.pthread_sigmask(signal.SIG_BLOCK, {2})\n"
            "print('ready', flush=True)\n"
            "signal.sigwait({2})\n"
            "print('twice' if signal.sigtimedwait({2}, 0.5) else 'once')\n"
        )
        leader, follower = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-c", "import os,sys,fcntl,termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])",
             *bldr_argv, "run", "python3", "-c", script],
            stdin=follower, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        os.close(follower)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        os.write(leader, b"\x03")
        out, _ = process.communicate(timeout=60)
        os.close(leader)

        assert out == b"once\n"

    def test_nothing_is_left_when_bldr_itself_is_killed(self, bldr_argv: list[str]) -> None:
        started = Started(bldr_argv, "run", "sh", "-c", "echo ready; exec sleep 4242.5")
        with Witness(started.process.pid) as witness:
            started.process.kill()
            started.end()

            assert len(witness.pids) > 2
            assert witness.survivors() == set()
        assert survivors("4242.5") == []


def survivors(word: str) -> list[str]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                words = Path("/proc", name, "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if word.encode() in words:
                found.append(name)
    return found


@pytest.mark.needs("unprivileged-user", "system-python")
def test_everything_works_without_rights(run_unprivileged: Run) -> None:
    done = run_unprivileged("-m", "bldr", "run", "--require", "no-network", "--", "sh", "-c", "id -u; exit 6")

    assert (done.returncode, done.stdout, done.stderr) == (6, b"0\n", b"")


@pytest.mark.slow
def test_five_thousand_inputs(bldr_argv: list[str], host_dir: Path) -> None:
    names = [f"{number:04}" for number in range(5000)]
    for name in names:
        (host_dir / name).touch()
    arguments = [part for name in names for part in ("-i", name)]

    done = subprocess.run(
        [*bldr_argv, "run", *arguments, "--", "ls", str(host_dir)],
        cwd=host_dir,
        capture_output=True,
        timeout=100,
        check=False,
    )

    assert done.stderr == b""
    assert done.stdout.decode().split() == names
