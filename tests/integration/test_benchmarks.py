"""Benchmarks run, on a small scale, and print what they promise. What they measure gates nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.needs("user-namespaces", "bldr-command", "terminal")]


def report(repository: Path, program: str, *arguments: str) -> dict[str, Any]:
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, str(repository / "benchmarks" / program), *arguments],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=100,
        env=environment,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_what_limits_cost_is_measured(repository: Path) -> None:
    found = report(repository, "limits.py", "--rounds", "1", "--only", "launch", "--only", "gone")

    assert found["benchmark"] == "limits"
    assert set(found["gone_after_limit"]) == set(found["mechanisms"])
    assert found["true"]["limited_to_unlimited"]["median"] > 0


def test_what_passing_output_on_costs_is_measured(repository: Path) -> None:
    found = report(repository, "output.py", "--rounds", "1", "--mebibytes", "1")

    assert set(found["launch"]["measured"]) == {"a pipe", "a terminal"}
    assert set(found["throughput"]["mebibytes_a_second"]) == {"bare", "bldr, the pipe itself", "bldr, relayed"}
