"""A launcher or an init that breaks the protocol is an error that says so, and nothing of it stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bldr import HermeticExecutor
from bldr.errors import BldrError, SandboxLostError
from bldr.sandbox.linux.launcher import Launcher
from tests.faults.fake_launcher import ENDINGS, GREETINGS, REPORTS
from tests.processes import children, descriptors, smallest

FAKE = str(Path(__file__).with_name("fake_launcher.py"))


@pytest.mark.needs("system-python")
@pytest.mark.parametrize("way", [*GREETINGS, *REPORTS, *ENDINGS])
def test_what_is_not_the_protocol_is_told_and_leaves_nothing(way: str) -> None:
    before, processes = descriptors(), children(os.getpid())
    launcher = Launcher(entry=[FAKE, way])
    executor = HermeticExecutor.create(smallest().build(), launcher=launcher)

    with pytest.raises(BldrError) as caught:
        executor.execute(["true"])
    if way != "failed-no-step":
        assert isinstance(caught.value, SandboxLostError)
        assert caught.value.code == "sandbox.lost"
        if way not in ENDINGS:
            assert caught.value.step == ("start the launcher" if way in GREETINGS else "start the init")
    launcher.stop()

    assert descriptors() == before
    assert children(os.getpid()) == processes


@pytest.mark.needs("system-python")
def test_a_program_that_is_no_launcher_is_told(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("import sys; sys.exit(3)\n", encoding="ascii")
    launcher = Launcher(entry=[str(program)])
    executor = HermeticExecutor.create(smallest().build(), launcher=launcher)

    for _ in range(3):
        with pytest.raises(SandboxLostError):
            executor.execute(["true"])
    assert launcher.pid == 0
    assert launcher.base == ""


def test_scratch_that_cannot_be_found_is_told(tmp_path: Path) -> None:
    before = descriptors()
    launcher = Launcher(scratch_parent=str(tmp_path / "missing"))
    executor = HermeticExecutor.create(smallest().build(), launcher=launcher)

    with pytest.raises(BldrError) as caught:
        executor.execute(["true"])

    assert "No such file or directory" in caught.value.message
    assert descriptors() == before
