"""Time limits for processes of somebody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from bldr import TimeoutEnforcer, create_timeout_enforcer
from bldr.errors import InvalidCommandError, InvalidLimitError
from tests.processes import BOUND, descriptors, until

STUBBORN = "import signal, sys; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); sys.stdin.read()"
OBEDIENT = "import sys; print('ready', flush=True); sys.stdin.read()"
POLITE = (
    "import signal, sys; signal.signal(15, lambda *_: sys.exit(7)); print('ready', flush=True); "
    "[signal.pause() for _ in iter(int, 1)]"
)


class Child:
    """An interpreter that waits until it is told to end."""

    def __init__(self, program: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"
        self.pid = self.process.pid

    def end(self) -> int:
        """Close its standard input, which ends it, and return its status."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(BOUND)

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if self.process.returncode is None:
            self.process.kill()
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(BOUND)


@pytest.fixture
def child(request: pytest.FixtureRequest) -> Iterator[Child]:
    child = Child(getattr(request, "param", OBEDIENT))
    yield child
    child.close()


def test_a_process_that_takes_too_long_is_asked_to_end(child: Child) -> None:
    with create_timeout_enforcer(child.pid) as enforcer:
        assert isinstance(enforcer, TimeoutEnforcer)
        enforcer.start(0.05)

        assert child.process.wait(BOUND) == -signal.SIGTERM
        assert enforcer.is_timed_out()
        assert enforcer.remaining() == 0


@pytest.mark.parametrize("child", [POLITE], indirect=True)
def test_a_process_may_choose_its_own_status_within_the_grace(child: Child) -> None:
    with create_timeout_enforcer(child.pid, grace=BOUND) as enforcer:
        enforcer.start(0.05)

        assert child.process.wait(BOUND) == 7
        assert enforcer.is_timed_out()


@pytest.mark.parametrize("child", [STUBBORN], indirect=True)
def test_a_process_that_ignores_it_is_killed_after_the_grace(child: Child) -> None:
    with create_timeout_enforcer(child.pid, grace="100ms") as enforcer:
        enforcer.start("50ms")

        assert child.process.wait(BOUND) == -signal.SIGKILL
        assert enforcer.is_timed_out()


def test_a_process_that_ends_in_time_is_left_alone(child: Child) -> None:
    with create_timeout_enforcer(child.pid) as enforcer:
        enforcer.start(BOUND)
        assert 0 < enforcer.remaining() <= BOUND

        assert child.end() == 0
        assert not enforcer.is_timed_out()


def test_after_stop_nothing_is_signalled(child: Child) -> None:
    enforcer = create_timeout_enforcer(child.pid)
    enforcer.start(BOUND)
    enforcer.stop()
    enforcer.stop()

    assert not enforcer.is_timed_out()
    assert child.end() == 0


@pytest.mark.parametrize("child", [STUBBORN], indirect=True)
def test_stop_in_the_grace_spares_the_process(child: Child) -> None:
    enforcer = create_timeout_enforcer(child.pid, grace=BOUND)
    enforcer.start(0.001)
    assert until(enforcer.is_timed_out)
    enforcer.stop()

    assert enforcer.is_timed_out()
    assert child.end() == 0


@pytest.mark.parametrize("delay", [0.0001, 0.0005, 0.001, 0.002, 0.005])
def test_stop_races_with_the_end_of_the_time(child: Child, delay: float) -> None:
    """Whoever comes first: when it says that the time was not up, no signal was sent."""
    enforcer = create_timeout_enforcer(child.pid, grace=BOUND)
    enforcer.start(delay)
    begun = time.monotonic()
    until(lambda: time.monotonic() - begun > delay)
    enforcer.stop()

    status = child.end()
    assert status == (-signal.SIGTERM if enforcer.is_timed_out() else 0)


def test_many_threads_may_stop_it(child: Child) -> None:
    before = descriptors()
    enforcer = create_timeout_enforcer(child.pid)
    enforcer.start(BOUND)
    threads = [threading.Thread(target=enforcer.stop) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert descriptors() == before


def test_a_later_process_of_the_same_number_is_never_hit(child: Child) -> None:
    """The handle belongs to the process, not to the number: after its end there is nobody to signal."""
    enforcer = create_timeout_enforcer(child.pid, grace=0)
    child.end()
    enforcer.start(0.001)
    assert until(lambda: enforcer.due == float("inf"))  # it has been looked at

    assert not enforcer.is_timed_out()
    enforcer.stop()


def test_an_enforcer_that_was_not_started_costs_nothing_to_stop(child: Child) -> None:
    before = descriptors()

    with create_timeout_enforcer(child.pid) as enforcer:
        assert enforcer.remaining() == 0
        assert not enforcer.is_timed_out()

    assert descriptors() == before


def test_it_is_started_once(child: Child) -> None:
    with create_timeout_enforcer(child.pid) as enforcer:
        enforcer.start(BOUND)
        with pytest.raises(RuntimeError, match="started once"):
            enforcer.start(BOUND)
    with pytest.raises(RuntimeError, match="started once"):
        enforcer.start(BOUND)


@pytest.mark.parametrize("pid", [0, -1, True, "1", 1.0, None])
def test_what_is_no_process_number_is_refused(pid: object) -> None:
    with pytest.raises(InvalidCommandError) as caught:
        create_timeout_enforcer(pid)  # type: ignore[arg-type]  # the mistake is the subject

    assert caught.value.code == "spec.pid-invalid"


def test_a_process_that_is_gone_is_refused(child: Child) -> None:
    child.end()
    before = descriptors()

    with pytest.raises(ProcessLookupError):
        create_timeout_enforcer(child.pid)
    assert descriptors() == before


@pytest.mark.parametrize("seconds", [0, -1, "soon", float("nan"), float("inf")])
def test_what_is_no_duration_is_refused(child: Child, seconds: float | str) -> None:
    with create_timeout_enforcer(child.pid) as enforcer, pytest.raises(InvalidLimitError):
        enforcer.start(seconds)

    with pytest.raises(InvalidLimitError):
        create_timeout_enforcer(os.getpid(), grace=seconds if seconds != 0 else -0.5)


def test_remaining_counts_down(child: Child) -> None:
    with create_timeout_enforcer(child.pid) as enforcer:
        begun = time.monotonic()
        enforcer.start(BOUND)
        first, second = enforcer.remaining(), enforcer.remaining()
        passed = time.monotonic() - begun

        assert BOUND - passed <= second <= first <= BOUND
