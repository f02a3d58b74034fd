"""What tracing costs: the same commands untraced, at each level, and under strace, in turns.

python benchmarks/trace.py [--rounds N] [--only NAME]...     prints one JSON object

strace is told to watch what the level full watches: files, executions and the network, of every process. It runs bare,
without a sandbox, so its ratio is to the bare command and bldr's to bldr without a trace.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from builds import make_project
from measuring import host, peers
from measuring.timing import budget, in_turns, ratio, summary
from measuring.workloads import configure, npm, pytest

from bldr import HermeticExecutor, HermeticSpecBuilder, TraceLevel

IMPORTS = "import argparse, asyncio, ctypes, email.mime.text, http.client, json, sqlite3, unittest, xml.dom.minidom"
SPAWNS = "i=0; while [ $i -lt 100 ]; do /usr/bin/true; i=$((i+1)); done"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="how often each command is timed")
    parser.add_argument("--only", action="append", help="a command, by its name in the report")
    arguments = parser.parse_args()
    rounds, only = arguments.rounds, arguments.only
    description = host.describe()
    root = Path(tempfile.mkdtemp(prefix="bldr-trace.", dir="/var/tmp"))
    try:
        sources, output = root / "sources", root / "output"
        make_project(sources)
        output.mkdir()
        make = ["/usr/bin/make", "-s", "-B", "-C", str(output), "-f", str(sources / "Makefile"), f"SRC={sources}"]
        commands = {
            "true": ["/usr/bin/true"],
            "python imports": ["/usr/bin/python3", "-c", IMPORTS],
            "100 programs of a shell": ["/bin/sh", "-c", SPAWNS],
        }
        if shutil.which("cc") and shutil.which("make"):
            commands |= {"31 C files, make -j1": [*make, "-j1"], "31 C files, make -j2": [*make, "-j2"]}
        for name, made in (("configure", configure), ("pytest", pytest), ("npm", npm)):
            if command := made(sources, output):
                commands[name] = command
        if only:
            commands = {name: command for name, command in commands.items() if name in only}
        tools = [sys.prefix] if "pytest" in commands and not sys.prefix.startswith("/usr/") else []
        spec = HermeticSpecBuilder.for_build(
            workspace_root=root, sources=[sources, *tools], output_dir=output, temp_dir=root / "temps"
        )
        executor = HermeticExecutor.create(spec)
        report = {
            "benchmark": "trace",
            "host": {**description, "strace": host.debian_version("strace")},
            "commands": {name: measure(executor, command, rounds) for name, command in commands.items()},
        }
    finally:
        shutil.rmtree(root)
    json.dump(report, sys.stdout, indent=2)
    print()


def measure(executor: HermeticExecutor, command: list[str], rounds: int) -> dict[str, object]:
    def traced(level: str) -> Callable[[], object]:
        def run() -> None:
            result = executor.execute(command, trace=level, list_outputs=False)
            if not result.success:
                raise RuntimeError(result.stderr.decode(errors="replace"))

        return run

    calls = executor.execute(command, trace=TraceLevel.FULL).trace
    assert calls is not None
    cases: dict[str, Callable[[], object]] = {"bare": lambda: peers.spawn(command)}
    cases |= {level: traced(level) for level in TraceLevel.ALL}
    if strace := shutil.which("strace"):
        watch = [strace, "-q", "-f", "-e", "trace=%file,%network,%process", "-e", "signal=none", "-o", "/dev/null"]
        cases["strace -f"] = lambda: peers.spawn([*watch, *command])
        cases["strace --seccomp-bpf"] = lambda: peers.spawn([*watch, "--seccomp-bpf", *command])
    measured = {name: summary(times) for name, times in in_turns(cases, rounds).items()}
    network, full = (
        ratio(measured, TraceLevel.NETWORK, TraceLevel.OFF),
        ratio(measured, TraceLevel.FULL, TraceLevel.OFF),
    )
    to_strace = ratio(measured, TraceLevel.FULL, "strace --seccomp-bpf")
    assert network is not None
    assert full is not None
    return {
        "calls": calls.calls,
        "measured": measured,
        "network_to_off": network,
        "full_to_off": full,
        "strace_to_bare": ratio(measured, "strace -f", "bare"),
        "strace_seccomp_to_bare": ratio(measured, "strace --seccomp-bpf", "bare"),
        "budget_network": budget(network["median"], 1.05),
        "budget_full": budget(full["median"], 1.5),
        "budget_strace": budget(to_strace["median"] if to_strace else None, 1.0),
    }


if __name__ == "__main__":
    main()
