"""What confinement costs a real build: thirty C files compiled and linked by make, bare and in sandboxes, in turns.

python benchmarks/builds.py [--rounds N]     prints one JSON object
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from measuring import host, peers
from measuring.timing import budget, in_turns, ratio, summary

from bldr import HermeticExecutor, HermeticSpecBuilder, SandboxSpecBuilder

FILES = 30
SOURCE = """
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int compare(const void *left, const void *right) { return strcmp(*(char *const *)left, *(char *const *)right); }

int work_NUMBER(int count, char **words) {
    double sum = 0;
    qsort(words, (size_t)count, sizeof *words, compare);
    for (int i = 0; i < count; i++)
        for (char *letter = words[i]; *letter; letter++)
            sum += isalpha((unsigned char)*letter) ? toupper((unsigned char)*letter) : NUMBER;
    return snprintf(NULL, 0, "%.3f %s", sum, strerror(errno));
}
"""
MAKEFILE = """
SOURCES := $(wildcard $(SRC)/*.c)
program: $(patsubst $(SRC)/%.c,%.o,$(SOURCES)) ; $(CC) -o $@ $^ -lm
%.o: $(SRC)/%.c ; $(CC) -O1 -c -o $@ $<
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="how often each build is timed")
    rounds = parser.parse_args().rounds
    if not all(shutil.which(program) for program in ("cc", "make")):
        raise SystemExit("cc and make are needed")
    description = host.describe()
    root = Path(tempfile.mkdtemp(prefix="bldr-builds.", dir="/var/tmp"))
    try:
        report = {
            "benchmark": "builds",
            "host": {**description, "compiler": host.version(["cc", "--version"])},
            "peers": peers.versions(),
            "one after the other": measure(root, "-j1", rounds),
            "two at a time": measure(root, "-j2", rounds),
        }
    finally:
        shutil.rmtree(root)
    json.dump(report, sys.stdout, indent=2)
    print()


def measure(root: Path, jobs: str, rounds: int) -> dict[str, object]:
    sources, output = root / "sources", root / "output"
    make_project(sources)
    output.mkdir(exist_ok=True)
    command = ["/usr/bin/make", "-s", jobs, "-C", str(output), "-f", str(sources / "Makefile"), f"SRC={sources}"]
    spec = HermeticSpecBuilder.for_build(
        workspace_root=root, sources=[sources], output_dir=output, temp_dir=root / "temps"
    )
    executor = HermeticExecutor.create(spec)

    def built(run: Callable[[], object]) -> Callable[[], object]:
        def build() -> None:
            for file in output.iterdir():
                file.unlink()
            run()
            if not os.access(output / "program", os.X_OK):
                raise RuntimeError("nothing was built")

        return build

    def hermetically() -> None:
        result = executor.execute(command)
        if not (result.success and result.hermetic):
            raise RuntimeError(result.stderr.decode(errors="replace"))

    # The same in the tree of the sources, once where it is and once under an overlay, whose layer is new each time.
    within = ["/usr/bin/make", "-s", jobs, "-B", "-C", str(sources), f"SRC={sources}"]
    overlaid = SandboxSpecBuilder.create().carve().with_toolchain("system").default_temp("/tmp").overlay(sources)
    on_overlay = HermeticExecutor.create(overlaid.env("PATH", "/usr/bin:/bin").build())

    def in_tree() -> None:
        peers.spawn(within)
        for file in (*sources.glob("*.o"), sources / "program"):
            file.unlink()

    def in_overlay() -> None:
        result = on_overlay.execute(within)
        if not result.success or (sources / "program").exists():
            raise RuntimeError(result.stderr.decode(errors="replace"))

    cases: dict[str, Callable[[], object]] = {"bare": built(lambda: peers.spawn(command)), "bldr": built(hermetically)}
    cases |= {"bare, in the tree": in_tree, "bldr, on an overlay": in_overlay}
    shown = ("--ro-bind", str(sources), str(sources), "--bind", str(output), str(output))
    bubblewrap = peers.bubblewrap(command, *shown)
    if bubblewrap and peers.works(bubblewrap):
        cases["bubblewrap"] = built(lambda: peers.spawn(bubblewrap))
    measured = {name: summary(times) for name, times in in_turns(cases, rounds).items()}
    to_bare = ratio(measured, "bldr", "bare")
    assert to_bare is not None
    return {
        "measured": measured,
        "bldr_to_bare": to_bare,
        "bldr_to_bubblewrap": ratio(measured, "bldr", "bubblewrap"),
        "overlay_to_bare": ratio(measured, "bldr, on an overlay", "bare, in the tree"),
        "budget": budget(to_bare["median"], 1.02),
    }


def make_project(directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    for number in range(FILES):
        (directory / f"work{number}.c").write_text(SOURCE.replace("NUMBER", str(number)), "ascii")
    calls = "".join(f"int work_{number}(int, char **);\n" for number in range(FILES))
    body = " + ".join(f"work_{number}(count, words)" for number in range(FILES))
    (directory / "main.c").write_text(
        f"{calls}int main(int count, char **words) {{ return ({body}) == 0; }}\n", "ascii"
    )
    (directory / "Makefile").write_text(MAKEFILE, "ascii")


if __name__ == "__main__":
    main()
