"""What only the kernel's version tells. Light, because supervisor and launcher both need it."""

from __future__ import annotations

import os

__all__ = ["COUNTS_PER_NAMESPACE", "TELLS_OF_UNUSED_FILTERS", "counts_per_namespace", "tells_of_unused_filters"]


def counts_per_namespace(release: str) -> bool:
    """Whether RLIMIT_NPROC counts the processes of one user namespace: since Linux 5.14, commit 21d1c5e386bc.

    Before, it counted those of a user on the whole host, and would refuse processes because of strangers. No call
    tells, and a trial would have to know who else runs with the same id.

    Args:
        release: As ``os.uname().release``.
    """
    return _is_since(release, (5, 14))


def tells_of_unused_filters(release: str) -> bool:
    """Whether who waits for a call of processes that are all gone is told: since Linux 6.11, by ENOENT.

    Before, SECCOMP_IOCTL_NOTIF_RECV (seccomp_unotify(2)) waited for ever, and only poll(2) tells. No call says which.

    Args:
        release: As ``os.uname().release``.
    """
    return _is_since(release, (6, 12))  # one later, in case that the end of processes was told differently at first


def _is_since(release: str, version: tuple[int, int]) -> bool:
    numbers = release.replace("-", ".").split(".")[:2]
    return all(number.isdigit() for number in numbers) and tuple(map(int, numbers)) >= version


_RELEASE = os.uname().release if hasattr(os, "uname") else ""
COUNTS_PER_NAMESPACE = counts_per_namespace(_RELEASE)
TELLS_OF_UNUSED_FILTERS = tells_of_unused_filters(_RELEASE)
