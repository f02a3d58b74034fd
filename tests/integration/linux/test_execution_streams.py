"""Standard streams of executions: every source and sink, volumes, slow readers, sessions that stream."""

from __future__ import annotations

import hashlib
import os
import select
import tempfile
import threading
import time
from collections.abc import Iterator

import pytest

from bldr import HermeticExecutor, Termination
from bldr.sandbox.linux.launcher import Launcher
from tests.processes import BOUND, descriptors, specification

pytestmark = pytest.mark.needs("user-namespaces")


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    launcher = Launcher()
    launcher.ensure()
    yield launcher
    launcher.stop()


@pytest.fixture
def executor(launcher: Launcher) -> HermeticExecutor:
    return HermeticExecutor.create(specification().build(), launcher=launcher)


def python(program: str) -> list[str]:
    return ["/usr/bin/python3", "-I", "-S", "-c", program]


def test_two_volumes_at_once_stay_apart_and_whole(executor: HermeticExecutor) -> None:
    """Each stream has a content of its own; neither waits for the other."""
    script = "exec 3<&0; (cat <&3 >&2) & head -c 60000000 /dev/zero; wait"
    given = os.urandom(1 << 20) * 30

    result = executor.execute(["sh", "-c", script], stdin=given)

    assert result.exit_code == 0
    assert len(result.stdout) == 60_000_000
    assert result.stdout.count(0) == 60_000_000
    assert hashlib.sha256(result.stderr).digest() == hashlib.sha256(given).digest()


def test_a_command_that_reads_slowly_gets_everything(executor: HermeticExecutor) -> None:
    program = "import os\ntotal = 0\nwhile chunk := os.read(0, 777): total += len(chunk)\nprint(total)"

    assert executor.execute(python(program), stdin=bytes(3_000_000)).stdout == b"3000000\n"


def test_a_command_that_does_not_read_does_not_block(executor: HermeticExecutor) -> None:
    result = executor.execute(["echo", "done"], stdin=bytes(10_000_000))

    assert (result.exit_code, result.stdout) == (0, b"done\n")


def test_a_command_that_closes_its_input_does_not_block(executor: HermeticExecutor) -> None:
    result = executor.execute(["sh", "-c", "exec 0<&-; echo closed; head -c 200000 /dev/zero"], stdin=bytes(10_000_000))

    assert result.stdout == b"closed\n" + bytes(200_000)


@pytest.mark.parametrize("limit", [0, 1, 2, 7, 65_536, 1_000_000])
def test_a_limit_keeps_head_and_tail_of_each_stream(executor: HermeticExecutor, limit: int) -> None:
    program = (
        "import sys\nb = b''.join(b'%07d\\n' % n for n in range(40000))\n"
        "sys.stdout.buffer.write(b); sys.stderr.buffer.write(b[::-1])"
    )
    whole = b"".join(b"%07d\n" % number for number in range(40_000))

    result = executor.execute(python(program), capture_limit=limit)

    head, tail = limit // 2, limit - limit // 2
    for kept, dropped, sent in (
        (result.stdout, result.stdout_dropped, whole),
        (result.stderr, result.stderr_dropped, whole[::-1]),
    ):
        expected = sent if limit >= len(sent) else sent[:head] + sent[len(sent) - tail :]
        assert kept == expected
        assert dropped == len(sent) - len(expected)


def test_nothing_is_standard_input_by_default(executor: HermeticExecutor) -> None:
    result = executor.execute(["sh", "-c", "readlink /proc/self/fd/0; cat; cat <&0 | wc -c"])

    assert result.stdout == b"/dev/null\n0\n"


def test_a_file_is_read_from_its_position(executor: HermeticExecutor) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b"skipped and read")
        file.flush()
        os.lseek(file.fileno(), 8, os.SEEK_SET)

        assert executor.execute(["cat"], stdin=file).stdout == b"and read"
        os.lseek(file.fileno(), 12, os.SEEK_SET)
        assert executor.execute(["cat"], stdin=file.fileno()).stdout == b"read"
        assert not file.closed


def test_streams_go_to_files_and_descriptors_that_stay_open(executor: HermeticExecutor) -> None:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        result = executor.execute(["sh", "-c", "echo out; echo err >&2"], stdout=out, stderr=err.fileno())

        assert (result.stdout, result.stderr) == (b"", b"")
        assert (os.pread(out.fileno(), 100, 0), os.pread(err.fileno(), 100, 0)) == (b"out\n", b"err\n")


def test_both_streams_in_one_keep_their_order(executor: HermeticExecutor) -> None:
    script = "for i in 1 2 3 4 5; do echo o$i; echo e$i >&2; done"

    result = executor.execute(["sh", "-c", script], stderr="stdout")

    assert result.stdout.split() == [b"o1", b"e1", b"o2", b"e2", b"o3", b"e3", b"o4", b"e4", b"o5", b"e5"]
    assert result.stderr == b""


def test_a_discarded_stream_goes_nowhere(executor: HermeticExecutor) -> None:
    program = "import os; print('out'); os.write(2, os.readlink('/proc/self/fd/1').encode())"

    result = executor.execute(python(program), stdout="discard")

    assert (result.stdout, result.stderr) == (b"", b"/dev/null")


def test_inherited_streams_are_the_callers(executor: HermeticExecutor, capfd: pytest.CaptureFixture[str]) -> None:
    result = executor.execute(["sh", "-c", "echo out; echo err >&2"], stdout="inherit", stderr="inherit")

    assert (result.stdout, result.stderr) == (b"", b"")
    assert capfd.readouterr() == ("out\n", "err\n")


def test_the_command_has_the_three_streams_and_nothing_else(executor: HermeticExecutor) -> None:
    """Descriptors of the supervisor, of the launcher and of init all stay outside."""
    with tempfile.TemporaryFile() as file:
        os.set_inheritable(file.fileno(), True)
        result = executor.execute(["sh", "-c", "ls /proc/self/fd | wc -l"], stdin=b"x")

    assert result.stdout == b"4\n"  # the fourth is the listing


def test_output_arrives_while_the_command_runs(executor: HermeticExecutor) -> None:
    """The command goes on only when the first line has been seen outside."""
    with executor.start(["sh", "-c", "echo one; read word; echo two $word; echo three >&2"], stdin="pipe") as session:
        assert session.stdin is not None
        arrived = []
        for name, chunk in session.stream():
            arrived.append((name, chunk))
            if chunk == b"one\n":
                session.stdin.write(b"more\n")
        result = session.wait()

    assert arrived[0] == ("stdout", b"one\n")
    assert sorted(arrived[1:]) == [("stderr", b"three\n"), ("stdout", b"two more\n")]
    assert (result.stdout, result.stderr) == (b"one\ntwo more\n", b"three\n")


def test_streaming_is_whole_beyond_the_capture_limit(executor: HermeticExecutor) -> None:
    with executor.start(["head", "-c", "3000000", "/dev/zero"], capture_limit=100) as session:
        seen = sum(len(chunk) for _, chunk in session.stream())
        result = session.wait()

    assert seen == 3_000_000
    assert (len(result.stdout), result.stdout_dropped) == (100, 2_999_900)


def test_streaming_obeys_the_timeout(executor: HermeticExecutor) -> None:
    script = "echo started; trap 'echo asked; exit' TERM; sleep 60 & wait"

    with executor.start(["sh", "-c", script], timeout=2, grace=BOUND) as session:
        text = b"".join(chunk for _, chunk in session.stream())

        assert text == b"started\nasked\n"
        assert session.wait().termination == Termination.TIMED_OUT


def test_pipes_are_files_that_the_session_closes(executor: HermeticExecutor) -> None:
    before = descriptors()
    with executor.start(["sh", "-c", "cat; echo end >&2"], stdin="pipe", stdout="pipe", stderr="pipe") as session:
        assert session.stdin is not None
        assert session.stdout is not None
        assert session.stderr is not None
        session.stdin.write(b"text")
        session.stdin.close()
        assert session.stdout.read() == b"text"
        assert session.stderr.read() == b"end\n"
        result = session.wait()

    assert (result.stdout, result.stderr) == (b"", b"")
    assert session.stdout.closed
    assert descriptors() == before


def test_a_reader_that_takes_its_time_gets_every_byte(executor: HermeticExecutor) -> None:
    """The caller reads the pipe in small pieces while another thread waits for the end."""
    with executor.start(["head", "-c", "2000000", "/dev/zero"], stdout="pipe") as session:
        assert session.stdout is not None
        waiting = threading.Thread(target=session.wait)
        waiting.start()
        total = 0
        while chunk := session.stdout.read(1000):
            total += len(chunk)
        waiting.join(BOUND)

    assert total == 2_000_000


def test_a_reader_that_has_gone_is_a_broken_pipe(executor: HermeticExecutor) -> None:
    """With the default disposition of SIGPIPE, which Python ignores for itself (trap 27)."""
    reading, writing = os.pipe()
    os.close(reading)

    result = executor.execute(["head", "-c", "100000", "/dev/zero"], stdout=writing)

    os.close(writing)
    assert (result.exit_code, result.signal) == (141, 13)


def test_a_daemon_that_keeps_the_streams_does_not_keep_the_caller(executor: HermeticExecutor) -> None:
    """Trap 29: it has left session, group and parent, and holds both streams open."""
    script = "(setsid sh -c 'trap \"\" HUP TERM; echo daemon; while :; do sleep 60; done' &) ; echo done"

    begun = time.monotonic()
    result = executor.execute(["sh", "-c", script])

    assert result.exit_code == 0
    assert set(result.stdout.split()) <= {b"daemon", b"done"}
    assert b"done" in result.stdout.split()
    assert time.monotonic() - begun < BOUND


def test_a_copy_of_a_pipe_in_another_process_does_not_keep_the_caller(executor: HermeticExecutor) -> None:
    """A fork of the supervisor may hold the writing end: an empty pipe is the end when the sandbox is gone."""
    with executor.start(["sh", "-c", "read x; echo done"], stdin="pipe") as session:
        readers = [capture.fd for capture in session._plumbing.captures.values()]
        copies = [os.open(f"/proc/self/fd/{fd}", os.O_WRONLY) for fd in readers]  # a new writing end
        assert session.stdin is not None
        session.stdin.write(b"x\n")

        assert session.wait(timeout=BOUND).stdout == b"done\n"
        for fd in copies:
            os.close(fd)


@pytest.mark.needs("terminal")
def test_a_terminal_of_its_own(executor: HermeticExecutor) -> None:
    with executor.start(["sh", "-c", "tty; stty size; read x; echo got $x"], pty=True) as session:
        session.resize(7, 77)
        os.write(session.pty_fd, b"word\n")
        text = b""
        poller = select.poll()
        poller.register(session.pty_fd, select.POLLIN)
        while b"got word" not in text and poller.poll(BOUND * 1000):
            text += os.read(session.pty_fd, 4096)
        result = session.wait(timeout=BOUND)

    assert result.exit_code == 0
    assert b"/dev/pts/0" in text
    assert session.pty_fd == -1


def test_bytes_that_are_no_text_survive_in_arguments_and_streams(executor: HermeticExecutor) -> None:
    argument = os.fsdecode(b"\xff\xfe\x80 \n\t'\"\\")

    result = executor.execute(["printf", "%s", argument])

    assert result.stdout == os.fsencode(argument)
    assert result.argv == ("printf", "%s", argument)
