"""Ctrl-C at every place where CPython may notice it: no process and no directory is left to nobody."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("interrupted.py")
BOUND = 600  # seconds: some hundred launches, 15 s of CPU time, which take minutes on a machine that does much else
AT_MOST = 2  # descriptors of a pipe, between pipe(2) and the object that owns them


@pytest.mark.needs("user-namespaces")
@pytest.mark.timeout(BOUND + 20)
def test_an_interrupt_at_any_place_leaves_nothing_running(host_dir: Path) -> None:
    done = subprocess.run(
        [sys.executable, PROGRAM, host_dir], capture_output=True, timeout=BOUND, check=False, cwd="/"
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, b"")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [record["places"] > 70 for record in records if "places" in record] == [True, True]
    for record in records:
        if "places" not in record:
            assert (record["running"], record["processes"], record["scratch"]) == (False, 0, []), record
            assert record["descriptors"] <= AT_MOST, record
    assert list(host_dir.iterdir()) == []
