"""The ordinary use of bldr, on each kernel and as each kind of user."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., subprocess.CompletedProcess[bytes]]

pytestmark = [pytest.mark.needs("throwaway-kernel", "user-namespaces")]

HELLO = '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n'


@pytest.fixture
def receipt(bldr: Run, tmp_path: Path) -> Callable[..., tuple[subprocess.CompletedProcess[bytes], dict[str, Any]]]:
    """Run a command and return what it did, with the guarantees of its receipt by name."""

    def run(*arguments: str, **options: Any) -> tuple[subprocess.CompletedProcess[bytes], dict[str, Any]]:
        done = bldr(
            "run", "--json", str(tmp_path / "result.json"), *arguments, **({"cwd": tmp_path, "timeout": 100} | options)
        )
        result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
        return done, {guarantee["guarantee"]: guarantee for guarantee in result["receipt"]["guarantees"]}

    return run


def test_a_command_runs_hermetically(bldr: Run, tmp_path: Path) -> None:
    done = bldr("run", "-v", "--", "sh", "-c", "echo said; exit 7", cwd=tmp_path, timeout=100)

    assert (done.returncode, done.stdout) == (7, b"said\n"), done.stderr.decode()
    assert b"bldr: hermetic" in done.stderr


def test_doctor_finds_hermetic_builds_possible(doctor: Callable[..., dict[str, Any]]) -> None:
    assert doctor(os.geteuid())["hermetic_builds_possible"] is True


@pytest.mark.needs("c-compiler")
def test_a_program_is_built(bldr: Run, tmp_path: Path) -> None:
    """Root writes outputs through id-mapped mounts, without which they change hands for the time of the run."""
    (tmp_path / "src").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "src/hello.c").write_text(HELLO, encoding="ascii")

    compile_it = ["cc", "src/hello.c", "-o", "out/hello"]
    done = bldr("run", "-i", "src", "-o", "out", "--cwd", str(tmp_path), "--", *compile_it, cwd=tmp_path, timeout=100)

    assert done.returncode == 0, done.stderr.decode()
    assert (tmp_path / "out/hello").stat().st_uid == os.geteuid()
    assert subprocess.run([tmp_path / "out/hello"], check=True, capture_output=True).stdout == b"hello\n"


def test_inputs_and_the_rest_of_the_host_cannot_be_written(bldr: Run, tmp_path: Path) -> None:
    """On Linux 5.10 this is kept by remounting each mount, because mount_setattr is not there."""
    (tmp_path / "in").mkdir()
    attempts = "for place in in/new /usr/new /etc/new /new; do (echo x >$place) 2>/dev/null && echo $place; done; true"

    done = bldr("run", "-i", "in", "--cwd", str(tmp_path), "--", "sh", "-c", attempts, cwd=tmp_path, timeout=100)

    assert (done.returncode, done.stdout) == (0, b""), done.stderr.decode()


@pytest.mark.needs("without-mount-setattr")
def test_without_mount_setattr_inputs_are_read_only_and_the_receipt_says_by_what(
    receipt: Callable[..., Any], doctor: Callable[..., dict[str, Any]]
) -> None:
    done, guarantees = receipt("--", "true")
    found = doctor(os.geteuid())["by_name"]["mount-setattr"]

    assert done.returncode == 0
    assert guarantees["inputs-read-only"]["verified"] is True
    assert guarantees["inputs-read-only"]["enforced_by"] == ["mount-namespace"]
    assert found["outcome"] == "missing"
    assert "Linux 5.12" in found["cause"]
    assert "5.12 or later" in found["remedy"]


@pytest.mark.needs("without-landlock")
def test_without_landlock_the_receipt_does_not_claim_it(receipt: Callable[..., Any]) -> None:
    _, guarantees = receipt("--", "true")

    assert guarantees["writes-confined"]["enforced_by"] == ["mount-namespace"]
    assert guarantees["writes-confined"]["detail"] == "no Landlock on this kernel"


@pytest.mark.needs("landlock")
def test_with_landlock_the_receipt_names_it(receipt: Callable[..., Any]) -> None:
    _, guarantees = receipt("--require", "writes-confined=landlock", "--", "true")

    assert guarantees["writes-confined"]["enforced_by"] == ["mount-namespace", "landlock"]


@pytest.mark.needs("without-landlock")
def test_a_layer_that_this_kernel_lacks_is_not_promised(bldr: Run, tmp_path: Path) -> None:
    done = bldr("run", "--require", "writes-confined=landlock", "--", "true", cwd=tmp_path, timeout=100)

    assert done.returncode == 125
    assert done.stderr.startswith(b"bldr: the guarantee writes-confined cannot be enforced by landlock here\n")
