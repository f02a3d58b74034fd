"""Action digests, which caches keep: one changes only together with ``KEY_VERSION`` and the name of this file."""

from __future__ import annotations

import json
import os
from pathlib import Path

from bldr.execution.caching import KEY_VERSION, salt
from bldr.model.limits import ResourceLimits
from bldr.model.spec import SandboxSpecBuilder
from bldr.store.messages import Action, Command, Digest, Directory, DirectoryNode, FileNode, SymlinkNode

FILE = Path(__file__).parent / "digests" / f"actions-{KEY_VERSION}.json"


def vectors() -> dict[str, str]:
    source = FileNode("main.c", Digest.of(b"int main(void) { return 0; }\n"))
    script = FileNode("configure", Digest.of(b"#!/bin/sh\n"), is_executable=True)
    odd = FileNode("caf\u00e9", Digest.of(b""), mode=0o600)
    undecodable = FileNode("caf\udce9", Digest.of(b"x"))
    source_directory = Directory((source, script, odd, undecodable), (), (SymlinkNode("latest", "main.c"),))
    root = Directory((), (DirectoryNode("src", Digest.of(source_directory.encode())),), (), 0o700)
    platform = (("OSFamily", "linux"), ("ISA", "x86-64"))
    command = Command(
        ("cc", "-c", "main.c", "-o", "../out/main.o", ""),
        (("PATH", "/usr/bin:/bin"), ("LANG", "C.UTF-8")),
        ("../out", "../log"),
        platform,
        "src",
    )
    spec = SandboxSpecBuilder.create().with_limits(ResourceLimits(memory="1G", cpu_time="90s")).uid(1000).build()
    lines = salt(spec, "none", 2.5)
    action = Action(Digest.of(command.encode()), Digest.of(root.encode()), timeout=90.25, salt=lines, platform=platform)
    return {
        "directory": str(Digest.of(source_directory.encode())),
        "root": str(Digest.of(root.encode())),
        "command": str(Digest.of(command.encode())),
        "salt": lines.decode("ascii"),
        "action": str(Digest.of(action.encode())),
        "empty directory": str(Digest.of(Directory().encode())),
    }


def test_digests_are_what_they_were() -> None:
    text = json.dumps(vectors(), indent=2) + "\n"
    if os.environ.get("BLDR_UPDATE_GOLDEN"):
        FILE.write_text(text, encoding="utf-8")

    assert text == FILE.read_text(encoding="utf-8")
