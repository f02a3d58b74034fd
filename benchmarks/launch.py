"""What a sandbox costs: the library warm, the command line cold, and many threads, beside bubblewrap in the same run.

Prints one JSON object. Times are milliseconds; quote the median and the minimum, and the ratio to the peer.
Usage: ``python benchmarks/launch.py [RUNS]``.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from bldr import HermeticExecutor, SandboxSpecBuilder, __version__

INPUTS = [path for path in ("/usr", "/lib", "/lib64", "/bin", "/etc") if os.path.exists(path)]
THREADS, RUNS_A_THREAD = 64, 20


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    bubblewrap = shutil.which("bwrap")
    report: dict[str, object] = {
        "bldr": __version__,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "uid": os.getuid(),
        "cpus": os.cpu_count(),
        "bubblewrap": version(bubblewrap),
    }
    builder = SandboxSpecBuilder.create()
    for path in INPUTS:
        builder.input(path)
    executor = HermeticExecutor.create(builder.build())

    def library() -> None:
        assert executor.execute(["/usr/bin/true"], stdout="discard", stderr="discard").exit_code == 0

    warm = {"bldr": library, "posix_spawn": lambda: spawn(["/usr/bin/true"])}
    cold = {"python -I -c pass": lambda: spawn([sys.executable, "-I", "-c", "pass"])}
    script = os.path.join(os.path.dirname(sys.executable), "bldr")
    if os.path.exists(script):
        cold["bldr run"] = lambda: spawn([script, "run", "--", "true"])
    if bubblewrap:
        warm["bubblewrap"] = lambda: spawn(bubblewrap_command(bubblewrap))
    report["library_warm"] = with_ratio(interleaved(warm, runs), "bldr", "bubblewrap")
    report["library_idle_between"] = interleaved({"bldr": library}, max(10, runs // 4), pause=0.02)
    report["command_line_cold"] = with_ratio(interleaved(cold, max(10, runs // 4)), "bldr run", "python -I -c pass")
    threaded = {"bldr": in_threads(library)}
    if bubblewrap:
        threaded["bubblewrap"] = in_threads(warm["bubblewrap"])
    report["64_threads_of_20_runs_total"] = threaded
    json.dump(report, sys.stdout, indent=2)
    print()


def version(program: str | None) -> str | None:
    if program is None:
        return None
    return subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout.strip()


def bubblewrap_command(program: str) -> list[str]:
    command = [program, "--unshare-all", "--die-with-parent", "--proc", "/proc", "--dev", "/dev"]
    for path in INPUTS:
        if os.path.islink(path):
            command += ["--symlink", os.readlink(path), path]
        else:
            command += ["--ro-bind", path, path]
    return [*command, "/usr/bin/true"]


def spawn(argv: list[str]) -> None:
    _, status = os.waitpid(os.posix_spawn(argv[0], argv, dict(os.environ)), 0)
    assert status == 0, argv


def interleaved(programs: dict[str, Callable[[], None]], runs: int, pause: float = 0.0) -> dict[str, object]:
    """Run all programs in turn, so that a change of the machine's speed meets each alike."""
    times: dict[str, list[float]] = {name: [] for name in programs}
    for turn in range(runs + 5):
        for name, program in programs.items():
            if pause:
                threading.Event().wait(pause)
            begun = time.perf_counter()
            program()
            if turn >= 5:  # warm-up
                times[name].append((time.perf_counter() - begun) * 1e3)
    return {name: summary(sorted(values)) for name, values in times.items()}


def summary(values: list[float]) -> dict[str, float]:
    return {
        "min": round(values[0], 3),
        "median": round(values[len(values) // 2], 3),
        "p95": round(values[len(values) * 95 // 100], 3),
    }


def with_ratio(times: dict[str, object], ours: str, peer: str) -> dict[str, object]:
    first, second = times.get(ours), times.get(peer)
    if isinstance(first, dict) and isinstance(second, dict):
        times["ratio"] = {key: round(first[key] / second[key], 3) for key in ("min", "median")}
    return times


def in_threads(program: Callable[[], None]) -> float:
    """Return the milliseconds that 64 threads need for 20 runs each."""

    def work() -> None:
        for _ in range(RUNS_A_THREAD):
            program()

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return round((time.perf_counter() - begun) * 1e3, 1)


if __name__ == "__main__":
    main()
