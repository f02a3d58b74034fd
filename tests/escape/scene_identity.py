"""Who a command is, inside and outside, and who owns what it makes."""

from __future__ import annotations

import io
import os
import shutil
import tarfile

from bldr import HermeticExecutor
from tests.escape.stage import BOUND, Tree, tried, with_tree

WAIT = "import sys; print('here', flush=True); sys.stdin.read()"


def play(world: str) -> dict[str, object]:
    tree = Tree(f"{world}/attempt")
    archive = f"{tree.source}/foreign.tar"
    with tarfile.open(archive, "w") as tar:
        for name, owner in (("theirs", 4242), ("nobodys", 65534)):
            member = tarfile.TarInfo(name)
            member.uid = member.gid = owner
            member.mode = 0o640
            member.size = 5
            tar.addfile(member, io.BytesIO(b"text\n"))
    shutil.copy("/usr/bin/id", f"{tree.source}/setuid-id")
    os.chmod(f"{tree.source}/setuid-id", 0o4755)
    executor = HermeticExecutor.create(with_tree(tree).build())
    answer = tried(executor, "identity", tree.places(archive=archive))
    owners = {
        name: _owner(f"{tree.out}/{name}") for name in ("given", "unpacked/theirs", "unpacked/nobodys", "installed")
    }
    somebody = HermeticExecutor.create(with_tree(tree).uid(1000).build())
    return answer | {
        "owners": owners,
        "caller": f"{os.getuid()}:{os.getgid()}",
        "host_ids": _host_ids(executor),
        "as_1000": somebody.execute(["sh", "-c", f"id -u; id -un; {tree.source}/setuid-id -u; touch {tree.out}/by-1000"]).stdout.decode(),
        "owner_by_1000": _owner(f"{tree.out}/by-1000"),
    }  # fmt: skip


def _owner(path: str) -> str:
    status = os.lstat(path)
    return f"{status.st_uid}:{status.st_gid}"


def _host_ids(executor: HermeticExecutor) -> list[str]:
    """Look at a command that runs from outside: its ids in /proc of the host."""
    marker = f"bldr-marker.{os.getpid()}"
    with executor.start(["python3", "-c", WAIT, marker], stdin="pipe", stdout="pipe") as session:
        assert session.stdin is not None
        assert session.stdout is not None
        session.stdout.readline()
        (pid,) = [number for number in os.listdir("/proc") if number.isdigit() and marker in _arguments(number)]
        with open(f"/proc/{pid}/status", encoding="utf-8") as file:
            rows = dict(line.rstrip("\n").split(":\t", 1) for line in file)
        session.stdin.close()
        session.wait(BOUND)
    return [*rows["Uid"].split(), *rows["Gid"].split(), *rows["Groups"].split()]


def _arguments(number: str) -> list[str]:
    try:
        with open(f"/proc/{number}/cmdline", encoding="utf-8", errors="replace") as file:
            return file.read().split("\0")
    except OSError:
        return []
