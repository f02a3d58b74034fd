"""Run the tests of this directory on other kernels: ``python -m tests.kernels.lanes [LANE…]``, or ``make kernels``.

A lane is a kernel, a user and a layout of cgroups; it boots once and runs all tests there. Each names what has to be
there (``--require``), so that the tests it is for cannot be skipped. A lane in which nothing passed has failed.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import re
import subprocess
import sys
import sysconfig
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UID = 1234
SHOWN = "/run/checkout"  # where guests see the checkout: a user that may not enter its directory has to read it
PATIENCE = 400  # seconds for a lane

CLOSING_LINE = re.compile(r"^=+ (.*\bin [0-9.]+s.*?) =+$", re.MULTILINE)


@dataclass(frozen=True)
class Lane:
    """What is booted, and what has to be there. ``chosen`` is an expression for pytest's ``-k``.

    ``suites`` are files with more tests, which the host runs as well. ``patience`` is in seconds.
    """

    name: str
    kernel: str
    cgroup: str = "v2"
    uid: int = 0
    needs: tuple[str, ...] = ()
    disk: int = 0
    chosen: str = ""
    suites: tuple[str, ...] = ()
    optional: bool = False
    patience: int = PATIENCE


BASIC = ("system-python", "throwaway-kernel", "user-namespaces")
AS_ROOT = ("cgroup-root", "limiting-cgroup", "root")
# What does not depend on the layout of cgroups is tested where that is v2. Emulation is slow: settings are tested elsewhere.
LAYOUT = "layout or read_only_hierarchy or runs_hermetically"
IN_EMULATION = (
    "not a_setting and not filter and not found_out"
    " and not scope and not alarms and not overlays and not cgroups_of_sandboxes and not traces"
)
MUCH_TIME = 1800  # seconds for a lane whose only test takes minutes on a busy machine

# What the host runs as well, with the second line of limits. What waits for a clock and uses no cgroup is the same in
# each lane, so it is left to the host.
LIMITS = "tests/integration/linux/test_limits.py"
USAGE = "tests/integration/linux/test_usage.py"
BUT_THE_HOST = "not silence_ends and not wall_time_agrees"
# Layouts of cgroups change nothing of a trace: two lanes, root with the oldest kernel and a user with the next, do.
BUT_TRACES = f"{BUT_THE_HOST} and not traces"
# Kinds of cgroups that doctor tells apart are the same on each kernel, and so is what systemd answers.
BUT_NEWER_KERNELS = "not scope and not found_out"

# The slowest first, so that the others fill the gaps.
LANES = (
    Lane(
        "uml-6.1-root-thousand",
        "uml-6.1",
        needs=("limiting-cgroup", "much-time"),
        chosen="thousand",
        optional=True,
        patience=MUCH_TIME,
    ),
    Lane(
        "uml-6.1-delegated-thousand",
        "uml-6.1",
        "delegated",
        UID,
        ("cgroup-delegated", "much-time"),
        chosen="thousand",
        optional=True,
        patience=MUCH_TIME,
    ),
    Lane(
        "qemu-6.12-root",
        "qemu-6.12",
        needs=(*BASIC, *AS_ROOT, "apparmor", "guest-disk", "landlock-network", "pressure"),
        disk=64,
        chosen=IN_EMULATION,
        patience=900,
    ),
    Lane(
        "uml-5.10-root",
        "uml-5.10",
        needs=(*BASIC, *AS_ROOT, "without-landlock", "without-mount-setattr", "without-overlay-in-userns"),
        chosen=BUT_NEWER_KERNELS,
    ),
    Lane(
        "uml-6.1-root",
        "uml-6.1",
        needs=(*BASIC, *AS_ROOT, "c-compiler", "guest-disk", "idmapped-mounts"),
        disk=64,
        chosen=BUT_TRACES,
        suites=(LIMITS,),
    ),
    Lane(
        "uml-5.10-delegated",
        "uml-5.10",
        "delegated",
        UID,
        (*BASIC, "cgroup-delegated", "without-mount-setattr"),
        chosen=BUT_TRACES,
        suites=(LIMITS, USAGE),
    ),
    Lane(
        "uml-6.1-delegated",
        "uml-6.1",
        "delegated",
        UID,
        (*BASIC, "cgroup-delegated", "without-landlock"),
        chosen=BUT_THE_HOST,
        suites=(LIMITS, USAGE),
    ),
    Lane(
        "uml-6.1-session",
        "uml-6.1",
        "session",
        UID,
        (*BASIC, "cgroup-undelegated"),
        chosen=BUT_TRACES,
        suites=(LIMITS,),
    ),
    Lane("uml-6.1-ro", "uml-6.1", "ro", needs=(*BASIC, "layout-ro"), chosen=LAYOUT),
    Lane("uml-6.1-v1", "uml-6.1", "v1", needs=(*BASIC, "layout-v1"), chosen=LAYOUT),
    Lane("uml-6.1-hybrid", "uml-6.1", "hybrid", needs=(*BASIC, "layout-hybrid"), chosen=LAYOUT),
    Lane("uml-6.1-none", "uml-6.1", "none", needs=(*BASIC, "layout-none"), chosen=LAYOUT),
    Lane("qemu-6.12-delegated", "qemu-6.12", "delegated", UID, (*BASIC, "cgroup-delegated", "landlock"), optional=True),
    Lane("uml-6.12-root", "uml-6.12", needs=(*BASIC, *AS_ROOT), optional=True),
    Lane("uml-7.2-root", "uml-7.2", needs=(*BASIC, *AS_ROOT), optional=True),
    Lane("qemu-6.1-root", "qemu-6.1", needs=(*BASIC, *AS_ROOT, "landlock", "pressure"), optional=True),
    Lane("qemu-5.10-root", "qemu-5.10", needs=(*BASIC, *AS_ROOT, "pressure"), optional=True),
    Lane("qemu-7.3-root", "qemu-7.3", needs=(*BASIC, *AS_ROOT, "landlock-network", "pressure"), optional=True),
)


def command(lane: Lane, site_packages: str, arguments: list[str]) -> list[str]:
    """Return the command line of a lane. pytest is what the development environment has, started by Debian's Python."""
    path = f"{SHOWN}/src:{SHOWN}:{SHOWN}/{os.path.relpath(site_packages, ROOT)}"
    chosen = ["-k", lane.chosen] if lane.chosen else []
    pytest = [
        "-p",
        "no:cacheprovider",
        "-p",
        "pytest_timeout",
        "-o",
        "timeout=150",
        "-q",
        "--color=no",
        "--durations=5",
    ]
    requirements = [word for name in lane.needs for word in ("--require", name)]
    return [
        *(str(ROOT / "tools/vmrun"), "-k", lane.kernel, "--cgroup", lane.cgroup, "--timeout", str(lane.patience)),
        *(("-u", str(lane.uid)) if lane.uid else ()),
        # With two processors QEMU's emulation now and then runs half of an instruction that Linux is patching.
        *(("--smp", "1") if lane.kernel.startswith("qemu") else ()),
        *(("--disk", str(lane.disk), "-e", "TMPDIR=/tmp/disk") if lane.disk else ()),
        *(("-e", "BLDR_TEST_MUCH_TIME=1") if "much-time" in lane.needs else ()),
        *("--ro", f"{ROOT}={SHOWN}", "--cwd", SHOWN),
        *("-e", f"PYTHONPATH={path}", "-e", "PYTEST_DISABLE_PLUGIN_AUTOLOAD=1", "-e", "CI=true"),
        *("--", "/usr/bin/python3", "-m", "pytest", *pytest, *chosen, *requirements, *arguments, "tests/kernels"),
        *lane.suites,
    ]


def passed(output: str) -> int:
    """Return how many tests passed, of pytest's closing line."""
    lines = CLOSING_LINE.findall(output) or re.findall(r"^(\d+ .* in [0-9.]+s.*)$", output, re.MULTILINE)
    found = re.search(r"(\d+) passed", lines[-1]) if lines else None
    return int(found[1]) if found else 0


@dataclass(frozen=True)
class Outcome:
    lane: Lane
    status: int
    output: str
    seconds: float

    @property
    def failed(self) -> bool:
        return self.status != 0 or passed(self.output) == 0

    def summary(self) -> str:
        closing = self.output.strip().splitlines()[-1] if self.output.strip() else "said nothing"
        verdict = f"FAILED (status {self.status})" if self.failed else "ok"
        return f"{self.lane.name:20} {verdict:8} {self.seconds:4.0f} s  {closing.strip('= ')}"


GUEST_DIED = 125  # exit status of tools/vmrun


def run(lane: Lane, site_packages: str, arguments: list[str]) -> Outcome:
    """Run a lane; once more when the guest's kernel itself died, which no test of ours can bring about."""
    outcome = run_once(lane, site_packages, arguments)
    if outcome.status != GUEST_DIED:
        return outcome
    print(f"{lane.name}: the guest died and is booted once more:\n{outcome.output[-2000:]}", flush=True)
    return run_once(lane, site_packages, arguments)


def run_once(lane: Lane, site_packages: str, arguments: list[str]) -> Outcome:
    started = time.monotonic()
    done = subprocess.run(
        command(lane, site_packages, arguments),
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    return Outcome(lane, done.returncode, done.stdout, time.monotonic() - started)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lanes", nargs="*", metavar="LANE", help="default: every lane that is not optional")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="lanes at the same time (default: CPUs)")
    parser.add_argument("--list", action="store_true", help="list the lanes")
    parser.add_argument(
        "--pytest", action="append", default=[], metavar="ARGUMENT", help="one more argument for pytest"
    )
    options = parser.parse_args()
    if options.list:
        for lane in LANES:
            print(f"{lane.name:20} {'optional' if lane.optional else 'required'}  {', '.join(lane.needs)}")
        return 0
    names = {lane.name: lane for lane in LANES}
    if unknown := [name for name in options.lanes if name not in names]:
        parser.error(f"there is no lane {unknown[0]!r}; --list shows them")
    lanes = [names[name] for name in options.lanes] or [lane for lane in LANES if not lane.optional]
    kernels = dict.fromkeys(lane.kernel for lane in lanes)
    if subprocess.run([ROOT / "tools/vmrun", "setup", *kernels], check=False).returncode:
        return 1
    site_packages = sysconfig.get_path("purelib")
    outcomes = []
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for outcome in pool.map(lambda lane: run(lane, site_packages, options.pytest), lanes):
            outcomes.append(outcome)
            if outcome.failed or options.lanes:
                print(outcome.output)
            print(outcome.summary(), flush=True)
    failures = [outcome.lane.name for outcome in outcomes if outcome.failed]
    print(
        f"{len(outcomes) - len(failures)} of {len(outcomes)} lanes passed"
        + (f"; failed: {', '.join(failures)}" if failures else "")
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
