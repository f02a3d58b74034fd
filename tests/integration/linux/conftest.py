"""What several files of these tests use."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bldr.sandbox.linux.launcher import Launcher
from tests.dialling import echo
from tests.far_hosts import stream_server


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    """A launcher for the tests of one file."""
    launcher = Launcher()
    yield launcher
    launcher.stop()


@pytest.fixture(scope="module")
def echo_port() -> Iterator[int]:
    """The port of a server on the host's loopback that sends back what it receives."""
    with stream_server(echo) as port:
        yield port


@pytest.fixture(scope="session")
def known_toolchain(bldr_argv: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index of a cache that has looked at the toolchain, which takes seconds."""
    cache = tmp_path_factory.mktemp("known") / "cache"
    subprocess.run([*bldr_argv, "run", f"--cache={cache}", "--", "true"], check=True, capture_output=True, timeout=100)
    return cache / "index.sqlite"
