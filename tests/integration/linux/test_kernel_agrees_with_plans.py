"""The mount table that executes plans on paper is compared with the kernel, for a few hundred random specs."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest

from bldr.errors import SpecError
from bldr.execution.executor import HermeticExecutor
from bldr.model.environment import EnvSet
from bldr.model.paths import parent
from bldr.model.spec import Access, SandboxSpec, SandboxSpecBuilder
from bldr.sandbox.linux.plan import compile as compile_plan
from bldr.sandbox.linux.simulate import MountTable, simulate
from bldr.sandbox.resolve import resolve
from bldr.sandbox.resolved import follow_links
from tests.capabilities import SYSTEM_PYTHON
from tests.property.plan_hosts import UNIVERSE, MemoryHost, below, random_host, random_spec

SEEDS = 320

# Prints, for each path, whether something is there and what an attempt to write ended with.
PROBE = r"""
import errno, os, sys

def attempt(path):
    try:
        if os.path.isdir(path):
            os.close(os.open(path + b"/.probe", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            os.unlink(path + b"/.probe")
        else:
            os.close(os.open(path, os.O_WRONLY))
    except OSError as error:
        return errno.errorcode[error.errno]
    return "written"

for path in sys.stdin.buffer.read().split(b"\0"):
    print(os.path.lexists(path), attempt(path))
"""


def make(host: MemoryHost, root: Path) -> None:
    """Make the tree of a host in memory on disk."""
    root.mkdir()
    for path, kind in sorted(host.tree.items()):
        place = root / path[1:]
        if kind == "dir":
            place.mkdir(exist_ok=True)
        elif kind == "file":
            place.touch()
        else:
            text = kind.removeprefix("-> ")
            place.symlink_to(f"{root}{text}" if text.startswith("/") else text)


def is_behind_an_unknown_link(path: str, table: MountTable) -> bool:
    """Say whether a link within a bound directory is on the way: the kernel follows it, the table does not know it."""
    while path != "/":
        shown = table.host_path(path)
        if shown and os.path.islink(shown):
            return True
        path = parent(path)
    return False


def disagreements(spec: SandboxSpec, paths: list[str]) -> list[str]:
    """Return the paths about which the kernel and the mount table disagree, with what each says."""
    resolved = resolve(spec)
    table, links = simulate(compile_plan(resolved)), resolved.links()
    result = HermeticExecutor.create(spec).execute(
        [SYSTEM_PYTHON, "-I", "-S", "-c", PROBE], cwd="/", stdin=b"\0".join(map(os.fsencode, paths))
    )
    assert result.exit_code == 0, result.stderr

    found = []
    for path, line in zip(paths, result.stdout.decode().splitlines(), strict=True):
        is_there, outcome = line.split()
        access, shown = table.access(path), table.host_path(path)
        if is_behind_an_unknown_link(follow_links(path, links), table):
            continue
        agrees = (outcome == "written") == (access == Access.WRITE) or (access == Access.WRITE and is_there == "False")
        if not agrees or (shown and os.path.lexists(shown) and is_there != "True"):
            found.append(f"{path}: {access} of {shown!r} on paper, {outcome} in the kernel, there: {is_there}")
    return found


@pytest.mark.slow
@pytest.mark.needs("user-namespaces")
def test_the_kernel_shows_what_the_mount_table_says(host_dir: Path) -> None:
    toolchain = SandboxSpecBuilder.create().with_toolchain("system").env_set(EnvSet.hermetic()).build()
    compared = 0
    for seed in range(SEEDS):
        random = Random(seed)
        host = random_host(random, links=True)
        small = random_spec(random, host, optional=False, mapped=True)
        if small is None:
            continue
        root = host_dir / str(seed)
        make(host, root)
        spec = below(os.fspath(root), small, toolchain)
        try:
            resolve(spec)
        except SpecError:
            continue
        compared += 1
        paths = [f"{root}{path}" for path in UNIVERSE if path != "/"]
        assert disagreements(spec, paths) == [], f"seed {seed}: {host.tree} {small.declarations}"

    assert compared > SEEDS / 3
