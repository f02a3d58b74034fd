"""Executions against the real kernel: streams, statuses, timeouts, concurrency, and what is left when somebody dies."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from bldr import HermeticExecutor, SandboxSpecBuilder, Termination
from bldr.errors import BldrError, InvalidCommandError, SandboxLostError, TimeLimitError
from bldr.model.limits import ResourceLimits
from bldr.model.network import NetworkPolicy
from bldr.sandbox.linux.launcher import Launcher
from tests.processes import temps_in_use

pytestmark = pytest.mark.needs("user-namespaces")
SOURCES = Path(__file__).parents[3] / "src"
BOUND = 20_000  # milliseconds that an event may take on a loaded machine


@pytest.fixture
def executor(launcher: Launcher) -> HermeticExecutor:
    return HermeticExecutor.create(specification().build(), launcher=launcher)


def specification() -> SandboxSpecBuilder:
    return SandboxSpecBuilder.create().with_toolchain("system").default_temp("/tmp").env("PATH", "/usr/bin:/bin")


def wait_for_end(pidfd: int) -> bool:
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(BOUND))


def test_many_bytes_each_way_do_not_deadlock(executor: HermeticExecutor) -> None:
    size = 100 * 1024 * 1024
    given = os.urandom(1024 * 1024) * 100

    result = executor.execute(["sh", "-c", "tee /dev/stderr"], stdin=given)

    assert (len(result.stdout), len(result.stderr)) == (size, size)
    assert result.stdout == given
    assert result.stderr == given


def test_a_capture_limit_keeps_head_and_tail(executor: HermeticExecutor) -> None:
    result = executor.execute(["sh", "-c", "printf head; head -c 1000000 /dev/zero; printf tail"], capture_limit=1000)

    assert len(result.stdout) == 1000
    assert result.stdout.startswith(b"head")
    assert result.stdout.endswith(b"tail")
    assert result.stdout_dropped == 1_000_008 - 1000


@pytest.mark.parametrize("status", [0, 1, 2, 77, 124, 125, 126, 127, 128, 255])
def test_the_status_of_the_command_is_its_own(executor: HermeticExecutor, status: int) -> None:
    result = executor.execute(["sh", "-c", f"exit {status}"])

    assert (result.exit_code, result.termination, result.signal) == (status, Termination.EXITED, None)
    assert result.success == (status == 0)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGPIPE])
def test_a_signal_is_told_from_a_status(executor: HermeticExecutor, number: int) -> None:
    result = executor.execute(["sh", "-c", f"kill -{int(number)} $$"])

    assert (result.exit_code, result.termination, result.signal) == (128 + number, Termination.SIGNALED, number)


def test_a_timeout_asks_first(executor: HermeticExecutor) -> None:
    result = executor.execute(["sh", "-c", "trap 'echo asked; exit 0' TERM; sleep 60 & wait"], timeout=2, grace=20)

    assert (result.exit_code, result.termination, result.stdout) == (124, Termination.TIMED_OUT, b"asked\n")
    with pytest.raises(TimeLimitError) as caught:
        result.check()
    assert caught.value.code == "action.timed-out"


def test_a_tree_that_ignores_the_timeout_is_killed(executor: HermeticExecutor) -> None:
    script = "trap '' TERM; setsid sh -c 'trap \"\" TERM; sleep 60' & sleep 60"

    result = executor.execute(["sh", "-c", script], timeout=2, grace=0.2)

    assert (result.exit_code, result.termination) == (124, Termination.TIMED_OUT)
    assert result.duration < 30


def test_a_grandchild_that_keeps_stdout_open_does_not_outlive_the_command(executor: HermeticExecutor) -> None:
    result = executor.execute(["sh", "-c", "setsid sleep 60 & echo done"])

    assert (result.exit_code, result.stdout) == (0, b"done\n")
    assert result.duration < 30


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        ([], "spec.command-empty"),
        ([""], "spec.command-empty"),
        (["a\0b"], "spec.command-nul"),
        (["no-such-command"], "spec.command-not-found"),
        (["/usr"], "spec.command-not-executable"),
        (["/etc/passwd"], "spec.command-not-executable"),
    ],
)
def test_a_command_that_cannot_be_executed_is_refused(executor: HermeticExecutor, argv: list[str], code: str) -> None:
    with pytest.raises(InvalidCommandError) as caught:
        executor.execute(argv)

    assert caught.value.code == code
    assert caught.value.hint


def test_a_directory_that_is_not_there_is_refused(executor: HermeticExecutor) -> None:
    with pytest.raises(InvalidCommandError) as caught:
        executor.execute(["true"], cwd="/nowhere")

    assert caught.value.code == "spec.cwd-invalid"


@pytest.mark.parametrize(
    "builder",
    [
        specification().with_limits(ResourceLimits(memory="900T")),
        specification().with_network(NetworkPolicy.allow_hosts(["host.example"])).require("no-network"),
        specification().require("network-allow-list"),
        specification().require("no-network", "firewall"),
    ],
)
def test_what_cannot_be_enforced_is_refused(builder: SandboxSpecBuilder) -> None:
    with pytest.raises(BldrError) as caught:
        HermeticExecutor.create(builder.build())

    assert caught.value.code == "sandbox.guarantee-unavailable"


def test_a_file_cannot_grow_beyond_its_limit(launcher: Launcher) -> None:
    spec = specification().with_limits(ResourceLimits(file_size="64K")).build()

    result = HermeticExecutor.create(spec, launcher=launcher).execute(["sh", "-c", "head -c 100000 /dev/zero > /tmp/x"])

    assert result.exit_code != 0
    assert result.receipt.record("file-size-limit").enforced


def test_output_streams_while_the_command_runs(executor: HermeticExecutor) -> None:
    with executor.start(["cat"], stdin="pipe", stdout="pipe") as session:
        assert session.stdin is not None
        assert session.stdout is not None
        session.stdin.write(b"one\n")
        assert session.stdout.readline() == b"one\n"
        session.stdin.close()

        assert session.wait().exit_code == 0


def test_leaving_a_session_kills_the_command(executor: HermeticExecutor) -> None:
    with executor.start(["sleep", "60"], stdout="discard", stderr="discard") as session:
        pass

    assert session.ended is False
    assert temps_in_use(executor._backend.launcher.base) == []


def test_a_cancelled_task_kills_the_command(executor: HermeticExecutor) -> None:
    async def main() -> None:
        task = asyncio.create_task(executor.execute_async(["sleep", "60"]))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_many_threads_run_commands_at_the_same_time(executor: HermeticExecutor) -> None:
    outputs: list[tuple[int, bytes]] = []

    def work(number: int) -> None:
        outputs.extend((number, executor.execute(["echo", f"{number} {turn}"]).stdout) for turn in range(3))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outputs) == sorted((n, f"{n} {t}\n".encode()) for n in range(64) for t in range(3))


def test_runs_leave_no_descriptor_and_no_scratch(executor: HermeticExecutor, launcher: Launcher) -> None:
    executor.execute(["true"])
    before = len(os.listdir("/proc/self/fd"))

    for _ in range(50):
        assert executor.execute(["true"]).exit_code == 0

    assert len(os.listdir("/proc/self/fd")) == before
    assert temps_in_use(launcher.base) == []


def test_the_death_of_the_launcher_is_told_and_survived(tmp_path: Path) -> None:
    launcher = Launcher(scratch_parent=str(tmp_path))
    try:
        executor = HermeticExecutor.create(specification().build(), launcher=launcher)
        with executor.start(["sleep", "60"], stdout="discard", stderr="discard") as session:
            os.kill(launcher.pid, signal.SIGKILL)
            with pytest.raises(SandboxLostError):
                session.wait(timeout=60)

        assert executor.execute(["true"]).exit_code == 0
    finally:
        launcher.stop()
    assert list(tmp_path.iterdir()) == []


SUPERVISOR = textwrap.dedent("""
    import sys
    sys.path.insert(0, sys.argv[1])
    from bldr import HermeticExecutor, SandboxSpecBuilder
    from bldr.sandbox.linux.launcher import Launcher
    spec = SandboxSpecBuilder.create().with_toolchain("system").default_temp("/tmp").env("PATH", "/usr/bin:/bin").build()
    launcher = Launcher(scratch_parent=sys.argv[2], forked=sys.argv[3] == "forked")
    session = HermeticExecutor.create(spec, launcher=launcher).start(["sleep", "60"], stdout="discard", stderr="discard")
    print(launcher.pid, flush=True)
    session.wait()
""")


@pytest.mark.parametrize("kind", ["spawned", "forked"])
def test_a_killed_supervisor_leaves_nothing(tmp_path: Path, kind: str) -> None:
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(SOURCES), str(tmp_path), kind], stdout=subprocess.PIPE
    )
    assert supervisor.stdout is not None
    pidfd = os.pidfd_open(int(supervisor.stdout.readline()))
    supervisor.kill()
    supervisor.wait()
    supervisor.stdout.close()

    assert wait_for_end(pidfd)
    os.close(pidfd)
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_a_killed_launcher_are_removed_by_the_next(tmp_path: Path) -> None:
    left = tmp_path / "bldr-scratch-0123456789abcdef"
    (left / "1" / "0" / "locked").mkdir(parents=True)
    (left / "1" / "0" / "locked").chmod(0o555)
    first, second = Launcher(scratch_parent=str(tmp_path)), Launcher(scratch_parent=str(tmp_path))
    try:
        first.ensure()
        second.ensure()
        executor = HermeticExecutor.create(specification().build(), launcher=second)
        for _ in range(3):
            assert executor.execute(["true"]).exit_code == 0
    finally:
        second.stop()
        first.stop()

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("count", [63, 64, 65, 1000, 5000])
def test_thousands_of_inputs_are_shown(tmp_path: Path, launcher: Launcher, count: int) -> None:
    builder = specification()
    for number in range(count):
        path = tmp_path / f"directory {number % 50}" / f"file {number}"
        path.parent.mkdir(exist_ok=True)
        path.write_text(str(number))
        builder.input(path)

    result = HermeticExecutor.create(builder.build(), launcher=launcher).execute(
        ["sh", "-c", f"find '{tmp_path}' -type f | wc -l; cat '{path}'"]
    )

    assert result.stdout.decode() == f"{count}\n{count - 1}"
