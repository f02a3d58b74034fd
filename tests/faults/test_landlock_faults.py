"""Every interaction of the launcher without namespaces fails once: who called is told, and nothing is left."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bldr import HermeticExecutor, SandboxSpecBuilder
from bldr.errors import BldrError, SandboxLostError
from bldr.sandbox.linux.landlock.backend import LandlockBackend
from bldr.sandbox.linux.launcher import Launcher
from tests.faults import faulty_launcher
from tests.processes import descendants, descriptors, until

pytestmark = pytest.mark.needs("landlock-truncate")

HERE = Path(__file__).parent
MOST = 12  # calls of a kind that are made to fail, one after the other
CODES = (errno.ENOMEM, errno.EPERM)
STEPS = ("allow", "canary", "confine", "drop", "rlimit", "seccomp", "temp", "temp-at")
FUNCTIONS = ("channel.pair", "channel.send", "channel.receive", "init.receive")


class Stage:
    """A launcher that fails on demand, and a spec with a step of every kind."""

    def __init__(self, directory: Path) -> None:
        self.fault = directory / "fault"
        self.fault.write_bytes(bytes(faulty_launcher.FAULT_SIZE + 1))
        self.temp = directory / "temp"
        (directory / "output").mkdir()
        self.launcher = Launcher(
            entry=[str(HERE / "faulty_launcher.py"), str(self.fault)],
            scratch_parent=str(directory),
            ready=0,
            landlock=True,
        )
        made = SandboxSpecBuilder.create().with_toolchain("system").output(directory / "output").default_temp("/tmp")
        self.executor = HermeticExecutor(LandlockBackend(made.temp(self.temp).build(), self.launcher))
        self.serial = 0

    def set(self, fault: str) -> None:
        self.serial += 1
        text = f"{fault}:{self.serial}".encode() if fault else b""
        with open(self.fault, "r+b") as file:  # in place: others have it in their memory
            file.write(text.ljust(faulty_launcher.FAULT_SIZE + 1, b"\0"))

    def has_struck(self) -> bool:
        return self.fault.read_bytes()[faulty_launcher.FAULT_SIZE] == 1

    def run(self) -> str:
        return self.executor.execute(["sh", "-c", "chmod 700 $TMPDIR; echo ran"], timeout=60).stdout.decode()


@pytest.fixture
def stage(host_dir: Path) -> Iterator[Stage]:
    made = Stage(host_dir)
    yield made
    made.launcher.stop()


def faults() -> Iterator[str]:
    yield from (f"kernel:{name}" for name in faulty_launcher.KERNEL)
    yield from (f"step:{name}" for name in STEPS)
    yield from (f"function:{name}" for name in FUNCTIONS)


def test_every_failure_is_told_and_leaves_nothing(stage: Stage) -> None:
    assert stage.run() == "ran\n"
    before = descriptors()
    strangers = descendants(os.getpid()) - {stage.launcher.pid}  # launchers of other tests
    told: dict[str, str] = {}
    for kind in faults():
        for which in range(1, MOST):
            stage.set(f"{kind}:{which}:{CODES[which % 2]}")
            try:
                said = stage.run()
            except BldrError as error:
                told[f"{kind}:{which}"] = type(error).__name__
                if not isinstance(error, SandboxLostError):
                    assert os.strerror(CODES[which % 2]) in str(error), (kind, which, str(error))
            else:
                assert said == "ran\n"
            struck = stage.has_struck()
            stage.set("")
            until(lambda: descendants(os.getpid()) - strangers <= {stage.launcher.pid}, bound=30)
            assert descendants(os.getpid()) - strangers <= {stage.launcher.pid}, (kind, which)
            assert descriptors() == before, (kind, which)
            base = stage.launcher.base
            assert not os.path.isdir(base) or os.listdir(base) == [], (kind, which)
            assert not stage.temp.exists(), (kind, which)
            assert stage.run() == "ran\n", (kind, which)
            if not struck:
                break
    assert {f"step:{name}:1" for name in STEPS} <= set(told)
    silent = {fault for fault, error in told.items() if error == "SandboxLostError"}
    assert {fault for fault in silent if not fault.startswith("function:channel.send")} == set()
    assert len(told) > 25
