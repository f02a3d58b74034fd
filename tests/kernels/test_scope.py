"""A user without a cgroup of its own gets one from systemd: a fake one on a real bus, on a kernel with real cgroups."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cgroupfs import Cgroup
from tests.private_bus import bus, fake_systemd

pytestmark = [pytest.mark.needs("cgroup-root", "dbus-daemon", "user-namespaces")]

USER = 1  # one with a name, daemon: a bus lets in nobody else
Bldr = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def session(cgroup: Cgroup) -> Cgroup:
    """As of ssh: root's, in which a user may make nothing."""
    cgroup.enable("memory", "pids", "cpu")
    return cgroup.child("session")


@pytest.fixture
def service(cgroup: Cgroup, session: Cgroup) -> Cgroup:
    """As user@.service: the user's own, into which nobody but systemd moves somebody from the session."""
    service = cgroup.child("service")
    service.enable("memory", "pids", "cpu")
    return service


@pytest.fixture
def socket(tmp_path: Path) -> Iterator[str]:
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)
    with bus(tmp_path) as path:
        yield path


def as_user(session: Cgroup, socket: str) -> list[str]:
    user = str(USER)
    become = ("setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--")
    address = f"DBUS_SESSION_BUS_ADDRESS=unix:path={socket}"
    return [str(word) for word in session.command(*become, "env", address)]


@pytest.fixture
def limited(bldr_as: Bldr, session: Cgroup, socket: str, tmp_path: Path) -> Callable[..., tuple[int, str, str]]:
    """Run a command with a limit, as a user of the session; returns the status, the mechanism, and what was said."""
    work = tmp_path / f"work-{USER}"
    work.mkdir()
    os.chown(work, USER, USER)

    def run(*arguments: str) -> tuple[int, str, str]:
        file = work / "result.json"
        options = ("run", "--memory", "64M", "--json", str(file), *arguments, "--", "true")
        done = bldr_as(0, *options, under=as_user(session, socket))
        report = json.loads(file.read_text())
        file.unlink()
        if "error" in report:
            return done.returncode, "", report["error"]["message"] + report["error"]["hint"]
        (row,) = [row for row in report["receipt"]["guarantees"] if row["guarantee"] == "memory-limit"]
        return done.returncode, ",".join(row["enforced_by"]), done.stderr.decode()

    return run


@pytest.mark.parametrize("behaviour", ["move", "early"])
def test_systemd_gives_a_scope_in_which_limits_are_enforced(
    limited: Callable[..., tuple[int, str, str]], service: Cgroup, socket: str, behaviour: str
) -> None:
    with fake_systemd(socket, behaviour, str(service.path)):
        assert limited()[:2] == (0, "cgroup")
        assert limited("--require", "memory-limit=cgroup")[:2] == (0, "cgroup")

    scopes = [path for path in service.path.iterdir() if path.is_dir()]
    assert len(scopes) == 2  # which the real one would have removed
    for scope in scopes:
        assert scope.name.endswith(".scope")
        assert {path.name for path in scope.iterdir() if path.is_dir()} <= {"bldr-supervisor"}
        assert Cgroup(scope).fields("cgroup.events")["populated"] == 0


def test_without_it_the_second_line_serves_and_a_requirement_is_refused(
    limited: Callable[..., tuple[int, str, str]], service: Cgroup, socket: str
) -> None:
    with fake_systemd(socket, "refuse"):
        assert limited()[:2] == (0, "sampling")
        status, _, said = limited("--require", "memory-limit=cgroup")

    assert status == 125
    assert "systemd refused it: Access denied" in said
    assert "systemd-run --user --scope" in said


def test_a_default_limit_is_not_worth_asking_for(bldr_as: Bldr, session: Cgroup, service: Cgroup, socket: str) -> None:
    with fake_systemd(socket, "move", str(service.path)):
        assert bldr_as(0, "run", "--", "true", under=as_user(session, socket)).returncode == 0

    assert [path for path in service.path.iterdir() if path.is_dir()] == []


def test_a_hog_is_stopped_at_its_limit_in_a_scope(bldr_as: Bldr, session: Cgroup, service: Cgroup, socket: str) -> None:
    hog = "block = bytearray(300 << 20); print('alive')"
    argv = ("run", "--memory", "64M", "--", "/usr/bin/python3", "-I", "-S", "-c", hog)
    with fake_systemd(socket, "move", str(service.path)):
        done = bldr_as(0, *argv, under=as_user(session, socket))

    assert (done.returncode, done.stdout) == (124, b""), done.stderr.decode()
    assert b"memory limit reached" in done.stderr
