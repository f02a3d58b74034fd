"""Two names that change places at once, for which the standard library has no call. Used by who builds."""

from __future__ import annotations

import os

from _bldr_launcher.syscalls import AT_FDCWD, _failure, _int, _raw, _text, _uint

__all__ = ["exchange"]

RENAME_EXCHANGE = 1 << 1  # <linux/fs.h>

_renameat2 = _raw("renameat2", _int, _text, _int, _text, _uint)


def exchange(one: str, other: str) -> None:
    """Let two paths of one file system change places, so that nobody ever finds one of them missing; Linux 3.15.

    Raises:
        OSError: One of them does not exist, or the file system cannot do it (``EINVAL``).
    """
    first, second = os.fsencode(one), os.fsencode(other)
    if _renameat2(AT_FDCWD, first, AT_FDCWD, second, RENAME_EXCHANGE) < 0:
        raise _failure("renameat2", first, second)
