"""Each process dies once, by SIGKILL, at each moment: what is told, what works next, what is left."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bldr import HermeticExecutor, Sandbox
from bldr.errors import SandboxLostError
from bldr.sandbox.linux.launcher import Launcher
from tests.processes import BOUND, Witness, children, descendants, descriptors, ends, specification, until

pytestmark = pytest.mark.needs("user-namespaces")
SOURCES = Path(__file__).parents[2] / "src"
BUSY = "trap '' TERM HUP; (setsid sleep 60 &); while :; do echo x > /tmp/file; mkdir -p /tmp/a/b; rm -rf /tmp/a; done"


@pytest.fixture
def scratch(host_dir: Path) -> Path:
    return host_dir


@pytest.fixture
def launcher(scratch: Path) -> Iterator[Launcher]:
    launcher = Launcher(scratch_parent=str(scratch))
    launcher.ensure()
    yield launcher
    launcher.stop()


@pytest.fixture
def executor(launcher: Launcher) -> HermeticExecutor:
    return HermeticExecutor.create(specification().build(), launcher=launcher)


def init_of(session: Sandbox) -> int:
    """The process that the session's handle means."""
    for line in Path(f"/proc/self/fdinfo/{session._running._pidfd}").read_text("ascii").splitlines():  # type: ignore[attr-defined]
        if line.startswith("Pid:"):
            return int(line.split()[1])
    raise AssertionError


def kill_all(pids: set[int]) -> None:
    """Kill processes and wait for their ends: a message may reach who is being killed, and gets no answer."""
    handles = []
    for pid in sorted(pids):
        with contextlib.suppress(ProcessLookupError):  # of a sandbox that was about to end when they were looked up
            handles.append(os.pidfd_open(pid))
    for handle in handles:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    assert all(map(ends, handles))
    for handle in handles:
        os.close(handle)


def test_a_launcher_that_dies_between_runs_is_replaced(executor: HermeticExecutor, launcher: Launcher) -> None:
    for _ in range(3):
        kill_all({launcher.pid, *descendants(launcher.pid)})

        assert executor.execute(["echo", "next"]).stdout == b"next\n"


def test_a_launcher_that_dies_during_a_run_ends_it(
    executor: HermeticExecutor, launcher: Launcher, scratch: Path
) -> None:
    before = descriptors()
    with executor.start(["sh", "-c", f"echo ready; {BUSY}"], stdout="pipe") as session, Witness(launcher.pid) as early:
        assert session.stdout is not None
        session.stdout.readline()
        with Witness(launcher.pid) as witness:
            os.kill(launcher.pid, signal.SIGKILL)
            with pytest.raises(SandboxLostError) as caught:
                session.wait(timeout=BOUND)
            assert caught.value.code == "sandbox.lost"
            assert witness.survivors() == early.survivors() == set()
    assert executor.execute(["echo", "next"]).stdout == b"next\n"
    assert descriptors() == before
    launcher.stop()
    assert list(scratch.iterdir()) == []


def test_a_launcher_that_dies_before_a_run_of_many_threads_fails_none(
    executor: HermeticExecutor, launcher: Launcher
) -> None:
    kill_all({launcher.pid})
    outputs: list[bytes] = []
    threads = [
        threading.Thread(target=lambda n=number: outputs.append(executor.execute(["echo", str(n)]).stdout))
        for number in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND)

    assert sorted(outputs) == sorted(f"{number}\n".encode() for number in range(16))


def test_a_launcher_that_is_killed_all_the_time_never_gives_a_wrong_answer(
    executor: HermeticExecutor, launcher: Launcher, scratch: Path
) -> None:
    """Each run succeeds, or says that it was lost."""
    stop = threading.Event()

    def kill() -> None:
        while not stop.wait(0.02):
            if pid := launcher.pid:
                try:
                    os.kill(pid, signal.SIGKILL)  # not reaped before the next run looks, so the number is its own
                except ProcessLookupError:
                    pass

    killer = threading.Thread(target=kill)
    killer.start()
    before = descriptors()
    lost = 0
    for number in range(60):
        try:
            assert executor.execute(["echo", str(number)]).stdout == f"{number}\n".encode()
        except SandboxLostError:
            lost += 1
    stop.set()
    killer.join()

    assert executor.execute(["echo", "next"]).stdout == b"next\n"
    assert abs(descriptors() - before) <= 2  # control and mounts of a launcher that was not there before
    launcher.stop()
    assert list(scratch.iterdir()) == []


def test_an_init_that_is_killed_from_outside_loses_its_run_only(executor: HermeticExecutor, launcher: Launcher) -> None:
    with executor.start(["cat"], stdin="pipe") as other:
        with executor.start(["sh", "-c", f"echo ready; {BUSY}"], stdout="pipe") as session:
            assert session.stdout is not None
            session.stdout.readline()
            with Witness(init_of(session)) as witness:
                os.kill(init_of(session), signal.SIGKILL)
                with pytest.raises(SandboxLostError):
                    session.wait(timeout=BOUND)
                assert witness.survivors() == set()
        assert other.stdin is not None
        other.stdin.write(b"still here")
        other.stdin.close()

        assert other.wait(timeout=BOUND).stdout == b"still here"


def test_inits_that_wait_for_work_may_die(executor: HermeticExecutor, launcher: Launcher) -> None:
    assert until(lambda: len(children(launcher.pid)) == 4)
    kill_all(children(launcher.pid))

    assert [executor.execute(["echo", "x"]).stdout for _ in range(8)] == [b"x\n"] * 8


SUPERVISOR = textwrap.dedent("""
    import os, signal, sys, threading
    sys.path.insert(0, sys.argv[1])
    from bldr import HermeticExecutor, SandboxSpecBuilder
    from bldr.sandbox.linux.launcher import Launcher
    spec = SandboxSpecBuilder.create().with_toolchain("system").default_temp("/tmp").env("PATH", "/usr/bin:/bin").build()
    launcher = Launcher(scratch_parent=sys.argv[2], forked=sys.argv[3] == "forked")
    executor = HermeticExecutor.create(spec, launcher=launcher)
    count = 1 if launcher._forked else 3
    sessions = [executor.start(["sh", "-c", sys.argv[4]], stdout="pipe") for _ in range(count)]
    for session in sessions:
        session.stdout.readline()
    if sys.argv[3] == "with-fork":
        reading, writing = os.pipe()
        if os.fork() == 0:
            os.close(1)
            signal.pause()
    print(launcher.pid, flush=True)
    sessions[0].wait()
""")


class Supervisor:
    """Another process that runs commands, to be killed."""

    def __init__(self, scratch: Path, kind: str) -> None:
        script = f"echo ready; {BUSY}"
        self.process = subprocess.Popen(
            [sys.executable, "-c", SUPERVISOR, str(SOURCES), str(scratch), kind, script], stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        self.launcher = int(self.process.stdout.readline())

    def kill(self) -> None:
        assert self.process.stdout is not None
        self.process.kill()
        self.process.stdout.close()
        self.process.wait(BOUND)


@pytest.mark.parametrize("kind", ["spawned", "forked"])
def test_a_supervisor_that_is_killed_leaves_nothing(scratch: Path, kind: str) -> None:
    mounts = Path("/proc/self/mounts").read_bytes()
    supervisor = Supervisor(scratch, kind)
    with Witness(supervisor.process.pid) as witness:
        assert len(witness.pids) > 3
        supervisor.kill()

        assert witness.survivors() == set()
    assert list(scratch.iterdir()) == []
    assert Path("/proc/self/mounts").read_bytes() == mounts


def test_a_fork_of_a_killed_supervisor_does_not_keep_its_sandboxes(scratch: Path) -> None:
    """multiprocessing's children hold copies of the launcher's socket."""
    supervisor = Supervisor(scratch, "with-fork")
    with Witness(supervisor.launcher) as sandboxes:
        (fork,) = children(supervisor.process.pid) - {supervisor.launcher}
        supervisor.kill()

        survivors = sandboxes.survivors(bound=30)
        kill_all({fork})
        assert survivors == set()
    assert list(scratch.iterdir()) == []


def test_when_both_are_killed_the_next_start_removes_what_is_left(scratch: Path) -> None:
    supervisor = Supervisor(scratch, "spawned")
    with Witness(supervisor.process.pid) as witness:
        os.kill(supervisor.process.pid, signal.SIGSTOP)
        os.kill(supervisor.launcher, signal.SIGKILL)
        supervisor.kill()
        assert witness.survivors() == set()
    assert len(list(scratch.iterdir())) == 1

    launcher = Launcher(scratch_parent=str(scratch))
    launcher.ensure()

    assert until(lambda: [str(path) for path in scratch.iterdir()] == [launcher.base])
    launcher.stop()
    assert list(scratch.iterdir()) == []


def test_the_command_line_removes_what_another_one_left(bldr_argv: list[str], scratch: Path) -> None:
    left = scratch / "bldr-scratch-0123456789abcdef"
    (left / "1" / "0").mkdir(parents=True)
    (left / "1" / "0").chmod(0o555)
    environment = {"PATH": "/usr/bin:/bin", "TMPDIR": str(scratch)}

    for _ in range(3):
        subprocess.run([*bldr_argv, "run", "--", "sleep", "0.1"], env=environment, check=True, timeout=BOUND)

    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("victim", ["bldr", "launcher"])
def test_a_command_line_that_is_killed_leaves_nothing(bldr_argv: list[str], scratch: Path, victim: str) -> None:
    process = subprocess.Popen(
        [*bldr_argv, "run", "--", "sh", "-c", f"echo ready; {BUSY}"],
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(scratch)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    (launcher,) = children(process.pid)
    with Witness(process.pid) as witness:
        os.kill(process.pid if victim == "bldr" else launcher, signal.SIGKILL)
        _, stderr = process.communicate(timeout=BOUND)

        assert witness.survivors() == set()
    assert list(scratch.iterdir()) == []
    if victim == "launcher":
        assert process.returncode == 125
        # Who is quick kills it before the supervisor has read that the command, which has printed already, was started.
        ended = b"(the sandbox was ended from outside|cannot start the init: the sandbox ended before)"
        assert re.match(b"bldr: " + ended, stderr), stderr


def test_stopping_the_launcher_ends_what_runs(launcher: Launcher, executor: HermeticExecutor, scratch: Path) -> None:
    with executor.start(["sh", "-c", f"echo ready; {BUSY}"], stdout="pipe") as session:
        assert session.stdout is not None
        session.stdout.readline()
        with Witness(launcher.pid) as witness:
            launcher.stop()

            assert witness.survivors() == set()
        with pytest.raises(SandboxLostError):
            session.wait(timeout=BOUND)
    assert list(scratch.iterdir()) == []


def test_a_session_that_is_forgotten_is_ended(executor: HermeticExecutor, launcher: Launcher) -> None:
    before = descriptors()
    session = executor.start(["sh", "-c", f"echo ready; {BUSY}"], stdout="capture")
    init = init_of(session)
    pidfd = os.pidfd_open(init)
    del session

    assert ends(pidfd)
    os.close(pidfd)
    assert descriptors() == before


def test_nobody_waits_for_a_pipe_of_a_lost_command(executor: HermeticExecutor, launcher: Launcher) -> None:
    with executor.start(["cat"], stdin="pipe", stdout="pipe") as session:
        assert session.stdout is not None
        os.kill(init_of(session), signal.SIGKILL)
        poller = select.poll()
        poller.register(session.stdout, select.POLLIN)

        assert poller.poll(BOUND * 1000)
        assert session.stdout.read() == b""
