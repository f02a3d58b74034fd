"""The promises of executions, for a user without rights."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest

pytestmark = pytest.mark.needs("user-namespaces", "unprivileged-user", "system-python")

PROGRAM = """
import asyncio, json, os, threading
from bldr import HermeticExecutor, SandboxSpecBuilder
from bldr.errors import SandboxLostError
spec = SandboxSpecBuilder.create().with_toolchain("system").default_temp("/tmp").env("PATH", "/usr/bin:/bin").build()
executor = HermeticExecutor.create(spec)
launcher = executor._backend.launcher
said = {}
data = bytes(range(256)) * 80000
result = executor.execute(["tee", "/dev/stderr"], stdin=data)
said["streams"] = result.stdout == result.stderr == data
result = executor.execute(["sh", "-c", "trap '' TERM; (setsid sleep 60 &); echo x; sleep 60"], timeout=2, grace=0.1)
said["timeout"] = [result.exit_code, result.termination, result.stdout.decode()]
answers = []
def work(number):
    answers.extend(executor.execute(["echo", str(number)]).stdout == b"%d\\n" % number for _ in range(3))
threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
said["threads"] = [len(answers), all(answers)]
said["asyncio"] = asyncio.run(executor.execute_async(["sh", "-c", "exit 3"])).exit_code
with executor.start(["sh", "-c", "echo ready; sleep 60"], stdout="pipe") as session:
    session.stdout.readline()
    os.kill(launcher.pid, 9)
    try:
        session.wait(timeout=30)
    except SandboxLostError:
        said["lost"] = True
result = executor.execute(["echo", "next"])
said["next"] = [result.stdout.decode(), result.hermetic]
base = launcher.base
said["scratch"] = [name for name in os.listdir(base) if not name.startswith("ahead-")]
launcher.stop()
said["base"] = os.path.exists(base)
print(json.dumps(said))
"""


def test_executions_of_a_user_without_rights(
    run_unprivileged: Callable[..., subprocess.CompletedProcess[bytes]],
) -> None:
    done = run_unprivileged("-c", PROGRAM)

    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout) == {
        "streams": True,
        "timeout": [124, "timed-out", "x\n"],
        "threads": [48, True],
        "asyncio": 3,
        "lost": True,
        "next": ["next\n", True],
        "scratch": [],
        "base": False,
    }
