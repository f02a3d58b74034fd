"""Cgroups, asked directly: shares no code with bldr, so that tests of it have somebody to compare with.

``fresh()`` makes a cgroup in the best place: below the root for root, below the subtree that was delegated otherwise.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["CONTROLLERS", "Cgroup", "fresh", "mountpoint", "own", "parent_for_cgroups"]

CONTROLLERS = ("memory", "pids", "cpu")
PATIENCE = 20  # seconds for processes to go away; an emulated kernel is slow
ENTER = 'echo 0 >"$0/cgroup.procs" && exec "$@"'

_numbers = itertools.count(1)


class Cgroup:
    """A cgroup v2."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def has(self, name: str) -> bool:
        return (self.path / name).exists()

    def read(self, name: str) -> str:
        return (self.path / name).read_text(encoding="ascii").strip()

    def write(self, name: str, text: str) -> None:
        """One write: a file object would lose an error that comes when it is closed."""
        fd = os.open(self.path / name, os.O_WRONLY)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)

    def fields(self, name: str) -> dict[str, int]:
        """Read a file such as ``memory.events``, of one name and number a line."""
        return {key: int(number) for key, number in (line.split() for line in self.read(name).splitlines())}

    def members(self) -> list[int]:
        return [int(pid) for pid in self.read("cgroup.procs").split()]

    def child(self, name: str) -> Cgroup:
        (self.path / name).mkdir()
        return Cgroup(self.path / name)

    def enable(self, *controllers: str) -> None:
        for name in controllers:  # one at a time: the kernel takes all of a write or nothing
            self.write("cgroup.subtree_control", f"+{name}")

    def command(self, *argv: str | os.PathLike[str]) -> list[str | os.PathLike[str]]:
        """Return what runs a command in here: it enters before it starts."""
        return ["sh", "-c", ENTER, self.path, *argv]

    def run(self, *arguments: str | os.PathLike[str], **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a Python program in here: ``run("-c", "print(1)")``."""
        options = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "timeout": 60} | options
        argv = self.command(sys.executable, "-I", "-S", *arguments)
        done: subprocess.CompletedProcess[str] = subprocess.run(argv, check=False, **options)
        return done

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start a Python program in here, with a pipe to read what it prints."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "text": True} | options
        return subprocess.Popen(self.command(sys.executable, "-I", "-S", *arguments), **options)

    def empty(self) -> None:
        """Kill everything in here and wait until it is gone."""
        deadline = time.monotonic() + PATIENCE
        while self.fields("cgroup.events")["populated"]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.path} is not empty: {self.members()}")
            for directory, _, _ in os.walk(self.path):
                for pid in Cgroup(Path(directory)).members():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)

    def remove(self) -> None:
        """Remove this and everything below, with the processes."""
        self.empty()
        for directory, _, _ in os.walk(self.path, topdown=False):
            os.rmdir(directory)


def mountpoint() -> Path:
    """Where the cgroup v2 hierarchy is mounted."""
    with open("/proc/self/mountinfo", encoding="utf-8") as mountinfo:
        for line in mountinfo:
            before, _, after = line.partition(" - ")
            if after.split()[0] == "cgroup2":
                return Path(before.split()[4])
    raise FileNotFoundError("no cgroup v2 hierarchy is mounted")


def own() -> Cgroup:
    """The cgroup of this process."""
    for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
        if line.startswith("0::"):
            return Cgroup(mountpoint() / line[3:].lstrip("/"))
    raise FileNotFoundError("this process is in no cgroup v2")


def parent_for_cgroups() -> Cgroup:
    """The nearest cgroup, from the own one up, that limits its children and in which children can be made and filled."""
    top, path = mountpoint(), own().path
    for place in (path, *path.parents):
        cgroup = Cgroup(place)
        if set(CONTROLLERS) <= set(cgroup.read("cgroup.subtree_control").split()) and os.access(place, os.W_OK):
            return cgroup
        if place == top:
            break
    raise PermissionError("no cgroup here limits its children and takes new ones")


@contextlib.contextmanager
def fresh() -> Iterator[Cgroup]:
    """A new cgroup. A killed one is never used again: some kernels kill whatever enters it later."""
    cgroup = parent_for_cgroups().child(f"test-{os.getpid()}-{next(_numbers)}")
    try:
        yield cgroup
    finally:
        cgroup.remove()
