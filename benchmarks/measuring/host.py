"""Who was measured: processor, kernel, user, versions."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import bldr


def describe() -> dict[str, object]:
    """The host as a dictionary for JSON; what cannot be found out is left out."""
    uname = os.uname()
    return {
        "kernel": uname.release,
        "machine": uname.machine,
        "processor": _field(Path("/proc/cpuinfo"), "model name", ":"),
        "processors": len(os.sched_getaffinity(0)),
        "distribution": _field(Path("/etc/os-release"), "PRETTY_NAME", "=").strip('"'),
        "uid": os.getuid(),
        "python": sys.version.split()[0],
        "bldr": bldr.__version__,
        "load_before": round(os.getloadavg()[0], 2),
    }


def version(argv: Sequence[str]) -> str:
    """The first line that a program prints of its own version, "" where there is no such program."""
    try:
        done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout.strip() or done.stderr.strip()).split("\n")[0] if done.returncode == 0 else ""


def debian_version(package: str) -> str:
    """The version of an installed Debian package, or ""."""
    return version(["dpkg-query", "-W", "-f", "${Version}", package])


def _field(file: Path, name: str, separator: str) -> str:
    try:
        lines = file.read_text("utf-8").splitlines()
    except OSError:
        return ""
    for line in lines:
        key, found, text = line.partition(separator)
        if found and key.strip() == name:
            return text.strip()
    return ""
