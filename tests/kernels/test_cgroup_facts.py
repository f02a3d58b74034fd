"""What kernels do with cgroups, without bldr: proves the test bed, and holds what the code that uses it relies on."""

from __future__ import annotations

import errno
import os
import subprocess

import pytest

from tests import cgroupfs
from tests.cgroupfs import Cgroup
from tests.processes import until

pytestmark = [pytest.mark.needs("throwaway-kernel")]

MIB = 1 << 20
RELEASE = tuple(int(number) for number in os.uname().release.split("-")[0].split("+")[0].split(".")[:2])

HOG = "hoard = []\nwhile True: hoard.append(b'x' * (1 << 20))"
PARENT_OF_HOG = "import os\nif os.fork() == 0:\n    hoard = []\n    while True: hoard.append(b'x' * (1 << 20))\nos.wait(); print('survived')"
BOMB = """
import os, time
children = 0
while children < 200:
    try:
        if os.fork() == 0:
            time.sleep(100)
    except BlockingIOError:
        break
    children += 1
print(children, flush=True)
"""
FAMILY = """
import os, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        time.sleep(100)
print("started", flush=True)
time.sleep(100)
"""
BURN = "import time\nend = time.monotonic() + 1\nwhile time.monotonic() < end: pass"
READ_DISK = """
import mmap, os, sys, time
fd, page = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECT), mmap.mmap(-1, 1 << 20)
start = time.monotonic()
for number in range(3): os.preadv(fd, [page], number << 20)
print(time.monotonic() - start)
"""


def error_of(cgroup: Cgroup, name: str, text: str) -> str:
    """What the kernel answers to a write."""
    try:
        cgroup.write(name, text)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return ""


@pytest.mark.needs("limiting-cgroup")
def test_the_controllers_of_memory_processes_and_cpu_are_there(cgroup: Cgroup) -> None:
    assert {"memory", "pids", "cpu"} <= set(cgroup.read("cgroup.controllers").split())


@pytest.mark.needs("limiting-cgroup")
def test_a_memory_hog_is_killed_at_its_limit(cgroup: Cgroup) -> None:
    cgroup.write("memory.max", str(48 * MIB))
    cgroup.write("memory.swap.max", "0")

    done = cgroup.run("-c", HOG)

    assert done.returncode == -9
    assert cgroup.fields("memory.events")["oom_kill"] > 0
    assert cgroup.has("memory.peak") == (RELEASE >= (5, 19))
    if cgroup.has("memory.peak"):
        assert int(cgroup.read("memory.peak")) == 48 * MIB


@pytest.mark.needs("limiting-cgroup")
def test_a_whole_group_dies_with_its_hog_where_that_is_asked_for(cgroup: Cgroup) -> None:
    cgroup.write("memory.max", str(48 * MIB))
    cgroup.write("memory.swap.max", "0")
    cgroup.write("memory.oom.group", "1")

    done = cgroup.run("-c", PARENT_OF_HOG)

    assert (done.returncode, done.stdout) == (-9, "")


@pytest.mark.needs("limiting-cgroup")
def test_a_fork_bomb_is_stopped_at_its_limit(cgroup: Cgroup) -> None:
    cgroup.write("pids.max", "20")

    with cgroup.start("-c", BOMB) as bomb:
        children = int(bomb.stdout.readline()) if bomb.stdout else 0
        cgroup.empty()

    assert children == 19
    assert cgroup.fields("pids.events")["max"] > 0
    if cgroup.has("pids.peak"):
        assert int(cgroup.read("pids.peak")) == 20


@pytest.mark.needs("limiting-cgroup")
def test_a_cpu_limit_throttles(cgroup: Cgroup) -> None:
    cgroup.write("cpu.max", "20000 100000")

    cgroup.run("-c", BURN)

    used = cgroup.fields("cpu.stat")
    assert used["nr_throttled"] > 3
    # A tick of 10 ms is the grain of accounting in user-mode Linux, and the interpreter's start counts, too.
    assert used["throttled_usec"] > 300_000


@pytest.mark.needs("cgroup-root", "guest-disk")
def test_a_limit_of_a_disk_holds() -> None:
    with open("/proc/self/mountinfo", encoding="utf-8") as mountinfo:
        (line,) = [line.split() for line in mountinfo if line.split()[4] == "/tmp/disk"]
    device = line[line.index("-") + 2]
    with cgroupfs.fresh() as cgroup:
        cgroup.write("io.max", f"{line[2]} rbps={MIB}")
        seconds = float(cgroup.run("-c", READ_DISK, device).stdout)

        assert seconds > 1.5
        assert f"rbytes={3 * MIB}" in cgroup.read("io.stat")


@pytest.mark.needs("limiting-cgroup")
def test_one_write_kills_everything_since_linux_5_14(cgroup: Cgroup) -> None:
    with cgroup.start("-c", FAMILY) as family:
        assert family.stdout is not None
        assert family.stdout.readline() == "started\n"
        assert len(cgroup.members()) == 4
        if RELEASE < (5, 14):
            assert not cgroup.has("cgroup.kill")
            cgroup.empty()
        else:
            cgroup.write("cgroup.kill", "1")
        assert family.wait(60) == -9
    assert until(lambda: not cgroup.fields("cgroup.events")["populated"])
    assert cgroup.members() == []


@pytest.mark.needs("limiting-cgroup")
def test_a_cgroup_with_members_gives_no_memory_controller_to_children(cgroup: Cgroup) -> None:
    with cgroup.start("-c", FAMILY) as family:
        assert family.stdout is not None
        family.stdout.readline()

        assert error_of(cgroup, "cgroup.subtree_control", "+memory") == "EBUSY"

        leaf = cgroup.child("leaf")
        for pid in cgroup.members():
            leaf.write("cgroup.procs", str(pid))
        assert error_of(cgroup, "cgroup.subtree_control", "+memory") == ""
        cgroup.empty()


@pytest.mark.needs("limiting-cgroup")
def test_the_limit_of_a_cgroup_namespace_cannot_be_lifted_from_inside(cgroup: Cgroup) -> None:
    """With ``nsdelegate``, which systemd mounts with. Without it, only ownership keeps a job from its own limit."""
    cgroup.write("memory.max", str(256 * MIB))
    lift = (
        f"cat {cgroup.path}/memory.max; echo max >{cgroup.path}/memory.max; echo 0 >{cgroup.path.parent}/cgroup.procs"
    )
    namespaces = ["--cgroup"] if os.geteuid() == 0 else ["--user", "--map-root-user", "--cgroup"]
    unshare = [*cgroup.command("unshare", *namespaces), "sh", "-c", lift]

    done = subprocess.run(unshare, check=False, capture_output=True, text=True, timeout=60)

    assert done.stdout == f"{256 * MIB}\n"
    assert cgroup.read("memory.max") == str(256 * MIB)
    assert done.returncode == 1


@pytest.mark.needs("cgroup-undelegated")
def test_a_session_without_delegation_makes_no_cgroup_that_it_can_enter() -> None:
    own = cgroupfs.own().path
    for place in (own, *own.parents):
        with pytest.raises(PermissionError):
            (place / "mine").mkdir()
        if place == cgroupfs.mountpoint():
            break
    services = [place for place in own.parent.iterdir() if place.name.startswith("user@")]
    assert len(services) == 1
    with_own = Cgroup(services[0]).child("mine")
    try:
        assert error_of(with_own, "cgroup.procs", "0") == "EACCES"
    finally:
        with_own.path.rmdir()


@pytest.mark.needs("pressure", "limiting-cgroup")
def test_a_cgroup_tells_how_long_its_processes_waited(cgroup: Cgroup) -> None:
    cgroup.write("cpu.max", "20000 100000")
    cgroup.run("-c", BURN)

    total = int(cgroup.read("cpu.pressure").splitlines()[0].rpartition("total=")[2])

    assert total > 100_000  # µs


@pytest.mark.needs("layout-ro")
def test_a_read_only_hierarchy_takes_no_cgroup_of_root_either() -> None:
    with pytest.raises(OSError, match="Read-only") as caught:
        (cgroupfs.own().path / "mine").mkdir()

    assert caught.value.errno == errno.EROFS
