"""What only the kernel's version tells. Light, because supervisor and launcher both need it."""

from __future__ import annotations

import os

__all__ = ["COUNTS_PER_NAMESPACE", "counts_per_namespace"]


def counts_per_namespace(release: str) -> bool:
    """Whether RLIMIT_NPROC counts the processes of one user namespace: since Linux 5.14, commit 21d1c5e386bc.

    Before, it counted those of a user on the whole host, and would refuse processes because of strangers. No call
    tells, and a trial would have to know who else runs with the same id.

    Args:
        release: As ``os.uname().release``.
    """
    numbers = release.replace("-", ".").split(".")[:2]
    return all(number.isdigit() for number in numbers) and tuple(map(int, numbers)) >= (5, 14)


COUNTS_PER_NAMESPACE = hasattr(os, "uname") and counts_per_namespace(os.uname().release)
