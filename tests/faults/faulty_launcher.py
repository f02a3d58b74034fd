"""A launcher of which one interaction with the system fails at a time. Started by ``drive.py``, as an entry.

What fails is written in a file of 64 bytes that everybody shares through its memory, even from inside a sandbox::

    kernel:move_mount:2:28:…       the second move_mount(2) of a process fails with ENOSPC
    step:bind:1:1:…                the first ``bind`` step
    function:root.mount_proc:1:12  the first call of a function of a module of the launcher

The word after that makes each fault different from the one before. Byte 64 becomes 1 when the fault has struck.
"""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), *[os.pardir] * 2, "src"))

from _bldr_launcher import channel, command, init, landlock, landlock_steps, root, scratch, server, steps, syscalls
from _bldr_launcher.landlock_server import LandlockLauncher

if TYPE_CHECKING:
    from _bldr_launcher.kernel import Kernel

FUNCTIONS = {
    "channel": (channel, ("pair", "send", "receive")),
    "command": (command, ("spawn",)),
    "init": (init, ("_take_identity", "receive")),
    "landlock": (landlock, ("restrict_writes",)),
    "root": (root, ("map_identity", "loopback_up", "private_mounts", "fresh_root", "mount_proc", "make_devices", "leave_host")),
    "scratch": (scratch, ("create_base", "remove_leftovers")),
    "steps": (steps, ("try_early",)),
}  # fmt: skip
FAULT_SIZE = 64


class Faults:
    """Decides for each call whether it fails."""

    def __init__(self, path: str) -> None:
        with open(path, "r+b") as file:
            self._memory = mmap.mmap(file.fileno(), FAULT_SIZE + 1)
        self._counts: dict[tuple[int, bytes], int] = {}

    def wrap(self, kind: str, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        wanted = f"{kind}:{name}:".encode()

        def wrapper(*arguments: Any, **options: Any) -> Any:
            text = self._memory[:FAULT_SIZE].rstrip(b"\0")
            if text.startswith(wanted):
                which, number, _ = text[len(wanted) :].split(b":")
                key = (os.getpid(), text)
                self._counts[key] = count = self._counts.get(key, 0) + 1
                if count == int(which):
                    self._memory[FAULT_SIZE] = 1
                    raise OSError(int(number), f"{name}: {os.strerror(int(number))}")
            return call(*arguments, **options)

        return wrapper


class FaultyKernel:
    """Every system call, each of which may fail."""

    def __init__(self, faults: Faults) -> None:
        self._calls = {name: faults.wrap("kernel", name, getattr(syscalls, name)) for name in KERNEL}

    def __getattr__(self, name: str) -> Any:
        return self._calls[name]


def names_of_calls() -> tuple[str, ...]:
    from _bldr_launcher import kernel

    with open(kernel.__file__, encoding="utf-8") as file:
        return tuple(line.split("def ")[1].split("(")[0] for line in file if line.startswith("        def "))


KERNEL = names_of_calls()


def main(path: str, control: int, parent: str, ready: int, *, without_namespaces: bool) -> None:
    init.close_all_but(control)
    os.setsid()
    faults = Faults(path)
    operations = landlock_steps.OPERATIONS if without_namespaces else steps.OPERATIONS
    for operation, function in operations.items():
        operations[operation] = faults.wrap("step", operation.decode(), function)
    for module_name, (module, functions) in FUNCTIONS.items():
        for name in functions:
            setattr(module, name, faults.wrap("function", f"{module_name}.{name}", getattr(module, name)))
    kernel = cast("Kernel", FaultyKernel(faults))  # __getattr__ is no protocol for mypy
    server.serve(
        control, parent, ready=ready, kernel=kernel, kind=LandlockLauncher if without_namespaces else server.Launcher
    )


if __name__ == "__main__":
    rung = sys.argv[5:] == ["landlock"]
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), without_namespaces=rung)
