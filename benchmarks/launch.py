"""How long it takes to run ``true``: bare, in a sandbox of bldr, and in those of its peers, in turns.

python benchmarks/launch.py [--rounds N]     prints one JSON object
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import sysconfig
import threading
from collections.abc import Callable
from pathlib import Path

from measuring import host, peers
from measuring.timing import budget, in_turns, ratio, summary

from bldr import HermeticExecutor, SandboxSpecBuilder

TRUE = [peers.TRUE]
THREADS, RUNS_PER_THREAD = 64, 20
IDLE = 0.02  # seconds between two requests of somebody who is not in a hurry

Cases = dict[str, Callable[[], object]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300, help="how often each case is timed")
    rounds = parser.parse_args().rounds
    description = host.describe()
    spec = SandboxSpecBuilder.create().temp("/tmp")
    for path in peers.base_inputs():
        spec.input(path)
    executor = HermeticExecutor.create(spec.build())
    result = executor.execute(TRUE)
    if not (result.success and result.hermetic):
        raise SystemExit(f"true did not run hermetically: {result.stderr!r} {result.guarantees}")
    report = {
        "benchmark": "launch",
        "host": description,
        "peers": peers.versions(),
        "warm": warm(executor, rounds),
        "idle": idle(executor, rounds),
        "cold": cold(max(10, rounds // 5)),
        "threads": threads(executor, max(3, rounds // 60)),
    }
    json.dump(report, sys.stdout, indent=2)
    print()


def warm(executor: HermeticExecutor, rounds: int) -> dict[str, object]:
    """Five inputs, one request straight after the other, the caller's streams."""
    cases: Cases = {
        "bare posix_spawn": lambda: peers.spawn(TRUE),
        "bldr": lambda: passed_on(executor),
        "bldr, output captured": lambda: executor.execute(TRUE),
    }
    bubblewrap = peers.bubblewrap(TRUE)
    if bubblewrap and peers.works(bubblewrap):
        cases["bubblewrap"] = lambda: peers.spawn(bubblewrap)
    linux_sandbox = peers.linux_sandbox(TRUE)
    if linux_sandbox and peers.works(linux_sandbox):
        cases["linux-sandbox"] = lambda: peers.spawn(linux_sandbox)
    if sandlock := peers.sandlock(TRUE):
        cases["sandlock"] = sandlock
    measured = {name: summary(times) for name, times in in_turns(cases, rounds).items()}
    to_bubblewrap = ratio(measured, "bldr", "bubblewrap")
    return {
        "measured": measured,
        "bldr_to_bubblewrap": to_bubblewrap,
        "budget": budget(to_bubblewrap["median"], 0.55) if to_bubblewrap else None,
    }


def idle(executor: HermeticExecutor, rounds: int) -> dict[str, object]:
    """The same with pauses, in which a sandbox can be made ready before it is asked for."""
    cases: Cases = {"bare posix_spawn": lambda: peers.spawn(TRUE), "bldr": lambda: passed_on(executor)}
    bubblewrap = peers.bubblewrap(TRUE)
    if bubblewrap and peers.works(bubblewrap):
        cases["bubblewrap"] = lambda: peers.spawn(bubblewrap)
    measured = {name: summary(times) for name, times in in_turns(cases, rounds, pause=IDLE).items()}
    beyond_bare = measured["bldr"]["median_ms"] - measured["bare posix_spawn"]["median_ms"]
    return {"pause_ms": IDLE * 1e3, "measured": measured, "beyond_bare_ms": budget(beyond_bare, 0.6)}


def cold(rounds: int) -> dict[str, object]:
    """Each time a new process of the command line, with the options that it has by default."""
    script = Path(sysconfig.get_path("scripts"), "bldr")
    if not script.exists():
        return {"left_out": "the command line is not installed beside this interpreter"}
    cases: Cases = {
        "python -I -c pass": lambda: peers.spawn([sys.executable, "-I", "-c", "pass"]),
        "bldr run -- true": lambda: peers.spawn([str(script), "run", "--", "true"]),
    }
    mkosi = shutil.which("mkosi-sandbox")
    if mkosi:
        shown = [word for path in peers.base_inputs() for word in ("--ro-bind", path, path)]
        cases["mkosi-sandbox"] = lambda: peers.spawn([mkosi, *shown, "--", *TRUE])
    measured = {name: summary(times) for name, times in in_turns(cases, rounds).items()}
    to_python = ratio(measured, "bldr run -- true", "python -I -c pass")
    return {
        "measured": measured,
        "bldr_to_python": to_python,
        "budget": budget(to_python["median"], 2.2) if to_python else None,
    }


def threads(executor: HermeticExecutor, rounds: int) -> dict[str, object]:
    """Many threads that run one command after the other: how long until the last one has finished."""
    cases: Cases = {
        "bldr": lambda: from_threads(lambda: passed_on(executor)),
        "bare posix_spawn": lambda: from_threads(lambda: peers.spawn(TRUE)),
    }
    bubblewrap = peers.bubblewrap(TRUE)
    if bubblewrap and peers.works(bubblewrap):
        cases["bubblewrap"] = lambda: from_threads(lambda: peers.spawn(bubblewrap))
    measured = {name: summary(times) for name, times in in_turns(cases, rounds).items()}
    to_bubblewrap = ratio(measured, "bldr", "bubblewrap")
    return {
        "threads": THREADS,
        "runs_per_thread": RUNS_PER_THREAD,
        "measured": measured,
        "bldr_to_bubblewrap": to_bubblewrap,
        "budget": budget(to_bubblewrap["median"], 1.0) if to_bubblewrap else None,
    }


def passed_on(executor: HermeticExecutor) -> None:
    """Run ``true`` with the streams of this process, as ``posix_spawn`` does."""
    if executor.execute(TRUE, stdin="inherit", stdout="inherit", stderr="inherit").exit_code:
        raise RuntimeError("true did not succeed")


def from_threads(run: Callable[[], object]) -> None:
    errors: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(RUNS_PER_THREAD):
                run()
        except BaseException as error:  # noqa: BLE001 - raised again below, by the thread that asked
            errors.append(error)

    workers = [threading.Thread(target=work) for _ in range(THREADS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if errors:
        raise errors[0]


if __name__ == "__main__":
    main()
