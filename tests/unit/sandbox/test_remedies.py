"""What is said when a host refuses: one row for each situation that was met, see the names of the tests.

The rows were measured in virtual machines and imitated containers: which stage fails first, and with which errno.
"""

from __future__ import annotations

import errno as errnos

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bldr.sandbox.linux.facts import HostFacts
from bldr.sandbox.linux.remedies import explain_failure

USER = HostFacts(kernel="6.12.1", uid=1000, max_user_namespaces=15000, interpreter="/usr/bin/python3.11")
ROOT = HostFacts(kernel="6.12.1", uid=0, capabilities=(1 << 41) - 1, max_user_namespaces=15000)


def facts(base: HostFacts = USER, **changes: object) -> HostFacts:
    return base.__replace__(**changes)  # type: ignore[attr-defined]  # every value has it


DOCKER = facts(
    ROOT, capabilities=0xA80425FB, seccomp=2, container="docker", covered_proc=("/proc/asound", "/proc/kcore")
)
KUBERNETES = facts(DOCKER, container="kubernetes")
PODMAN = facts(DOCKER, container="podman", seccomp=0)

ROWS = {
    "PSI is switched off, in a kernel whose files cannot be opened then": (
        ("pressure", errnos.EOPNOTSUPP, facts()),
        ("not switched on at boot", "psi=1", "sandbox.setup"),
    ),
    "PSI is switched off, in a kernel that has no files then": (
        ("pressure", errnos.ENOENT, facts(has_psi=True)),
        ("PSI is built in but was not switched on at boot", "psi=1", "sandbox.setup"),
    ),
    "PSI was not built in": (
        ("pressure", errnos.ENOENT, facts(has_psi=False)),
        ("built without PSI", "CONFIG_PSI=y", "sandbox.setup"),
    ),
    "nobody knows why there is no PSI": (
        ("pressure", errnos.ENOENT, facts()),
        ("no PSI, or it was not switched on", "psi=1", "sandbox.setup"),
    ),
    "user.max_user_namespaces is 0": (
        ("namespaces", errnos.ENOSPC, facts(max_user_namespaces=0)),
        ("user.max_user_namespaces=0", "sudo sysctl -w user.max_user_namespaces=15000", "sandbox.userns-disabled"),
    ),
    "root meets the same limit": (
        ("user-namespace", errnos.ENOSPC, facts(ROOT, max_user_namespaces=0)),
        ("user.max_user_namespaces=0", "sudo sysctl -w user.max_user_namespaces=15000", "sandbox.userns-disabled"),
    ),
    "a limit is used up": (
        ("namespaces", errnos.ENOSPC, facts(max_user_namespaces=100)),
        ("used up a limit of namespaces (user.max_user_namespaces=100)", "/proc/sys/user", "sandbox.userns-disabled"),
    ),
    "another sandbox of bldr forbids them, by the same number": (
        ("namespaces", errnos.ENOSPC, facts(max_user_namespaces=0, nested=True)),
        ("surrounding user namespace", "--allow-userns", "sandbox.userns-disabled"),
    ),
    "Debian's unprivileged_userns_clone is 0": (
        ("namespaces", errnos.EPERM, facts(userns_clone=0)),
        ("unprivileged_userns_clone=0", "sudo sysctl -w kernel.unprivileged_userns_clone=1", "sandbox.userns-disabled"),
    ),
    "a profile of AppArmor without userns": (
        ("namespaces", errnos.EACCES, facts(lsms=("apparmor",), label="bldr (enforce)")),
        ("by the security profile 'bldr'", "'userns,'", "sandbox.userns-denied"),
    ),
    "Ubuntu 24.04: namespaces work, their maps do not": (
        ("map-identity", errnos.EPERM, facts(lsms=("apparmor",), label="unconfined", apparmor_restricts=1)),
        (
            "AppArmor lets user namespaces be made but takes their capabilities away",
            "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
            "sandbox.userns-denied",
        ),
    ),
    "Ubuntu 24.04: namespaces and maps work, mounts do not": (
        ("private-mounts", errnos.EACCES, facts(lsms=("apparmor",), label="unconfined", apparmor_restricts=1)),
        ("takes their capabilities away", "profile with 'userns,' for /usr/bin/python3.11", "sandbox.userns-denied"),
    ),
    "Ubuntu 24.04: the launcher reports its own namespaces": (
        ("namespaces", errnos.EPERM, facts(lsms=("apparmor",), label="unconfined", apparmor_restricts=1)),
        ("apparmor_restrict_unprivileged_userns=1", "sysctl", "sandbox.userns-denied"),
    ),
    "a profile of AppArmor that denies capabilities": (
        ("mount-namespace", errnos.EPERM, facts(lsms=("apparmor",), label="python (enforce)")),
        ("by the security profile 'python'", "to the AppArmor profile 'python'", "sandbox.mount-denied"),
    ),
    "AppArmor is active and nothing else is known": (
        ("new-root", errnos.EPERM, facts(lsms=("capability", "apparmor"), label="unconfined")),
        ("takes their capabilities away", "allow userns and capabilities", "sandbox.userns-denied"),
    ),
    "SELinux": (
        ("namespaces", errnos.EACCES, facts(lsms=("selinux",), label="user_u:user_r:user_t:s0")),
        ("'user_u:user_r:user_t:s0'", "SELinux domain", "sandbox.userns-denied"),
    ),
    "an unconfined SELinux domain is no cause": (
        ("new-root", errnos.EPERM, facts(label="unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023")),
        ("Operation not permitted", "dmesg", "sandbox.mount-denied"),
    ),
    "Docker: unshare": (
        ("namespaces", errnos.EPERM, DOCKER),
        (
            "seccomp filter of this docker container",
            "docker run --security-opt seccomp=unconfined",
            "sandbox.userns-denied",
        ),
    ),
    "Docker: clone3 pretends to be missing": (
        ("namespaces", errnos.ENOSYS, DOCKER),
        ("seccomp filter of this docker container", "systempaths=unconfined", "sandbox.userns-denied"),
    ),
    "Kubernetes": (
        ("namespaces", errnos.EPERM, KUBERNETES),
        ("kubernetes container", "seccompProfile: {type: Unconfined}", "sandbox.userns-denied"),
    ),
    "a container whose kind is unknown": (
        ("namespaces", errnos.EPERM, facts(DOCKER, container="")),
        ("a seccomp filter denies", "if this is a container: docker run", "sandbox.userns-denied"),
    ),
    "Docker's AppArmor profile denies mounts": (
        ("private-mounts", errnos.EACCES, facts(DOCKER, seccomp=0, label="docker-default (enforce)")),
        ("'docker-default'", "docker run --security-opt apparmor=unconfined", "sandbox.mount-denied"),
    ),
    "root of a container without CAP_SETFCAP": (
        ("map-identity", errnos.EPERM, facts(DOCKER, capabilities=0)),
        ("CAP_SETFCAP", "docker run --cap-add SETFCAP", "sandbox.userns-denied"),
    ),
    "a chroot": (
        ("namespaces", errnos.EPERM, facts(ROOT, chroot=True)),
        ("inside a chroot", "pivot_root", "sandbox.userns-denied"),
    ),
    "Docker covers parts of /proc": (
        ("proc", errnos.EPERM, facts(DOCKER, seccomp=0)),
        (
            "covers parts of its own (/proc/asound)",
            "docker run --security-opt systempaths=unconfined",
            "sandbox.proc-masked",
        ),
    ),
    "rootless podman covers parts of /proc": (
        ("proc", errnos.EPERM, PODMAN),
        ("covers parts", "podman run --security-opt unmask=ALL", "sandbox.proc-masked"),
    ),
    "Kubernetes covers parts of /proc": (
        ("proc", errnos.EPERM, KUBERNETES),
        ("covers parts", "procMount: Unmasked", "sandbox.proc-masked"),
    ),
    "no /proc is mounted": (
        ("proc", errnos.EPERM, facts(covered_proc=())),
        ("not mounted, or not completely visible", "mount -t proc", "sandbox.proc-masked"),
    ),
    "an initial ramdisk": (
        ("pivot", errnos.EINVAL, facts(ROOT, root_type="rootfs")),
        ("initial ramdisk", "switch_root", "sandbox.mount-denied"),
    ),
    "an old kernel": (
        ("new-root", errnos.ENOSYS, facts(kernel="4.19.0-27-amd64")),
        ("Linux 5.2, and this is 4.19.0-27-amd64", "use Linux 5.10 or later", "sandbox.kernel-too-old"),
    ),
    "a kernel before clone3": (
        ("namespaces", errnos.ENOSYS, facts(kernel="5.2.1")),
        ("clone3 came with Linux 5.3", "use Linux 5.10 or later", "sandbox.kernel-too-old"),
    ),
    "a kernel without user namespaces": (
        ("namespaces", errnos.EINVAL, USER),
        ("built without user namespaces", "CONFIG_USER_NS=y", "sandbox.kernel-too-old"),
    ),
    "a kernel without one of the others": (
        ("ipc-namespace", errnos.EINVAL, USER),
        ("built without the ipc namespace", "distribution", "sandbox.kernel-too-old"),
    ),
    "a kernel before Landlock": (
        ("landlock", errnos.ENOSYS, facts(kernel="5.10.0")),
        ("Landlock came with Linux 5.13", "use Linux", "sandbox.no-landlock"),
    ),
    "a kernel without Landlock": (
        ("landlock", errnos.ENOSYS, USER),
        ("built without Landlock", "CONFIG_SECURITY_LANDLOCK=y", "sandbox.no-landlock"),
    ),
    "Landlock was not switched on": (
        ("landlock", errnos.EOPNOTSUPP, facts(lsms=("capability", "apparmor"))),
        ("not switched on at boot", "lsm=landlock,capability,apparmor", "sandbox.no-landlock"),
    ),
    "a container denies Landlock": (
        ("landlock", errnos.ENOSYS, DOCKER),
        ("a seccomp filter denies Landlock", "docker run", "sandbox.no-landlock"),
    ),
    "a kernel without seccomp filters": (
        ("seccomp", errnos.EINVAL, USER),
        ("no seccomp filters", "CONFIG_SECCOMP_FILTER=y", "sandbox.kernel-too-old"),
    ),
    "a kernel before id-mapped mounts": (
        ("idmap", errnos.ENOSYS, ROOT),
        ("no id-mapped mounts", "Linux 5.12", "sandbox.kernel-too-old"),
    ),
    "a file system that cannot map ids": (
        ("idmap", errnos.EINVAL, ROOT),
        ("cannot map ids", "ext4", "sandbox.no-idmap"),
    ),
    "a kernel before recursive mount attributes": (
        ("mount-setattr", errnos.ENOSYS, facts(kernel="5.10.46")),
        ("mount-setattr came with Linux 5.12", "use Linux", "sandbox.kernel-too-old"),
    ),
    "an overlay in a user namespace before 5.11": (
        ("overlay", errnos.EPERM, facts(kernel="5.10.46")),
        ("overlay came with Linux 5.11", "use Linux", "sandbox.kernel-too-old"),
    ),
    "the overlay module is not loaded": (
        ("overlay", errnos.ENODEV, USER),
        ("overlay file system is not there", "sudo modprobe overlay", "sandbox.setup"),
    ),
    "the mount table is full": (
        ("bind", errnos.ENOSPC, USER),
        ("fs.mount-max", "declare directories", "sandbox.mount-denied"),
    ),
    "the loopback": (
        ("loopback-up", errnos.EPERM, facts(apparmor_restricts=1)),
        ("takes their capabilities away", "sysctl", "sandbox.userns-denied"),
    ),
    "too many open files": (
        ("namespaces", errnos.EMFILE, USER),
        ("Too many open files", "ulimit -n", "sandbox.setup"),
    ),
    "no memory": (("namespaces", errnos.ENOMEM, USER), ("Cannot allocate memory", "fewer at a time", "sandbox.setup")),
    "nothing is known": (
        ("namespaces", errnos.EPERM, USER),
        ("Operation not permitted (EPERM)", "bldr doctor", "sandbox.setup"),
    ),
}


@pytest.mark.parametrize(("asked", "expected"), ROWS.values(), ids=ROWS)
def test_a_refusal_is_explained(asked: tuple[str, int, HostFacts], expected: tuple[str, str, str]) -> None:
    cause, remedy, code = explain_failure(*asked)

    assert expected[0] in cause
    assert expected[1] in remedy
    assert code == expected[2]


STAGES = (
    "user-namespace", "namespaces", "map-identity", "mount-namespace", "private-mounts", "new-root", "proc", "devices",
    "pivot", "loopback-up", "seccomp", "landlock", "idmap", "clone3", "pidfd", "overlay", "something new",
)  # fmt: skip
FACTS = st.builds(
    HostFacts,
    kernel=st.sampled_from(["", "4.4.0", "5.10.0", "6.12.1", "odd"]),
    uid=st.sampled_from([0, 1000]),
    capabilities=st.sampled_from([0, 0xA80425FB, (1 << 41) - 1]),
    seccomp=st.sampled_from([0, 2]),
    max_user_namespaces=st.sampled_from([None, 0, 100]),
    userns_clone=st.sampled_from([None, 0, 1]),
    apparmor_restricts=st.sampled_from([None, 0, 1]),
    lsms=st.sampled_from([(), ("apparmor",), ("selinux",)]),
    label=st.sampled_from(["", "unconfined", "docker-default (enforce)", "a:b:c:s0"]),
    container=st.sampled_from(["", "docker", "podman", "kubernetes", "lxc"]),
    covered_proc=st.sampled_from([(), ("/proc/kcore",)]),
    root_type=st.sampled_from(["", "ext4", "rootfs"]),
    chroot=st.booleans(),
    nested=st.booleans(),
)


@given(st.sampled_from(STAGES), st.sampled_from(sorted(errnos.errorcode)), FACTS)
def test_every_refusal_has_one_sentence_and_a_code(stage: str, errno: int, host: HostFacts) -> None:
    cause, remedy, code = explain_failure(stage, errno, host)

    assert cause
    assert "\n" not in cause + remedy
    assert not cause.endswith(".")
    assert code.startswith("sandbox.")


@pytest.mark.parametrize(
    ("kernel", "older"),
    [("5.9.1", True), ("5.10.0-rc1", False), ("6.1", False), ("", False), ("4", False), ("x.y", False)],
)
def test_kernel_releases_are_compared_as_numbers(kernel: str, older: bool) -> None:
    assert HostFacts(kernel=kernel).kernel_is_older_than(5, 10) is older
