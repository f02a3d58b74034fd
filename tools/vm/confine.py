"""What a process of the host does before it becomes a guest: give up writing to the host's files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence

from tools.vm import calls

__all__ = ["become_guest", "sealed_mounts"]

_KEPT_FLAGS = {
    "nosuid": calls.MS_NOSUID,
    "nodev": calls.MS_NODEV,
    "noexec": calls.MS_NOEXEC,
    "noatime": 1 << 10,  # <linux/mount.h>
    "nodiratime": 1 << 11,
    "relatime": 1 << 21,
}
_NOT_FILES = ("/dev", "/proc", "/sys")


def become_guest(writable: Sequence[str]) -> None:
    """Run between fork and exec, in a process that has one thread: a session of its own, and a read-only view.

    A guest's root sees the host's files as the user who started vmrun, so that its own read-only mount of them is a
    habit and no barrier. This one is.

    Args:
        writable: Directories and files that stay writable.
    """
    os.setsid()
    calls.die_with_parent()
    uid, gid = os.getuid(), os.getgid()
    try:
        calls.unshare(calls.CLONE_NEWNS | (calls.CLONE_NEWUSER if uid else 0))
    except OSError:
        if uid == 0:
            raise
        os.write(2, b"vmrun: no user namespaces here, so only file permissions keep the guest from writing\n")
        return
    if uid:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    calls.mount("none", "/", flags=calls.MS_REC | calls.MS_PRIVATE)
    for path in writable:
        calls.mount(path, path, flags=calls.MS_BIND | calls.MS_REC)
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mountinfo:
        mounts = sealed_mounts(mountinfo, writable)
    for place, flags in mounts:
        try:
            calls.mount(None, place, flags=calls.MS_REMOUNT | calls.MS_BIND | calls.MS_RDONLY | flags)
        except OSError:
            continue  # covered by another mount, or of a kind that cannot be written anyway


def sealed_mounts(mountinfo: Iterable[str], writable: Sequence[str]) -> list[tuple[str, int]]:
    """Return the mountpoints that have to become read-only, with the flags that they have to keep."""
    mounts = []
    for line in mountinfo:
        words = line.split()
        place = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), words[4])
        if place not in writable and not place.startswith(_NOT_FILES):
            options = words[5].split(",")
            mounts.append((place, sum(flag for name, flag in _KEPT_FLAGS.items() if name in options)))
    return mounts
