"""The kernels that can be booted, and where they are kept."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["DEFAULT", "KERNELS", "Kernel", "RefusalError", "cache_root", "kernel_named"]

DEFAULT = "uml-6.1"


class RefusalError(Exception):
    """Something that vmrun cannot do here, in one sentence."""


@dataclass(frozen=True)
class Kernel:
    """A kernel of a Debian suite.

    Args:
        name: What ``-k`` takes: the kind of machine and the version.
        kind: ``uml`` for user-mode Linux, a program of the host; ``qemu`` for a PC that QEMU emulates.
        suite: The suite of Debian that the package comes from.
        packages: What is downloaded; for ``qemu`` a package whose dependencies lead to the kernel.
        libc_suite: Where the C library comes from that this kernel needs, when the host's may be too old.
        root_only_ro: Whether the kernel can only show the root read-only, because overlayfs finds no files in hostfs.
    """

    name: str
    kind: str
    suite: str
    packages: tuple[str, ...]
    libc_suite: str = ""
    root_only_ro: bool = False

    @property
    def suites(self) -> tuple[str, ...]:
        """Every suite that has to be known to apt."""
        return tuple(dict.fromkeys(filter(None, (self.suite, self.libc_suite))))


_UML = ("user-mode-linux",)
_CLOUD = ("linux-image-cloud-amd64",)

KERNELS = {
    kernel.name: kernel
    for kernel in (
        Kernel("uml-5.10", "uml", "bullseye", _UML, root_only_ro=True),
        Kernel("uml-6.1", "uml", "bookworm", _UML),
        Kernel("uml-6.12", "uml", "trixie", _UML, libc_suite="trixie"),
        Kernel("uml-7.2", "uml", "sid", _UML, libc_suite="trixie"),
        Kernel("qemu-5.10", "qemu", "bullseye", _CLOUD),
        Kernel("qemu-6.1", "qemu", "bookworm", _CLOUD),
        Kernel("qemu-6.12", "qemu", "bookworm", ("linux-image-6.12-cloud-amd64",)),
        Kernel("qemu-7.3", "qemu", "trixie-backports", _CLOUD),
    )
}


def kernel_named(name: str) -> Kernel:
    """Return the kernel of that name."""
    try:
        return KERNELS[name]
    except KeyError:
        raise RefusalError(f"there is no kernel {name!r}; there are {', '.join(KERNELS)}") from None


def cache_root(environment: Mapping[str, str]) -> Path:
    """Return the directory that kernels are kept in: ``VMRUN_CACHE``, or ``vmrun`` in the user's cache."""
    if chosen := environment.get("VMRUN_CACHE"):
        return Path(os.path.abspath(chosen))
    return Path(environment.get("XDG_CACHE_HOME") or Path(environment.get("HOME") or "/root", ".cache"), "vmrun")
