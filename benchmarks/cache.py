"""What the cache costs: putting files into the store and taking them out, beside sha256 and cp, and a hit in process.

python benchmarks/cache.py [--rounds N] [--directory DIR]     prints one JSON object
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from measuring import host
from measuring.timing import budget, in_turns, summary

from bldr import SandboxSpecBuilder
from bldr.execution.caching import CachedCommand, toolchain_identity
from bldr.model.result import ExecutionResult
from bldr.store.blobs import ContentStore
from bldr.store.cache import Cache
from bldr.store.inputroot import InputRoot, Shown
from bldr.store.messages import Command, Digest
from bldr.store.outputs import keep_directory, restore_directory

SMALL_FILES = 10_000
PER_DIRECTORY = 100
SMALL_SIZE = 4096  # bytes
LARGE_SIZE = 1 << 30  # bytes
INPUTS = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each case is timed; hits 40 times as often")
    parser.add_argument("--directory", default="/var/tmp", help="where files are made; its disk is what is measured")
    options = parser.parse_args()
    description = host.describe()
    directory = Path(tempfile.mkdtemp(prefix="bldr-cache.", dir=options.directory))
    try:
        report: dict[str, object] = {"benchmark": "cache", "host": description}
        report["hit"] = hit(directory, options.rounds * 40)
        report["small_files"] = files_case(directory, options.rounds, small(directory / "small"))
        report["one_large_file"] = files_case(directory, options.rounds, large(directory / "large"))
    finally:
        shutil.rmtree(directory)
    json.dump(report, sys.stdout, indent=2)
    print()


def small(directory: Path) -> Path:
    for number in range(SMALL_FILES):
        file = directory / f"d{number // PER_DIRECTORY}" / f"f{number % PER_DIRECTORY}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(SMALL_SIZE))
    return directory


def large(directory: Path) -> Path:
    directory.mkdir()
    with (directory / "file").open("wb") as file:
        for _ in range(LARGE_SIZE >> 20):
            file.write(os.urandom(1 << 20))
    return directory


def files_case(directory: Path, rounds: int, source: Path) -> dict[str, object]:
    """Everything is in the page cache, so that the work is compared and not the disk."""
    place = directory / "place"
    kept = ContentStore(str(directory / "kept"))
    output = keep_directory(kept, "out", str(source))
    assert output is not None

    def fresh() -> str:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        return str(place)

    def copy() -> None:
        shutil.rmtree(place, ignore_errors=True)
        subprocess.run(["cp", "-r", str(source), str(place)], check=True)

    cases: dict[str, Callable[[], object]] = {
        "removing, which the others include": fresh,
        "sha256 of every file": lambda: [digest(path) for path in source.rglob("*") if path.is_file()],
        "cp -r": copy,
        "put into an empty store": lambda: keep_directory(ContentStore(fresh()), "out", str(source)),
        "put into a store that has it": lambda: keep_directory(kept, "out", str(source)),
        "take out, verified": lambda: restore_directory(kept, output, fresh()),
    }
    times = {name: summary(taken) for name, taken in in_turns(cases, rounds).items()}
    shutil.rmtree(directory / "kept")
    shutil.rmtree(place)
    return {"measured_ms": times}


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hit(directory: Path, rounds: int) -> dict[str, object]:
    """A command with declared files as inputs whose result is there, from the request to its outputs in place."""
    sources, out = directory / "sources", directory / "out"
    sources.mkdir()
    out.mkdir()
    builder = SandboxSpecBuilder.create().with_toolchain("system").output(out)
    for number in range(INPUTS):
        (sources / f"f{number}").write_bytes(os.urandom(SMALL_SIZE))
        builder.input(sources / f"f{number}")
    spec = builder.build()
    with Cache(str(directory / "cache")) as cache:
        identity = toolchain_identity(cache, spec, lambda text: print(text, file=sys.stderr))

        def command() -> CachedCommand:
            return CachedCommand(cache, spec, ["cc"], "/", timeout=None, silence=None, say=print, toolchain=identity)

        def execute(staged: object) -> ExecutionResult:
            from bldr import HermeticExecutor

            words = ["sh", "-c", f"echo made > {out}/made; echo said"]
            return HermeticExecutor.create(staged).execute(words)  # type: ignore[arg-type]  # it is a spec

        reason = command().run(execute)[1]
        if reason:
            raise SystemExit(f"it was not kept: {reason}")
        wait_until_trusted(sources)
        command()

        def whole() -> None:
            asked = command()
            kept = asked.look_up()
            assert kept is not None
            asked.restore(kept, lambda _name, _content: None)

        shown = [Shown(str(sources / f"f{number}"), str(sources / f"f{number}")) for number in range(INPUTS)]
        cases: dict[str, Callable[[], object]] = {
            "whole hit": whole,
            "digest of the action": command,
            "digest of the input root": lambda: InputRoot(shown).digest(cache.known, keep={}),
            "identity of the toolchain": lambda: toolchain_identity(cache, spec, print),
            "encoding of the command": lambda: Digest.of(Command(("cc",), spec.environment.items()).encode()),
        }
        times = {name: summary(taken) for name, taken in in_turns(cases, rounds).items()}
    return {
        "inputs": INPUTS,
        "measured_ms": times,
        "budget_without_toolchain": budget(times["whole hit"]["median_ms"], 3.0),
    }


def wait_until_trusted(directory: Path) -> None:
    """Stamps are trusted when they are two seconds old."""
    import time

    time.sleep(max(0.0, 2.1 - (time.time() - directory.stat().st_mtime)))


if __name__ == "__main__":
    main()
