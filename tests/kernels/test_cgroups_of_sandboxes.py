"""What bldr does with real cgroups: none is left, whoever dies, and what is limited in them is limited."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bldr import HermeticExecutor, ResourceLimits, SandboxSpecBuilder
from bldr.errors import TimeLimitError
from bldr.sandbox.linux.launcher import Launcher
from tests import cgroupfs
from tests.cgroupfs import Cgroup
from tests.processes import Witness, smallest, specification, until

pytestmark = [pytest.mark.needs("throwaway-kernel", "limiting-cgroup", "user-namespaces")]

MEBIBYTE = 1 << 20
PATIENCE = 100  # seconds; user-mode Linux is slow, and its host may be busy
READY = 1  # sandboxes that are made ahead
PYTHON = ["python3", "-I", "-S", "-c"]


def cgroups() -> set[str]:
    """Every cgroup of a launcher or a sandbox; ours, into which the first launcher may have moved us, stays."""
    top = cgroupfs.mountpoint()
    return {str(path) for path in top.glob("**/bldr-*/**/") if path.is_dir() and path.name != "bldr-supervisor"}


@pytest.fixture
def launcher() -> Iterator[Launcher]:
    launcher = Launcher(ready=READY)
    launcher.ensure()
    yield launcher
    launcher.stop()


USUAL = ("exited", ["true"], None, None)
ENDS: tuple[tuple[str, list[str], ResourceLimits | None, float | None], ...] = (
    ("exited", ["false"], None, None),
    ("limit-reached", ["sh", "-c", "true & true & wait"], ResourceLimits(processes=1), None),
    ("timed-out", ["sleep", "600"], None, 3),
    ("signaled", ["sh", "-c", "(setsid sleep 600 &); kill -9 $$"], None, None),
    ("not started", ["true"], None, 0.001),
    ("not started", ["true"], None, 0.03),
    ("cancelled", ["sleep", "600"], None, None),
)


EACH = 20  # of so many runs one ends in another way than by itself


def end(executor: HermeticExecutor, turn: int) -> str:
    """Run something in one of the ways, and return how it ended."""
    expected, argv, limits, timeout = USUAL if turn % EACH else ENDS[turn // EACH % len(ENDS)]
    try:
        with executor.start(argv, limits=limits, timeout=timeout, grace=0) as session:
            if expected == "cancelled":
                session.kill()
            return session.wait(PATIENCE).termination
    except TimeLimitError:
        return "not started"


@pytest.mark.timeout(1800)
@pytest.mark.needs("much-time")
def test_a_thousand_runs_leave_no_cgroup() -> None:
    """Some end by limits, timeouts and signals, and before they were started.

    As root; of a user, whose cgroups are made in the same way elsewhere, some hundreds are enough.
    """
    before = cgroups()
    launcher = Launcher(ready=READY)
    executor = HermeticExecutor.create(smallest().build(), launcher=launcher)
    executor.execute(["true"])
    ended = [end(executor, turn) for turn in range(1000 if os.geteuid() == 0 else 300)]
    few = until(lambda: len(cgroups() - before) <= 1 + READY, PATIENCE)  # the place, and what is made ahead
    rest = sorted(cgroups() - before)
    launcher.stop()

    assert few, rest
    assert {*ended} == {name for name, *_ in ENDS}
    assert cgroups() == before


SUPERVISOR = """
import sys
from bldr import HermeticExecutor
from bldr.sandbox.linux.launcher import Launcher
from tests.processes import specification
launcher = Launcher(ready=2)
executor = HermeticExecutor.create(specification().build(), launcher=launcher)
sessions = [executor.start(["sh", "-c", "(setsid sleep 600 &); echo; sleep 600"], stdout="pipe") for _ in range(4)]
for session in sessions:
    session.stdout.readline()
print(launcher.pid, launcher.groups.path, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("launcher_too", [False, True])
def test_a_supervisor_that_is_killed_leaves_no_cgroup_after_the_next_start(launcher_too: bool) -> None:
    before = cgroups()
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", SUPERVISOR], **options) as supervisor:  # type: ignore[call-overload]
        pid, place = supervisor.stdout.readline().split()
        assert len(cgroups() - before) >= 5
        with Witness(int(pid)) as witness:
            if launcher_too:
                os.kill(int(pid), signal.SIGSTOP)  # so that it cannot clean up first
            supervisor.kill()
            supervisor.wait()
            if launcher_too:
                assert os.path.isdir(place)
                os.kill(int(pid), signal.SIGKILL)
            assert witness.survivors(PATIENCE) == set()
    if launcher_too:
        assert os.path.isdir(place)  # there was nobody who could have removed it
    following = Launcher(ready=1)
    following.ensure()
    try:
        assert until(lambda: not os.path.exists(place), PATIENCE)
    finally:
        following.stop()
    assert until(lambda: cgroups() == before, PATIENCE)


HOG_WITH_A_SLOW_SUPERVISOR = """
import sys, time
from bldr import HermeticExecutor, ResourceLimits
from bldr.sandbox.linux.launcher import Launcher
from bldr.sandbox.linux.running import LinuxSandbox
from tests.processes import smallest

if __name__ == "__main__":
    launcher = Launcher(forked=sys.argv[1] == "forked")
    look = LinuxSandbox.poll
    LinuxSandbox.poll = lambda sandbox: (time.sleep(0.5), look(sandbox))[1]
    hog = ["python3", "-I", "-S", "-c", "block = bytearray(200 << 20)"]
    executor = HermeticExecutor.create(smallest().build(), launcher=launcher)
    result = executor.execute(hog, limits=ResourceLimits(memory=48 << 20))
    print(result.termination, [violation.kind for violation in result.violations])
    launcher.stop()
"""


@pytest.mark.parametrize("kind", ["forked", "spawned"])
def test_a_slow_supervisor_still_learns_that_memory_was_used_up(kind: str) -> None:
    """A launcher of one sandbox is about to end, and its cgroups with it, when init was killed as well."""
    argv = [sys.executable, "-c", HOG_WITH_A_SLOW_SUPERVISOR, kind]
    done = subprocess.run(argv, capture_output=True, timeout=60, check=False, text=True)

    assert done.stdout.startswith("limit-reached ['memory']"), (done.stdout, done.stderr)


def test_the_launchers_of_one_process_lie_side_by_side() -> None:
    """The first one may have to move this process into a leaf; the next ones do not go on from there."""
    places = []
    for _ in range(3):
        launcher = Launcher(ready=0)
        launcher.ensure()
        places.append(os.path.dirname(launcher.groups.path))
        launcher.stop()

    assert places == [places[0]] * 3
    assert places[0]


def group_of(launcher: Launcher) -> Cgroup:
    """The cgroup of the only sandbox in which a program runs beside our own init."""
    for path in Path(launcher.groups.path).iterdir():
        if path.is_dir() and len(Cgroup(path).members()) > 1:
            return Cgroup(path)
    raise AssertionError("no sandbox has a process of its own")


BURN = (
    "import os, time\nend = time.monotonic() + 2\nwhile time.monotonic() < end: pass\nprint(flush=True); os.read(0, 1)"
)


def test_a_quota_of_cpu_time_throttles(launcher: Launcher) -> None:
    executor = HermeticExecutor.create(smallest().build(), launcher=launcher)
    with executor.start(
        [*PYTHON, BURN], limits=ResourceLimits(cpus=0.2), stdin="pipe", stdout="pipe", timeout=PATIENCE
    ) as session:
        assert session.stdout is not None
        assert session.stdin is not None
        session.stdout.readline()
        cgroup = group_of(launcher)
        quota, told = cgroup.read("cpu.max"), cgroup.fields("cpu.stat")
        session.stdin.close()
        result = session.wait()

    assert quota == "20000 100000"
    assert told["nr_throttled"] > 3
    assert told["throttled_usec"] > 300_000
    assert result.exit_code == 0
    assert result.usage.cpu_time / result.usage.wall_time < 0.35  # a quota of 20 ms may be overdrawn by ticks of 10 ms
    record = result.receipt.record("cpu-limit")
    assert (record.asked, record.enforced_by, record.detail) == (True, ("cgroup",), "0.2 CPUs")


def test_without_a_quota_the_same_program_is_not_throttled(launcher: Launcher) -> None:
    executor = HermeticExecutor.create(smallest().build(), launcher=launcher)
    with executor.start([*PYTHON, BURN], stdin="pipe", stdout="pipe", timeout=PATIENCE) as session:
        assert session.stdout is not None
        assert session.stdin is not None
        session.stdout.readline()
        told = group_of(launcher).fields("cpu.stat")
        session.stdin.close()
        session.wait()

    assert told.get("nr_throttled", 0) == 0


# Four megabytes each way past every cache; what the writing takes, then the reading.
TRAFFIC = """
import os, time
moments = [time.monotonic()]
with open("/out/file", "wb") as file:
    file.write(os.urandom(4 << 20))
    file.flush()
    os.fsync(file.fileno())
    moments.append(time.monotonic())
with open("/out/file", "rb") as file:
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    while file.read(1 << 20): pass
    moments.append(time.monotonic())
print(moments[1] - moments[0], moments[2] - moments[1])
"""


@pytest.mark.needs("guest-disk")
def test_the_rate_of_a_disk_holds(launcher: Launcher) -> None:
    out = Path("/tmp/disk/rate")
    out.mkdir()
    spec = SandboxSpecBuilder.create().with_toolchain("system").env("PATH", "/usr/bin:/bin").output(out, "/out")
    executor = HermeticExecutor.create(spec.build(), launcher=launcher)
    result = executor.execute([*PYTHON, TRAFFIC], limits=ResourceLimits(disk_rate="1M"), timeout=PATIENCE)
    unlimited = executor.execute([*PYTHON, TRAFFIC], timeout=PATIENCE)

    assert result.exit_code == 0, result.stderr
    written, read = map(float, result.stdout.split())
    assert written > 2.5
    assert read > 2.5
    assert sum(map(float, unlimited.stdout.split())) < (written + read) / 2
    record = result.receipt.record("disk-rate-limit")
    assert (record.asked, record.enforced_by) == (True, ("cgroup",))
    assert record.detail == f"{MEBIBYTE} bytes a second"
    assert result.usage.disk_write is not None
    assert result.usage.disk_write >= 4 * MEBIBYTE


@pytest.mark.needs("guest-disk")
def test_a_limit_of_disk_traffic_ends_a_command(launcher: Launcher) -> None:
    out = Path("/tmp/disk/traffic")
    out.mkdir()
    spec = specification().output(out, "/out")
    executor = HermeticExecutor.create(spec.build(), launcher=launcher)
    program = "import os\nwith open('/out/file', 'wb') as file:\n while True: file.write(bytes(1 << 20)); os.fsync(file.fileno()); file.seek(0)"

    result = executor.execute([*PYTHON, program], limits=ResourceLimits(disk_io="8M"), timeout=PATIENCE)

    assert [(one.kind, one.limit) for one in result.violations] == [("disk_io", 8 * MEBIBYTE)]
    assert result.receipt.record("disk-io-limit").enforced_by == ("cgroup",)
