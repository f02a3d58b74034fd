"""What limits and monitoring cost: a real compile with and without, and how fast everything is gone at a limit.

python benchmarks/limits.py [--rounds N] [--only compile|launch|gone]     prints one JSON object

Where cgroups can be made, each measurement is taken with and without them in one run; docs/performance.md shows how to
do that on another kernel.
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

import bldr
from bldr import HermeticExecutor, HermeticSpecBuilder, ResourceLimits, SandboxSpec, SandboxSpecBuilder
from bldr.model.value import replace
from bldr.sandbox.linux.launcher import Launcher

WITHOUT_CGROUPS = (
    str(Path(__file__).with_name("measuring") / "launcher_without_cgroups.py"),
    str(Path(bldr.__file__).parents[1]),
)
NO_LIMITS = ResourceLimits()
LIMIT = 60 << 20  # bytes
# It prints what it has, and when; CLOCK_MONOTONIC is the same inside.
HOG = """
import os, time
blocks = []
while True:
    pages = int(open("/proc/self/statm").read().split()[1])
    os.write(1, b"%d %d\\n" % (pages * 4096, time.monotonic_ns()))
    blocks.append(b"x" * (1 << 20))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="how often each case is timed")
    parser.add_argument("--only", action="append", choices=("compile", "launch", "gone"), help="measure only this")
    options = parser.parse_args()
    rounds, chosen = options.rounds, options.only or ("compile", "launch", "gone")
    if "compile" in chosen and not all(shutil.which(program) for program in ("cc", "make")):
        raise SystemExit("cc and make are needed, or --only launch --only gone")
    description = host.describe()
    root = Path(tempfile.mkdtemp(prefix="bldr-limits.", dir="/var/tmp"))
    launchers = {"cgroup": Launcher(), "sampling": Launcher(entry=WITHOUT_CGROUPS)}
    launchers["cgroup"].ensure()
    if not launchers["cgroup"].groups.path:
        launchers = {"sampling": launchers["cgroup"]}
    report: dict[str, object] = {"benchmark": "limits", "host": description, "mechanisms": list(launchers)}
    try:
        if "compile" in chosen:
            report["compile"] = compile_with_and_without(root, next(iter(launchers.values())), rounds)
        if "launch" in chosen:
            report["true"] = launch_with_and_without(launchers, rounds * 20)
        if "gone" in chosen:
            report["gone_after_limit"] = {name: gone_after_limit(one, rounds) for name, one in launchers.items()}
    finally:
        for launcher in launchers.values():
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


def launch_with_and_without(launchers: dict[str, Launcher], rounds: int) -> dict[str, object]:
    """`true`, in turns: without limits and with the default ones, with a cgroup where there are any, and without."""
    spec = SandboxSpecBuilder.create().with_toolchain("system").temp("/tmp").build()
    cases: dict[str, Callable[[], object]] = {}
    for name, launcher in launchers.items():
        limited = HermeticExecutor.create(spec, launcher=launcher)
        unlimited = HermeticExecutor.create(without_limits(spec), launcher=launcher)
        cases[f"{name}, no limits"] = lambda executor=unlimited: executor.execute(["true"])  # type: ignore[misc]
        cases[f"{name}, default limits"] = lambda executor=limited: executor.execute(["true"])  # type: ignore[misc]
    measured = {name: summary(times) for name, times in in_turns(cases, rounds).items()}
    last = next(reversed(launchers))
    return {
        "measured": measured,
        "limited_to_unlimited": ratio(measured, f"{last}, default limits", f"{last}, no limits"),
        "cgroup_to_none": ratio(measured, "cgroup, default limits", "sampling, default limits"),
    }


def without_limits(spec: SandboxSpec) -> SandboxSpec:
    return replace(spec, limits=NO_LIMITS)


def gone_after_limit(launcher: Launcher, rounds: int) -> dict[str, float]:
    """Milliseconds from the block that is too much to the result, when no process is left."""
    spec = SandboxSpecBuilder.create().with_toolchain("system").env("PATH", "/usr/bin:/bin").temp("/tmp").build()
    executor = HermeticExecutor.create(spec, launcher=launcher)
    times = []
    for _ in range(rounds):
        result = executor.execute(["python3", "-I", "-S", "-c", HOG], limits=ResourceLimits(memory=LIMIT))
        gone = time.monotonic_ns()
        if not result.violations:
            raise RuntimeError(f"the hog was not ended: {result.termination}")
        told = [tuple(map(int, line.split())) for line in result.stdout.splitlines()]
        # The kernel lets nobody get past the limit: then the last block that was seen was the last one before it.
        crossed = next((moment for memory, moment in told if memory >= LIMIT), told[-1][1])
        times.append((gone - crossed) / 1e6)
    return {**summary(times), "max_ms": round(max(times), 3)}


if __name__ == "__main__":
    main()
