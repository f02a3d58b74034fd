"""Sandboxes that are made before they are asked for: what cannot be made now is made later."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bldr import HermeticExecutor
from bldr.sandbox.linux.launcher import Launcher
from tests.faults import faulty_launcher
from tests.processes import children, smallest, until

PROGRAM = str(Path(faulty_launcher.__file__))
FIRST_AHEAD = 1 if os.getuid() else 2  # root's launcher has cloned the owner of its id map before


@pytest.fixture(params=[errno.EAGAIN, errno.ENOMEM, errno.ENOSPC], ids=errno.errorcode.get)
def hindered(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Launcher]:
    """A launcher that was refused the first sandbox that it wanted to make ahead, once."""
    fault = tmp_path / "fault"
    text = f"kernel:clone3:{FIRST_AHEAD}:{request.param}:1".encode()
    fault.write_bytes(text.ljust(faulty_launcher.FAULT_SIZE + 1, b"\0"))
    launcher = Launcher(entry=[PROGRAM, str(fault)], ready=2)
    launcher.ensure()
    assert until(lambda: fault.read_bytes()[faulty_launcher.FAULT_SIZE] == 1)
    yield launcher
    launcher.stop()


@pytest.mark.needs("user-namespaces", "system-python")
def test_a_clone_that_failed_once_does_not_end_making_sandboxes_ahead(hindered: Launcher) -> None:
    result = HermeticExecutor.create(smallest().build(), launcher=hindered).execute(["true"])

    assert result.success
    assert until(lambda: len(children(hindered.pid)) == 2)


@pytest.mark.needs("user-namespaces", "system-python")
def test_a_launcher_that_can_make_none_ahead_waits_for_a_request(hindered: Launcher) -> None:
    """It must not try again and again: nobody has asked for anything."""
    assert until(lambda: state_of(hindered.pid) == "S")
    assert children(hindered.pid) == set()


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0].decode()
