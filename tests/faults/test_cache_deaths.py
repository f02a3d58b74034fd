"""The supervisor of a cached run dies at any moment: the next one is never told something wrong."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]

pytestmark = [pytest.mark.needs("user-namespaces"), pytest.mark.slow]

DEATHS = 15
SCRIPT = "i=0; while [ $i -lt 40 ]; do cat src/a > out/$i; i=$((i+1)); done; cat src/a"


@pytest.mark.timeout(280)
def test_a_run_that_is_killed_at_any_moment_leaves_a_cache_that_is_right(
    bldr: Run, bldr_argv: list[str], host_dir: Path
) -> None:
    """Each death is of another content, so that a half-kept result would be taken for a whole one later."""
    source, output, cache = host_dir / "w" / "src", host_dir / "w" / "out", host_dir / "cache"
    source.mkdir(parents=True)
    output.mkdir()
    words = [f"--cache={cache}", "-i", "src", "-o", "out", "--cwd", ".", "--", "sh", "-c", SCRIPT]
    (source / "a").write_text("first", encoding="ascii")
    assert bldr("run", *words, cwd=host_dir / "w").returncode == 0  # it also looks at the toolchain
    begun = time.monotonic()
    (source / "a").write_text("second", encoding="ascii")
    assert bldr("run", *words, cwd=host_dir / "w").returncode == 0
    usual = time.monotonic() - begun
    moments = random.Random(0)
    for death in range(DEATHS):
        (source / "a").write_text(f"content {death}", encoding="ascii")
        process = subprocess.Popen(
            [*bldr_argv, "run", *words], cwd=host_dir / "w", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(moments.uniform(0, usual))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.wait()

    assert bldr("cache", "verify", "--dir", cache).returncode == 0
    for death in reversed(range(DEATHS)):
        (source / "a").write_text(f"content {death}", encoding="ascii")
        shutil.rmtree(output)
        output.mkdir()
        done = bldr("run", *words, cwd=host_dir / "w")

        assert (done.returncode, done.stdout) == (0, f"content {death}".encode()), done.stderr
        assert {path.read_text(encoding="ascii") for path in output.iterdir()} == {f"content {death}"}
        assert len(list(output.iterdir())) == 40
    assert list((cache / "staging").iterdir()) == []
