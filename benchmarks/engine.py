"""What a build of many trivial targets costs: bldr build, Bazel, make and ninja in turns.

bldr and Bazel make a sandbox for each action, make and ninja confine nothing. The server of Bazel runs already when a
build is timed, as it does for whoever works with it; no other one leaves a process behind.

python benchmarks/engine.py [--rounds N] [--targets N ...]     prints one JSON object
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from measuring import host, peers
from measuring.timing import in_turns, ratio, summary

OUT = {"bazel": "bazel-bin/out"}  # where a tool has its products, where that is not "out"
SIZES = (100, 1_000)  # 10,000 take several minutes: --targets 10000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each incremental build is timed")
    parser.add_argument("--full-rounds", type=int, default=1, help="how often each full build is timed")
    parser.add_argument("--targets", type=int, nargs="+", default=SIZES, help="how many targets workspaces have")
    asked = parser.parse_args()
    description = host.describe()
    root = Path(tempfile.mkdtemp(prefix="bldr-engine.", dir="/var/tmp"))
    names = ("make", "ninja", "bazel")
    try:
        report = {
            "benchmark": "engine",
            "host": description,
            "peers": {name: host.version([name, "--version"]) for name in names if shutil.which(name)},
            "jobs": len(os.sched_getaffinity(0)),
            "targets": {str(size): measure(root / str(size), size, asked) for size in asked.targets},
        }
    finally:
        call_bazel(root, "shutdown")
        remove(root)
    json.dump(report, sys.stdout, indent=2)
    print()


def measure(root: Path, size: int, asked: argparse.Namespace) -> dict[str, object]:
    """Time the three kinds of builds of one size; each tool has a workspace of its own with the same sources."""
    builds = tools(root)
    for name in builds:
        make_workspace(root / name, size)
    call_bazel(root.parent, "info")
    edits = [0]

    def full(name: str) -> None:
        for made in ("out", ".builder", ".ninja_log", ".ninja_deps"):  # Bazel has its products elsewhere
            path = root / name / made
            if path.is_dir():
                shutil.rmtree(path)
            elif path.exists():
                path.unlink()
        (root / name / "out").mkdir()
        edits[0] += 1
        for number in range(size):  # what was never seen before is in no cache
            (root / name / "src" / f"{number}.txt").write_text(f"{number} of edit {edits[0]}\n", "ascii")
        builds[name]()
        check(root / name / OUT.get(name, "out"), size)

    def changed(name: str) -> None:
        edits[0] += 1
        source = root / name / "src" / f"{edits[0] % size}.txt"
        source.write_text(f"edit {edits[0]}\n", "ascii")
        builds[name]()
        if (root / name / OUT.get(name, "out") / source.name).read_text("ascii") != source.read_text("ascii"):
            raise RuntimeError(f"{name} did not build {source.name}")

    def cases(run: Callable[[str], None]) -> dict[str, Callable[[], None]]:
        return {name: (lambda name=name: run(name)) for name in builds}  # type: ignore[misc]

    kinds = {"full": (full, asked.full_rounds), "one file changed": (changed, asked.rounds)}
    kinds["no-op"] = (lambda name: builds[name](), asked.rounds)
    report: dict[str, object] = {}
    for kind, (run, rounds) in kinds.items():
        measured = {name: summary(times) for name, times in in_turns(cases(run), rounds).items()}
        report[kind] = {
            "measured": measured,
            "bldr_to_make": ratio(measured, "bldr", "make"),
            "bldr_to_ninja": ratio(measured, "bldr", "ninja"),
            "bldr_to_bazel": ratio(measured, "bldr", "bazel"),
        }
    return report


def tools(root: Path) -> dict[str, Callable[[], None]]:
    """Return how each tool that is installed builds its workspace."""
    jobs = str(len(os.sched_getaffinity(0)))
    commands = {"bldr": [sys.executable, "-m", "bldr", "build", "-q", f"-j{jobs}", f"--cache-dir={root / 'cache'}"]}
    if make := shutil.which("make"):
        commands["make"] = [make, "-s", f"-j{jobs}"]
    if ninja := shutil.which("ninja"):
        commands["ninja"] = [ninja, "--quiet", f"-j{jobs}"]

    if bazel := shutil.which("bazel"):
        options = ["--spawn_strategy=linux-sandbox", "--genrule_strategy=linux-sandbox", "--nosandbox_debug"]
        quiet = ["--noshow_progress", "--ui_event_filters=-info", "--show_result=0", f"--jobs={jobs}"]
        commands["bazel"] = [*bazel_server(bazel, root.parent), "build", *options, *quiet, "//..."]

    def build(name: str) -> None:  # some versions of ninja say on stdout that there is no work, however quiet
        subprocess.run(commands[name], check=True, cwd=root / name, env=peers.ENVIRONMENT, stdout=subprocess.DEVNULL)

    return {name: (lambda name=name: build(name)) for name in commands}  # type: ignore[misc]


def make_workspace(directory: Path, size: int) -> None:
    """Write sources, each of which one target copies, and say so to all tools."""
    (directory / "src").mkdir(parents=True)
    for number in range(size):
        (directory / "src" / f"{number}.txt").write_text(f"{number}\n", "ascii")
    targets = [
        f'target("t{number}") {{ type: custom; sources: ["src/{number}.txt"];'
        f' command: "cp src/{number}.txt out/{number}.txt"; output: "out/{number}.txt"; }}\n'
        for number in range(size)
    ]
    products = " ".join(f"out/{number}.txt" for number in range(size))
    (directory / "Builderfile").write_text("".join(targets), "ascii")
    (directory / "Makefile").write_text(f"all: {products}\nout/%.txt: src/%.txt ; cp $< $@\n", "ascii")
    (directory / "WORKSPACE").touch()
    genrule = 'genrule(name = "t{0}", srcs = ["src/{0}.txt"], outs = ["out/{0}.txt"], cmd = "cp $< $@")\n'
    (directory / "BUILD").write_text("".join(genrule.format(number) for number in range(size)), "ascii")
    rules = [f"build out/{number}.txt: copy src/{number}.txt\n" for number in range(size)]
    (directory / "build.ninja").write_text("rule copy\n  command = cp $in $out\n" + "".join(rules), "ascii")


def bazel_server(program: str, root: Path) -> list[str]:
    """Return how Bazel is called whose servers keep what they have below a directory."""
    return [program, "--nohome_rc", "--max_idle_secs=600", f"--output_user_root={root / 'bazel'}"]


def call_bazel(root: Path, command: str) -> None:
    """Let the server of each workspace carry out a command; one that does not run is started."""
    if program := shutil.which("bazel"):
        for workspace in root.glob("*/bazel"):
            subprocess.run([*bazel_server(program, root), command], check=True, cwd=workspace, capture_output=True)


def remove(root: Path) -> None:
    """Remove a tree in which Bazel has made folders that nobody may write."""
    for folder, _, _ in os.walk(root):
        os.chmod(folder, 0o700)
    shutil.rmtree(root)


def check(directory: Path, size: int) -> None:
    if len(os.listdir(directory)) != size:
        raise RuntimeError(f"not everything was built in {directory}")


if __name__ == "__main__":
    main()
