"""What reading Builderfiles costs: parsed, remembered, with the look-up of all files, and as a process that asks.

python benchmarks/builderfiles.py [--rounds N] [--targets N,N...]     prints one JSON object
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from measuring import host
from measuring.timing import in_turns, summary

from bldr.builderfile.memory import Memory
from bldr.builderfile.workspace import load, resolve

A_FOLDER = 100  # targets in one Builderfile


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each case is timed")
    parser.add_argument("--targets", default="100,1000,10000", help="how many targets a workspace has")
    arguments = parser.parse_args()
    report: dict[str, object] = {"benchmark": "builderfiles", "host": host.describe()}
    for count in map(int, arguments.targets.split(",")):
        root = Path(tempfile.mkdtemp(prefix="bldr-builderfiles.", dir="/var/tmp"))
        try:
            make_workspace(root, count)
            report[f"{count} targets"] = measure(root, arguments.rounds)
        finally:
            shutil.rmtree(root)
    json.dump(report, sys.stdout, indent=2)
    print()


def make_workspace(root: Path, count: int) -> None:
    """A library a target, each with a source and a header, that needs the one before it."""
    for number in range(0, count, A_FOLDER):
        folder = root / f"d{number // A_FOLDER}"
        (folder / "include").mkdir(parents=True)
        texts = []
        for index in range(number, min(number + A_FOLDER, count)):
            (folder / f"t{index}.c").touch()
            (folder / "include" / f"t{index}.h").touch()
            dep = f'"//d{(index - 1) // A_FOLDER}:t{index - 1}"' if index else ""
            texts.append(
                f'target("t{index}") {{\n    type: library;\n    sources: ["t{index}.c"];\n'
                f'    headers: ["include/t{index}.h"];\n    deps: [{dep}];\n}}\n'
            )
        (folder / "Builderfile").write_text("\n".join(texts), encoding="ascii")
    (root / "Builderfile").touch()


def measure(root: Path, rounds: int) -> dict[str, dict[str, float]]:
    def remembered() -> None:
        load(str(root), memory=Memory(str(root)))

    def looked_up() -> None:
        resolve(load(str(root), memory=Memory(str(root))))

    def as_process() -> None:
        bldr = Path(sysconfig.get_path("scripts"), "bldr")
        subprocess.run([bldr, "query"], cwd=root, stdout=subprocess.DEVNULL, check=True)

    remembered()
    cases = {
        "parsed": lambda: load(str(root)),
        "remembered": remembered,
        "remembered, files looked up": looked_up,
        "bldr query, remembered": as_process,
    }
    return {name: summary(times) for name, times in in_turns(cases, rounds).items()}


if __name__ == "__main__":
    main()
