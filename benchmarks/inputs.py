"""How set-up time grows with the number of inputs: single files, each declared by itself.

python benchmarks/inputs.py [--rounds N]     prints one JSON object
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from measuring import host, peers
from measuring.timing import budget, in_turns, summary

from bldr import HermeticExecutor, SandboxSpecBuilder

COUNTS = (0, 10, 100, 1_000, 10_000)
MOST_FOR_BUBBLEWRAP = 1_000  # it takes quadratic time: 12 s for 2,900 files
PER_DIRECTORY = 100
TRUE = [peers.TRUE]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="how often each number of inputs is timed")
    rounds = parser.parse_args().rounds
    description = host.describe()
    directory = Path(tempfile.mkdtemp(prefix="bldr-inputs.", dir="/var/tmp"))
    try:
        files = make_files(directory, max(COUNTS))
        report = {"benchmark": "inputs", "host": description, "peers": peers.versions(), **measure(files, rounds)}
    finally:
        shutil.rmtree(directory)
    json.dump(report, sys.stdout, indent=2)
    print()


def make_files(directory: Path, count: int) -> list[str]:
    files = []
    for number in range(count):
        file = directory / f"d{number // PER_DIRECTORY}" / f"f{number % PER_DIRECTORY}"
        file.parent.mkdir(exist_ok=True)
        file.write_text("x", "ascii")
        files.append(str(file))
    return files


def measure(files: list[str], rounds: int) -> dict[str, object]:
    """Set-up is what an execution of ``true`` takes longer than one without the files."""
    executors: dict[int, HermeticExecutor] = {}
    declared: dict[int, float] = {}
    for count in COUNTS:
        started = time.perf_counter()
        executors[count] = declare(files[:count])
        declared[count] = (time.perf_counter() - started) * 1e3
        if not executors[count].execute(TRUE).hermetic:
            raise SystemExit("true did not run hermetically")
    cases: dict[str, Callable[[], object]] = {
        f"bldr {count}": partial(executor.execute, TRUE) for count, executor in executors.items()
    }
    times = {name: summary(taken) for name, taken in in_turns(cases, rounds).items()}
    # Apart, because it takes seconds; each number of files fewer times than the one before.
    slow: dict[str, Callable[[], object]] = {}
    for count in COUNTS:
        argv = peers.bubblewrap(TRUE, *[word for file in files[:count] for word in ("--ro-bind", file, file)])
        if count <= MOST_FOR_BUBBLEWRAP and argv and peers.works(argv):
            slow[f"bubblewrap {count}"] = partial(peers.spawn, argv)
    times |= {name: summary(taken) for name, taken in in_turns(slow, max(3, rounds // 4)).items()}
    set_up = {name: above_nothing(times, name) for name in times if not name.endswith(" 0")}
    return {
        "measured": times,
        "set_up_ms": set_up,
        "declare_resolve_compile_ms": {str(count): round(taken, 2) for count, taken in declared.items()},
        "budget_1000": budget(set_up["bldr 1000"], 40.0),
        "budget_10000": budget(set_up["bldr 10000"], 400.0),
        "growth_from_1000_to_10000": round(set_up["bldr 10000"] / set_up["bldr 1000"], 2),
    }


def declare(files: list[str]) -> HermeticExecutor:
    spec = SandboxSpecBuilder.create().temp("/tmp")
    for path in (*peers.base_inputs(), *files):
        spec.input(path)
    return HermeticExecutor.create(spec.build())


def above_nothing(times: dict[str, dict[str, float]], name: str) -> float:
    nothing = f"{name.rpartition(' ')[0]} 0"
    return round(times[name]["median_ms"] - times[nothing]["median_ms"], 3)


if __name__ == "__main__":
    main()
