"""What is said to have been used agrees with GNU time, which watches the same run inside, and with /proc.

Both are told by the same kernel of the same processes, so that it does not matter how busy the machine is. The
tolerances are those of docs/limits.md. One suite for hosts with a cgroup of our own, and for those without.
"""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

from bldr import HermeticExecutor, ResourceUsage
from bldr.sandbox.linux.launcher import Launcher
from tests.capabilities import Capabilities
from tests.processes import BOUND, specification, until

pytestmark = [pytest.mark.needs("user-namespaces", "gnu-time")]

MEBIBYTE = 1 << 20
BLOCK = 512  # bytes, in which GNU time counts disk traffic
MEMORY = 12 * MEBIBYTE  # of libraries that others use as well, and of what the kernel keeps for a process
SWITCHES = 100  # of GNU time itself
DISK = MEBIBYTE // 4  # of GNU time itself

# What a program says of itself, of /proc, when it has done its work.
SAYS = """
import json, os
def say():
    status = dict(line.split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
    stat = open("/proc/self/stat").read().rpartition(") ")[2].split()
    tick = os.sysconf("SC_CLK_TCK")
    io = dict(line.split(": ") for line in open("/proc/self/io"))
    print(json.dumps({
        "user": int(stat[11]) / tick, "system": int(stat[12]) / tick, "memory": int(status["VmHWM"].split()[0]) * 1024,
        "switches": int(status["voluntary_ctxt_switches"]) + int(status["nonvoluntary_ctxt_switches"]),
        "read": int(io["read_bytes"]), "written": int(io["write_bytes"]),
    }), flush=True)
"""
BURN = """
while os.times().user < 0.3: pass
while sum(os.times()[:2]) < 0.6: os.stat("/usr/bin")
"""
TOUCH = "block = bytearray(100 << 20)"
SWITCH = """
import time
for _ in range(600): time.sleep(0.0001)
"""
WRITE_AND_READ = """
with open("/out/file", "wb") as file:
    for _ in range(24): file.write(os.urandom(1 << 20))
    file.flush()
    os.fsync(file.fileno())
with open("/out/file", "rb") as file:
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    while file.read(1 << 20): pass
"""
# Three children that hold memory at the same time, and that their parent waits for.
FAMILY = """
for _ in range(3):
    if os.fork() == 0:
        block = bytearray(30 << 20)
        while os.times().user < 0.2: pass
        os.write(1, b"ready\\n")
        os.read(0, 1)
        say()
        os._exit(0)
for _ in range(3): os.wait()
"""


@pytest.fixture(scope="module")
def cpu(capabilities: Capabilities) -> float:
    """Seconds of CPU time that GNU time and bldr's init take.

    User-mode Linux counts in steps of 10 ms, and counts the time in which its host does something else.
    """
    return 0.05 if capabilities.why_not("throwaway-kernel") else 0.5


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def executor(launcher: Launcher, out: Path) -> HermeticExecutor:
    return HermeticExecutor.create(specification().output(out, "/out").build(), launcher=launcher)


class Timed:
    """What GNU time says of the program that it has started, and of the children that this has waited for."""

    def __init__(self, text: str) -> None:
        def number(label: str) -> float:
            found = re.search(rf"^\t{re.escape(label)}.*: ([0-9.]+)$", text, re.MULTILINE)
            assert found, text
            return float(found[1])

        self.user = number("User time")
        self.system = number("System time")
        self.memory = int(number("Maximum resident set size")) * 1024
        self.switches = int(number("Voluntary context switches") + number("Involuntary context switches"))
        self.read = int(number("File system inputs")) * BLOCK
        self.written = int(number("File system outputs")) * BLOCK
        minutes = re.search(r"^\tElapsed .*: (?:(\d+):)?(\d+):([0-9.]+)$", text, re.MULTILINE)
        assert minutes, text
        self.wall = int(minutes[1] or 0) * 3600 + int(minutes[2]) * 60 + float(minutes[3])


def command(program: str) -> list[str]:
    """A program under GNU time, which writes to a file: what it prints elsewhere, it prints in many small pieces."""
    return ["time", "-v", "-o", "/out/time", "python3", "-I", "-S", "-c", SAYS + program]


def measure(executor: HermeticExecutor, out: Path, program: str) -> tuple[ResourceUsage, Timed, dict[str, Any]]:
    """Run a program under GNU time: what bldr says, what GNU time says, what the program says of itself."""
    result = executor.execute(command(f"{program}\nsay()"), timeout=BOUND)
    assert result.exit_code == 0, result
    return result.usage, Timed((out / "time").read_text("ascii")), json.loads(result.stdout)


def test_cpu_time_agrees(executor: HermeticExecutor, out: Path, cpu: float) -> None:
    usage, timed, said = measure(executor, out, BURN)

    assert timed.user + timed.system - 0.02 <= usage.cpu_time <= timed.user + timed.system + cpu
    assert said["user"] + said["system"] - 0.02 <= usage.cpu_time <= said["user"] + said["system"] + 2 * cpu
    assert usage.cpu_time == pytest.approx(usage.user_time + usage.system_time)
    # How a moment is divided between the two is an estimate, which the kernel makes for a cgroup on its own.
    assert usage.user_time == pytest.approx(timed.user, abs=cpu + 0.1 * timed.user)
    assert usage.system_time == pytest.approx(timed.system, abs=cpu + 0.1 * timed.user)


def test_wall_time_agrees(executor: HermeticExecutor, out: Path, cpu: float) -> None:
    """Whatever else the machine does can only come between the two clocks, so the closest pair of some counts."""
    pairs = [measure(executor, out, "import time; time.sleep(0.05)")[:2] for _ in range(8)]
    differences = [usage.wall_time - timed.wall for usage, timed in pairs]

    assert all(usage.wall_time >= 0.05 for usage, _ in pairs)
    assert min(map(abs, differences)) < 2 * cpu


def test_peak_memory_agrees(executor: HermeticExecutor, out: Path) -> None:
    usage, timed, said = measure(executor, out, TOUCH)

    assert usage.peak_memory == pytest.approx(timed.memory, abs=MEMORY)
    assert usage.peak_memory == pytest.approx(said["memory"], abs=MEMORY)


def test_the_peak_of_a_single_process_is_exact_without_a_cgroup(executor: HermeticExecutor, out: Path) -> None:
    usage, timed, _ = measure(executor, out, TOUCH)

    if usage.measured_by == "cgroup":
        assert usage.peak_memory is not None
        assert usage.peak_memory >= 100 * MEBIBYTE
    else:
        assert usage.peak_memory == pytest.approx(timed.memory, abs=2 * MEBIBYTE)


def test_context_switches_agree(executor: HermeticExecutor, out: Path) -> None:
    usage, timed, said = measure(executor, out, SWITCH)

    assert usage.context_switches is not None
    assert 0 <= usage.context_switches - timed.switches <= SWITCHES
    assert usage.context_switches >= said["switches"] >= 500


def test_disk_traffic_agrees(executor: HermeticExecutor, out: Path) -> None:
    measure(executor, out, "")  # so that no program has to be read from the disk
    usage, timed, said = measure(executor, out, WRITE_AND_READ)

    assert usage.disk_write == pytest.approx(timed.written, abs=DISK)
    assert usage.disk_write == pytest.approx(said["written"], abs=DISK)
    assert usage.disk_read == pytest.approx(timed.read, abs=DISK)
    assert usage.disk_read == pytest.approx(said["read"], abs=DISK)
    if timed.written:  # else in memory
        assert min(timed.written, timed.read) >= 24 * MEBIBYTE


def proportional(pid: int) -> int:
    """Bytes of a process, of what it shares its part."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no Pss of {pid}")


def cpu_time_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_tree_of_processes_agrees(executor: HermeticExecutor, out: Path, cpu: float) -> None:
    with executor.start(command(FAMILY), stdin="pipe", stdout="pipe", timeout=BOUND) as session:
        assert session.stdin is not None
        assert session.stdout is not None
        assert [session.stdout.readline() for _ in range(3)] == [b"ready\n"] * 3
        assert until(lambda: session.reading is not None and session.reading.memory >= 90 * MEBIBYTE)
        meter = session.meter()
        reading, processes = meter.look(closely=True)
        exact = meter.proportional_memory() or reading.memory
        pids = [one.pid for one in processes]
        live_memory, live_cpu = sum(map(proportional, pids)), sum(map(cpu_time_of, pids))
        session.stdin.write(b"xyz")
        session.stdin.close()
        said = [json.loads(session.stdout.readline()) for _ in range(3)]
        result = session.wait()
    usage, timed = result.usage, Timed((out / "time").read_text("ascii"))

    assert len(pids) == 5
    assert exact == pytest.approx(live_memory, abs=MEMORY)
    assert exact - MEMORY <= reading.memory <= sum(one["memory"] for one in said) + MEMORY
    assert reading.cpu_time == pytest.approx(live_cpu, abs=cpu)
    assert timed.user + timed.system - 0.02 <= usage.cpu_time <= timed.user + timed.system + cpu
    assert usage.cpu_time >= sum(one["user"] for one in said) >= 0.6
    assert usage.peak_memory is not None
    assert 90 * MEBIBYTE <= usage.peak_memory <= sum(one["memory"] for one in said) + MEMORY
    assert usage.processes == 5
    assert usage.peak_processes == 5


def test_the_supervisor_is_never_measured(executor: HermeticExecutor, cpu: float) -> None:
    """It holds memory, runs a thread and computes while the command sleeps."""
    block = bytearray(200 * MEBIBYTE)
    with executor.start(["sleep", "0.5"]) as session:
        used = time.thread_time()
        while time.thread_time() - used < 0.3:
            pass
        usage = session.wait().usage

    assert len(block) > 0
    assert usage.cpu_time < cpu
    assert (usage.peak_memory or 0) < 8 * MEBIBYTE
    assert usage.processes == 1
    assert (usage.context_switches or 0) < SWITCHES
    assert usage.peak_processes in (None, 1)
    assert (usage.disk_write or 0) < DISK


def test_neither_is_our_own_init(executor: HermeticExecutor, out: Path) -> None:
    """Its memory is in the peak that the kernel keeps for whatever it starts (execve(2))."""
    result = executor.execute(["time", "-v", "-o", "/out/time", "true"])
    timed = Timed((out / "time").read_text("ascii"))

    assert timed.memory < 4 * MEBIBYTE
    assert (result.usage.peak_memory or 0) < 8 * MEBIBYTE
