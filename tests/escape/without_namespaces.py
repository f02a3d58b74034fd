"""Runs a program where user namespaces are refused: ``without_namespaces.py limit|filter WORD...``.

``limit`` is the setting user.max_user_namespaces=0, in a user namespace of its own, so that nothing of the machine
changes. ``filter`` is what a container's default seccomp profile does. Both keep the caller's ids.
"""

from __future__ import annotations

import errno
import os
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), *[os.pardir] * 2, "src"))

from _bldr_launcher import root, seccomp, syscalls

DENIED = ("unshare", *seccomp.MOUNT_FAMILY)
CLONE_NEW = (
    syscalls.CLONE_NEWUSER
    | syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWPID
    | syscalls.CLONE_NEWNET
    | syscalls.CLONE_NEWIPC
)


def limit() -> None:
    uid, gid = os.geteuid(), os.getegid()
    syscalls.unshare(syscalls.CLONE_NEWUSER)
    root.map_identity(uid, uid, gid, gid=gid)
    with open("/proc/sys/user/max_user_namespaces", "w", encoding="ascii") as setting:
        setting.write("0")


def filter_() -> None:
    machine = os.uname().machine
    rules = [(name, seccomp.ERRNO | errno.EPERM) for name in DENIED]
    rules.append(("clone3", seccomp.ERRNO | errno.ENOSYS))
    program = seccomp.assemble(rules, machine)[:-8]
    clone = seccomp.NUMBERS[machine]["clone"]
    program += seccomp.instruction(seccomp.JEQ, clone, 0, 3)
    program += seccomp.instruction(seccomp.LD, seccomp.ARGS_OFFSET)
    program += seccomp.instruction(seccomp.JSET, CLONE_NEW, 0, 1)
    program += seccomp.instruction(seccomp.RET, seccomp.ERRNO | errno.EPERM)
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    syscalls.install_filter(program + seccomp.instruction(seccomp.RET, seccomp.ALLOW))


if __name__ == "__main__":
    {"limit": limit, "filter": filter_}[sys.argv[1]]()
    os.execvp(sys.argv[2], sys.argv[2:])
