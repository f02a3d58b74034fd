"""Landlock: beneath which paths a process may read and write.

It is a second layer where mounts decide (:func:`restrict_writes`): rights to read are not handled there, because what
cannot be read is not there at all after ``pivot_root``, and a domain without them costs nothing on an open for reading.
It is the first layer where no mounts can be made (:func:`confine`).
"""

from __future__ import annotations

import errno
import os
import stat

from _bldr_launcher import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from _bldr_launcher.kernel import Kernel

__all__ = ["WRITE_RIGHTS", "confine", "restrict_writes", "rights_of"]

# <linux/landlock.h>: LANDLOCK_ACCESS_FS_*
EXECUTE = 1 << 0
WRITE_FILE = 1 << 1
READ_FILE = 1 << 2
READ_DIR = 1 << 3
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
IOCTL_DEV = 1 << 15  # ABI 5
WRITE_RIGHTS = (
    WRITE_FILE | REMOVE_DIR | REMOVE_FILE
    | MAKE_CHAR | MAKE_DIR | MAKE_REG | MAKE_SOCK | MAKE_FIFO | MAKE_BLOCK | MAKE_SYM
)  # fmt: skip
BIND_TCP, CONNECT_TCP = 1 << 0, 1 << 1  # LANDLOCK_ACCESS_NET_*, ABI 4
SCOPE_ABSTRACT_UNIX_SOCKET, SCOPE_SIGNAL = 1 << 0, 1 << 1  # LANDLOCK_SCOPE_*, ABI 6
FIRST_USABLE_ABI = 2  # before, a rename from one directory to another fails with EXDEV for everybody in a domain
# What may be done with a file, by the words of a plan; a directory passes its rights on to what is beneath it.
FILE_RIGHTS = {
    b"read": EXECUTE | READ_FILE,
    b"device": READ_FILE | WRITE_FILE | TRUNCATE | IOCTL_DEV,
    b"write": EXECUTE | READ_FILE | WRITE_FILE | TRUNCATE,
    b"stream-in": READ_FILE | IOCTL_DEV,
    b"stream-out": WRITE_FILE | TRUNCATE | IOCTL_DEV,
    b"stream-both": READ_FILE | WRITE_FILE | TRUNCATE | IOCTL_DEV,
}
DIRECTORY_RIGHTS = {
    b"list": READ_DIR,
    b"read": EXECUTE | READ_FILE | READ_DIR,
    b"write": EXECUTE | READ_FILE | READ_DIR | WRITE_RIGHTS | REFER | TRUNCATE,
}


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
                of_kind = rights if stat.S_ISDIR(os.fstat(fd).st_mode) else rights & (WRITE_FILE | TRUNCATE)
                kernel.landlock_allow_beneath(ruleset, fd, of_kind)
            finally:
                os.close(fd)
        kernel.landlock_restrict_self(ruleset)
    finally:
        os.close(ruleset)
    return abi


def rights_of(abi: int) -> int:
    """Every right on files that an ABI knows; what is not among them is allowed everywhere."""
    rights = EXECUTE | READ_FILE | READ_DIR | WRITE_RIGHTS
    for first, right in ((2, REFER), (3, TRUNCATE), (5, IOCTL_DEV)):
        rights |= right if abi >= first else 0
    return rights


def confine(rules: Iterable[tuple[bytes, bytes, bytes]], abi: int, kernel: Kernel = syscalls) -> None:
    """Put this process into a domain that can do nothing with files, TCP and other processes but what a rule allows.

    Args:
        rules: Path, word of ``FILE_RIGHTS``, and ``dir`` or ``file``. Rules for one path add up.
        abi: That of the kernel, or a lower one.
        kernel: The system calls; a test puts one that fails in its place.

    Raises:
        OSError: A path is not there or not of its kind, or Landlock does not take the rules.
    """
    known = rights_of(abi)
    # struct landlock_ruleset_attr: handled_access_fs, handled_access_net, scoped; an older kernel wants a shorter one
    attributes = known.to_bytes(8, "little")
    if abi >= 4:
        attributes += (BIND_TCP | CONNECT_TCP).to_bytes(8, "little")
    if abi >= 6:
        attributes += (SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL).to_bytes(8, "little")
    ruleset = kernel.landlock_create_ruleset(attributes)
    try:
        for path, access, kind in rules:
            follow = 0 if access.startswith(b"stream-") else os.O_NOFOLLOW  # the links of /proc lead to what is open
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC | follow)
            try:
                table = DIRECTORY_RIGHTS if kind == b"dir" else FILE_RIGHTS
                kernel.landlock_allow_beneath(ruleset, fd, table[access] & known)
            finally:
                os.close(fd)
        kernel.landlock_restrict_self(ruleset)
    finally:
        os.close(ruleset)
