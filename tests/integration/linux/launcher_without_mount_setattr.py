"""A launcher on a kernel that seems to be older than 5.12: mount_setattr(2) is not there. Started by a test."""

import errno
import os
import sys
from typing import Any

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), *[os.pardir] * 3, "src"))

from _bldr_launcher import init, server, syscalls


class OldKernel:
    """Every system call but one."""

    def __getattr__(self, name: str) -> Any:
        return getattr(syscalls, name)

    def mount_setattr(self, *_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOSYS, f"mount_setattr: {os.strerror(errno.ENOSYS)}")


if __name__ == "__main__":
    init.close_all_but(int(sys.argv[1]))
    os.setsid()
    server.serve(int(sys.argv[1]), sys.argv[2], ready=int(sys.argv[3]), kernel=OldKernel())
