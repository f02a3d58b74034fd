"""What ``bldr plan`` prints for some specs, word for word: people compare these texts.

``BLDR_UPDATE_GOLDEN=1 pytest tests/golden`` rewrites them; the difference is for a reviewer to read.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bldr.model.environment import EnvSet
from bldr.model.paths import PathSet
from bldr.model.process import ProcessPolicy
from bldr.model.spec import SandboxSpec, SandboxSpecBuilder
from bldr.sandbox.linux.plan import compile as compile_plan
from bldr.sandbox.resolve import resolve
from tests.property.plan_hosts import MemoryHost

PLANS = Path(__file__).parent / "plans"

HOST = MemoryHost(
    {
        "/bin": "-> usr/bin",
        "/lib": "-> usr/lib",
        "/lib64": "-> usr/lib64",
        "/sbin": "-> usr/sbin",
        "/usr/bin/cc": "-> ../../etc/alternatives/cc",
        "/usr/lib/os-release": "file",
        "/usr/lib64": "dir",
        "/usr/local/go/bin/go": "file",
        "/usr/local/lib": "dir",
        "/usr/sbin": "dir",
        "/etc/alternatives/cc": "-> /usr/bin/gcc",
        "/etc/ld.so.cache": "file",
        "/etc/machine-id": "file",
        "/etc/os-release": "-> ../usr/lib/os-release",
        "/etc/ssl/certs": "dir",
        "/dev/kvm": "device",
        "/tmp/proj/Makefile": "file",
        "/tmp/proj/docs": "-> ../elsewhere",
        "/tmp/proj/out": "dir",
        "/tmp/proj/src/main.c": "file",
        "/home/me/dist dir": "dir",
        "/home/me/secret.key": "file",
        "/home/me/src": "-> /srv/src",
        "/srv/src/.git/hooks": "dir",
        "/srv/src/a.py": "file",
    }
)


def build_in_tmp() -> SandboxSpec:
    """A build below /tmp, as the command line declares it; its temp is not there yet."""
    builder = SandboxSpecBuilder.create().carve().with_toolchain("system").default_temp("/tmp")
    return builder.env_set(EnvSet.hermetic()).input("/tmp/proj").output("/tmp/proj/out").temp("/tmp/proj/cache").build()


def mapped_with_holes() -> SandboxSpec:
    """Links, mapped places, a hole, a part of what a toolchain hides, a device, another user, temps in memory."""
    source = PathSet.subtree("/srv/src") - PathSet.subtree("/srv/src/.git")
    builder = SandboxSpecBuilder.create().carve().with_toolchain("system").input(source).input("/home/me/src")
    builder.input("/usr/local/go").input("/dev/kvm").output("/home/me/dist dir", "/dist").temp("/scratch")
    return builder.uid(1000).hostname("worker").tmp_size("64M").build()


def smallest() -> SandboxSpec:
    """Nothing but what every sandbox has, with sandboxes inside."""
    return SandboxSpecBuilder.create().with_process(ProcessPolicy(allow_userns=True)).build()


@pytest.mark.parametrize("spec_of", [build_in_tmp, mapped_with_holes, smallest], ids=lambda spec_of: spec_of.__name__)
def test_the_plan_reads_as_it_did(spec_of: object) -> None:
    assert callable(spec_of)
    resolved = resolve(spec_of(), host=HOST)
    text = "\n".join([*compile_plan(resolved).describe(), *(f"note: {note}" for note in resolved.notes), ""])
    file = PLANS / f"{getattr(spec_of, '__name__', '')}.txt"
    if os.environ.get("BLDR_UPDATE_GOLDEN"):
        file.write_text(text, encoding="utf-8")

    assert text == file.read_text(encoding="utf-8")
