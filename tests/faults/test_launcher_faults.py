"""Every interaction of the launcher with the system fails once: who called is told which, and nothing is left."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.capabilities import SYSTEM_PYTHON, UNPRIVILEGED_ID
from tests.conftest import remove_tree

ROOT = pytest.param("root", marks=pytest.mark.needs("root", "user-namespaces", "system-python"))
BECOMES_USER = [] if os.getuid() else ["unprivileged-user"]
USER = pytest.param("user", marks=pytest.mark.needs("user-namespaces", "system-python", *BECOMES_USER))

BEFORE_THE_FIRST_STEP = (
    "kernel:close_range", "kernel:prctl:1", "function:channel.pair", "function:channel.receive:1",
    "function:init.receive",
)  # fmt: skip
# Refusals that have a fallback by design.
SURVIVABLE = {
    "kernel:close_range": errno.EPERM,  # /proc/self/fd is walked
    "kernel:mount_setattr": errno.EPERM,  # an input without an id map; submounts of an output that stay read-only
    "kernel:openat2": errno.EPERM,  # the same submounts
    "function:root.mount_proc": errno.EPERM,  # reported when it matters
}
EXPECTED_STEPS = {
    "bind", "canary", "dir", "drop", "file", "hostname", "landlock", "link", "mask", "no-userns", "pivot", "rlimit",
    "seal", "seccomp", "skeleton", "temp", "unseal",
}  # fmt: skip

Records = list[dict[str, Any]]


@pytest.fixture(scope="module", params=[ROOT, USER])
def records(request: pytest.FixtureRequest, repository: Path) -> Records:
    """What happened, of all faults, to root or to a user without rights."""
    return played(repository, request.param)


def played(repository: Path, who: str, *options: str) -> Records:
    directory = Path(tempfile.mkdtemp(prefix="bldr-faults.", dir="/var/tmp"))
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(repository / "src", directory / "src", ignore=ignored)
    shutil.copytree(repository / "tests" / "faults", directory / "tests" / "faults", ignore=ignored)
    shutil.copy(repository / "tests" / "processes.py", directory / "tests")
    (directory / "stage").mkdir()
    identity: dict[str, Any] = {}
    if who == "user" and not os.getuid():
        identity = {"user": UNPRIVILEGED_ID, "group": UNPRIVILEGED_ID, "extra_groups": []}
        os.chown(directory / "stage", UNPRIVILEGED_ID, UNPRIVILEGED_ID)
        for parent, _, _ in os.walk(directory):
            os.chmod(parent, 0o755)
    done = subprocess.run(
        [SYSTEM_PYTHON, "-B", directory / "tests" / "faults" / "drive.py", directory / "stage", *options],
        env={"PATH": "/usr/bin:/bin"}, cwd="/", capture_output=True, timeout=110, check=False, **identity,
    )  # fmt: skip
    remove_tree(directory)
    assert (done.returncode, done.stderr) == (0, b"")
    return [json.loads(line) for line in done.stdout.splitlines()]


def failed(records: Records) -> Records:
    return [record for record in records if record["error"]]


def errno_of(record: dict[str, Any]) -> int:
    return int(record["fault"].rpartition(":")[2])


def is_one_of(record: dict[str, Any], kinds: Any) -> bool:
    return any(f"{record['fault']}:".startswith(f"{kind}:") for kind in kinds)


def test_every_step_and_many_calls_were_made_to_fail(records: Records) -> None:
    steps = {record["fault"].split(":")[1] for record in records if record["fault"].startswith("step:")}

    assert steps >= EXPECTED_STEPS
    assert len(failed(records)) > 250


def test_each_failure_is_one_of_the_sandbox_and_names_the_errno(records: Records) -> None:
    for record in failed(records):
        if is_one_of(record, ["function:command.spawn:1:1"]):
            assert record["error"] == "InvalidCommandError", record
        elif not is_one_of(record, ["function:root.mount_proc"]):  # the fallback that fails next is what is told
            assert record["error"] in ("SandboxSetupError", "BackendUnavailableError"), record
            assert record["errno"] == errno_of(record), record


def test_the_step_that_failed_is_named(records: Records) -> None:
    for record in failed(records):
        if record["error"] != "InvalidCommandError":
            assert record["step"], record
            assert record["step"] in record["message"], record
            assert "the stage" not in record["step"], record


def test_a_failure_before_the_first_step_is_one_of_the_start_of_init(records: Records) -> None:
    early = [record for record in failed(records) if is_one_of(record, BEFORE_THE_FIRST_STEP)]

    assert early
    assert {record["step"] for record in early} == {"start the init"}


def test_what_goes_on_in_spite_of_a_failure_has_a_fallback(records: Records) -> None:
    for record in records:
        if not record["error"] and record.get("struck", True) and record["fault"]:
            kind = next((kind for kind in SURVIVABLE if is_one_of(record, [kind])), None)
            start_only = is_one_of(record, ["start function:scratch.remove_leftovers", "start kernel:mount_setattr"])
            assert start_only or (kind and errno_of(record) == SURVIVABLE[kind]), record
            assert record["stdout"] == "ran\n"


def test_nothing_is_left_and_the_next_run_works(records: Records) -> None:
    for record in records:
        left = record["left"]
        assert (left["descriptors"], left["processes"], left["scratch"]) == (0, 0, []), record
        if record["fault"]:
            assert record["again"] == {"error": "", "stdout": "ran\n", "notes": []}, record


def test_the_launcher_keeps_no_descriptor(records: Records) -> None:
    """Where it lets itself be counted: a user's launcher is root of its own namespace and not dumpable."""
    counted = [record["left"]["launcher_descriptors"] for record in records if "launcher_descriptors" in record["left"]]

    assert counted[-1] in (0, counted[0])


def test_a_launcher_that_cannot_start_is_told_and_replaced(records: Records) -> None:
    starts = [record for record in records if record["fault"].startswith("start ") and record["struck"]]

    assert len(starts) >= 8
    assert {record["error"] for record in starts} <= {"", "BackendUnavailableError", "SandboxSetupError"}
    for record in starts:
        if record["error"]:
            assert record["errno"] == errno_of(record), record


@pytest.mark.parametrize("who", [ROOT, USER])
def test_a_fault_while_a_plan_is_executed_ahead_is_nobodys(who: str, repository: Path) -> None:
    *records, last = played(repository, who, "ahead")

    silent = {record["fault"].split(":")[1] for record in records if record["struck"] and not record["error"]}
    assert silent  # which ones strike after the request is a matter of timing
    for record in records:
        assert record["again"] == {"error": "", "stdout": "ran\n", "notes": []}, record
        assert record["calm"], record
        assert record["scratch"] == [], record
    assert last["scratch"] == []
