"""How executions end: statuses, signals, timeouts, cancellation, interruption; and what the result says of it."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bldr import ExecutionResult, HermeticExecutor, Sandbox, SandboxSpecBuilder, Termination
from bldr.cli.run import Interrupts
from bldr.errors import BldrError, CommandFailedError, InvalidLimitError, TimeLimitError
from bldr.model.limits import ResourceLimits
from bldr.sandbox.linux.launcher import Launcher
from tests.processes import BOUND, descendants, descriptors, smallest, specification, temps_in_use, until

pytestmark = pytest.mark.needs("user-namespaces")
SOURCES = Path(__file__).parents[3] / "src"
SIGNALS_OF_THE_END = [
    number
    for number in range(1, 65)
    if number not in (signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH, 32, 33)
    and number not in (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
]


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    launcher = Launcher()
    launcher.ensure()
    yield launcher
    launcher.stop()


@pytest.fixture
def executor(launcher: Launcher) -> HermeticExecutor:
    return HermeticExecutor.create(specification().build(), launcher=launcher)


@pytest.fixture(scope="module")
def plain(launcher: Launcher) -> HermeticExecutor:
    """Without temps, for the tests that run hundreds."""
    return HermeticExecutor.create(smallest().build(), launcher=launcher)


def python(program: str) -> list[str]:
    return ["/usr/bin/python3", "-I", "-S", "-c", program]


def test_every_status_is_the_commands_own(plain: HermeticExecutor) -> None:
    ended = [plain.execute(["sh", "-c", f"exit {status}"]) for status in range(256)]

    assert [result.exit_code for result in ended] == list(range(256))
    assert {(result.termination, result.signal) for result in ended} == {(Termination.EXITED, None)}


def test_every_signal_is_reported_as_a_shell_does(plain: HermeticExecutor) -> None:
    """Trap 25: with the number in a field of its own, and whether or not a core was asked for."""
    for number in SIGNALS_OF_THE_END:
        result = plain.execute(["sh", "-c", f"kill -{number} $$"])

        assert (result.exit_code, result.termination, result.signal) == (128 + number, Termination.SIGNALED, number)


def test_a_core_dump_does_not_change_the_status(plain: HermeticExecutor) -> None:
    program = "import os, resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); os.abort()"

    result = plain.execute(python(program))

    assert (result.exit_code, result.signal) == (134, signal.SIGABRT)


def test_the_status_is_that_of_the_command_and_not_of_a_stranger(plain: HermeticExecutor) -> None:
    """Trap 24: orphans that init reaps, before and after, change nothing."""
    script = "(sh -c 'exit 9' &) ; (setsid sh -c 'exit 8' &) ; for i in 1 2 3; do /bin/true; done; exit 7"

    for _ in range(20):
        assert plain.execute(["sh", "-c", script]).exit_code == 7


def test_a_command_starts_with_clean_signals(plain: HermeticExecutor) -> None:
    """Trap 27: Python ignores SIGPIPE and SIGXFSZ, and a caller may block anything."""
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD})
    try:
        result = plain.execute(["grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status"])
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)

    of_libc = 0b11 << 31  # 32 and 33 are its own; posix_spawn(3) leaves them ignored until a thread is made
    blocked, ignored, _ = (int(line.split()[1], 16) for line in result.stdout.splitlines())
    assert (blocked, ignored & ~of_libc) == (0, 0)


IGNORES_CHILDREN = """
import signal, sys
sys.path.insert(0, sys.argv[1])
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
from bldr import HermeticExecutor
from bldr.sandbox.linux.launcher import Launcher
from tests.processes import specification
launcher = Launcher(forked=sys.argv[2] == "forked")
executor = HermeticExecutor.create(specification().build(), launcher=launcher)
print([executor.execute(["sh", "-c", f"(exit 3 &); true; exit {n}"]).exit_code for n in range(1 if launcher._forked else 5)])
launcher.stop()
"""


@pytest.mark.parametrize("kind", ["forked", "spawned"])
def test_a_caller_that_ignores_its_children_changes_nothing(repository: Path, kind: str) -> None:
    """Trap 27: waitpid(2) fails then, and the command must not inherit it."""
    done = subprocess.run(
        [sys.executable, "-c", IGNORES_CHILDREN, str(SOURCES), kind],
        cwd=repository, capture_output=True, timeout=BOUND, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout) == ([0] if kind == "forked" else [0, 1, 2, 3, 4])


def test_a_timeout_reaches_the_group_and_the_kill_everybody(executor: HermeticExecutor, launcher: Launcher) -> None:
    """Trap 28: grandchildren in sessions of their own, deaf, with stdout open; a fork that goes on all the time."""
    deaf = "trap '' TERM HUP INT"
    script = f'{deaf}; (setsid sh -c "{deaf}; echo away; while :; do sleep 60 & wait; done" &); echo here; sleep 60'
    with executor.start(["sh", "-c", script], timeout=4, grace=0.3) as session:
        text = b""
        streaming = session.stream()
        while text.count(b"\n") < 2:
            text += next(streaming)[1]
        inside: set[int] = set()

        def all_are_seen() -> bool:  # the deaf one says that it is there before its own child is
            inside.update(pid for pid in descendants(launcher.pid) if is_command(pid))
            return len(inside) >= 3

        assert until(all_are_seen)
        for _ in streaming:
            pass
        result = session.wait()

    assert not any(map(is_command, inside))
    assert (result.exit_code, result.termination, result.signal) == (124, Termination.TIMED_OUT, signal.SIGKILL)
    assert 0.3 <= result.usage.wall_time < BOUND
    assert sorted(text.split()) == [b"away", b"here"]


def is_command(pid: int) -> bool:
    """Whether a process lives and is no init that waits for a request."""
    try:
        return Path(f"/proc/{pid}/comm").read_text("utf-8", "replace") != "bldr-init\n"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_command_may_end_in_peace_within_the_grace(executor: HermeticExecutor) -> None:
    script = "trap 'echo cleaned; exit 3' TERM; echo ready; sleep 60 & wait"

    result = executor.execute(["sh", "-c", script], timeout=2, grace=BOUND)

    assert (result.exit_code, result.termination, result.signal) == (124, Termination.TIMED_OUT, None)
    assert result.stdout == b"ready\ncleaned\n"
    assert result.usage.wall_time < BOUND / 2


def test_without_a_grace_it_is_killed_at_once(executor: HermeticExecutor) -> None:
    result = executor.execute(["sh", "-c", "trap '' TERM; sleep 60"], timeout=2, grace=0)

    assert (result.exit_code, result.termination) == (124, Termination.TIMED_OUT)


def test_a_stopped_command_is_ended_by_its_timeout(executor: HermeticExecutor) -> None:
    result = executor.execute(["sh", "-c", "kill -STOP $$"], timeout=2, grace=0.1)

    assert (result.exit_code, result.termination) == (124, Termination.TIMED_OUT)


def test_a_report_that_has_arrived_wins_over_the_timeout(plain: HermeticExecutor) -> None:
    """Trap 28: the deadline has passed long ago when somebody looks, but the command had ended before."""
    begun = time.monotonic()
    with plain.start(["sh", "-c", "exit 5"], timeout=3) as session:
        poller = select.poll()
        poller.register(session._running.fileno(), select.POLLIN)
        assert poller.poll(BOUND * 1000)
        assert until(lambda: time.monotonic() > begun + 3.1)

        result = session.wait()

    assert (result.exit_code, result.termination) == (5, Termination.EXITED)


@pytest.mark.parametrize("milliseconds", [1, 2, 3, 4, 6, 8, 12, 16])
def test_a_command_that_ends_around_its_deadline_has_one_story(plain: HermeticExecutor, milliseconds: int) -> None:
    try:
        result = plain.execute(["sleep", "0.003"], timeout=milliseconds / 1000)
    except TimeLimitError as error:
        assert error.result is None  # it was not started
        return

    expected = {
        (0, Termination.EXITED, None),
        (124, Termination.TIMED_OUT, signal.SIGTERM),
        (124, Termination.TIMED_OUT, None),  # it had just ended when the signal came
    }
    assert (result.exit_code, result.termination, result.signal) in expected


@pytest.mark.parametrize("timeout", [0, -1, "soon", float("nan")])
def test_a_timeout_that_is_none_is_refused_before_anything_runs(plain: HermeticExecutor, timeout: float | str) -> None:
    before = descriptors()

    with pytest.raises(InvalidLimitError) as caught:
        plain.execute(["true"], timeout=timeout)

    assert caught.value.code == "spec.limit-invalid"
    assert descriptors() == before


@pytest.mark.parametrize("grace", [-1, "soon", float("nan")])
def test_a_grace_that_is_none_leaves_nothing(plain: HermeticExecutor, launcher: Launcher, grace: float | str) -> None:
    before = descriptors()

    with pytest.raises(InvalidLimitError):
        plain.execute(["sleep", "60"], grace=grace)

    assert descriptors() == before
    assert until(lambda: not any(map(is_command, descendants(launcher.pid))))


def test_killing_from_another_thread_ends_the_wait(executor: HermeticExecutor) -> None:
    with executor.start(["sleep", "60"]) as session:
        killer = threading.Thread(target=session.kill)
        killer.start()
        result = session.wait(timeout=BOUND)
        killer.join()

    assert (result.exit_code, result.termination, result.signal) == (137, Termination.CANCELLED, signal.SIGKILL)
    with pytest.raises(CommandFailedError) as caught:
        result.check()
    assert caught.value.code == "action.cancelled"


def test_terminating_from_another_thread_keeps_to_the_grace(executor: HermeticExecutor) -> None:
    """Who waits has no deadline of its own, and must learn of the new one."""
    with executor.start(["sh", "-c", "trap '' TERM; echo ready; sleep 60"], stdout="pipe", grace=0.2) as session:
        assert session.stdout is not None
        session.stdout.readline()
        results: list[ExecutionResult] = []
        waiting = threading.Thread(target=lambda: results.append(session.wait()))
        waiting.start()
        assert until(lambda: state_of_thread(waiting) == "S")
        session.terminate()
        session.terminate()
        waiting.join(BOUND)

        assert not waiting.is_alive()
    assert [(result.exit_code, result.termination) for result in results] == [(137, Termination.CANCELLED)]


def state_of_thread(thread: threading.Thread) -> str:
    return Path(f"/proc/self/task/{thread.native_id}/stat").read_text("utf-8").rpartition(")")[2].split()[0]


def test_a_command_that_obeys_when_terminated_is_cancelled_all_the_same(executor: HermeticExecutor) -> None:
    with executor.start(["sh", "-c", "trap 'exit 0' TERM; echo ready; sleep 60 & wait"], stdout="pipe") as session:
        assert session.stdout is not None
        session.stdout.readline()
        session.terminate()
        result = session.wait(timeout=BOUND)

    assert (result.exit_code, result.termination, result.success) == (0, Termination.CANCELLED, False)


def test_signals_reach_the_command(executor: HermeticExecutor) -> None:
    script = "trap 'echo one' USR1; trap 'echo two; exit 4' USR2; echo ready; while :; do sleep 60 & wait; done"
    with executor.start(["sh", "-c", script], stdout="pipe") as session:
        assert session.stdout is not None
        session.stdout.readline()
        session.signal(signal.SIGUSR1)
        assert session.stdout.readline() == b"one\n"
        session.signal(signal.SIGUSR2)
        result = session.wait(timeout=BOUND)
        session.signal(signal.SIGTERM)
        session.kill()
        session.terminate()

    assert (result.exit_code, result.termination) == (4, Termination.EXITED)
    assert session.wait() is result


def test_a_wait_with_a_bound_can_be_repeated(executor: HermeticExecutor) -> None:
    with executor.start(["sh", "-c", "read x; exit 6"], stdin="pipe") as session:
        with pytest.raises(TimeoutError):
            session.wait(timeout=0.01)
        assert not session.ended
        assert session.stdin is not None
        session.stdin.write(b"\n")

        assert session.wait(timeout=BOUND).exit_code == 6
        assert session.ended


def test_an_interrupt_is_passed_on_and_raised(executor: HermeticExecutor) -> None:
    """As at a prompt: the command gets SIGINT and ends by itself, and the caller sees KeyboardInterrupt."""
    before = descriptors()
    reading, writing = os.pipe()
    script = "trap 'echo tidied; exit 0' INT; read go; echo ready; sleep 60 & wait"

    with interrupted_when_readable(reading), pytest.raises(KeyboardInterrupt):
        executor.execute(["sh", "-c", script], stdin=b"go\n", stdout=writing, grace=BOUND)  # fed when it waits

    os.close(writing)
    with open(reading, "rb") as file:
        assert file.read().endswith(b"tidied\n")
    assert descriptors() == before


def test_an_interrupt_of_a_deaf_command_kills_it_after_the_grace(
    executor: HermeticExecutor, launcher: Launcher
) -> None:
    before = descriptors()
    reading, writing = os.pipe()
    script = "trap '' INT; read go; echo ready; (setsid sleep 60 &); sleep 60"

    with interrupted_when_readable(reading), pytest.raises(KeyboardInterrupt):
        executor.execute(["sh", "-c", script], stdin=b"go\n", stdout=writing, grace=0.1)

    os.close(writing)
    os.close(reading)
    assert descriptors() == before
    assert until(lambda: not any(map(is_command, descendants(launcher.pid))))


class interrupted_when_readable:  # noqa: N801  reads as a verb in a with statement
    """Sends SIGINT to the main thread of this process as soon as something can be read."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._thread = threading.Thread(target=self._interrupt)
        self._main = threading.get_ident()

    def _interrupt(self) -> None:
        poller = select.poll()
        poller.register(self._fd, select.POLLIN)
        if poller.poll(BOUND * 1000):
            signal.pthread_kill(self._main, signal.SIGINT)

    def __enter__(self) -> None:
        self._before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self._thread.start()

    def __exit__(self, *_error: object) -> None:
        self._thread.join()
        signal.signal(signal.SIGINT, self._before)


@pytest.fixture
def handlers() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")  # after a signal the command line only has to end, and ignores others
def test_a_signal_that_another_thread_gets_ends_the_wait(executor: HermeticExecutor) -> None:
    """As one that comes just before the wait begins; CPython runs its handler in the main thread only."""

    def get_signal() -> None:
        state = Path(f"/proc/self/task/{os.getpid()}/stat")
        assert until(lambda: b") S " in state.read_bytes())
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    other = threading.Thread(target=get_signal)
    script = "trap 'exit 7' TERM; echo ready; sleep 60 & wait"
    with Interrupts() as interrupts, executor.start(["sh", "-c", script], stdout="pipe") as session:
        session.wake_by(interrupts.fd)
        interrupts.reach(session)
        assert session.stdout is not None
        assert session.stdout.readline() == b"ready\n"
        other.start()
        result = session.wait(BOUND)
    other.join()

    assert (result.exit_code, result.termination) == (7, Termination.EXITED)


class TestAsyncio:
    def test_commands_that_wait_for_each_other_all_get_a_thread(self, executor: HermeticExecutor) -> None:
        """Forty readers are started before the one writer that they wait for; the loop's own pool is smaller."""

        async def main() -> list[ExecutionResult]:
            ends = [os.pipe() for _ in range(40)]
            readers = [
                asyncio.create_task(executor.execute_async(["cat"], stdin=reading, timeout=BOUND))
                for reading, _ in ends
            ]
            await asyncio.sleep(0)
            for _, writing in ends:
                await executor.execute_async(["echo", "word"], stdout=writing)
                os.close(writing)
            results = await asyncio.gather(*readers)
            for reading, _ in ends:
                os.close(reading)
            return results

        assert [result.stdout for result in asyncio.run(main())] == [b"word\n"] * 40

    def test_errors_reach_the_task(self, executor: HermeticExecutor) -> None:
        with pytest.raises(BldrError) as caught:
            asyncio.run(executor.execute_async(["no-such-command"]))

        assert caught.value.code == "spec.command-not-found"

    @pytest.mark.parametrize("turns", [0, 1, 5, 50])
    def test_a_task_that_is_cancelled_at_any_moment_leaves_nothing(
        self, executor: HermeticExecutor, launcher: Launcher, turns: int
    ) -> None:
        launcher.ensure()
        asyncio.run(asyncio.sleep(0))
        before = descriptors()

        async def main() -> None:
            task = asyncio.create_task(executor.execute_async(["sleep", "60"]))
            for _ in range(turns):
                await asyncio.sleep(0.0002)
            task.cancel()
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())

        assert descriptors() == before
        assert not temps_in_use(launcher.base)
        assert until(lambda: not any(map(is_command, descendants(launcher.pid))))

    def test_a_timeout_of_the_loop_kills_the_command(self, executor: HermeticExecutor, launcher: Launcher) -> None:
        async def main() -> None:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await executor.execute_async(["sh", "-c", "(setsid sleep 60 &); sleep 60"])

        asyncio.run(main())

        assert until(lambda: not any(map(is_command, descendants(launcher.pid))))

    def test_the_loop_goes_on_meanwhile(self, executor: HermeticExecutor) -> None:
        async def main() -> int:
            task = asyncio.create_task(executor.execute_async(["sleep", "0.2"]))
            turns = 0
            while not task.done():
                await asyncio.sleep(0.001)
                turns += 1
            return turns

        assert asyncio.run(main()) > 20


class TestResults:
    def test_everything_is_said(self, launcher: Launcher, host_dir: Path) -> None:
        out = host_dir / "out"
        (out / "deep").mkdir(parents=True)
        spec = specification().output(out).build()
        begun, clock = time.time(), time.monotonic()
        script = f"cd {out}; echo x > file; echo y > deep/er; ln -s /nowhere link; mkdir empty; i=0; echo o; echo e >&2; exit 3"

        result = HermeticExecutor.create(spec, launcher=launcher).execute(["sh", "-c", script], timeout=60)

        assert result.argv == ("sh", "-c", script)
        assert (result.exit_code, result.stdout, result.stderr) == (3, b"o\n", b"e\n")
        assert result.output_files == (str(out / "deep" / "er"), str(out / "file"), str(out / "link"))
        assert result.hermetic
        assert not result.success
        assert begun <= result.started_at <= time.time()
        assert 0 < result.usage.wall_time <= result.duration <= time.monotonic() - clock
        assert (result.usage.peak_memory or 0) < 8 << 20  # a shell's, not our own init's
        assert (result.violations, result.denials, result.reads) == ((), (), ())
        for name in ("wall-timeout", "temps-removed", "no-survivors", "reads-confined", "no-network"):
            record = result.receipt.record(name)
            assert record.enforced, name
        assert result.receipt.record("no-network").verified
        with pytest.raises(CommandFailedError) as caught:
            result.check()
        assert caught.value.result is result

    def test_cpu_time_counts_the_children_that_were_waited_for(self, plain: HermeticExecutor) -> None:
        burn = "import time\nwhile time.process_time() < 0.2: pass"

        result = plain.execute(["sh", "-c", f"/usr/bin/python3 -I -S -c '{burn}'; true"])

        assert result.usage.cpu_time == pytest.approx(result.usage.user_time + result.usage.system_time)
        assert 0.2 <= result.usage.cpu_time < 5

    def test_a_result_is_json(self, executor: HermeticExecutor) -> None:
        result = executor.execute(["sh", "-c", "printf '\\377\\000\"'; kill -9 $$"])

        read = json.loads(json.dumps(result.to_dict()))
        assert (read["exit_code"], read["signal"], read["termination"]) == (137, 9, "signaled")
        assert read["hermetic"] is True
        assert read["receipt"]["backend"] == "linux-namespaces"
        assert result.to_dict() == result.to_dict()

    def test_success_passes_the_check(self, plain: HermeticExecutor) -> None:
        result = plain.execute(["true"])

        result.check()
        assert result.success

    def test_no_outputs_are_listed_where_nobody_asked(self, launcher: Launcher, host_dir: Path) -> None:
        spec = specification().output(host_dir).build()
        executor = HermeticExecutor.create(spec, launcher=launcher)

        assert executor.execute(["touch", f"{host_dir}/x"], list_outputs=False).output_files == ()

    def test_limits_of_one_execution_do_not_change_the_next(self, plain: HermeticExecutor) -> None:
        ulimit = ["sh", "-c", "ulimit -n"]

        limited = plain.execute(ulimit, limits=ResourceLimits(open_files=77))

        assert limited.stdout == b"77\n"
        assert limited.receipt.hermetic
        assert plain.execute(ulimit).stdout == b"4096\n"

    def test_two_specs_share_a_launcher(self, launcher: Launcher) -> None:
        here = HermeticExecutor.create(smallest().env("WHO", "here").build(), launcher=launcher)
        there = HermeticExecutor.create(smallest().env("WHO", "there").hostname("other").build(), launcher=launcher)
        script = ["sh", "-c", "echo $WHO; uname -n"]

        assert here.execute(script).stdout == b"here\nbldr\n"
        assert there.execute(script).stdout == b"there\nother\n"
        assert here.execute(script).stdout == b"here\nbldr\n"

    def test_a_session_is_public(self, plain: HermeticExecutor) -> None:
        with plain.start(["true"]) as session:
            assert isinstance(session, Sandbox)
            assert session.pty_fd == -1

    def test_this_host_is_supported(self) -> None:
        assert HermeticExecutor.is_supported()
        assert HermeticExecutor.platform() == "linux-namespaces"


def test_an_executor_without_a_launcher_uses_that_of_the_process() -> None:
    executor = HermeticExecutor.create(SandboxSpecBuilder.create().with_toolchain("system").build())

    assert executor.execute(["/bin/true"]).success
