"""What limits and monitoring cost: a real compile with and without, and how fast everything is gone at a limit.

python benchmarks/limits.py [--rounds N]     prints one JSON object
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from builds import make_project
from measuring import host
from measuring.timing import budget, in_turns, ratio, summary

from bldr import HermeticExecutor, HermeticSpecBuilder, ResourceLimits, SandboxSpec, SandboxSpecBuilder
from bldr.model.value import replace
from bldr.sandbox.linux.launcher import Launcher

NO_LIMITS = ResourceLimits()
# It prints the moment after which the next page is too much; CLOCK_MONOTONIC is the same inside.
HOG = """
import os, time
size, blocks = 1 << 20, []
while True:
    if len(blocks) == 60:
        os.write(1, b"%d" % time.monotonic_ns())
    blocks.append(b"x" * size)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="how often each case is timed")
    rounds = parser.parse_args().rounds
    if not all(shutil.which(program) for program in ("cc", "make", "python3")):
        raise SystemExit("cc, make and python3 are needed")
    description = host.describe()
    root = Path(tempfile.mkdtemp(prefix="bldr-limits.", dir="/var/tmp"))
    launcher = Launcher()
    try:
        report = {
            "benchmark": "limits",
            "host": description,
            "compile": compile_with_and_without(root, launcher, rounds),
            "mechanism": "cgroup" if launcher.groups.path else "sampling",
            "true": launch_with_and_without(launcher, rounds * 20),
            "gone_after_limit_ms": gone_after_limit(launcher, rounds),
        }
    finally:
        launcher.stop()
        shutil.rmtree(root)
    json.dump(report, sys.stdout, indent=2)
    print()


def compile_with_and_without(root: Path, launcher: Launcher, rounds: int) -> dict[str, object]:
    """Thirty C files: without limits and samples, with the default limits, and with a timeline as well."""
    sources, output = root / "sources", root / "output"
    make_project(sources)
    output.mkdir()
    command = ["/usr/bin/make", "-s", "-j2", "-C", str(output), "-f", str(sources / "Makefile"), f"SRC={sources}"]
    spec = HermeticSpecBuilder.for_build(
        workspace_root=root, sources=[sources], output_dir=output, temp_dir=root / "temps"
    )
    limited = HermeticExecutor.create(spec, launcher=launcher)
    unlimited = HermeticExecutor.create(without_limits(spec), launcher=launcher)

    def built(executor: HermeticExecutor, *, timeline: bool) -> Callable[[], object]:
        def build() -> None:
            for file in output.iterdir():
                file.unlink()
            result = executor.execute(command, timeline=timeline)
            if not result.success:
                raise RuntimeError(result.stderr.decode(errors="replace"))

        return build

    cases = {
        "no limits": built(unlimited, timeline=False),
        "default limits": built(limited, timeline=False),
        "default limits and a timeline": built(limited, timeline=True),
    }
    measured = {name: summary(times) for name, times in in_turns(cases, rounds).items()}
    overhead = ratio(measured, "default limits and a timeline", "no limits")
    assert overhead is not None
    return {"measured": measured, "watched_to_unwatched": overhead, "budget": budget(overhead["median"], 1.01)}


def launch_with_and_without(launcher: Launcher, rounds: int) -> dict[str, object]:
    spec = SandboxSpecBuilder.create().with_toolchain("system").temp("/tmp").build()
    limited = HermeticExecutor.create(spec, launcher=launcher)
    unlimited = HermeticExecutor.create(without_limits(spec), launcher=launcher)
    cases = {
        "no limits": lambda: unlimited.execute(["true"]),
        "default limits": lambda: limited.execute(["true"]),
    }
    measured = {name: summary(times) for name, times in in_turns(cases, rounds).items()}
    return {"measured": measured, "limited_to_unlimited": ratio(measured, "default limits", "no limits")}


def without_limits(spec: SandboxSpec) -> SandboxSpec:
    return replace(spec, limits=NO_LIMITS)


def gone_after_limit(launcher: Launcher, rounds: int) -> dict[str, float]:
    """From the page that is too much to the result, when no process is left."""
    spec = SandboxSpecBuilder.create().with_toolchain("system").env("PATH", "/usr/bin:/bin").temp("/tmp").build()
    executor = HermeticExecutor.create(spec, launcher=launcher)
    times = []
    for _ in range(rounds):
        result = executor.execute(["python3", "-c", HOG], limits=ResourceLimits(memory="60M"))
        gone = time.monotonic_ns()
        if not result.violations:
            raise RuntimeError(f"the hog was not ended: {result.termination}")
        if result.stdout:
            times.append((gone - int(result.stdout)) / 1e6)
    return summary(times) if times else {}


if __name__ == "__main__":
    main()
