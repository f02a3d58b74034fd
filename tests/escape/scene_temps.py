"""Temps: what a command finds in them, what it may leave there, and what is left of that afterwards."""

from __future__ import annotations

import os
import subprocess
import tempfile

from bldr import HermeticExecutor
from bldr.sandbox.linux.launcher import Launcher
from tests.escape.stage import BOUND, Tree, environment, with_tree

LEVELS = 1_000  # longer than a path may be, and more than the descriptors that a process usually has
LITTER = """
import os, socket, sys
undeclared, depth = sys.argv[1], int(sys.argv[2])
os.chdir("/tmp")
os.symlink(undeclared, "link")
os.symlink("../../../../../../../../.." + undeclared, "relative-link")
os.mkdir("closed")
os.mkdir("closed/below")
open("closed/below/file", "w").close()
os.symlink(undeclared, "closed/below/link")
os.chmod("closed/below/file", 0)
os.chmod("closed/below", 0o555)
os.chmod("closed", 0)
open(b"newline\\n and \\xff", "w").close()
os.mkfifo("pipe")
socket.socket(socket.AF_UNIX).bind("socket")
for name in range(200):
    open(f"file-{name}", "w").close()
for level in range(depth):
    os.mkdir("deeper")
    os.chdir("deeper")
print("littered", flush=True)
sys.stdin.read()
"""
FILL = "import sys; open(sys.argv[1] + '/big', 'wb').write(bytes(8 << 20))"


def play(world: str) -> dict[str, object]:
    tree = Tree(f"{world}/attempt")
    before = tree.snapshot("undeclared")
    launcher = Launcher()
    builder = with_tree(tree).temp(f"{tree.path}/scratch")
    executor = HermeticExecutor.create(builder.build(), launcher=launcher)
    try:
        facts = _litter(executor, launcher, tree)
        facts["victim"] = before == tree.snapshot("undeclared")
        capped = HermeticExecutor.create(with_tree(tree).tmp_size(1 << 20).build(), launcher=launcher)
        facts |= {
            "uncapped": executor.execute(["python3", "-c", FILL, "/tmp"]).exit_code,
            "capped": capped.execute(["python3", "-c", FILL, "/tmp"]).stderr.decode().splitlines()[-1],
            "left_at_last": _in_use(launcher.base),
        }
        base = launcher.base
    finally:
        launcher.stop()
    return facts | {"base_left": os.path.exists(base), "scratch_on_host": os.path.exists(f"{tree.path}/scratch")}


def _litter(executor: HermeticExecutor, launcher: Launcher, tree: Tree) -> dict[str, object]:
    with tempfile.NamedTemporaryFile(prefix="bldr-test.", dir="/tmp") as marker:
        listing = ["ls", "-A", "/tmp", f"{tree.path}/scratch"]
        mode = ["stat", "-c", "%a %u", "/tmp", f"{tree.path}/scratch"]
        facts: dict[str, object] = {
            "host": os.path.basename(marker.name) in os.listdir("/tmp"),
            "first": executor.execute(listing).stdout.decode(),
            "modes": executor.execute(mode).stdout.decode().split("\n"),
        }
        with executor.start(
            ["python3", "-c", LITTER, tree.undeclared, str(LEVELS)], stdin="pipe", stdout="pipe"
        ) as session:
            assert session.stdin is not None
            assert session.stdout is not None
            facts["said"] = session.stdout.readline().decode()
            facts["during"] = len(_in_use(launcher.base))
            (name,) = _in_use(launcher.base)
            facts["file_system"] = [_file_system(f"{launcher.base}/{name}"), _inside_file_system(executor)]
            session.stdin.close()
            try:
                result = session.wait(BOUND)
            except OSError as error:
                facts["error"] = str(error)
            else:
                facts["removed"] = result.receipt.record("temps-removed").verified
        facts["after"] = _in_use(launcher.base)
        facts["second"] = executor.execute(listing).stdout.decode()
    return facts


def _in_use(base: str) -> list[str]:
    """The directories of sandboxes that run, without those that the launcher has made ahead."""
    return [name for name in os.listdir(base) if not name.startswith("ahead-")]


def _file_system(path: str) -> str:
    argv = ["stat", "-f", "-c", "%T", path]
    return subprocess.run(argv, check=True, capture_output=True, text=True, env=environment()).stdout.strip()


def _inside_file_system(executor: HermeticExecutor) -> str:
    return executor.execute(["stat", "-f", "-c", "%T", "/tmp"]).stdout.decode().strip()
