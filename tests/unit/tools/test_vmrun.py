"""The deciding parts of tools/vmrun; tests/kernels shows that the rest works."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernels import lanes
from tools.vm import apt, confine, kernels, layouts, machines, main, unpack

ROOT = Path(__file__).parents[3]
DEB822 = """Types: deb
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.test/security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""
ONE_LINE = """# deb http://commented.test/debian bookworm main
deb [arch=amd64 signed-by=/etc/apt/keyrings/other.gpg] http://other.test/apt bookworm main
deb [arch=amd64] http://mirror.test/debian bookworm main contrib
deb http://mirror.test/security bookworm-security main
"""


@pytest.mark.parametrize("text", [DEB822, ONE_LINE])
def test_the_mirrors_are_those_of_this_machine(text: str) -> None:
    assert apt.mirrors_of([text], "bookworm") == apt.Mirrors("http://mirror.test/debian", "http://mirror.test/security")


def test_a_machine_without_a_mirror_of_debian_is_refused() -> None:
    with pytest.raises(kernels.RefusalError, match="no mirror of Debian trixie"):
        apt.mirrors_of([DEB822], "trixie")


def test_suites_without_security_updates_get_none() -> None:
    lines = apt.source_list(apt.Mirrors("http://a.test", "http://s.test"), ["trixie", "sid", "trixie-backports"])

    assert [line.split()[2:4] for line in lines.splitlines()] == [
        ["http://a.test", "trixie"],
        ["http://s.test", "trixie-security"],
        ["http://a.test", "sid"],
        ["http://a.test", "trixie-backports"],
    ]


def test_modules_are_loaded_behind_what_they_need() -> None:
    needs = {"virtiofs": ["fuse", "virtio"], "fuse": [], "virtio": ["ring"], "ring": []}

    assert unpack.load_order(["virtiofs", "virtio", "absent"], needs) == ["fuse", "ring", "virtio", "virtiofs"]


def test_a_ramdisk_is_a_cpio_archive(tmp_path: Path) -> None:
    archive = unpack.archive_of([("d", None), ("d/file", b"content")])

    assert archive.startswith(b"070701")
    assert archive.count(b"070701") == 3
    assert len(archive) % 4 == 0


def test_a_program_gets_another_dynamic_linker_in_place() -> None:
    old = b"\x7fELF..../lib64/ld-linux-x86-64.so.2\0...."

    new = unpack.with_interpreter(old, "/var/tmp/.uml.ld")

    assert len(new) == len(old)
    assert b"/var/tmp/.uml.ld\0" in new
    with pytest.raises(ValueError, match="cannot take the place"):
        unpack.with_interpreter(old, "/a/path/that/is/far/too/long/for/it")


def test_only_what_may_be_written_keeps_being_writable() -> None:
    mountinfo = [
        "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw",
        "23 22 0:5 / /dev rw - devtmpfs dev rw",
        r"24 22 0:6 / /with\040space rw,nosuid,noexec - tmpfs t rw",
        "25 22 8:1 /results /results rw - ext4 /dev/sda1 rw",
    ]

    assert confine.sealed_mounts(mountinfo, ["/results"]) == [("/", 1 << 21), ("/with space", 2 | 8)]


@pytest.mark.parametrize("layout", list(layouts.LAYOUTS))
def test_steps_of_a_layout_make_the_cgroup_that_the_command_starts_in(layout: str) -> None:
    steps = layouts.cgroup_steps(layout, 1234, 1234)
    made = {step[1] for step in steps if step[0] == "mkdir"}
    start = layouts.starting_cgroup(layout, 1234)

    assert not start or start in made
    owned = {step[1] for step in steps if step[0] == "own"}
    assert (start in owned) == (layout == "delegated")


def test_orders_for_the_guest_come_behind_the_dashes() -> None:
    machine = machines.Machine(
        Path("/cache/k"), Path("/tmp/run"), "/usr/bin/python3", memory=512, parameters=("more=1",)
    )
    streams = machines.Streams(4, 5, 6, 7)

    uml = machines.uml_command(machine, streams)
    qemu = machines.qemu_command(machine, streams)[-1].split()

    for words in (uml, qemu):
        dashes = words.index("--")
        assert words[dashes + 1 :] == ["-I", "-S", "/tmp/run/start", "/tmp/run"]
        assert words.index("more=1") < dashes


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-k", "uml-1.0", "--", "true"], "there is no kernel 'uml-1.0'"),
        (["--cgroup", "delegated", "--", "true"], "--cgroup delegated is for a user; add -u UID"),
        (["--rw", "/not/there", "--", "true"], "/not/there does not exist"),
        (["--ro", "/usr=relative", "--", "true"], "at an absolute path of the guest"),
        (["--sysctl", "name", "--", "true"], "--sysctl takes NAME=VALUE, not 'name'"),
        (["-e", "=x", "--", "true"], "-e takes NAME=VALUE, not '=x'"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(arguments: list[str], sentence: str) -> None:
    with pytest.raises(kernels.RefusalError, match=sentence):
        main.parse(arguments)


def test_the_command_may_have_options_of_its_own() -> None:
    assert main.parse(["-u", "7", "--", "ls", "-l", "--", "x"]).command == ("ls", "-l", "--", "x")


def test_every_required_lane_names_a_kernel_and_known_probes() -> None:
    from tests.capabilities import PROBES

    for lane in lanes.LANES:
        assert lane.kernel in kernels.KERNELS
        assert set(lane.needs) <= set(PROBES)
    assert {lane.kernel for lane in lanes.LANES if not lane.optional} == {"uml-6.1", "uml-5.10", "qemu-6.12"}


@pytest.mark.parametrize(
    ("output", "count"),
    [
        ("....\n4 passed, 3 skipped in 7.49s\n", 4),
        ("== 1 failed, 12 passed in 80.55s (0:01:20) ==\n", 12),
        ("30 skipped in 1.00s\n", 0),
        ("vmrun: the guest died\n", 0),
    ],
)
def test_a_lane_counts_what_passed(output: str, count: int) -> None:
    assert lanes.passed(output) == count


def test_help_names_every_layout_and_status() -> None:
    done = subprocess.run([sys.executable, ROOT / "tools/vmrun", "--help"], check=True, capture_output=True, text=True)

    for word in (*layouts.LAYOUTS, "124", "125", "126", "127", "128+N"):
        assert word in done.stdout
