"""Attempts on processes, kernel objects and terminals of a host that has some of each.

The session keyring, the host name and the objects of System V are made in namespaces and keyrings of this scene, so
nothing of the real host is touched.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator

from tests.escape.programs.calls import call
from tests.escape.stage import PYTHON, Tree, controls, executor_of, is_host_root, tried, with_tree

IPC_CREAT, IPC_RMID = 0o1000, 0  # <linux/ipc.h>
KEYCTL_JOIN_SESSION_KEYRING, KEY_SPEC_SESSION_KEYRING = 1, -3  # <linux/keyctl.h>
HOST, DOMAIN = "secret-host", "secret.example"


def play(world: str) -> dict[str, object]:
    if not os.environ.get("OWN_NAMES"):
        os.environ["OWN_NAMES"] = "1"
        flags = ["-u"] if is_host_root() else ["-U", "-r", "-u"]
        os.execvp("unshare", ["unshare", *flags, PYTHON, "-m", "tests.escape.stage", "processes", world])
    call("sethostname", HOST.encode(), len(HOST))
    call("setdomainname", DOMAIN.encode(), len(DOMAIN))
    control, attempt = Tree(f"{world}/control"), Tree(f"{world}/attempt")
    leader, follower = os.openpty()
    more: dict[str, object] = {"hostname": HOST, "domainname": DOMAIN, "terminal": os.ttyname(follower)}
    with _objects() as objects, _leak(control.path, 210) as leak, _leak(attempt.path, 211) as other_leak:
        more |= objects
        with _victim(f"bldr-victim.{os.getpid()}") as (first, places):
            outcome = controls("processes", control.places(leaked=leak, **places, **more))
            call("sethostname", HOST.encode(), len(HOST))  # an attempt has changed it
        with _victim(f"bldr-other-victim.{os.getpid()}") as (second, places):
            answer = tried(
                executor_of(with_tree(attempt)), "processes", attempt.places(leaked=other_leak, **places, **more)
            )
    os.close(leader)
    os.close(follower)
    # The control hit its victim with SIGUSR1; the other one ended in peace when its input did.
    return answer | {"outside": outcome, "victims": [first.returncode, second.returncode]}


@contextlib.contextmanager
def _victim(marker: str) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, object]]]:
    """A process that lives until its input ends."""
    victim = subprocess.Popen(
        ["sh", "-c", "echo; read -r line; exit 0", marker], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert victim.stdin is not None
    assert victim.stdout is not None
    victim.stdout.readline()
    try:
        yield victim, {"victim": victim.pid, "marker": marker}
    finally:
        with contextlib.suppress(BrokenPipeError):
            victim.stdin.close()
        victim.wait(timeout=60)
        victim.stdout.close()


@contextlib.contextmanager
def _leak(path: str, number: int) -> Iterator[int]:
    """A descriptor of a host directory that a careless caller lets every child inherit."""
    fd = os.open(path, os.O_RDONLY)
    os.dup2(fd, number, inheritable=True)
    os.close(fd)
    try:
        yield number
    finally:
        os.close(number)


@contextlib.contextmanager
def _objects() -> Iterator[dict[str, object]]:
    """One object of each kind that processes may share by name."""
    key, name = 0x62000000 | os.getpid(), f"bldr-test.{os.getpid()}"
    memory = call("shmget", key, 4096, IPC_CREAT | 0o600)
    semaphore = call("semget", key, 1, IPC_CREAT | 0o600)
    queue = call("msgget", key, IPC_CREAT | 0o600)
    os.close(call("mq_open", name.encode(), os.O_RDWR | os.O_CREAT, 0o600, 0))
    os.close(os.open(f"/dev/shm/{name}", os.O_RDWR | os.O_CREAT, 0o600))
    with contextlib.suppress(PermissionError):  # inside another sandbox
        call("keyctl", KEYCTL_JOIN_SESSION_KEYRING, 0)
        call("add_key", b"user", name.encode(), b"payload", 7, KEY_SPEC_SESSION_KEYRING)
    try:
        yield {"key": key, "name": name}
    finally:
        call("shmctl", memory, IPC_RMID, 0)
        call("semctl", semaphore, 0, IPC_RMID, 0)
        call("msgctl", queue, IPC_RMID, 0)
        call("mq_unlink", name.encode())
        os.unlink(f"/dev/shm/{name}")
