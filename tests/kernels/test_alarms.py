"""The kernel tells when a cgroup meets a limit, so that bldr need not wait for its next sample."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator

import pytest

from bldr.sandbox.linux.cgroup import open_alarms, rings
from tests.cgroupfs import Cgroup

pytestmark = pytest.mark.needs("limiting-cgroup")

PATIENCE = 60  # seconds; an emulated kernel is slow
EATER = "block = bytearray(int(40 << 20))"
FORKER = "import os\ntry:\n    os.fork() or os._exit(0)\nexcept OSError:\n    pass"


@pytest.fixture
def alarms(cgroup: Cgroup) -> Iterator[list[int]]:
    alarms = open_alarms(str(cgroup.path))
    yield alarms
    for fd in alarms:
        os.close(fd)


def rung(alarms: list[int], seconds: float) -> list[int]:
    """Those that became ready in time and mean something."""
    poller = select.poll()
    for fd in alarms:
        poller.register(fd, select.POLLPRI)
    return [fd for fd, _ in poller.poll(seconds * 1000) if rings(fd)]


def test_what_stays_below_its_limits_rings_nothing(cgroup: Cgroup, alarms: list[int]) -> None:
    cgroup.write("memory.high", str(200 << 20))
    cgroup.write("pids.max", "10")
    cgroup.run("-c", EATER)
    cgroup.run("-c", FORKER)

    assert len(alarms) == 2
    assert rung(alarms, 0.2) == []


def test_memory_that_comes_close_to_its_limit_rings(cgroup: Cgroup, alarms: list[int]) -> None:
    cgroup.write("memory.high", str(20 << 20))
    with cgroup.start("-c", EATER) as process:
        assert rung(alarms, PATIENCE) == [alarms[0]]
        cgroup.write("memory.high", "max")
        process.wait(PATIENCE)


def test_a_process_that_is_refused_rings(cgroup: Cgroup, alarms: list[int]) -> None:
    cgroup.write("pids.max", "1")
    cgroup.run("-c", FORKER)

    assert rung(alarms, PATIENCE) == [alarms[1]]


def test_a_cgroup_that_is_gone_rings(cgroup: Cgroup) -> None:
    inner = cgroup.child("inner")
    cgroup.enable("memory", "pids")
    alarms = open_alarms(str(inner.path))
    inner.path.rmdir()

    try:
        assert all(rings(fd) for fd in alarms)
    finally:
        for fd in alarms:
            os.close(fd)
