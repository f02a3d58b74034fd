"""A host with mounts below inputs and outputs, odd names, locked flags, and shared propagation.

Played in a mount namespace of its own, as its root.
"""

from __future__ import annotations

import os
import subprocess

from bldr import HermeticExecutor
from tests.escape.programs.calls import MS_RDONLY, call
from tests.escape.stage import BOUND, Tree, with_tree

MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_NOATIME, MS_SHARED, MS_REC = 2, 4, 8, 1024, 1 << 20, 0x4000  # <linux/mount.h>
ODD = "with space\tand\\back\nslash"
LOOK = """
import errno, os, sys
for path in sys.argv[1:]:
    try:
        open(path + "/written", "w").close()
    except OSError as error:
        print(errno.errorcode[error.errno])
    else:
        print("possible")
"""
LATER = """
import os, sys
sys.stdin.readline()
print(sorted(os.listdir(sys.argv[1])))
try:
    open(sys.argv[1] + "/written", "w").close()
except OSError as error:
    print(error.strerror)
else:
    print("possible")
"""


def play(world: str) -> dict[str, object]:
    call("mount", 0, b"/", 0, MS_SHARED | MS_REC, 0)
    tree = Tree(f"{world}/attempt")
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME
    other = f"{tree.path}/other"
    places = {
        "input": tree.source,
        "mount in input": _mounted(f"{tree.source}/mounted", flags),
        "odd mount in input": _mounted(f"{tree.source}/{ODD}", flags),
        "deep mount in input": _mounted(f"{tree.source}/mounted/deeper", flags),
        "output": tree.out,
        "mount in output": _mounted(f"{tree.out}/mounted", flags),
        "read-only mount in another output": _mounted(f"{other}/fixed", flags | MS_RDONLY),
    }
    outside = subprocess.run(
        ["python3", "-c", LOOK, *places.values()], check=True, capture_output=True, text=True, timeout=BOUND
    ).stdout.split()
    executor = HermeticExecutor.create(with_tree(tree).output(other).build())
    inside = executor.execute(["python3", "-c", LOOK, *places.values()], timeout=BOUND)
    before = _mounts()
    with executor.start(["python3", "-c", LATER, f"{tree.source}/sub"], stdin="pipe") as session:
        during = _mounts()
        _mounted(f"{tree.source}/sub", flags, name="appeared")
        assert session.stdin is not None
        session.stdin.write(b"\n")
        running = session.wait(BOUND).stdout.decode().splitlines()
    following = executor.execute(["ls", f"{tree.source}/sub"]).stdout.decode().strip()
    return {
        "outside": dict(zip(places, outside, strict=True)),
        "inside": dict(zip(places, inside.stdout.decode().split(), strict=True)),
        "hermetic": inside.hermetic,
        "leaked": sorted(set(during) - set(before)),
        "running": running,
        "following": following,
    }


def _mounted(path: str, flags: int, name: str = "file") -> str:
    os.makedirs(path, exist_ok=True)
    call("mount", b"none", path.encode(), b"tmpfs", flags & ~MS_RDONLY, 0)
    with open(f"{path}/{name}", "w", encoding="utf-8"):
        pass
    if flags & MS_RDONLY:
        call("mount", 0, path.encode(), 0, flags | 32 | 4096, 0)  # MS_REMOUNT | MS_BIND: this mount only
    return path


def _mounts() -> list[str]:
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        return [line.split()[4] for line in file]
