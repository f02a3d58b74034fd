"""Landlock as a second layer: writing is possible beneath the named paths only, whatever the mounts say.

Rights to read are not handled: what cannot be read is not there at all after ``pivot_root``, and a domain without them
costs nothing on an open for reading.
"""

from __future__ import annotations

import errno
import os

from _bldr_launcher import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from _bldr_launcher.kernel import Kernel

__all__ = ["WRITE_RIGHTS", "restrict_writes"]

# <linux/landlock.h>: LANDLOCK_ACCESS_FS_*
WRITE_FILE = 1 << 1
REMOVE_DIR = 1 << 4
REMOVE_FILE = 1 << 5
MAKE_CHAR = 1 << 6
MAKE_DIR = 1 << 7
MAKE_REG = 1 << 8
MAKE_SOCK = 1 << 9
MAKE_FIFO = 1 << 10
MAKE_BLOCK = 1 << 11
MAKE_SYM = 1 << 12
REFER = 1 << 13  # ABI 2
TRUNCATE = 1 << 14  # ABI 3
WRITE_RIGHTS = (
    WRITE_FILE | REMOVE_DIR | REMOVE_FILE
    | MAKE_CHAR | MAKE_DIR | MAKE_REG | MAKE_SOCK | MAKE_FIFO | MAKE_BLOCK | MAKE_SYM
)  # fmt: skip
FIRST_USABLE_ABI = 2  # before, a rename from one directory to another fails with EXDEV for everybody in a domain


def restrict_writes(paths: Iterable[bytes], kernel: Kernel = syscalls) -> int:
    """Put this process into a domain that can write beneath ``paths`` only. Needs no_new_privs.

    Args:
        paths: Files and directories as they are named now.
        kernel: The system calls; a test puts one that fails in its place.

    Returns:
        The ABI that is used, 0 when this kernel has none that is usable.

    Raises:
        OSError: Landlock is there and does not take the rules.
    """
    try:
        abi = kernel.landlock_version()
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EOPNOTSUPP):  # not built in, or switched off at boot
            return 0
        raise
    if abi < FIRST_USABLE_ABI:
        return 0
    rights = WRITE_RIGHTS | REFER | (TRUNCATE if abi >= 3 else 0)
    ruleset = kernel.landlock_create_ruleset(rights.to_bytes(8, "little"))
    try:
        for path in paths:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
            try:
                kernel.landlock_allow_beneath(ruleset, fd, rights)
            finally:
                os.close(fd)
        kernel.landlock_restrict_self(ruleset)
    finally:
        os.close(ruleset)
    return abi
