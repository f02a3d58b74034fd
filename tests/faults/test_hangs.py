"""Nothing waits without bound for a launcher or an init that hangs: an error says so, and who hangs is killed."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from bldr import HermeticExecutor
from bldr.errors import SandboxLostError, TimeLimitError
from bldr.sandbox.linux.launcher import Launcher
from tests.processes import BOUND, Witness, children, descriptors, smallest, until

FAKE = str(Path(__file__).with_name("fake_launcher.py"))
SLOW = str(Path(__file__).with_name("slow_launcher.py"))
PATIENCE = 0.3  # seconds

pytestmark = pytest.mark.needs("system-python")


def hanging(way: str, patience: float = PATIENCE) -> Launcher:
    """A launcher that has greeted. Only then it is waited for as shortly: an interpreter may take long to start."""
    launcher = Launcher(entry=[FAKE, way], patience=BOUND)
    launcher.ensure()
    assert launcher._current is not None
    launcher._patience = launcher._current.patience = patience
    return launcher


def test_a_launcher_that_never_greets_is_killed() -> None:
    before, processes = descriptors(), children(os.getpid())
    executor = HermeticExecutor.create(smallest().build(), launcher=Launcher(entry=[FAKE, "mute"], patience=PATIENCE))

    with pytest.raises(SandboxLostError, match=r"no answer within 0.3 s") as caught:
        executor.execute(["true"])

    assert caught.value.step == "reach the launcher"
    assert children(os.getpid()) == processes
    assert descriptors() == before


def test_a_sandbox_that_is_never_made_is_given_up_and_the_launcher_killed() -> None:
    before, processes = descriptors(), children(os.getpid())
    executor = HermeticExecutor.create(smallest().build(), launcher=hanging("idle"))

    with pytest.raises(SandboxLostError, match=r"not made within 0.3 s") as caught:
        executor.execute(["true"])

    assert caught.value.step == "start the init"
    assert "findmnt" in caught.value.hint
    assert children(os.getpid()) == processes
    assert descriptors() == before


def test_the_timeout_covers_the_making_of_the_sandbox() -> None:
    before, processes = descriptors(), children(os.getpid())
    launcher = hanging("idle", patience=BOUND)
    executor = HermeticExecutor.create(smallest().build(), launcher=launcher)
    begun = time.monotonic()

    with pytest.raises(TimeLimitError, match="before the command was started") as caught:
        executor.execute(["true"], timeout=PATIENCE)

    assert PATIENCE <= time.monotonic() - begun < BOUND
    assert caught.value.result is None
    assert launcher._current is not None
    launcher._current.patience = PATIENCE  # it does not end by itself
    launcher.stop()
    assert children(os.getpid()) == processes
    assert descriptors() == before


@pytest.mark.needs("user-namespaces")
def test_a_command_whose_timeout_has_passed_is_not_started(tmp_path: Path, host_dir: Path) -> None:
    """Its sandbox is complete a moment later, and nobody waits for it any more."""
    gate = tmp_path / "gate"
    gate.write_bytes(b"\0")
    launcher = Launcher(entry=[SLOW, str(gate)])
    spec = smallest().output(host_dir).build()
    executor = HermeticExecutor.create(spec, launcher=launcher)
    command = ["touch", str(host_dir / "touched")]
    with pytest.raises(TimeLimitError):
        executor.execute(command, timeout=PATIENCE)
    with Witness(launcher.pid) as witness:
        waiting = len(witness.pids)
        with open(gate, "r+b") as file:
            file.write(b"\1")
        assert waiting >= 2
        assert until(lambda: len(witness.survivors(0)) < waiting)

    assert list(host_dir.iterdir()) == []
    assert executor.execute(command).success
    assert [path.name for path in host_dir.iterdir()] == ["touched"]
    launcher.stop()


@pytest.mark.needs("user-namespaces")
def test_a_timeout_begins_with_the_request_and_not_with_the_command() -> None:
    launcher = Launcher()
    executor = HermeticExecutor.create(smallest().build(), launcher=launcher)
    begun = time.monotonic()
    with executor.start(["sleep", "60"], timeout=BOUND) as session:
        started = time.monotonic()

        assert session._guard is not None
        assert begun + BOUND <= session._guard._deadline < started + BOUND
    launcher.stop()


def test_a_launcher_that_hangs_is_replaced_while_others_wait_for_it() -> None:
    """It dies with the last of them."""
    before, processes = descriptors(), children(os.getpid())
    launcher = hanging("idle", patience=2)
    executor = HermeticExecutor.create(smallest().build(), launcher=launcher)
    messages: list[str] = []
    together = threading.Barrier(8)  # who came later would start another launcher

    def attempt() -> None:
        together.wait(BOUND)
        try:
            executor.execute(["true"])
        except SandboxLostError as error:
            messages.append(error.message)

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND)
    launcher.stop()

    assert len(messages) == 8
    assert all("not made within" in message for message in messages)
    assert children(os.getpid()) == processes
    assert descriptors() == before


def test_a_launcher_that_takes_no_requests_any_more_blocks_nobody_for_ever() -> None:
    """The buffer of the socket is full at some time."""
    launcher = hanging("deaf")
    long_command = ["true", "x" * 20_000]
    executor = HermeticExecutor.create(smallest().build(), launcher=launcher)
    messages: set[str] = set()

    def attempt() -> None:
        try:
            executor.execute(long_command)
        except SandboxLostError as error:
            messages.add(error.step)

    threads = [threading.Thread(target=attempt) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND)
    launcher.stop()

    assert not any(thread.is_alive() for thread in threads)
    assert messages == {"reach the launcher", "start the init"}


def test_a_launcher_that_does_not_end_is_killed() -> None:
    launcher = hanging("deaf")
    with Witness(launcher.pid) as witness:
        launcher.stop()

        assert witness.survivors() == set()
        assert until(lambda: launcher.pid == 0)
