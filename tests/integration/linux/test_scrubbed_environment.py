"""The canary of the environment: what a launcher that passes its own one on is told, with namespaces and without."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bldr import HermeticExecutor, ProcessPolicy
from bldr.errors import SandboxSetupError
from bldr.model.receipt import Guarantee
from bldr.sandbox.linux.backend import LinuxBackend
from bldr.sandbox.linux.landlock.backend import LandlockBackend
from bldr.sandbox.linux.launcher import Launcher
from tests.processes import BOUND, specification

LEAKING = str(Path(__file__).parents[2] / "faults" / "leaking_launcher.py")

NAMESPACES = pytest.param("namespaces", marks=pytest.mark.needs("user-namespaces", "system-python"))
REFUSING = pytest.param("refusing", marks=pytest.mark.needs("user-namespaces", "system-python"))
LANDLOCK = pytest.param("landlock", marks=pytest.mark.needs("landlock-truncate", "system-python"))


def executor_of(rung: str, launcher: Launcher) -> HermeticExecutor:
    """Each way in which a command can be started: by posix_spawn(3), or by a copy of init that becomes it."""
    made = specification()
    if rung == "refusing":
        made.with_process(ProcessPolicy(allow_exec=False))
    backend = LandlockBackend if rung == "landlock" else LinuxBackend
    return HermeticExecutor(backend(made.build(), launcher))


@pytest.fixture(params=[NAMESPACES, REFUSING, LANDLOCK])
def rung(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def leaking(rung: str) -> Iterator[Launcher]:
    made = Launcher(entry=[LEAKING], ready=1, landlock=rung == "landlock")
    yield made
    made.stop()


@pytest.fixture
def sound(rung: str) -> Iterator[Launcher]:
    made = Launcher(ready=1, landlock=rung == "landlock")
    yield made
    made.stop()


def test_a_variable_of_the_launcher_that_is_passed_on_stops_the_command(rung: str, leaking: Launcher) -> None:
    with pytest.raises(SandboxSetupError, match="a variable that was not declared was passed on") as caught:
        executor_of(rung, leaking).execute(["true"], timeout=BOUND)

    assert (caught.value.code, caught.value.step) == (
        "sandbox.canary",
        "try what has to be impossible in the sandbox",
    )


def test_an_environment_without_it_is_verified(rung: str, sound: Launcher) -> None:
    result = executor_of(rung, sound).execute(["true"], timeout=BOUND)

    record = result.receipt.record(Guarantee.ENVIRONMENT_SCRUBBED)
    assert (result.exit_code, record.enforced_by, record.verified) == (0, ("execve",), True)
