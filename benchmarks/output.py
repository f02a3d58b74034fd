"""What it costs that output passes through bldr: a launch on a terminal and beside it, and how many bytes a second.

python benchmarks/output.py [--rounds N] [--mebibytes N]     prints one JSON object
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path

from measuring import host
from measuring.peers import ENVIRONMENT
from measuring.timing import in_turns, ratio, summary

MEBIBYTE = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30, help="how often each case is timed")
    parser.add_argument("--mebibytes", type=int, default=256, help="how much is passed on")
    options = parser.parse_args()
    script = Path(sysconfig.get_path("scripts"), "bldr")
    bldr = [str(script)] if script.exists() else [sys.executable, "-m", "bldr"]
    report = {
        "benchmark": "output",
        "host": host.describe(),
        "launch": launches(bldr, options.rounds),
        "throughput": throughput(bldr, max(3, options.rounds // 6), options.mebibytes),
    }
    json.dump(report, sys.stdout, indent=2)
    print()


class Drain:
    """A terminal or a pipe whose other end is read until nobody has it open any more."""

    def __init__(self, *, terminal: bool) -> None:
        self._reader, self.end = pty.openpty() if terminal else os.pipe()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            while os.read(self._reader, MEBIBYTE):
                pass
        except OSError:  # EIO: the last one has closed the terminal
            pass

    def close(self) -> None:
        os.close(self.end)
        self._thread.join()
        os.close(self._reader)


def run(argv: list[str], *, terminal: bool) -> None:
    drain = Drain(terminal=terminal)
    try:
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=drain.end, env=ENVIRONMENT)
    finally:
        drain.close()


def launches(bldr: list[str], rounds: int) -> dict[str, object]:
    """`bldr run -- true`, whose command gets a pipe as it is, and in place of a terminal one of its own."""
    argv = [*bldr, "run", "--progress", "none", "--", "true"]
    cases = {
        "a pipe": lambda: run(argv, terminal=False),
        "a terminal": lambda: run(argv, terminal=True),
    }
    measured = {name: summary(times) for name, times in in_turns(cases, rounds).items()}
    return {"measured": measured, "terminal_to_pipe": ratio(measured, "a terminal", "a pipe")}


def throughput(bldr: list[str], rounds: int, mebibytes: int) -> dict[str, object]:
    """Zeros into a pipe that is read: by themselves, and through bldr, which relays because of `--silence`."""
    zeros = ["/usr/bin/head", "-c", str(mebibytes * MEBIBYTE), "/dev/zero"]
    through = [*bldr, "run", "--progress", "none"]
    cases = {
        "bare": lambda: run(zeros, terminal=False),
        "bldr, the pipe itself": lambda: run([*through, "--", *zeros], terminal=False),
        "bldr, relayed": lambda: run([*through, "--silence", "1h", "--", *zeros], terminal=False),
    }
    measured = {name: summary(times) for name, times in in_turns(cases, rounds).items()}
    speeds = {name: round(mebibytes / numbers["median_ms"] * 1000) for name, numbers in measured.items()}
    return {"mebibytes": mebibytes, "measured": measured, "mebibytes_a_second": speeds}


if __name__ == "__main__":
    main()
