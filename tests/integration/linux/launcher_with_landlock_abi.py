"""A launcher without namespaces on a kernel whose Landlock seems to be older. Started by a test, with the ABI first."""

import os
import sys
from typing import Any

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), *[os.pardir] * 3, "src"))

from _bldr_launcher import init, server, syscalls
from _bldr_launcher.landlock_server import LandlockLauncher


class OldKernel:
    """Every system call, and an older version."""

    def __init__(self, abi: int) -> None:
        self.abi = abi

    def __getattr__(self, name: str) -> Any:
        return getattr(syscalls, name)

    def landlock_version(self) -> int:
        return self.abi


if __name__ == "__main__":
    _, abi, control, parent, ready, _ = sys.argv
    init.close_all_but(int(control))
    os.setsid()
    server.serve(int(control), parent, ready=int(ready), kernel=OldKernel(int(abi)), kind=LandlockLauncher)
