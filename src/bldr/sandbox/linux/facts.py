"""What a host says about itself: settings and marks that choose the words of a remedy.

Nothing is concluded from these alone. Whether a mechanism works is found out by trying it (``probe.py``, or the run
itself); when it did not, these facts tell the likely reason apart from the others. Everything is read, nothing is
changed, and whatever cannot be read counts as unknown.
"""

from __future__ import annotations

import os
import sys

from bldr.model.value import value

__all__ = ["HostFacts", "read_facts"]

_SHORT = 4096  # bytes; every file but mountinfo is far shorter
_MOUNTINFO = 4 * 1024 * 1024  # bytes
_CONFIGURATION = 1024 * 1024  # bytes
_CAP_SYS_ADMIN = 1 << 21  # <linux/capability.h>
_CAP_SETFCAP = 1 << 31
_WHOLE_MAP = ("0", "0", "4294967295")


@value
class HostFacts:
    """Facts about a host; ``None`` where the file does not exist or cannot be read.

    Args:
        kernel: Release, such as ``6.1.0-18-amd64``.
        uid: Effective user id of the caller.
        capabilities: Effective capabilities as a bit mask.
        seccomp: 0 off, 1 strict, 2 a filter is installed.
        max_user_namespaces: ``user.max_user_namespaces``.
        userns_clone: ``kernel.unprivileged_userns_clone``, a setting of Debian's kernels.
        apparmor_restricts: ``kernel.apparmor_restrict_unprivileged_userns``, a setting of Ubuntu's kernels.
        lsms: Names of the active security modules.
        label: The caller's AppArmor or SELinux label, such as ``docker-default (enforce)``.
        container: ``docker``, ``podman``, ``kubernetes``, another name, or empty.
        covered_proc: Mountpoints below ``/proc``, with which containers hide parts of it.
        root_type: File system of ``/``; ``rootfs`` or ``ramfs`` for an initial ramdisk.
        chroot: Whether ``/`` is no mountpoint, so that the caller is in a chroot.
        nested: Whether the caller is in a user namespace already.
        has_psi: Whether the kernel was built with ``CONFIG_PSI``, where its configuration can be read.
        interpreter: The Python that runs bldr; AppArmor profiles attach to it.
    """

    kernel: str = ""
    uid: int = 0
    capabilities: int = 0
    seccomp: int = 0
    max_user_namespaces: int | None = None
    userns_clone: int | None = None
    apparmor_restricts: int | None = None
    lsms: tuple[str, ...] = ()
    label: str = ""
    container: str = ""
    covered_proc: tuple[str, ...] = ()
    root_type: str = ""
    chroot: bool = False
    nested: bool = False
    has_psi: bool | None = None
    interpreter: str = ""

    @property
    def is_host_root(self) -> bool:
        """Whether the caller is root of the initial user namespace, with its capabilities."""
        return self.uid == 0 and not self.nested and bool(self.capabilities & _CAP_SYS_ADMIN)

    @property
    def may_map_root(self) -> bool:
        """Whether a caller with uid 0 may map it into a new namespace (Linux 5.12 wants CAP_SETFCAP for that)."""
        return self.uid != 0 or bool(self.capabilities & _CAP_SETFCAP)

    def kernel_is_older_than(self, major: int, minor: int) -> bool:
        """Compare the release; one that cannot be read is not older."""
        numbers = self.kernel.split("-")[0].split(".")
        if len(numbers) < 2 or not (numbers[0].isdecimal() and numbers[1].isdecimal()):
            return False
        return (int(numbers[0]), int(numbers[1])) < (major, minor)


def read_facts(root: str = "/", *, interpreter: str = "") -> HostFacts:
    """Read the facts of this host.

    Args:
        root: Where ``/proc``, ``/sys`` and the marks of containers are looked for; a test gives a tree of its own.
        interpreter: Path of the Python that runs bldr; this one by default.
    """
    status = _fields(_text(root, "proc/self/status"))
    mounts = _mounts(_text(root, "proc/self/mountinfo", _MOUNTINFO))
    uids = status.get("Uid", "").split()
    roots = [kind for at, kind in mounts if at == "/"]
    return HostFacts(
        kernel=_text(root, "proc/sys/kernel/osrelease"),
        uid=int(uids[1]) if len(uids) > 1 and uids[1].isdecimal() else 0,
        capabilities=_hexadecimal(status.get("CapEff", "")),
        seccomp=_number(status.get("Seccomp", "")) or 0,
        max_user_namespaces=_number(_text(root, "proc/sys/user/max_user_namespaces")),
        userns_clone=_number(_text(root, "proc/sys/kernel/unprivileged_userns_clone")),
        apparmor_restricts=_number(_text(root, "proc/sys/kernel/apparmor_restrict_unprivileged_userns")),
        lsms=tuple(name for name in _text(root, "sys/kernel/security/lsm").split(",") if name),
        label=_text(root, "proc/self/attr/current"),
        container=_container(root),
        covered_proc=tuple(sorted({at for at, _ in mounts if at.startswith("/proc/")})),
        root_type=roots[-1] if roots else "",
        chroot=bool(mounts) and not roots,
        nested=tuple(_text(root, "proc/self/uid_map").split()) not in (_WHOLE_MAP, ()),
        has_psi=_has_psi(root),
        interpreter=interpreter or os.path.realpath(sys.executable),
    )


def _has_psi(root: str) -> bool | None:
    configuration = _text(root, "boot/config-" + _text(root, "proc/sys/kernel/osrelease").strip(), _CONFIGURATION)
    return "\nCONFIG_PSI=y\n" in configuration if configuration else None


def _text(root: str, path: str, largest: int = _SHORT) -> str:
    try:
        fd = os.open(os.path.join(root, path), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    parts: list[bytes] = []
    try:
        while largest > 0 and (part := os.read(fd, largest)):
            parts.append(part)
            largest -= len(part)
    except OSError:  # /proc/self/attr/current of a module that is not active
        return ""
    finally:
        os.close(fd)
    return os.fsdecode(b"".join(parts)).strip("\0\n ")


def _fields(text: str) -> dict[str, str]:
    return {name: content.strip() for name, _, content in (line.partition(":") for line in text.split("\n"))}


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None


def _hexadecimal(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        return 0


def _mounts(text: str) -> list[tuple[str, str]]:
    """Mountpoint and file system type of each line of mountinfo, see proc(5); escapes do not matter for our names."""
    found = []
    for line in text.split("\n"):
        left, dash, right = line.partition(" - ")
        words = left.split(" ")
        if dash and len(words) > 4:
            found.append((words[4], right.split(" ")[0]))
    return found


def _container(root: str) -> str:
    if os.path.exists(os.path.join(root, "var/run/secrets/kubernetes.io")):
        return "kubernetes"
    if os.path.exists(os.path.join(root, "run/.containerenv")):
        return "podman"
    if os.path.exists(os.path.join(root, ".dockerenv")):
        return "docker"
    return _text(root, "run/systemd/container")
