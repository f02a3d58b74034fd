"""Nothing waits without bound for a launcher or an init that hangs: an error says so, and who hangs is killed."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from bldr import HermeticExecutor
from bldr.errors import SandboxLostError
from bldr.sandbox.linux.launcher import Launcher
from tests.processes import BOUND, Witness, children, descriptors, smallest, until

FAKE = str(Path(__file__).with_name("fake_launcher.py"))
PATIENCE = 0.3  # seconds

pytestmark = pytest.mark.needs("system-python")


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
    executor = HermeticExecutor.create(smallest().build(), launcher=Launcher(entry=[FAKE, "idle"], patience=PATIENCE))

    with pytest.raises(SandboxLostError, match=r"not made within 0.3 s") as caught:
        executor.execute(["true"])

    assert caught.value.step == "start the init"
    assert "findmnt" in caught.value.hint
    assert children(os.getpid()) == processes
    assert descriptors() == before


def test_a_launcher_that_hangs_is_replaced_while_others_wait_for_it() -> None:
    """It dies with the last of them."""
    before, processes = descriptors(), children(os.getpid())
    launcher = Launcher(entry=[FAKE, "idle"], patience=PATIENCE)
    executor = HermeticExecutor.create(smallest().build(), launcher=launcher)
    messages: list[str] = []

    def attempt() -> None:
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
    launcher = Launcher(entry=[FAKE, "deaf"], patience=PATIENCE)
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
    launcher = Launcher(entry=[FAKE, "deaf"], patience=PATIENCE)
    launcher.ensure()
    with Witness(launcher.pid) as witness:
        launcher.stop()

        assert witness.survivors() == set()
        assert until(lambda: launcher.pid == 0)
