"""Many executions: from threads, loops and forks of the supervisor, and what hundreds of them leave behind."""

from __future__ import annotations

import asyncio
import errno
import multiprocessing  # noqa: TID251  a supervisor that forks is the subject
import os
import resource
import select
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bldr import ExecutionResult, HermeticExecutor
from bldr.sandbox.linux.launcher import Launcher
from tests.processes import (
    BOUND,
    children,
    close_all,
    descendants,
    descriptors,
    smallest,
    specification,
    temps_in_use,
    until,
)

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


def test_sixty_four_threads_each_get_their_own_answers(launcher: Launcher, host_dir: Path) -> None:
    """Streams, statuses, directories and environments of two executors, all at once."""
    out = host_dir / "out"
    out.mkdir()
    executors = [
        HermeticExecutor.create(specification().env("WHO", who).output(out).build(), launcher=launcher)
        for who in ("left", "right")
    ]
    script = f"read word; echo $WHO $word; echo $word > /tmp/mine; cat /tmp/mine >&2; echo $word > {out}/$word; exit ${{word#*-}}"
    wrong: list[object] = []

    def work(number: int) -> None:
        for turn in range(3):
            word = f"{number}x{turn}-{number}"
            which = number % 2
            result = executors[which].execute(["sh", "-c", script], stdin=f"{word}\n".encode(), list_outputs=False)
            who = ("left", "right")[which]
            if (result.exit_code, result.stdout.decode(), result.stderr.decode()) != (
                number,
                f"{who} {word}\n",
                f"{word}\n",
            ):
                wrong.append(result)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND * 3)

    assert wrong == []
    assert len(os.listdir(out)) == 64 * 3
    assert temps_in_use(launcher.base) == []


def test_loops_in_several_threads(executor: HermeticExecutor) -> None:
    async def some(number: int) -> list[bytes]:
        runs = [executor.execute_async(["echo", f"{number}-{turn}"]) for turn in range(5)]
        return [result.stdout for result in await asyncio.gather(*runs)]

    answers: dict[int, list[bytes]] = {}
    threads = [
        threading.Thread(target=lambda n=number: answers.update({n: asyncio.run(some(n))})) for number in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND)

    assert answers == {n: [f"{n}-{turn}\n".encode() for turn in range(5)] for n in range(6)}


def test_two_launchers_in_one_process(executor: HermeticExecutor) -> None:
    other = Launcher()
    try:
        second = HermeticExecutor.create(smallest().build(), launcher=other)
        with executor.start(["cat"], stdin="pipe") as here, second.start(["cat"], stdin="pipe") as there:
            for session, word in ((here, b"here"), (there, b"there")):
                assert session.stdin is not None
                session.stdin.write(word)
                session.stdin.close()
            assert (here.wait(BOUND).stdout, there.wait(BOUND).stdout) == (b"here", b"there")
    finally:
        other.stop()


def forked(executor: HermeticExecutor, answers: Any) -> None:
    launcher = executor._backend.launcher
    outputs = [executor.execute(["echo", str(number)]).stdout for number in range(3)]
    answers.put((launcher.pid, launcher.base, outputs, children(os.getpid()) == {launcher.pid}))
    launcher.stop()


def test_a_fork_of_the_supervisor_gets_a_launcher_of_its_own(executor: HermeticExecutor, launcher: Launcher) -> None:
    """multiprocessing forks while a session runs; both go on, and neither touches what is the other's."""
    before = launcher.pid
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    with executor.start(["cat"], stdin="pipe") as session, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks in processes with threads
        process = context.Process(target=forked, args=(executor, answers))
        process.start()
        pid, base, outputs, only_child = answers.get(timeout=BOUND)
        process.join(BOUND)
        assert session.stdin is not None
        session.stdin.write(b"still here")
        session.stdin.close()
        # The fork is gone, and with it its copy of the writing end.
        assert session.wait(BOUND).stdout == b"still here"

    assert process.exitcode == 0
    assert outputs == [b"0\n", b"1\n", b"2\n"]
    assert only_child
    assert pid != launcher.pid
    assert base != launcher.base
    assert not os.path.exists(base)
    assert launcher.pid == before
    assert executor.execute(["echo", "on"]).stdout == b"on\n"
    assert launcher.pid == before
    answers.close()
    answers.join_thread()


def test_a_fork_in_the_middle_of_a_start_can_start_as_well(executor: HermeticExecutor, launcher: Launcher) -> None:
    """Another thread may hold the launcher's lock in the moment of the fork; the fork must not wait for it for ever."""
    with launcher._lock:
        pid = os.fork()  # noqa: TID251  a supervisor that forks is the subject
        if pid == 0:
            status = 1
            try:
                status = 0 if executor.execute(["echo", "x"]).stdout == b"x\n" else 2
                launcher.stop()
            finally:
                os._exit(status)
    pidfd = os.pidfd_open(pid)
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    ended = bool(poller.poll(10_000))
    if not ended:
        os.kill(pid, 9)
    _, status = os.waitpid(pid, 0)
    os.close(pidfd)

    assert ended
    assert status == 0


def test_a_fork_that_exits_ends_nothing_of_its_parent(executor: HermeticExecutor, launcher: Launcher) -> None:
    """Its exit handlers and finalizers run on copies of the parent's objects."""
    with executor.start(["cat"], stdin="pipe") as session:
        context = multiprocessing.get_context("fork")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            process = context.Process(target=drop, args=([session, executor, launcher],))
            process.start()
        process.join(BOUND)
        assert process.exitcode == 0
        assert session.stdin is not None
        session.stdin.write(b"alive")
        session.stdin.close()

        assert session.wait(BOUND).stdout == b"alive"
    assert launcher.base
    assert os.path.isdir(launcher.base)


def drop(things: list[Any]) -> None:
    session, _, launcher = things
    things.clear()
    session.stdin.close()
    session.close()
    launcher.stop()


def resident() -> int:
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize()


def test_three_hundred_runs_leave_nothing(launcher: Launcher, executor: HermeticExecutor) -> None:
    def run(count: int) -> list[ExecutionResult]:
        return [
            executor.execute(["sh", "-c", "echo x > /tmp/f; (setsid sleep 60 &)"], stdin=b"y") for _ in range(count)
        ]

    run(20)
    assert until(lambda: len(children(launcher.pid)) == 4)
    before = (descriptors(), descriptors(launcher.pid), len(threading.enumerate()))
    memory = resident()

    assert all(result.success for result in run(300))

    assert until(lambda: len(descendants(launcher.pid)) == 4)
    assert until(lambda: descriptors() <= before[0] and descriptors(launcher.pid) <= before[1])
    assert len(threading.enumerate()) <= before[2]
    assert temps_in_use(launcher.base) == []
    assert children(os.getpid()) >= {launcher.pid}
    assert resident() - memory < 4 << 20


def test_refused_commands_leave_nothing(launcher: Launcher, executor: HermeticExecutor) -> None:
    with pytest.raises(ValueError, match="not in the sandbox"):
        executor.execute(["no-such-command"])
    assert until(lambda: len(children(launcher.pid)) == 4)
    before = (descriptors(), descriptors(launcher.pid))

    for number in range(40):
        with pytest.raises(ValueError, match=r"sandbox|executed"):
            executor.execute(["no-such-command" if number % 2 else "/usr"], cwd="/" if number % 3 else "/nowhere")

    assert until(lambda: len(descendants(launcher.pid)) == 4)
    # The launcher may still have held two of the sandbox before when it was counted.
    assert until(lambda: descriptors() <= before[0] and descriptors(launcher.pid) <= before[1])
    assert temps_in_use(launcher.base) == []


def test_a_supervisor_without_descriptors_is_told_and_recovers(executor: HermeticExecutor, launcher: Launcher) -> None:
    """EMFILE at each of the calls that need one."""
    executor.execute(["true"])
    before = descriptors()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    filler: list[int] = []
    while (spare := os.open("/dev/null", os.O_RDONLY)) < highest:
        filler.append(spare)
    os.close(spare)
    refused = 0
    try:
        for room in range(14):
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1 + room, hard))
            try:
                assert executor.execute(["echo", "x"], stdin=b"y").stdout == b"x\n"
            except OSError as error:
                refused += 1
                assert error.errno == errno.EMFILE
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        close_all(filler)

    assert refused > 0
    assert descriptors() == before
    assert executor.execute(["echo", "x"]).stdout == b"x\n"
    assert temps_in_use(launcher.base) == []


AT_EXIT = """
import sys, threading
sys.path.insert(0, sys.argv[1])
from bldr import HermeticExecutor
from tests.processes import specification
executor = HermeticExecutor.create(specification().build())
assert executor.execute(["true"]).success
session = executor.start(["sh", "-c", "echo ready; sleep 60"], stdout="pipe")
session.stdout.readline()
print(executor._backend.launcher.pid, executor._backend.launcher.base, flush=True)
sys.stdin.read()
"""


def test_an_interpreter_that_exits_leaves_nothing(repository: Path) -> None:
    """With a session that nobody has closed."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", AT_EXIT, str(repository / "src")],
        cwd=repository, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    pid, base = process.stdout.readline().split()
    family = {int(pid), *descendants(int(pid))}
    out, err = process.communicate(timeout=BOUND)

    assert (process.returncode, out, err) == (0, b"", b"")
    assert not os.path.exists(base)
    assert until(lambda: not any(os.path.exists(f"/proc/{one}") for one in family))
