"""Outputs of real root where the file system has no id-mapped mounts: the command can write, the caller owns it all.

A ramfs is such a file system everywhere. It is mounted in a mount namespace of the test's own.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.capabilities import SYSTEM_PYTHON

pytestmark = pytest.mark.needs("root", "user-namespaces", "system-python")

PROGRAM = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
place = sys.argv[2]
from bldr import HermeticExecutor, SandboxSpecBuilder
from bldr.errors import BldrError

output = place + "/output"
os.makedirs(output + "/old/deep")
open(output + "/old/file", "w").close()
open(output + "/theirs", "w").close()
os.chown(output + "/theirs", 4321, 4321)
open(place + "/elsewhere", "w").close()
os.link(place + "/elsewhere", output + "/second-name")
os.symlink(place + "/elsewhere", output + "/link")
made = SandboxSpecBuilder.create().with_toolchain("system").output(output)
executor = HermeticExecutor.create(made.build())
script = sys.argv[3]
try:
    result = executor.execute(["sh", "-c", script, "sh", output], stderr="stdout", timeout=60)
    told = {"said": result.stdout.decode(), "notes": list(result.receipt.notes)}
except BldrError as error:
    told = {"error": str(error)}
owners, setid = {}, []
for directory, names, files in os.walk(place):
    for name in names + files:
        path = os.path.join(directory, name)
        owners[os.path.relpath(path, place)] = os.lstat(path).st_uid
        if os.lstat(path).st_mode & 0o6000:
            setid.append(path)
print(json.dumps(told | {"owners": owners, "setid": setid}))
"""
WRITES = """
cd $1 && echo new > new && mkdir -p old/deep/er && echo more >> old/file && ln new twice && ln -s new points
cp /bin/true setid && chmod 4755 setid
echo x >> theirs || echo theirs refused
echo x >> second-name || echo second-name refused
stat -c %u new old
"""


def play(host_dir: Path, script: str, program: str = PROGRAM) -> dict[str, Any]:
    repository = Path(__file__).parents[3]
    mounting = 'mount -t ramfs bldr-test "$1" && shift && exec "$@"'
    argv = ["unshare", "-m", "--propagation", "private", "sh", "-c", mounting, "sh", str(host_dir)]
    argv += [SYSTEM_PYTHON, "-B", "-c", program, str(repository / "src"), str(host_dir), script]
    done = subprocess.run(argv, check=False, capture_output=True, timeout=100)
    assert done.returncode == 0, done.stderr.decode()
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_the_command_writes_and_the_caller_owns_it_all(host_dir: Path) -> None:
    told = play(host_dir, WRITES)
    said = told["said"].splitlines()
    assert [line for line in said if line.endswith(" refused")] == ["theirs refused", "second-name refused"]
    assert said[-2:] == ["0", "0"]  # inside it is root's
    owners = told["owners"]
    assert owners.pop("output/theirs") == 4321
    expected = {"new", "twice", "points", "setid", "link", "second-name", "old", "old/file", "old/deep", "old/deep/er"}
    assert set(owners) == {"elsewhere", "output", *(f"output/{name}" for name in expected)}
    assert set(owners.values()) == {0}
    assert told["setid"] == []  # root's program that others run as root must not be one that a build wrote
    assert any("no id-mapped mounts, so what root owns in it belonged to uid" in note for note in told["notes"])


def test_it_is_given_back_when_the_command_cannot_be_started(host_dir: Path) -> None:
    program = PROGRAM.replace('["sh", "-c", script, "sh", output]', '["/no/such/command"]')
    assert program != PROGRAM
    told = play(host_dir, "", program)
    assert "no/such/command" in told["error"]
    assert set(told["owners"].values()) == {0, 4321}
