"""Run every benchmark as the caller, and as a user without rights when the caller is root; write docs/performance.md.

cd benchmarks && python -m measuring.publish     (or: make performance)

bldr is installed from a wheel into an environment of its own, as a user would have it; somebody else can read it, too.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from measuring.host import version

ROOT = Path(__file__).parent.parent.parent
PROGRAMS = ("launch", "inputs", "builds")
WITHOUT_RIGHTS = 1234  # a number that has no name, no home and no entry in /etc/subuid
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

Reports = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md", help="the page to rewrite")
    parser.add_argument("--json", type=Path, help="also keep every report, in this file")
    parser.add_argument("--quick", action="store_true", help="few rounds, to try whether everything runs")
    options = parser.parse_args()
    measured: dict[str, Reports] = {}
    directory = Path(tempfile.mkdtemp(prefix="bldr-performance.", dir="/var/tmp"))
    try:
        python = install(directory)
        for uid in sorted({os.getuid(), WITHOUT_RIGHTS} if os.getuid() == 0 else {os.getuid()}):
            measured[f"uid {uid}" if uid else "root"] = run_all(directory, python, uid, quick=options.quick)
    finally:
        shutil.rmtree(directory)
    if options.json:
        options.json.write_text(json.dumps(measured, indent=2) + "\n", "utf-8")
    before, _, rest = options.page.read_text("utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    options.page.write_text(f"{before}{BEGIN}\n{page(measured)}\n{END}{after}", "utf-8")


def install(directory: Path) -> str:
    """Make an environment with bldr from a wheel, and with the peer that comes from PyPI where there is one."""
    directory.chmod(0o755)
    base = "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable
    subprocess.run([base, "-I", "-m", "venv", directory / "venv"], check=True)
    pip = [str(directory / "venv" / "bin" / "python"), "-m", "pip", "-q", "--disable-pip-version-check", "install"]
    subprocess.run([*pip, "--upgrade", "pip>=25"], check=True)
    subprocess.run([*pip, str(ROOT)], check=True)
    subprocess.run([*pip, "sandlock"], check=False, stderr=subprocess.DEVNULL)
    shutil.copytree(ROOT / "benchmarks", directory / "benchmarks", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([pip[0], "-m", "compileall", "-q", directory / "benchmarks"], check=True)
    return pip[0]


def run_all(directory: Path, python: str, uid: int, *, quick: bool) -> Reports:
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/", "LANG": "C.UTF-8"}
    identity: dict[str, Any] = {} if uid == os.getuid() else {"user": uid, "group": uid, "extra_groups": []}
    reports: Reports = {}
    for program in PROGRAMS:
        print(f"{program} as uid {uid}", file=sys.stderr)
        argv = [python, str(directory / "benchmarks" / f"{program}.py"), *(["--rounds", "5"] if quick else [])]
        done = subprocess.run(argv, env=environment, cwd="/", stdout=subprocess.PIPE, check=True, **identity)
        reports[program] = json.loads(done.stdout)
    return reports


def page(measured: dict[str, Reports]) -> str:
    """Write the tables of the page."""
    first = next(iter(measured.values()))["launch"]
    host, peers = first["host"], first["peers"]
    commit = version(["git", "-C", str(ROOT), "rev-parse", "--short=10", "HEAD"])
    changed = version(["git", "-C", str(ROOT), "status", "--porcelain", "--", "src"])
    machine = f"{host['processors']} x {host['processor']}, {host['machine']}, Linux {host['kernel']}"
    versions = ", ".join(f"{name} {text}" for name, text in sorted(peers.items()))
    loads = ", ".join(
        str(reports[program]["host"]["load_before"]) for reports in measured.values() for program in PROGRAMS
    )
    lines = [
        f"{machine}, {host['distribution']}, CPython {host['python']}; {versions}.",
        f"bldr {host['bldr']} of commit {commit or 'unknown'}{' with changes' if changed else ''}.",
        f"Load of the machine before each program, of which one run makes about 1: {loads}.",
    ]
    for user, reports in measured.items():
        lines += ["", f"### As {user}", *budgets(reports), *launches(reports), *files(reports), *builds(reports)]
    return "\n".join(lines)


def budgets(reports: Reports) -> list[str]:
    launch, inputs, real = reports["launch"], reports["inputs"], reports["builds"]
    rows = [
        ("warm launch, 5 inputs, to bubblewrap", launch["warm"]["budget"], "x"),
        ("the same after a pause, above a bare `posix_spawn`", launch["idle"]["beyond_bare_ms"], "ms"),
        ("`bldr run -- true`, to `python -I -c pass`", launch["cold"].get("budget"), "x"),
        ("64 threads of 20 runs, to bubblewrap", launch["threads"]["budget"], "x"),
        ("set-up of 1,000 single-file inputs", inputs["budget_1000"], "ms"),
        ("set-up of 10,000 single-file inputs", inputs["budget_10000"], "ms"),
        ("31 compilations and a link, to bare", real["one after the other"]["budget"], "x"),
        ("the same, two at a time", real["two at a time"]["budget"], "x"),
    ]
    lines = ["", "| Median | Got | Budget | |", "|---|---|---|---|"]
    for what, found, unit in rows:
        if found:
            verdict = "kept" if found["kept"] else "**missed**"
            lines.append(f"| {what} | {number(found['got'])} {unit} | {number(found['budget'])} {unit} | {verdict} |")
    return lines


def launches(reports: Reports) -> list[str]:
    launch = reports["launch"]
    lines = ["", "| `true` | Minimum | Median | 95 % |", "|---|---|---|---|"]
    for title, part in (
        ("warm", launch["warm"]),
        (f"after {launch['idle']['pause_ms']:g} ms of idleness", launch["idle"]),
        ("a new process", launch["cold"]),
        ("64 threads, all", launch["threads"]),
    ):
        for name, found in part.get("measured", {}).items():
            times = " | ".join(f"{number(found[key])} ms" for key in ("min_ms", "median_ms", "p95_ms"))
            lines.append(f"| {title}: {name} | {times} |")
    return lines


def files(reports: Reports) -> list[str]:
    inputs = reports["inputs"]
    lines = ["", "| Single-file inputs | Set-up | bubblewrap | Spec and plan, once |", "|---|---|---|---|"]
    for count, declared in inputs["declare_resolve_compile_ms"].items():
        if count != "0":
            peer = inputs["set_up_ms"].get(f"bubblewrap {count}")
            shown = "not tried" if peer is None else f"{number(max(0, peer))} ms"
            own = number(max(0, inputs["set_up_ms"][f"bldr {count}"]))
            lines.append(f"| {int(count):,} | {own} ms | {shown} | {number(declared)} ms |")
    return lines


def builds(reports: Reports) -> list[str]:
    lines = ["", "| 31 C files, make | Minimum | Median | To bare (median) |", "|---|---|---|---|"]
    for title in ("one after the other", "two at a time"):
        measured = reports["builds"][title]["measured"]
        for name, found in measured.items():
            to_bare = found["median_ms"] / measured["bare"]["median_ms"]
            times = f"{number(found['min_ms'])} ms | {number(found['median_ms'])} ms"
            lines.append(f"| {title}: {name} | {times} | {to_bare:.2f} x |")
    return lines


def number(value: float) -> str:
    """Three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    main()
