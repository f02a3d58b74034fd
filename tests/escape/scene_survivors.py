"""Processes that try to outlive the command, a timeout, and the supervisor.

A survivor shows by the lock that it holds on a file of the output. The control has to get rid of its survivor itself.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys

from bldr.sandbox.select import weaker_guarantees
from tests.escape.stage import (
    BOUND,
    CODE,
    LANDLOCK,
    PROGRAMS,
    PYTHON,
    Tree,
    builder,
    environment,
    executor_of,
    with_tree,
)


def play(world: str) -> dict[str, object]:
    tree = Tree(f"{world}/attempt")
    facts: dict[str, object] = {"control": _control(tree)}
    executor = executor_of(with_tree(tree))
    result = executor.execute(_argv(tree, "exit"), timeout=BOUND)
    facts["exit"] = {
        "said": result.stdout.decode(),
        "status": result.exit_code,
        "held": _is_held(tree, "exit"),
        "verified": result.receipt.record("no-survivors").verified,
    }
    # Three of the clean-ups at once: the command ignores SIGTERM, and so does what it has left.
    result = executor.execute([*_argv(tree, "timeout"), "stay"], timeout=2, grace=0.1)
    facts["timeout"] = {
        "said": result.stdout.decode(),
        "status": result.exit_code,
        "termination": result.termination,
        "held": _is_held(tree, "timeout"),
    }
    with executor.start([*_argv(tree, "kill"), "stay"], stdout="pipe") as session:
        assert session.stdout is not None
        said = session.stdout.readline().decode()
        held_before = _is_held(tree, "kill")
        session.kill()
        session.wait(BOUND)
    facts["kill"] = {"said": said, "held_before": held_before, "held": _is_held(tree, "kill")}
    facts["death"] = _death(tree, "death", [PYTHON, "-m", "tests.escape.scene_survivors", tree.source, tree.out])
    programs = CODE if LANDLOCK else f"{CODE}/tests/escape/programs:{PROGRAMS}"
    shown = ["-i", programs, "-i", tree.source, "-o", tree.out]
    program = [PYTHON, "-m", "bldr", "run", "-q"]
    if LANDLOCK:
        without = [PYTHON, f"{CODE}/tests/escape/without_namespaces.py", "filter"]
        program = [*without, *program, "--allow-degraded", ",".join(weaker_guarantees())]
    facts["command_death"] = _death(tree, "command", [*program, *shown, "--"])
    return facts


def _argv(tree: Tree, name: str) -> list[str]:
    os.mkfifo(f"{tree.out}/{name}.stop")
    return ["python3", f"{PROGRAMS}/survivor.py", f"{tree.out}/{name}.lock", f"{tree.out}/{name}"]


def _control(tree: Tree) -> dict[str, object]:
    _, _, lock, ready = _argv(tree, "control")
    argv = [PYTHON, f"{CODE}/tests/escape/programs/survivor.py", lock, ready]
    done = subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, timeout=BOUND, env=environment())
    held = _is_held(tree, "control")
    os.close(os.open(f"{tree.out}/control.stop", os.O_WRONLY))  # returns when the survivor opens the other end
    fcntl.flock(os.open(f"{tree.out}/control.lock", os.O_RDWR), fcntl.LOCK_EX)  # it has ended
    return {"status": done.returncode, "held": held}


def _is_held(tree: Tree, name: str) -> bool:
    fd = os.open(f"{tree.out}/{name}.lock", os.O_RDWR)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _death(tree: Tree, name: str, supervisor: list[str]) -> dict[str, object]:
    """Kill a supervisor with SIGKILL; the kernel and the launcher have to clean up."""
    scratch = f"{tree.path}/scratch-{name}"
    os.mkdir(scratch)
    argv = [*supervisor, *_argv(tree, name), "stay"]
    env = {**os.environ, "TMPDIR": scratch}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        (base,) = os.listdir(scratch)
        launcher = os.open(f"{scratch}/{base}", os.O_RDONLY)
        facts = {"said": said, "held_before": _is_held(tree, name)}
        process.send_signal(signal.SIGKILL)
    signal.alarm(BOUND)  # a hang is a failure
    with open(f"{tree.out}/{name}.lock", "r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
    fcntl.flock(launcher, fcntl.LOCK_EX)  # the launcher holds this one until it ends
    os.close(launcher)
    signal.alarm(0)
    return facts | {"held": _is_held(tree, name), "scratch": os.listdir(scratch)}


def supervise() -> None:
    """Be the supervisor that dies."""
    _, source, out, *argv = sys.argv
    spec = builder().input(source).output(out)
    executor_of(spec).execute(argv, stdout="inherit", stderr="inherit")


if __name__ == "__main__":
    supervise()
