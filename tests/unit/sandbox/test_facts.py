"""Facts are read from a tree like /proc; what cannot be read is unknown."""

from __future__ import annotations

from pathlib import Path

from bldr.sandbox.linux.facts import HostFacts, read_facts

MOUNTINFO = """\
22 28 0:20 / /sys rw,nosuid - sysfs sysfs rw
28 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
30 28 0:5 / /proc rw - proc proc rw
31 30 0:6 / /proc/kcore rw - tmpfs tmpfs rw
32 30 0:6 / /proc/acpi ro - tmpfs tmpfs ro
33 22 0:25 / /sys/fs/cgroup ro - cgroup2 cgroup rw,nsdelegate
"""
DOCKER = {
    "proc/self/status": "Name:\tcat\nUid:\t0\t0\t0\t0\nCapEff:\t00000000a80425fb\nSeccomp:\t2\n",
    "proc/self/mountinfo": MOUNTINFO,
    "proc/self/uid_map": "         0          0 4294967295\n",
    "proc/self/attr/current": "docker-default (enforce)\n\0",
    "proc/sys/kernel/osrelease": "6.1.0-18-amd64\n",
    "proc/sys/user/max_user_namespaces": "15000\n",
    "proc/sys/kernel/unprivileged_userns_clone": "1\n",
    "proc/sys/kernel/apparmor_restrict_unprivileged_userns": "0\n",
    "sys/kernel/security/lsm": "lockdown,capability,apparmor",
    "boot/config-6.1.0-18-amd64": "CONFIG_A=y\nCONFIG_PSI=y\nCONFIG_B=m\n",
    ".dockerenv": "",
}


def tree(directory: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return str(directory)


def test_a_container_is_read(tmp_path: Path) -> None:
    assert read_facts(tree(tmp_path, DOCKER), interpreter="/usr/bin/python3") == HostFacts(
        kernel="6.1.0-18-amd64",
        uid=0,
        capabilities=0xA80425FB,
        seccomp=2,
        max_user_namespaces=15000,
        userns_clone=1,
        apparmor_restricts=0,
        lsms=("lockdown", "capability", "apparmor"),
        label="docker-default (enforce)",
        container="docker",
        covered_proc=("/proc/acpi", "/proc/kcore"),
        root_type="ext4",
        chroot=False,
        nested=False,
        has_psi=True,
        interpreter="/usr/bin/python3",
    )


def test_nothing_that_can_be_read_is_nothing_known(tmp_path: Path) -> None:
    assert read_facts(str(tmp_path), interpreter="p") == HostFacts(interpreter="p")


def test_a_namespace_and_a_chroot_are_recognised(tmp_path: Path) -> None:
    files = DOCKER | {
        "proc/self/uid_map": "0 1000 1\n",
        "proc/self/mountinfo": "30 28 0:5 / /proc rw - proc proc rw\n31 28 0:9 / /cg rw - cgroup cgroup rw,cpu\n",
    }

    facts = read_facts(tree(tmp_path, files))

    assert (facts.nested, facts.chroot, facts.root_type) == (True, True, "")
    assert not facts.is_host_root


def test_a_kernel_without_psi_is_told_from_one_of_which_nothing_is_known(tmp_path: Path) -> None:
    without = DOCKER | {"boot/config-6.1.0-18-amd64": "CONFIG_A=y\n# CONFIG_PSI is not set\n"}

    assert read_facts(tree(tmp_path / "without", without)).has_psi is False
    unknown = {name: text for name, text in DOCKER.items() if not name.startswith("boot/")}
    assert read_facts(tree(tmp_path / "unknown", unknown)).has_psi is None


def test_root_of_the_host_has_its_capabilities(tmp_path: Path) -> None:
    status = "Uid:\t1000\t0\t0\t0\nCapEff:\t000001ffffffffff\n"

    facts = read_facts(tree(tmp_path, DOCKER | {"proc/self/status": status}))

    assert (facts.uid, facts.is_host_root, facts.may_map_root) == (0, True, True)
    assert not HostFacts(uid=0).may_map_root
    assert HostFacts(uid=1000).may_map_root


def test_kinds_of_containers(tmp_path: Path) -> None:
    for name, kind in (
        ("run/systemd/container", "lxc"),
        (".dockerenv", "docker"),
        ("run/.containerenv", "podman"),
        ("var/run/secrets/kubernetes.io", "kubernetes"),
    ):
        tree(tmp_path, {name: "lxc\n"})
        assert read_facts(str(tmp_path)).container == kind


def test_nonsense_is_unknown(tmp_path: Path) -> None:
    files = {
        "proc/self/status": "Uid:\tx\nCapEff:\tzz\nSeccomp:\t-\n",
        "proc/self/mountinfo": "nonsense\n1 2 3\n - \n",
        "proc/sys/user/max_user_namespaces": "9" * 30,
    }

    facts = read_facts(tree(tmp_path, files), interpreter="p")

    assert facts == HostFacts(interpreter="p")


def test_this_host_can_be_read() -> None:
    assert read_facts().interpreter
