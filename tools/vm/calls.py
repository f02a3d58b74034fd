"""The system calls that Python does not offer. Only what vmrun needs."""

from __future__ import annotations

import ctypes
import os

__all__ = [
    "CLONE_NEWNS",
    "CLONE_NEWUSER",
    "MNT_DETACH",
    "MS_BIND",
    "MS_MOVE",
    "MS_NODEV",
    "MS_NOEXEC",
    "MS_NOSUID",
    "MS_PRIVATE",
    "MS_RDONLY",
    "MS_REC",
    "MS_REMOUNT",
    "die_with_parent",
    "load_module",
    "mount",
    "pivot_root",
    "power_off",
    "unmount",
    "unshare",
]

# <linux/mount.h>
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_MOVE, MS_REC, MS_PRIVATE = 1 << 12, 1 << 13, 1 << 14, 1 << 18
MNT_DETACH = 2
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000  # <linux/sched.h>
_POWER_OFF = 0x4321FEDC  # <linux/reboot.h>
_PR_SET_PDEATHSIG, _SIGKILL = 1, 9  # <linux/prctl.h>
_NR_PIVOT_ROOT, _NR_FINIT_MODULE = 155, 313  # x86_64, the only machine with these packages

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(answer: int, what: str) -> None:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else os.fsencode(text)


def mount(
    source: str | None, target: str, fstype: str | None = None, flags: int = 0, options: str | None = None
) -> None:
    """Call mount(2)."""
    answer = _libc.mount(_bytes(source), _bytes(target), _bytes(fstype), ctypes.c_ulong(flags), _bytes(options))
    _checked(answer, f"mount {source} on {target} ({fstype})")


def unmount(target: str, flags: int = 0) -> None:
    """Call umount2(2)."""
    _checked(_libc.umount2(_bytes(target), flags), f"unmount {target}")


def die_with_parent() -> None:
    """Be killed when the process that started this one is gone."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0), "prctl")


def unshare(flags: int) -> None:
    """Call unshare(2)."""
    _checked(_libc.unshare(flags), "unshare")


def pivot_root(new: str, old: str) -> None:
    """Call pivot_root(2)."""
    _checked(_libc.syscall(_NR_PIVOT_ROOT, _bytes(new), _bytes(old)), "pivot_root")


def load_module(path: str) -> None:
    """Call finit_module(2), so that the guest needs no kmod."""
    fd = os.open(path, os.O_RDONLY)
    try:
        _checked(_libc.syscall(_NR_FINIT_MODULE, fd, b"", 0), f"load {path}")
    finally:
        os.close(fd)


def power_off() -> None:
    """Call reboot(2); does not return."""
    _checked(_libc.reboot(_POWER_OFF), "power off")
