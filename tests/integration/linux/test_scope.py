"""Asking systemd for a scope: what comes of it when it does not do what it is asked for, and never without a bound.

That a scope is used is tested where there are cgroups, see tests/kernels/test_scope.py.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bldr.sandbox.linux.launcher import Groups
from bldr.sandbox.linux.scope import Answer, ask, bus_path, settled
from tests.private_bus import bus, fake_systemd

pytestmark = pytest.mark.needs("dbus-daemon")

BOUND = 30


@pytest.fixture
def path(tmp_path: Path) -> Iterator[str]:
    with bus(tmp_path) as path:
        yield path


@pytest.fixture
def child() -> Iterator[int]:
    with subprocess.Popen(["sleep", "300"]) as process:
        yield process.pid
        process.kill()


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        ("refuse", "systemd refused it: Access denied"),
        ("fail", "systemd did not make one: failed"),
        ("lie", "systemd said that it had made one, and moved nobody into it"),
    ],
)
def test_a_systemd_that_does_not_do_it_is_quoted(path: str, child: int, behaviour: str, why: str) -> None:
    with fake_systemd(path, behaviour):
        assert ask(child, path, patience=BOUND) == Answer(asked=True, why=why)


@pytest.mark.parametrize("behaviour", ["silent", "forget"])
def test_a_systemd_that_does_not_answer_is_not_waited_for(path: str, child: int, behaviour: str) -> None:
    with fake_systemd(path, behaviour):
        started = time.monotonic()
        answer = ask(child, path, patience=0.5)

    assert answer == Answer(asked=True, why="systemd gave no answer within 0.5 s")
    assert time.monotonic() - started < BOUND


def test_a_systemd_that_hangs_up_is_told(path: str, child: int) -> None:
    with fake_systemd(path, "hang-up"):
        answer = ask(child, path, patience=BOUND)

    assert answer.asked
    assert answer.why.startswith("systemd refused it: ")


def test_a_bus_without_systemd_says_so(path: str, child: int) -> None:
    answer = ask(child, path, patience=BOUND)

    assert answer.asked
    assert "systemd refused it: " in answer.why
    assert "org.freedesktop.systemd1" in answer.why


def test_without_a_bus_nobody_is_asked(child: int) -> None:
    assert ask(child, "") == Answer(asked=False, why="no bus of the user is there")


def test_a_socket_that_nobody_serves_is_told(tmp_path: Path, child: int) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "bus"))
        answer = ask(child, str(tmp_path / "bus"), patience=BOUND)

    assert answer == Answer(asked=True, why=f"the bus at {str(tmp_path / 'bus')!r} cannot be used: Connection refused")


@pytest.mark.parametrize("words", [b"", b"REJECTED KERBEROS_V4\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\0" * 4000])
def test_a_server_of_something_else_is_not_believed(tmp_path: Path, child: int, words: bytes) -> None:
    """One that never answers, one that refuses, and those that speak something else."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "bus"))
        server.listen()
        if words:
            program = "import os, socket, sys\nclient, _ = socket.socket(fileno=int(sys.argv[1])).accept()\n"
            program += "client.recv(100)\nclient.sendall(bytes.fromhex(sys.argv[2]))\nclient.recv(100)"
            argv = [sys.executable, "-I", "-c", program, str(server.fileno()), words.hex()]
            with subprocess.Popen(argv, pass_fds=[server.fileno()]) as process:
                answer = ask(child, str(tmp_path / "bus"), patience=1)
                process.kill()
        else:
            answer = ask(child, str(tmp_path / "bus"), patience=0.3)

    assert answer.asked
    assert answer.why


def test_the_bus_is_found_where_the_session_says(tmp_path: Path) -> None:
    (tmp_path / "bus").touch()
    (tmp_path / "other").touch()
    runtime = {"XDG_RUNTIME_DIR": str(tmp_path)}

    assert bus_path(runtime, 4242) == f"{tmp_path}/bus"
    address = {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={tmp_path}/other,guid=0123"}
    assert bus_path(runtime | address, 4242) == f"{tmp_path}/other"
    several = {"DBUS_SESSION_BUS_ADDRESS": f"tcp:host=localhost,port=1;unix:path={tmp_path}/other"}
    assert bus_path(several, 4242) == f"{tmp_path}/other"
    for nowhere in ({}, {"XDG_RUNTIME_DIR": "/nowhere"}, {"DBUS_SESSION_BUS_ADDRESS": "nonsense"}):
        assert bus_path(nowhere, 4242) == ""


def test_a_refusal_says_what_systemd_said(path: str, child: int) -> None:
    with fake_systemd(path, "refuse"):
        groups = settled(child, Groups(why="/x: Permission denied"), lambda: Groups("/place"), path=path)

    assert groups.why == "/x: Permission denied; a scope was asked for as well: systemd refused it: Access denied"
    assert settled(child, Groups(why="/x"), lambda: Groups("/place"), path="").why == "/x"
