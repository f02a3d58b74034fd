"""``make demo`` works, with the C project and with the Python one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest


@pytest.fixture
def checkout(tmp_path: Path, repository: Path) -> Path:
    shutil.copytree(repository / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(repository / "LICENSE", tmp_path)
    return tmp_path


def play_demo(checkout: Path, **environment: str) -> str:
    done = subprocess.run(
        ["/bin/sh", str(checkout / "examples" / "demo" / "demo.sh")],
        check=False,
        env=dict(os.environ, PATH=f"{sysconfig.get_path('scripts')}:/usr/bin:/bin", **environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
    )

    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.needs("user-namespaces", "bldr-command", "c-compiler")
@pytest.mark.slow
def test_the_demo_builds_a_c_project(checkout: Path) -> None:
    printed = play_demo(checkout)

    assert "ok     a stream is read to its end" in printed
    assert "reads-confined" in printed
    assert f"cat: {checkout}/LICENSE: No such file or directory" in printed
    assert "Read-only file system" in printed
    assert "Network is unreachable" in printed
    assert os.access(checkout / "demo-out" / "tally", os.X_OK)
    assert ("2 of 2 tests passed" in printed) == (checkout / "demo-out" / "polyglot").exists()
    assert sorted(path.name for path in (checkout / "examples" / "tally").iterdir()) == [
        "Makefile",
        "include",
        "src",
        "tests",
    ]


@pytest.mark.needs("user-namespaces", "bldr-command", "system-python")
@pytest.mark.slow
def test_the_demo_builds_a_python_project_without_a_compiler(checkout: Path) -> None:
    printed = play_demo(checkout, DEMO="python")

    assert "Ran 2 tests" in printed
    assert "Network is unreachable" in printed
    assert (checkout / "demo-out" / "tally.pyz").is_file()
