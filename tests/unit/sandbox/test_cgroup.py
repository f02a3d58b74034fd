"""What is read from /proc and /sys/fs/cgroup, and what is written there, from texts."""

from __future__ import annotations

import pytest

from _bldr_launcher.cgroup import Hierarchy, candidates, find_hierarchy
from _bldr_launcher.release import counts_per_namespace
from bldr import ProcessPolicy, ResourceLimits, SandboxSpecBuilder
from bldr.sandbox.linux.cgroup import controller, disk_traffic, settings, stall, table
from bldr.sandbox.linux.processes import parse_stat

V2 = b"30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"
HYBRID = (
    b"31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    b"35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    b"41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
)
IN_CONTAINER = b"50 40 0:26 /docker/abc /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n"


@pytest.mark.parametrize(
    ("mountinfo", "own", "mount", "directory", "delegates"),
    [
        (V2, b"0::/\n", "/sys/fs/cgroup", "/sys/fs/cgroup", True),
        (V2, b"0::/user.slice/s.scope\n", "/sys/fs/cgroup", "/sys/fs/cgroup/user.slice/s.scope", True),
        (HYBRID, b"4:memory:/x\n0::/a b\n", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/unified/a b", False),
        (IN_CONTAINER, b"0::/docker/abc/x\n", "/sys/fs/cgroup", "/sys/fs/cgroup/x", False),
    ],
)
def test_our_own_cgroup_is_found_whatever_is_mounted_where(
    mountinfo: bytes, own: bytes, mount: str, directory: str, delegates: bool
) -> None:
    found = find_hierarchy(mountinfo, own)

    assert isinstance(found, Hierarchy)
    assert (found.mount, found.own, found.delegates) == (mount, directory, delegates)


@pytest.mark.parametrize(
    ("mountinfo", "own", "why"),
    [
        (V2, b"4:memory:/x\n", "this kernel has no cgroup version 2"),
        (V2, b"0::/../other\n", "our own cgroup lies outside our cgroup namespace"),
        (b"", b"0::/\n", "cgroup version 2 is not mounted here"),
        (IN_CONTAINER, b"0::/docker/abcd\n", "cgroup version 2 is not mounted here"),
    ],
)
def test_where_there_is_none_the_reason_is_told(mountinfo: bytes, own: bytes, why: str) -> None:
    assert find_hierarchy(mountinfo, own) == why


def test_a_place_is_looked_for_from_our_own_cgroup_upwards() -> None:
    assert candidates(Hierarchy("/c", "/c/a/b", delegates=True)) == ["/c/a/b", "/c/a", "/c"]
    assert candidates(Hierarchy("/c", "/c", delegates=True)) == ["/c"]


def test_the_leaf_that_an_earlier_launcher_has_moved_us_into_is_no_place() -> None:
    assert candidates(Hierarchy("/c", "/c/a/bldr-supervisor", delegates=True)) == ["/c/a", "/c"]
    assert candidates(Hierarchy("/c/bldr-supervisor", "/c/bldr-supervisor", delegates=True)) == ["/c/bldr-supervisor"]


def test_a_limit_that_was_asked_for_may_not_be_left_out() -> None:
    spec = (
        SandboxSpecBuilder.create()
        .with_limits(ResourceLimits.hermetic().merge(ResourceLimits(memory=1600, cpus=1.5, disk_rate=9, cpu_weight=7)))
        .with_process(ProcessPolicy(max_children=9))
        .build()
    )

    assert settings(spec, ["8:0", "8:16"]) == [
        (b"memory.max", b"+1600", b"1"),
        (b"memory.swap.max", b"0", b"0"),
        (b"memory.oom.group", b"1", b"0"),
        (b"memory.high", b"+1500", b"0"),
        (b"pids.max", b"11", b"0"),
        (b"cpu.max", b"150000 100000", b"1"),
        (b"cpu.weight", b"7", b"1"),
        (b"io.max", b"8:0 rbps=9 wbps=9", b"1"),
        (b"io.max", b"8:16 rbps=9 wbps=9", b"1"),
    ]
    assert controller(b"memory.oom.group") == "memory"


def test_files_of_a_cgroup_are_read_as_far_as_they_are_understood() -> None:
    assert table(b"usage_usec 12\nuser_usec 8\nodd\nmax max\n") == {"usage_usec": 12, "user_usec": 8}
    assert table(None) == {}
    assert disk_traffic(b"8:0 rbytes=10 wbytes=20 rios=1\n8:16 rbytes=1 wbytes=2\n") == (11, 22)
    assert disk_traffic(b"") == (0, 0)
    assert stall(b"some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\nfull avg10=0.00 total=1\n") == 1.5
    assert stall(None) is None


def test_a_process_may_call_itself_what_it_likes() -> None:
    fields = b"S 7 7 7 0 -1 4194560 1 2 3 4 150 50 10 20 20 0 3 0 4200 9 25 1 1"
    about = parse_stat(b"12 (a) b) (c) " + fields)

    assert (about.pid, about.name, about.state, about.parent, about.threads) == (12, "a) b) (c", "S", 7, 3)
    with pytest.raises(ValueError, match="where 22 are expected"):
        parse_stat(b"12 (x) S 1")


@pytest.mark.parametrize(
    ("release", "expected"),
    [("5.10.0-28-amd64", False), ("5.13.19", False), ("5.14.0", True), ("6.1-rc3", True), ("odd", False)],
)
def test_the_kernel_that_counts_processes_per_namespace_is_known_by_its_version(release: str, expected: bool) -> None:
    assert counts_per_namespace(release) == expected
