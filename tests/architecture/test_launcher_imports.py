"""What the launcher loads: every import is paid for before the first sandbox, and is in the memory of each one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SOURCES = Path(__file__).parents[2] / "src"

PROGRAM = """
import sys
before = set(sys.modules)
sys.path.append(sys.argv[1])
from _bldr_launcher import server
print(*sorted(set(sys.modules) - before))
"""


def test_the_launcher_loads_exactly_these_modules() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", PROGRAM, str(SOURCES)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    loaded = done.stdout.split()
    own = {name for name in loaded if name.startswith("_bldr_launcher")}

    assert own == {
        "_bldr_launcher",
        "_bldr_launcher.channel",
        "_bldr_launcher.command",
        "_bldr_launcher.init",
        "_bldr_launcher.landlock",
        "_bldr_launcher.mountinfo",
        "_bldr_launcher.overlay",
        "_bldr_launcher.places",
        "_bldr_launcher.reaper",
        "_bldr_launcher.release",
        "_bldr_launcher.report",
        "_bldr_launcher.request",
        "_bldr_launcher.root",
        "_bldr_launcher.scratch",
        "_bldr_launcher.seccomp",
        "_bldr_launcher.server",
        "_bldr_launcher.steps",
        "_bldr_launcher.stock",
        "_bldr_launcher.syscalls",
        "_bldr_launcher.trees",
        "_bldr_launcher.wire",
    }
    # -S leaves out `site`, which would have imported `os` and what it needs.
    assert set(loaded) - own == {
        "__future__",
        "_collections_abc",
        "_ctypes",
        "_socket",
        "_stat",
        "_struct",
        "errno",
        "fcntl",
        "genericpath",
        "os",
        "os.path",
        "posixpath",
        "resource",
        "select",
        "stat",
    }
