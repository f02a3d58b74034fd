"""Fixtures for tests that run in the guests of ``tests/kernels/lanes.py``. Everything of tests/conftest.py is here, too.

What a test needs it says with ``needs(…)``, as everywhere: ``limiting-cgroup`` where cgroups can be made, as root or
delegated; ``cgroup-root``, ``cgroup-delegated`` and ``cgroup-undelegated`` for one of these; ``throwaway-kernel`` where a
test changes settings of the kernel.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import cgroupfs
from tests.capabilities import UNPRIVILEGED_ID
from tests.cgroupfs import Cgroup
from tests.conftest import as_bytes

CONTAINER = Path(__file__).with_name("container.py")


@pytest.fixture
def cgroup() -> Iterator[Cgroup]:
    """A new cgroup v2 with the controllers of memory, processes and CPU; needs ``limiting-cgroup``."""
    with cgroupfs.fresh() as cgroup:
        yield cgroup


@pytest.fixture
def sysctl() -> Iterator[Callable[[str, str], None]]:
    """Change settings of the kernel until the test is over; needs ``throwaway-kernel`` and root."""
    before: list[tuple[Path, str]] = []

    def change(name: str, setting: str) -> None:
        file = Path("/proc/sys", name.replace(".", "/"))
        before.append((file, file.read_text(encoding="ascii")))
        file.write_text(setting, encoding="ascii")

    yield change
    for file, text in reversed(before):
        file.write_text(text, encoding="ascii")


@pytest.fixture
def bldr_as(bldr_argv: list[str], tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Run ``bldr`` as a user, in a container or in something else: ``bldr_as(1234, "doctor", under=[…])``.

    The sources are where the lanes show them, for everybody to read.
    """

    def run(
        uid: int, *arguments: str, under: list[str] | None = None, **options: Any
    ) -> subprocess.CompletedProcess[bytes]:
        work = tmp_path / f"work-{uid}"
        if not work.exists():
            work.mkdir()
            os.chown(work, uid, uid)
            for parent in tmp_path.parents:
                if parent.name.startswith("pytest"):
                    parent.chmod(0o755)
            tmp_path.chmod(0o755)
        identity: dict[str, Any] = {"user": uid, "group": uid, "extra_groups": []} if uid != os.geteuid() else {}
        defaults: dict[str, Any] = {"stdin": subprocess.DEVNULL, "capture_output": True, "timeout": 100, "cwd": work}
        options = defaults | identity | options
        environment = dict(os.environ, HOME=str(work))
        argv = [*(under or []), *bldr_argv, *arguments]
        return as_bytes(subprocess.run(argv, check=False, env=environment, **options))

    return run


@pytest.fixture
def doctor(bldr_as: Callable[..., subprocess.CompletedProcess[bytes]]) -> Callable[..., dict[str, Any]]:
    """Run ``bldr doctor`` as a user and return its report; the mechanisms are by name in ``report["by_name"]``."""

    def run(uid: int = UNPRIVILEGED_ID, **options: Any) -> dict[str, Any]:
        done = bldr_as(uid, "doctor", "--json", **options)
        assert done.returncode in (0, 1), done.stderr.decode(errors="replace")
        report: dict[str, Any] = json.loads(done.stdout)
        report["by_name"] = {mechanism["mechanism"]: mechanism for mechanism in report["mechanisms"]}
        return report

    return run


@pytest.fixture
def in_container() -> Callable[..., list[str]]:
    """What a command is started under, to be in a container that takes these things away: ``in_container("seccomp")``."""
    return lambda *taken, uid=0: [
        *(sys.executable, "-I", "-S", str(CONTAINER)),
        *(f"--{name}" for name in taken),
        *(f"--uid={uid}", "--"),
    ]
