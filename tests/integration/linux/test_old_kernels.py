"""Kernels before 5.12 lack mount_setattr(2); every mount is remounted instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from _bldr_launcher import syscalls
from _bldr_launcher.mountinfo import mount_points
from bldr import HermeticExecutor, SandboxSpecBuilder
from bldr.sandbox.linux.launcher import Launcher

ENTRY = Path(__file__).with_name("launcher_without_mount_setattr.py")
ATTEMPTS = """
for path in "$@"; do
    if true 2>/dev/null > "$path/new"; then echo "$path written"; else echo "$path refused"; fi
done
"""


@pytest.mark.needs("user-namespaces")
def test_inputs_are_read_only_without_mount_setattr(tmp_path: Path) -> None:
    source, output = tmp_path / "source", tmp_path / "with space\tand tab"
    source.mkdir()
    output.mkdir()
    builder = SandboxSpecBuilder.create().with_toolchain("system").input(source).default_temp("/tmp")
    launcher = Launcher(entry=[str(ENTRY)])
    expected = [f"{source} refused", "/tmp written", "/usr refused", "/etc refused"]
    places = [str(source), "/tmp", "/usr", "/etc"]
    try:
        launcher.ensure()
        if launcher.mode == "user":  # as real root an output needs an id map, which needs mount_setattr as well
            builder.output(output)
            places.append(str(output))
            expected.append(f"{output} written")
        executor = HermeticExecutor.create(builder.build(), launcher=launcher)
        result = executor.execute(["sh", "-c", ATTEMPTS, "sh", *places])
    finally:
        launcher.stop()

    assert result.stdout.decode().splitlines() == expected
    assert result.hermetic
    assert not list(source.iterdir())


def test_mountinfo_is_read_with_its_escapes_and_flags() -> None:
    text = (
        b"36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n"
        b"37 36 0:5 / /a\\134b ro,nosuid,nodev,noexec,relatime - proc proc rw\n"
    )

    assert mount_points(text) == [
        (b"/mnt 2", syscalls.MS_NOATIME),
        (
            rb"/a\b",
            syscalls.MS_RDONLY | syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC | syscalls.MS_RELATIME,
        ),
    ]
