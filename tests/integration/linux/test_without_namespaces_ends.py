"""How sandboxes without namespaces end: whoever dies or is asked, nothing is left."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bldr import HermeticExecutor
from bldr.errors import (
    SandboxLostError,
)
from bldr.sandbox.linux import launcher as launcher_module
from bldr.sandbox.linux.landlock.backend import LandlockBackend
from bldr.sandbox.linux.launcher import Launcher
from tests.landlocked import BOUND, builder, executor_of, say

pytestmark = pytest.mark.needs("landlock-truncate")

# A daemon in a session of its own, that says when it is there and then waits for an end that never comes.
DAEMON = 'setsid sh -c \'echo $$ > "$1/daemon"; echo here; exec sleep 300\' sh "$1" & wait'


@pytest.fixture
def executor() -> HermeticExecutor:
    return executor_of(builder())


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(") ")[2][0] == "Z"


def wait_until_gone(pid: int) -> None:
    """Its pidfd is readable when a process has ended; a number that is free has no process."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        import select

        assert select.select([pidfd], [], [], BOUND)[0], f"process {pid} is still there"
    finally:
        os.close(pidfd)


@pytest.fixture
def daemon(host_dir: Path) -> Iterator[tuple[HermeticExecutor, list[str], Callable[[], int]]]:
    """An executor, the words of a command that starts a daemon, and what reads the daemon's number."""
    (host_dir / "out").mkdir()
    launcher = Launcher(landlock=True)
    backend = LandlockBackend(builder().output(host_dir / "out").build(), launcher)
    yield (
        HermeticExecutor(backend),
        ["sh", "-c", DAEMON, "sh", str(host_dir / "out")],
        lambda: int((host_dir / "out/daemon").read_text(encoding="ascii")),
    )
    launcher.stop()


def test_a_killed_init_leaves_nothing_behind(daemon) -> None:
    """The launcher adopts what init leaves."""
    executor, argv, daemon_pid = daemon
    with executor.start(argv, stdout="pipe") as session:
        assert session.stdout.readline() == b"here\n"
        pid = daemon_pid()
        (init,) = children_of(executor._backend.launcher.pid, named="bldr-init", with_children=True)
        os.kill(init, signal.SIGKILL)
        with pytest.raises(SandboxLostError):
            session.wait(BOUND)
    wait_until_gone(pid)


def test_a_killed_launcher_leaves_nothing_behind(daemon) -> None:
    """The kernel tells init."""
    executor, argv, daemon_pid = daemon
    with executor.start(argv, stdout="pipe") as session:
        assert session.stdout.readline() == b"here\n"
        pid = daemon_pid()
        os.kill(executor._backend.launcher.pid, signal.SIGKILL)
        with pytest.raises(SandboxLostError):
            session.wait(BOUND)
    wait_until_gone(pid)


@pytest.mark.parametrize("moment", ["before the temps", "after the temps"])
def test_a_launcher_that_ends_while_it_is_asked_is_replaced(
    moment: str, host_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = Launcher(scratch_parent=str(host_dir), landlock=True)
    executor = HermeticExecutor(LandlockBackend(builder().temp(host_dir / "own").build(), launcher))
    try:
        assert say(executor, "echo one") == "one\n"
        first = launcher.pid
        if moment == "before the temps":
            os.rmdir(launcher.base)  # as it does before it is gone itself
        else:
            send = launcher_module._send

            def send_late(process: launcher_module._Process, request: bytes, fds: list[int]) -> None:
                if process.pid == first:
                    raise BrokenPipeError
                send(process, request, fds)

            monkeypatch.setattr(launcher_module, "_send", send_late)
            calls: list[str] = []
            monkeypatch.setattr(launcher_module._Process, "hung_up", lambda self: self.pid == first and bool(calls))
            make = LandlockBackend._make_temps

            def make_temps(self: LandlockBackend, place: str, made: list[str]) -> None:
                calls.append(place)
                make(self, place, made)

            monkeypatch.setattr(LandlockBackend, "_make_temps", make_temps)
        assert say(executor, "echo two; ls -d $1", str(host_dir / "own")) == f"two\n{host_dir / 'own'}\n"
        assert launcher.pid != first
        assert not (host_dir / "own").exists()
    finally:
        launcher.stop()
    assert os.listdir(host_dir) == []


def test_a_stopped_launcher_ends_what_runs(daemon) -> None:
    executor, argv, daemon_pid = daemon
    with executor.start(argv, stdout="pipe") as session:
        assert session.stdout.readline() == b"here\n"
        pid = daemon_pid()
        executor._backend.launcher.stop()
        assert gone(pid)
        with pytest.raises(SandboxLostError):
            session.wait(BOUND)


def test_processes_that_fork_without_end_are_ended(executor: HermeticExecutor) -> None:
    """Each lives only long enough to fork the next one, in a session of its own."""
    program = (
        "import os, sys\nprint('here', flush=True)\nos.close(1)\n"
        "while True:\n"
        "    if os.fork():\n        os._exit(0)\n"
        "    os.setsid()\n"
    )
    for _ in range(3):
        with executor.start(["python3", "-I", "-S", "-c", program], stdout="pipe") as session:
            assert session.stdout is not None
            assert session.stdout.readline() == b"here\n"
            assert session.wait(BOUND).exit_code == 0


def test_a_timeout_ends_who_ignores_it(executor: HermeticExecutor) -> None:
    result = executor.execute(["sh", "-c", "trap '' TERM; (trap '' TERM; sleep 300) & sleep 300"], timeout=2, grace=0.1)

    assert (result.exit_code, result.termination) == (124, "timed-out")
    assert result.receipt.record("no-survivors").enforced_by == ("subreaper",)


def test_signals_reach_the_command(executor: HermeticExecutor) -> None:
    with executor.start(
        ["sh", "-c", "trap 'exit 7' USR1; echo here; while :; do sleep 0.01; done"], stdout="pipe"
    ) as session:
        assert session.stdout is not None
        session.stdout.readline()
        session.signal(signal.SIGUSR1)
        assert session.wait(BOUND).exit_code == 7


def test_many_at_the_same_time(executor: HermeticExecutor) -> None:
    def run(number: int) -> bytes:
        return executor.execute(["sh", "-c", f'echo {number} > "$TMPDIR/n"; cat "$TMPDIR/n"'], timeout=BOUND).stdout

    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(run, range(48))) == [f"{number}\n".encode() for number in range(48)]


def children_of(parent: int, *, named: str, with_children: bool) -> list[int]:
    """Return the children of a process with this name; those that have children themselves where that is asked for."""
    parents: dict[int, list[int]] = {}
    names = {}
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            try:
                text = Path(f"/proc/{entry}/stat").read_text(encoding="utf-8")
            except OSError:
                continue
            names[int(entry)] = text.partition("(")[2].rpartition(")")[0]
            parents.setdefault(int(text.rpartition(") ")[2].split()[1]), []).append(int(entry))
    found = [pid for pid in parents.get(parent, []) if names[pid] == named]
    return [pid for pid in found if bool(parents.get(pid)) == with_children]
