"""Traces on each kernel and as each kind of user: the listener's ways of waiting and ending differ between kernels."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., subprocess.CompletedProcess[bytes]]

pytestmark = [pytest.mark.needs("throwaway-kernel", "user-namespaces")]


def traced(bldr: Run, directory: Path, *arguments: object) -> tuple[subprocess.CompletedProcess[bytes], dict[str, Any]]:
    file = directory / "result.json"
    done = bldr("run", "--trace", "full", "--json", file, *arguments, cwd=directory, timeout=100)
    return done, json.loads(file.read_text("utf-8"))


def test_files_and_programs_are_recorded_to_the_last_process(bldr: Run, tmp_path: Path) -> None:
    source = tmp_path / "src"
    source.mkdir()
    (source / "source").write_text("text\n", encoding="ascii")
    script = "cat source missing; (env true &); exit 3"

    done, result = traced(bldr, tmp_path, "-i", source, "--cwd", source, "--", "sh", "-c", script)

    assert (done.returncode, done.stdout) == (3, b"text\n"), done.stderr.decode()
    events = result["trace"]["events"]
    found = {(one["kind"], one["subject"], one["errno"]) for one in events}
    assert {("read", f"{source}/source", 0), ("read", f"{source}/missing", 2)} <= found
    executed = [one["argv"] for one in events if one["kind"] == "execute" and not one["errno"]]
    assert executed[0][:2] == ["sh", "-c"]
    assert ["cat", "source", "missing"] in executed
    parents = {one["pid"]: one["parent"] for one in result["trace"]["processes"]}
    assert len(set(parents.values())) > 1


def test_what_is_refused_is_refused_by_the_tracer(bldr: Run, tmp_path: Path) -> None:
    done, result = traced(bldr, tmp_path, "--exec", "false", "--", "sh", "-c", "env true; echo $?")

    assert (done.returncode, done.stdout) == (0, b"126\n"), done.stderr.decode()
    assert [one["kind"] for one in result["violations"]] == ["exec"]


def test_a_trace_inside_of_a_trace_is_refused_by_name(bldr: Run, bldr_argv: list[str], tmp_path: Path) -> None:
    inner = [*bldr_argv, "run", "--trace", "network", "--", "true"]

    done, _ = traced(
        bldr, tmp_path, "--allow-userns", "-i", "/run/checkout", "-e", "PYTHONPATH", "-e", "HOME=/tmp", "--", *inner
    )

    assert done.returncode == 125
    assert b"cannot trace the command: somebody around this sandbox listens" in done.stderr, done.stderr.decode()
