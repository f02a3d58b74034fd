"""Why a mechanism is refused here and what would change that: pure functions from facts to sentences.

The errno of the first step that failed decides, and the facts only tell causes with the same errno apart: ENOSPC is a
limit of the kernel, EPERM a seccomp filter, a setting or a chroot, EACCES a security module.
"""

from __future__ import annotations

import errno as errnos
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from bldr.sandbox.linux.facts import HostFacts

    Explanation: TypeAlias = tuple[str, str, str]

__all__ = ["explain_failure"]

_NEWEST_NEEDED = "5.10"

# The stages of making a sandbox, by the names that the launcher reports. "user-namespace" is the part of "namespaces"
# that a probe can try alone.
_MOUNTING = ("private-mounts", "new-root", "devices", "pivot", "devpts", "seal", "bind", "hostname")


# System calls and features that are tried alone: since when they exist.
_SINCE = {
    "clone3": "5.3",
    "pidfd": "5.3",
    "openat2": "5.6",
    "close-range": "5.9",
    "overlay": "5.11",
    "mount-setattr": "5.12",
    "seccomp-notify": "5.0",
}


def explain_failure(stage: str, errno: int, facts: HostFacts) -> Explanation:
    """Say why a stage failed.

    Args:
        stage: ``user-namespace``, ``namespaces``, ``map-identity``, ``private-mounts``, ``new-root``, ``proc``,
            ``devices``, ``pivot``, ``loopback-up``, ``seccomp``, ``landlock``, ``idmap`` or another name of a step.
        errno: What the kernel answered.
        facts: What the host says about itself.

    Returns:
        One sentence with the cause, one command or sentence that mends it (empty when nobody can know), and a stable
        code for the error.
    """
    if stage in ("user-namespace", "namespaces"):
        return _namespace(errno, facts)
    if stage.endswith("-namespace"):
        return _inner_namespace(stage, errno, facts)
    if stage in _SINCE:
        return _newer_call(stage, errno, facts)
    if stage == "map-identity":
        return _maps(errno, facts)
    if stage == "proc":
        return _proc(errno, facts)
    if stage in _MOUNTING:
        return _mount(stage, errno, facts)
    if stage == "loopback-up":
        return _loopback(errno, facts)
    if stage == "landlock":
        return _landlock(errno, facts)
    if stage == "seccomp":
        return _seccomp(errno)
    if stage == "idmap":
        return _idmap(errno)
    if stage == "pressure":
        return _pressure(errno, facts)
    return _unknown(stage, errno)


def _namespace(errno: int, facts: HostFacts) -> Explanation:
    if errno == errnos.ENOSPC:
        return _namespace_limit(facts)
    if errno == errnos.EACCES:
        return _security_module("user namespaces are denied", facts, "sandbox.userns-denied")
    if errno == errnos.ENOSYS:
        return _newer_call("clone3", errno, facts)
    if errno == errnos.EINVAL:
        return (
            "this kernel is built without user namespaces",
            "use a kernel with CONFIG_USER_NS=y (every distribution kernel has it)",
            "sandbox.kernel-too-old",
        )
    if errno != errnos.EPERM:
        return _unknown("user-namespace", errno)
    if facts.userns_clone == 0 and facts.uid != 0:
        return (
            "the setting kernel.unprivileged_userns_clone=0 keeps user namespaces from everybody but root",
            "sudo sysctl -w kernel.unprivileged_userns_clone=1",
            "sandbox.userns-disabled",
        )
    if facts.seccomp == 2:
        return _container_filter(facts)
    if facts.chroot:
        return (
            "user namespaces cannot be made inside a chroot",
            "enter the directory with 'unshare --mount' and pivot_root, or with a container tool, instead of chroot",
            "sandbox.userns-denied",
        )
    if facts.apparmor_restricts:
        return _apparmor_restriction(facts)
    if _is_confined(facts.label):
        return _security_module("user namespaces are denied", facts, "sandbox.userns-denied")
    if "apparmor" in facts.lsms:
        return _apparmor_restriction(facts, certain=False)
    return _unknown("user-namespace", errno)


def _inner_namespace(stage: str, errno: int, facts: HostFacts) -> Explanation:
    """One of the other namespaces, which a new user namespace has the right to make."""
    if errno == errnos.ENOSPC:
        return _namespace_limit(facts)
    if errno in (errnos.EPERM, errnos.EACCES):
        return _capabilities_taken(f"a {stage.replace('-', ' ')} is denied inside a user namespace", errno, facts)
    if errno == errnos.EINVAL:
        return (
            f"this kernel is built without the {stage.replace('-', ' ')}",
            "use a kernel of a distribution, which has all of them",
            "sandbox.kernel-too-old",
        )
    return _unknown(stage, errno)


def _newer_call(stage: str, errno: int, facts: HostFacts) -> Explanation:
    since = _SINCE[stage]
    major, minor = map(int, since.split("."))
    if facts.kernel_is_older_than(major, minor):
        return _old_kernel(stage, since, facts)
    if errno in (errnos.ENOSYS, errnos.EPERM) and facts.seccomp == 2:
        return _container_filter(facts)
    if stage == "overlay" and errno == errnos.ENODEV:
        return "the overlay file system is not there", "sudo modprobe overlay", "sandbox.setup"
    return _unknown(stage, errno)


def _namespace_limit(facts: HostFacts) -> Explanation:
    if facts.nested:
        return (
            "the surrounding user namespace forbids more of them",
            "inside another sandbox of bldr: start the outer one with --allow-userns",
            "sandbox.userns-disabled",
        )
    if facts.max_user_namespaces == 0:
        return (
            "the setting user.max_user_namespaces=0 forbids user namespaces",
            "sudo sysctl -w user.max_user_namespaces=15000",
            "sandbox.userns-disabled",
        )
    limit = "" if facts.max_user_namespaces is None else f" (user.max_user_namespaces={facts.max_user_namespaces})"
    return (
        f"this user has used up a limit of namespaces{limit}",
        "raise the limits in /proc/sys/user, for example: sudo sysctl -w user.max_user_namespaces=15000",
        "sandbox.userns-disabled",
    )


def _maps(errno: int, facts: HostFacts) -> Explanation:
    if errno == errnos.EPERM and not facts.may_map_root:
        return (
            "root here lacks the capability CAP_SETFCAP, without which uid 0 cannot be mapped into a namespace",
            _container_option(
                facts, docker="--cap-add SETFCAP", podman="--cap-add SETFCAP", kubernetes="add: [SETFCAP]"
            )
            or "run bldr as an ordinary user",
            "sandbox.userns-denied",
        )
    if errno in (errnos.EPERM, errnos.EACCES):
        return _capabilities_taken("the maps of a new user namespace cannot be written", errno, facts)
    return _unknown("map-identity", errno)


def _mount(stage: str, errno: int, facts: HostFacts) -> Explanation:
    if stage == "pivot" and errno == errnos.EINVAL and facts.root_type in ("rootfs", "ramfs"):
        return (
            "the host runs from its initial ramdisk, whose root cannot be pivoted",
            "mount a real root file system and switch_root to it first",
            "sandbox.mount-denied",
        )
    if errno in (errnos.EPERM, errnos.EACCES):
        return _capabilities_taken("mounting is denied in a new user namespace", errno, facts)
    if errno == errnos.ENOSYS:
        if facts.seccomp == 2:
            return _container_filter(facts)
        return _old_kernel("the mount interface that bldr uses", "5.2", facts)
    if errno == errnos.ENOSPC:
        return (
            "the mount table is full (fs.mount-max)",
            "sudo sysctl -w fs.mount-max=100000, or declare directories instead of many single files",
            "sandbox.mount-denied",
        )
    return _unknown(stage, errno)


def _capabilities_taken(what: str, errno: int, facts: HostFacts) -> Explanation:
    """A user namespace could be made, but its capabilities do not work: the sign of a security module."""
    if facts.apparmor_restricts:
        return _apparmor_restriction(facts)
    if errno == errnos.EACCES or _is_confined(facts.label):
        return _security_module(what, facts, "sandbox.mount-denied")
    if "apparmor" in facts.lsms:
        return _apparmor_restriction(facts, certain=False)
    if facts.seccomp == 2:
        return _container_filter(facts)
    return (
        f"{what}: the kernel answered {os.strerror(errno)}",
        "see the kernel's log (sudo dmesg) for the security module that denied it",
        "sandbox.mount-denied",
    )


def _apparmor_restriction(facts: HostFacts, *, certain: bool = True) -> Explanation:
    cause = "AppArmor lets user namespaces be made but takes their capabilities away"
    if certain:
        cause += " (kernel.apparmor_restrict_unprivileged_userns=1)"
        hint = "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
    else:
        hint = "allow userns and capabilities in the AppArmor profile of bldr's interpreter"
    interpreter = facts.interpreter or "the Python that runs bldr"
    hint += f"; or only for bldr: an AppArmor profile with 'userns,' for {interpreter}"
    return cause, hint, "sandbox.userns-denied"


def _security_module(what: str, facts: HostFacts, code: str) -> Explanation:
    if not _is_confined(facts.label):
        return (
            f"{what} by a security module (AppArmor or SELinux)",
            "see the kernel's log (sudo dmesg) for the rule that denied it",
            code,
        )
    label = facts.label.removesuffix(" (enforce)")
    if label.startswith(("docker-", "containers-default", "cri-containerd", "lxc-")):
        hint = _container_option(
            facts,
            docker="--security-opt apparmor=unconfined",
            podman="--security-opt apparmor=unconfined",
            kubernetes="appArmorProfile: {type: Unconfined}",
        )
    elif ":" in label:
        hint = f"allow user_namespace create and mount for the SELinux domain of {label!r}"
    else:
        hint = f"add the rule 'userns,' (and mount rules) to the AppArmor profile {label!r}"
    return f"{what} by the security profile {label!r}", hint, code


def _is_confined(label: str) -> bool:
    return bool(label) and label not in ("unconfined", "kernel") and ":unconfined_t:" not in label


def _container_filter(facts: HostFacts) -> Explanation:
    hint = _container_option(
        facts,
        docker="--security-opt seccomp=unconfined --security-opt systempaths=unconfined",
        podman="--security-opt seccomp=unconfined --security-opt unmask=ALL",
        kubernetes="seccompProfile: {type: Unconfined}, procMount: Unmasked",
    )
    where = f"the seccomp filter of this {facts.container} container" if facts.container else "a seccomp filter"
    return f"{where} denies the system calls that make namespaces", hint, "sandbox.userns-denied"


def _container_option(facts: HostFacts, *, docker: str, podman: str, kubernetes: str) -> str:
    """What to add when the container is started, in the words of its tool."""
    if facts.container == "kubernetes":
        return f"in the container's securityContext: {kubernetes}"
    if facts.container == "podman":
        return f"podman run {podman} ..."
    if facts.container == "docker":
        return f"docker run {docker} ..."
    return f"if this is a container: docker run {docker} ..."


def _proc(errno: int, facts: HostFacts) -> Explanation:
    if errno == errnos.EPERM and facts.covered_proc:
        return (
            f"a new /proc cannot be mounted, because the container covers parts of its own ({facts.covered_proc[0]})",
            _container_option(
                facts,
                docker="--security-opt systempaths=unconfined",
                podman="--security-opt unmask=ALL",
                kubernetes="procMount: Unmasked (with hostUsers: false)",
            ),
            "sandbox.proc-masked",
        )
    if errno in (errnos.EPERM, errnos.EACCES):
        if facts.apparmor_restricts or errno == errnos.EACCES or _is_confined(facts.label):
            return _capabilities_taken("a new /proc cannot be mounted", errno, facts)
        return (
            "a new /proc cannot be mounted: the caller's own is not mounted, or not completely visible",
            "mount -t proc proc /proc, without mounts below it",
            "sandbox.proc-masked",
        )
    return _unknown("proc", errno)


def _loopback(errno: int, facts: HostFacts) -> Explanation:
    if errno == errnos.EPERM:
        return _capabilities_taken("the loopback of a new network namespace cannot be brought up", errno, facts)
    return _unknown("loopback-up", errno)


def _landlock(errno: int, facts: HostFacts) -> Explanation:
    if errno == errnos.EOPNOTSUPP:
        others = ",".join(facts.lsms) or "..."
        return (
            "Landlock is built in but was not switched on at boot",
            f"boot with the kernel parameter lsm=landlock,{others}",
            "sandbox.no-landlock",
        )
    if errno == errnos.EPERM or (errno == errnos.ENOSYS and facts.seccomp == 2):
        return "a seccomp filter denies Landlock", _container_filter(facts)[1], "sandbox.no-landlock"
    if errno == errnos.ENOSYS and facts.kernel_is_older_than(5, 13):
        return _old_kernel("Landlock", "5.13", facts, code="sandbox.no-landlock")
    if errno == errnos.ENOSYS:
        return (
            "this kernel is built without Landlock",
            "use a kernel with CONFIG_SECURITY_LANDLOCK=y",
            "sandbox.no-landlock",
        )
    return _unknown("landlock", errno)


def _seccomp(errno: int) -> Explanation:
    if errno == errnos.EINVAL:
        return (
            "this kernel has no seccomp filters",
            "use a kernel with CONFIG_SECCOMP_FILTER=y (every distribution kernel has it)",
            "sandbox.kernel-too-old",
        )
    if errno == errnos.EBUSY:
        return (
            "another program answers system calls here already, and there can be only one",
            "run bldr outside of the container or tracer that does it",
            "sandbox.setup",
        )
    return _unknown("seccomp", errno)


def _idmap(errno: int) -> Explanation:
    if errno == errnos.ENOSYS:
        return (
            "this kernel has no id-mapped mounts, so what root runs sees its files as somebody else's",
            "use Linux 5.12 or later, or run bldr as an ordinary user",
            "sandbox.kernel-too-old",
        )
    return (
        "the file system cannot map ids, so what root runs sees its files as somebody else's there",
        "keep sources and outputs on ext4, xfs, btrfs or tmpfs, or run bldr as an ordinary user",
        "sandbox.no-idmap",
    )


def _pressure(errno: int, facts: HostFacts) -> Explanation:
    """Kernels that have it switched off have no files of it, or files that cannot be opened, by their age."""
    if errno == errnos.EOPNOTSUPP or (errno == errnos.ENOENT and facts.has_psi):
        return (
            "PSI is built in but was not switched on at boot",
            "boot with the kernel parameter psi=1",
            "sandbox.setup",
        )
    if errno == errnos.ENOENT and facts.has_psi is False:
        return "this kernel is built without PSI", "use a kernel with CONFIG_PSI=y", "sandbox.setup"
    if errno == errnos.ENOENT:
        return (
            "this kernel has no PSI, or it was not switched on at boot",
            "boot with the kernel parameter psi=1, or use a kernel with CONFIG_PSI=y",
            "sandbox.setup",
        )
    return _unknown("pressure", errno)


def _old_kernel(what: str, since: str, facts: HostFacts, *, code: str = "sandbox.kernel-too-old") -> Explanation:
    return (
        f"{what} came with Linux {since}, and this is {facts.kernel or 'older'}",
        f"use Linux {max(since, _NEWEST_NEEDED, key=_numbers)} or later",
        code,
    )


def _numbers(version: str) -> list[int]:
    return [int(number) for number in version.split(".")]


def _unknown(stage: str, errno: int) -> Explanation:
    if errno in (errnos.EMFILE, errnos.ENFILE):
        return f"{stage}: {os.strerror(errno)}", "raise the limit of open files (ulimit -n)", "sandbox.setup"
    if errno in (errnos.ENOMEM, errnos.EAGAIN):
        return f"{stage}: {os.strerror(errno)}", "free memory or processes, or run fewer at a time", "sandbox.setup"
    name = errnos.errorcode.get(errno, str(errno))
    return f"{stage}: the kernel answered {os.strerror(errno)} ({name})", "bldr doctor", "sandbox.setup"
