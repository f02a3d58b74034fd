"""Builds that are killed at any moment, or whose disk fails: what they leave is right, and the next one finds its way."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.needs("user-namespaces"), pytest.mark.slow]

PROGRAM = Path(__file__).with_name("dying_builds.py")
STATE = {".gitignore", "lock", "settled", "staging", "state", "targets.json"}
KILLS, ERRORS = 80, 16


def play(directory: Path, seed: int, kills: int, errors: int) -> None:
    done = subprocess.run(
        [sys.executable, PROGRAM, directory, str(seed), str(kills), str(errors)],
        capture_output=True,
        timeout=60 + 5 * (kills + errors),
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(records) == kills + errors
    for record in records:
        assert record["again"]["status"] == 0, record
        kinds = ("halves", "lost", "wrong", "staging", "scratch")
        assert {kind: record[kind] for kind in kinds} == {kind: [] for kind in kinds}, record
        assert record["calm"], record
        assert set(record["state"]) <= STATE, record
        assert record["first"]["status"] in (0, 1, 125, -signal.SIGKILL), record
        assert record["first"].get("error", "") == record["again"]["error"] == "", record
        assert record["first"]["status"] <= 0 or record["first"]["told"], record
        assert "internal error" not in str(record), record
    assert sum(record["struck"] for record in records) > 0.6 * len(records)


@pytest.mark.timeout(700)
def test_a_build_that_dies_at_any_moment_leaves_nothing_wrong(host_dir: Path) -> None:
    play(host_dir, 0, KILLS, ERRORS)


@pytest.mark.needs("much-time")
@pytest.mark.timeout(30_000)
def test_so_do_thousands(host_dir: Path) -> None:
    play(host_dir, 1, 3000, 1000)
