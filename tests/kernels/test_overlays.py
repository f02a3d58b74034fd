"""Overlays on each kernel and as each kind of user: with overlayfs where the kernel has it, else with a copy."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[bytes]]

pytestmark = [pytest.mark.needs("throwaway-kernel", "user-namespaces")]

CHANGE = "echo more >> a; rm -r sub; mkdir sub; touch sub/new"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "sub").mkdir(parents=True)
    (root / "a").write_text("a\n", encoding="ascii")
    (root / "sub" / "b").touch()
    return root


def test_a_tree_is_written_and_stays_as_it_was(bldr: Run, tree: Path, tmp_path: Path) -> None:
    arguments = ("--json", tmp_path / "result", "--overlay", tree, "--cwd", tree)

    done = bldr("run", *arguments, "--", "sh", "-c", f"{CHANGE}; cat a; ls sub", cwd=tree, timeout=100)

    assert done.stdout == b"a\nmore\nnew\n", done.stderr
    assert (tree / "a").read_text("ascii") == "a\n"
    assert os.listdir(tree / "sub") == ["b"]
    result = json.loads((tmp_path / "result").read_text("ascii"))
    (row,) = [one for one in result["receipt"]["guarantees"] if one["guarantee"] == "overlays-private"]
    assert row["enforced_by"] in (["overlayfs"], ["copy"])
    assert bool(row["detail"]) == (row["enforced_by"] == ["copy"])


def test_a_trial_is_committed(bldr: Run, tree: Path) -> None:
    done = bldr("try", "--commit", "--", "sh", "-c", CHANGE, cwd=tree, timeout=100)

    assert done.returncode == 0, done.stderr
    assert (tree / "a").read_text("ascii") == "a\nmore\n"
    assert os.listdir(tree / "sub") == ["new"]


@pytest.mark.needs("without-overlay-in-userns")
def test_old_kernels_get_copies(bldr: Run, tree: Path) -> None:
    """Linux 5.11 was the first one to let users mount overlays."""
    done = bldr("run", "-v", "--overlay", tree, "--cwd", tree, "--", "true", cwd=tree, timeout=100)

    assert b"a copy instead of an overlay, because" in done.stderr
