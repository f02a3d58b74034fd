"""The system calls that are traced: their numbers, where their arguments are, and the filter that asks about them.

Numbers are those of <asm/unistd_64.h> and <asm-generic/unistd.h>; a test compares them with the headers. Calls that no
filter can judge are left out: the address of a message in memory (sendmsg(2)), and descriptors, which were opened by
a call that is traced.
"""

from __future__ import annotations

import os

from _bldr_launcher import seccomp
from _bldr_launcher.seccomp import ALLOW, ARGS_OFFSET, JEQ, JGE, JSET, LD, RET, USER_NOTIF, instruction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

__all__ = ["CALLS", "NETWORK", "NUMBERS", "Call", "calls_of", "trace_filter"]

AT_EMPTY_PATH = 0x1000  # <linux/fcntl.h>
MSG_NOSIGNAL = 0x4000  # <sys/socket.h>
_LONGEST_QUESTION = 512  # bytes of a message over UDP (RFC 1035)
_NEGATIVE = 0x80000000  # the sign of an int

NUMBERS = {
    "x86_64": {
        "open": 2, "stat": 4, "lstat": 6, "access": 21, "connect": 42, "sendto": 44, "bind": 49, "execve": 59,
        "truncate": 76, "chdir": 80, "fchdir": 81, "rename": 82, "mkdir": 83, "rmdir": 84, "creat": 85, "link": 86,
        "unlink": 87, "symlink": 88, "readlink": 89, "chmod": 90, "utime": 132, "mknod": 133, "statfs": 137,
        "utimes": 235, "openat": 257, "mkdirat": 258, "mknodat": 259, "futimesat": 261, "newfstatat": 262,
        "unlinkat": 263, "renameat": 264, "linkat": 265, "symlinkat": 266, "readlinkat": 267, "fchmodat": 268,
        "faccessat": 269, "utimensat": 280, "sendmmsg": 307, "renameat2": 316, "execveat": 322, "statx": 332,
    },
    "aarch64": {
        "mknodat": 33, "mkdirat": 34, "unlinkat": 35, "symlinkat": 36, "linkat": 37, "renameat": 38, "statfs": 43,
        "truncate": 45, "faccessat": 48, "chdir": 49, "fchdir": 50, "fchmodat": 53, "openat": 56, "readlinkat": 78,
        "newfstatat": 79, "utimensat": 88, "bind": 200, "connect": 203, "sendto": 206, "execve": 221,
        "sendmmsg": 269, "renameat2": 276, "execveat": 281, "statx": 291,
    },
}  # fmt: skip
SHARED_NUMBERS = {"openat2": 437, "faccessat2": 439, "fchmodat2": 452}


class Call:
    """What one call does, and with which arguments.

    Args:
        action: ``open``, ``look``, ``make``, ``remove`` or ``change`` a path; ``rename`` or ``link`` one to another;
            ``execute``, ``chdir``, ``connect``, ``bind``, ``send``, or ``ask`` for the name in a message.
        path: The argument with its one path; -1 where there is none, or are two.
        directory: The argument with the descriptor that a relative path begins at; -1 for the working directory.
        flags: The argument with its flags; -1 where there are none.
        follow: Whether a link at the end of the path is followed when no flag says otherwise.
        moves: Whether it changes the working directory.
        pair: Of two paths: directory and path.
    """

    __slots__ = ("action", "directory", "flags", "follow", "moves", "name", "pair", "path")

    def __init__(
        self,
        action: str,
        path: int = -1,
        directory: int = -1,
        flags: int = -1,
        *,
        follow: bool = True,
        moves: bool = False,
        pair: tuple[tuple[int, int], ...] = (),
    ) -> None:
        self.name = ""
        self.action = action
        self.path = path
        self.directory = directory
        self.flags = flags
        self.follow = follow
        self.moves = moves
        self.pair = pair


CALLS = {
    "open": Call("open", 0, flags=1),
    "openat": Call("open", 1, 0, 2),
    "openat2": Call("open", 1, 0),
    "creat": Call("open", 0),
    "stat": Call("look", 0),
    "lstat": Call("look", 0, follow=False),
    "access": Call("look", 0),
    "statfs": Call("look", 0),
    "chdir": Call("look", 0, moves=True),
    "fchdir": Call("chdir"),
    "readlink": Call("look", 0, follow=False),
    "newfstatat": Call("look", 1, 0, 3),
    "statx": Call("look", 1, 0, 2),
    "faccessat": Call("look", 1, 0),
    "faccessat2": Call("look", 1, 0, 3),
    "readlinkat": Call("look", 1, 0, follow=False),
    "truncate": Call("change", 0),
    "chmod": Call("change", 0),
    "utime": Call("change", 0),
    "utimes": Call("change", 0),
    "fchmodat": Call("change", 1, 0),
    "fchmodat2": Call("change", 1, 0, 3),
    "futimesat": Call("change", 1, 0),
    "utimensat": Call("change", 1, 0, 3),
    "mkdir": Call("make", 0, follow=False),
    "mkdirat": Call("make", 1, 0, follow=False),
    "mknod": Call("make", 0, follow=False),
    "mknodat": Call("make", 1, 0, follow=False),
    "symlink": Call("make", 1, follow=False),
    "symlinkat": Call("make", 2, 1, follow=False),
    "unlink": Call("remove", 0, follow=False),
    "rmdir": Call("remove", 0, follow=False),
    "unlinkat": Call("remove", 1, 0, follow=False),
    "rename": Call("rename", pair=((-1, 0), (-1, 1))),
    "renameat": Call("rename", pair=((0, 1), (2, 3))),
    "renameat2": Call("rename", pair=((0, 1), (2, 3))),
    "link": Call("link", pair=((-1, 0), (-1, 1))),
    "linkat": Call("link", pair=((0, 1), (2, 3))),
    "execve": Call("execute"),
    "execveat": Call("execute"),
    "connect": Call("connect"),
    "bind": Call("bind"),
    "sendto": Call("send"),
    "sendmmsg": Call("ask"),
}
for _name, _call in CALLS.items():
    _call.name = _name
NETWORK = ("execve", "execveat", "connect", "bind", "sendto", "sendmmsg")  # what the level of that name traces


def _numbers(machine: str) -> dict[str, int]:
    return {**SHARED_NUMBERS, **NUMBERS[machine]}


def calls_of(machine: str = "") -> dict[int, Call]:
    """Return the calls by their number.

    Args:
        machine: ``uname -m``; this machine by default.

    Raises:
        KeyError: No numbers are known for the machine.
    """
    return {number: CALLS[name] for name, number in _numbers(machine or os.uname().machine).items()}


def trace_filter(*, full: bool, refused: Container[bytes] = (), machine: str = "") -> bytes:
    """The filter that hands traced calls to the tracer; what another filter refuses, nobody is asked about.

    fstat(2) arrives as newfstatat(2) with a descriptor and no path, and is let through, as is futimens(3) as
    utimensat(2).

    Args:
        full: Trace paths, too.
        refused: What is for the tracer to refuse, as for :func:`_bldr_launcher.seccomp.policy_filter`: there can be one
            listener only.
        machine: ``uname -m``; this machine by default.

    Returns:
        A program as of :func:`_bldr_launcher.seccomp.assemble`, to be installed with a listener.

    Raises:
        KeyError: No numbers are known for the machine.
    """
    machine = machine or os.uname().machine
    program = seccomp.assemble((), machine)[:-8] + seccomp.policy_block(refused, USER_NOTIF, machine)
    for name, number in _numbers(machine).items():
        if full or name in NETWORK:
            body = _body(name)
            program += instruction(JEQ, number, 0, len(body) // 8) + body
    return program + instruction(RET, ALLOW)


def _body(name: str) -> bytes:
    ask = instruction(RET, USER_NOTIF)
    call = CALLS[name]
    if name in ("newfstatat", "statx"):
        return b"".join(
            (
                instruction(LD, ARGS_OFFSET + 8 * call.flags),
                instruction(JSET, AT_EMPTY_PATH, 1, 0),
                ask,
                instruction(LD, ARGS_OFFSET),
                instruction(JSET, _NEGATIVE, 0, 1),
                ask,
                instruction(RET, ALLOW),
            )
        )
    if name == "sendto":
        return b"".join(
            (
                instruction(LD, ARGS_OFFSET + 8 * 4),
                instruction(JEQ, 0, 0, 7),
                instruction(LD, ARGS_OFFSET + 8 * 4 + 4),
                instruction(JEQ, 0, 0, 5),
                # Over a connection: what may be a question of glibc for a name, which it asks like this.
                instruction(LD, ARGS_OFFSET + 8 * 3),
                instruction(JEQ, MSG_NOSIGNAL, 0, 2),
                instruction(LD, ARGS_OFFSET + 8 * 2),
                instruction(JGE, _LONGEST_QUESTION + 1, 0, 1),
                instruction(RET, ALLOW),
                ask,
            )
        )
    if name == "utimensat":
        return b"".join(
            (
                instruction(LD, ARGS_OFFSET + 8),
                instruction(JEQ, 0, 0, 2),
                instruction(LD, ARGS_OFFSET + 8 + 4),
                instruction(JEQ, 0, 1, 0),
                ask,
                instruction(RET, ALLOW),
            )
        )
    return ask
