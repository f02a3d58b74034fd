"""A message bus of a test's own, with a systemd on it that does as it is told."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["bus", "fake_systemd"]

BOUND = 60  # seconds
FAKE = Path(__file__).with_name("fake_systemd.py")
CONFIGURATION = """
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={path}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
  </policy>
</busconfig>
"""


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], BOUND)
    assert ready, "nothing was printed in time"
    return process.stdout.readline().strip()


@contextlib.contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@contextlib.contextmanager
def bus(directory: Path) -> Iterator[str]:
    """Start a daemon for everybody; yields the path of its socket."""
    path = directory / "bus"
    configuration = directory / "bus.conf"
    configuration.write_text(CONFIGURATION.format(path=path), encoding="ascii")
    argv = ["dbus-daemon", f"--config-file={configuration}", "--nofork", "--nopidfile", "--print-address"]
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    with ended(process):
        assert first_line(process).startswith("unix:path=")
        os.chmod(path, 0o777)
        yield str(path)


@contextlib.contextmanager
def fake_systemd(path: str, behaviour: str, directory: str = "") -> Iterator[None]:
    """Put a systemd on a bus."""
    argv = [sys.executable, str(FAKE), f"unix:path={path}", behaviour, directory]
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    with ended(process):
        assert first_line(process) == "ready"
        yield
