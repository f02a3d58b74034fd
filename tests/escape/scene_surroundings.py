"""What a command inherits from a caller with odd habits: mask, signals, limits, variables, directory, terminal."""

from __future__ import annotations

import os
import resource
import signal
import subprocess

from bldr import HermeticExecutor
from tests.escape.stage import BOUND, Tree, with_tree

OBSERVATIONS = {
    "status": ["cat", "/proc/self/status"],
    "environ": ["cat", "/proc/self/environ"],
    "umask": ["sh", "-c", "umask"],
    "limits": ["cat", "/proc/self/limits"],
    "zone": ["date", "+%Z"],
    "sorted": ["sh", "-c", "printf 'b\\nA\\na\\n' | sort"],
    "stat": ["cat", "/proc/self/stat"],
    "personality": ["cat", "/proc/self/personality"],
    "input": ["cat"],
    "directory": ["sh", "-c", "pwd"],
    "relative": ["sh", "-c", "cat secret; cat ../undeclared/secret; ls -d .. | wc -l"],
    "passwd": ["cat", "/etc/passwd"],
    "cpus": ["nproc"],
}
ODD = {"SECRET": "hunter2", "TZ": "Asia/Tokyo", "LD_LIBRARY_PATH": "/nowhere", "PATH": "/usr/bin:/bin", "LC_ALL": "C"}
ADDR_NO_RANDOMIZE = 0x0040000  # <linux/personality.h>


def play(world: str) -> dict[str, object]:
    if not os.environ.get("ODD_PERSONALITY"):
        os.environ["ODD_PERSONALITY"] = "1"
        words = ["/usr/bin/python3", "-m", "tests.escape.stage", "surroundings", world]
        os.execvp("setarch", ["setarch", "--addr-no-randomize", *words])
    tree = Tree(f"{world}/attempt")
    os.environ |= ODD
    os.umask(0o077)
    for number in (signal.SIGPIPE, signal.SIGHUP, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGUSR1})
    for limit, value in ((resource.RLIMIT_NOFILE, 333), (resource.RLIMIT_STACK, 1 << 20), (resource.RLIMIT_CORE, 4096)):
        _, hard = resource.getrlimit(limit)
        resource.setrlimit(limit, (value if hard < 0 else min(value, hard), hard))
    os.chdir(tree.undeclared)
    outside = {
        name: subprocess.run(argv, check=False, input=b"typed", capture_output=True, restore_signals=False)
        for name, argv in OBSERVATIONS.items()
    }
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # trap 27: whoever inherits this cannot wait for children
    executor = HermeticExecutor.create(with_tree(tree).env("B", "2").env("A", "1 = one").build())
    inside = {name: executor.execute(argv, timeout=BOUND) for name, argv in OBSERVATIONS.items()}
    return {
        "outside": {name: result.stdout.decode() for name, result in outside.items()},
        "inside": {name: result.stdout.decode() for name, result in inside.items()},
    }
