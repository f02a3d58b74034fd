"""``bldr doctor`` and ``bldr plan`` on hosts of different kinds, which are imitated in namespaces of this one."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.needs("user-namespaces")

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]

# Installs a filter as a container does: clone3 is "missing", unshare is forbidden; then becomes another program.
CONTAINER = """
import os, struct, sys
sys.path.append(sys.argv[1])
from _bldr_launcher import seccomp, syscalls
numbers = {"x86_64": ((435, 38), (272, 1)), "aarch64": ((435, 38), (97, 1))}[syscalls.MACHINE]
program = [(seccomp.LD, 0, 0, seccomp.NR_OFFSET)]
for number, errno in numbers:
    program += [(seccomp.JEQ, 0, 1, number), (seccomp.RET, 0, 0, seccomp.ERRNO | errno)]
program.append((seccomp.RET, 0, 0, seccomp.ALLOW))
syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
syscalls.install_filter(b"".join(struct.pack("<HBBI", *instruction) for instruction in program))
os.execv(sys.argv[2], sys.argv[2:])
"""


def doctor(argv: list[str]) -> tuple[int, dict[str, dict[str, object]], dict[str, object]]:
    """Status, mechanisms by name, and the whole document."""
    done = subprocess.run([*argv, "doctor", "--json"], capture_output=True, timeout=100, check=False)
    assert done.stderr == b""
    document = json.loads(done.stdout)
    assert done.returncode == (0 if document["hermetic_builds_possible"] else 1)
    return done.returncode, {entry["mechanism"]: entry for entry in document["mechanisms"]}, document


def test_this_host_can(bldr: Run, bldr_argv: list[str]) -> None:
    status, mechanisms, document = doctor(bldr_argv)

    assert status == 0
    assert mechanisms["user-namespace"]["outcome"] == "works"
    assert document["sandbox"] == {"cause": "", "remedy": "", "code": ""}
    done = bldr("doctor")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.endswith(b"Hermetic builds are possible here.\n")


@pytest.mark.needs("landlock-truncate")
def test_it_says_what_can_be_had_without_namespaces(bldr_argv: list[str]) -> None:
    script = f'echo 0 > /proc/sys/user/max_user_namespaces && exec {shlex.join(bldr_argv)} "$@"'
    argv = ["unshare", "-Ur", "sh", "-c", script, "sh"]

    status, _, document = doctor(argv)

    found = document["without_namespaces"]
    assert isinstance(found, dict)
    assert (status, found["possible"], found["cause"]) == (1, True, "")
    assert {"reads-confined", "processes-isolated", "host-identity-hidden"} <= set(found["allow_degraded"])
    assert {"writes-confined", "inputs-read-only", "no-network", "ipc-isolated"} <= set(found["enforced"])
    offer = f"--allow-degraded {','.join(found['allow_degraded'])}"
    done = subprocess.run([*argv, "doctor"], capture_output=True, timeout=100, check=False)
    assert offer.encode() in done.stdout
    accepted = subprocess.run(
        [*argv, "run", *offer.split(), "--", "true"], capture_output=True, timeout=100, check=False
    )
    assert (accepted.returncode, accepted.stderr) == (0, b"")


@pytest.mark.needs("unprivileged-user", "system-python")
def test_it_needs_no_rights(run_unprivileged: Run) -> None:
    done = run_unprivileged("-m", "bldr", "doctor")

    assert (done.returncode, done.stderr) == (0, b"")


def test_a_limit_of_namespaces(bldr_argv: list[str]) -> None:
    script = f'echo 0 > /proc/sys/user/max_user_namespaces && exec {shlex.join(bldr_argv)} "$@"'

    status, mechanisms, document = doctor(["unshare", "-Ur", "sh", "-c", script, "sh"])

    assert status == 1
    found = mechanisms["user-namespace"]
    assert (found["outcome"], found["errno"], found["code"]) == ("missing", 28, "sandbox.userns-disabled")
    assert mechanisms["pivot"]["outcome"] == "not reached"
    assert "sandbox.userns-disabled" in str(document["sandbox"])


def test_a_covered_proc(bldr_argv: list[str]) -> None:
    """What containers do: a mount over a part of /proc, because of which the kernel refuses a new one."""
    script = f'mount -t tmpfs none /proc/scsi 2>/dev/null || mount -t tmpfs none /proc/irq; exec {shlex.join(bldr_argv)} "$@"'

    status, mechanisms, document = doctor(["unshare", "-Urm", "sh", "-c", script, "sh"])

    assert status == 1
    found = mechanisms["proc"]
    assert (found["outcome"], found["errno"], found["code"]) == ("missing", 1, "sandbox.proc-masked")
    assert mechanisms["pivot"]["outcome"] == "works"
    assert "sandbox.proc-masked" in str(document["sandbox"])


def test_the_filter_of_a_container(bldr_argv: list[str], repository: Path) -> None:
    argv = [sys.executable, "-I", "-S", "-c", CONTAINER, str(repository / "src"), *_interpreted(bldr_argv)]

    status, mechanisms, document = doctor(argv)

    assert status == 1
    assert (mechanisms["user-namespace"]["errno"], mechanisms["clone3"]["errno"]) == (1, 38)
    assert mechanisms["user-namespace"]["code"] == "sandbox.userns-denied"
    assert "seccomp" in str(mechanisms["user-namespace"]["cause"])
    assert mechanisms["landlock"]["outcome"] == mechanisms["seccomp"]["outcome"] == "works"
    assert "seccomp" in str(document["sandbox"])


def test_inside_another_sandbox(bldr: Run, repository: Path) -> None:
    """With --allow-userns everything works once more, and without it the cause is named."""
    show = [part for path in _needed(repository) for part in ("-i", path)]
    environment = ("-e", f"PYTHONPATH={repository / 'src'}")
    inner = [os.path.realpath(sys.executable), "-m", "bldr", "doctor"]

    allowed = bldr("run", *show, *environment, "--allow-userns", "--", *inner)
    forbidden = bldr("run", *show, *environment, "--", *inner)

    assert (allowed.returncode, allowed.stderr) == (0, b"")
    assert forbidden.returncode == 1
    assert b"--allow-userns" in forbidden.stdout


def test_a_run_says_the_same_as_doctor(bldr_argv: list[str]) -> None:
    script = f"echo 0 > /proc/sys/user/max_user_namespaces && exec {shlex.join(bldr_argv)} run -- true"

    done = subprocess.run(["unshare", "-Ur", "sh", "-c", script], capture_output=True, timeout=100, check=False)

    assert (done.returncode, done.stdout) == (125, b"")
    assert b"the surrounding user namespace forbids more of them" in done.stderr
    assert b"bldr: hint: inside another sandbox of bldr: start the outer one with --allow-userns" in done.stderr


def test_a_plan_is_made_without_running(bldr: Run, host_dir: Path) -> None:
    (host_dir / "out").mkdir()

    done = bldr("plan", "-i", ".", "-o", "out", "--", "make", "all targets", cwd=host_dir)

    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode()
    assert text.startswith(f"Command: make 'all targets'\nDirectory: {host_dir}\n")
    assert f"\n  without {host_dir}/out\n" in text
    assert "\n    1  enter new user, mount, pid, network, ipc and uts namespaces\n" in text


def test_a_plan_is_json(bldr: Run, host_dir: Path) -> None:
    document = json.loads(bldr("plan", "--json", "-i", ".", "-e", "A=1", "--timeout", "9", cwd=host_dir).stdout)

    assert document["environment"]["A"] == "1"
    assert document["timeout"] == 9.0
    assert {"at": str(host_dir), "host": str(host_dir), "optional": False, "origin": ""} in document["inputs"]
    assert len(document["digest"]) == 64


def test_a_plan_of_what_cannot_be_is_refused_as_a_run_would_be(bldr: Run, host_dir: Path) -> None:
    for verb in ("plan", "run"):
        done = bldr(verb, "-i", "missing", "--", "true", cwd=host_dir)
        assert (done.returncode, done.stdout) == (125, b"")
        assert done.stderr.startswith(b"bldr: the input '")


def _interpreted(argv: list[str]) -> list[str]:
    """The command by its interpreter, for execv(2)."""
    return [sys.executable, *argv] if len(argv) == 1 else argv


def _needed(repository: Path) -> list[str]:
    """What this interpreter and these sources need inside a sandbox."""
    return sorted({str(repository / "src"), os.path.realpath(sys.base_prefix)} - {"/usr"})
