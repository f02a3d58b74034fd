"""An allowed host is reached, and others are refused and named, on each kernel and as each kind of user."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.far_hosts import stream_server

pytestmark = [pytest.mark.needs("throwaway-kernel", "user-namespaces")]

PROGRAM = """
import socket
def attempt(host, port):
    try:
        with socket.create_connection((host, port), 60) as link:
            return link.recv(100).decode()
    except OSError as error:
        return type(error).__name__
print(attempt("far.test", 80), attempt("a.cdn.test", 80), attempt("203.0.113.7", 80))
print(attempt("other.test", 80), attempt("far.test", 81), attempt("1.2.3.4", 80))
"""


def greet(connection: socket.socket) -> None:
    connection.sendall(b"hello")


def test_allowed_hosts_are_reached_and_others_are_refused(
    bldr: Callable[..., subprocess.CompletedProcess[bytes]], tmp_path: Path
) -> None:
    with stream_server(greet) as port:
        hosts = [f"--allow-host={host}:80=127.0.0.1:{port}" for host in ("far.test", "*.cdn.test", "203.0.113.7")]
        words = ("run", "--json", str(tmp_path / "result.json"), *hosts, "--", "/usr/bin/python3", "-I", "-c", PROGRAM)
        done = bldr(*words, cwd=tmp_path, timeout=100)

    assert done.stdout.decode().splitlines() == [
        "hello hello hello",
        "gaierror ConnectionRefusedError ConnectionRefusedError",
    ], done.stderr.decode()
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert [one["subject"] for one in result["denials"]] == ["other.test", "far.test:81", "1.2.3.4:80"]
    assert result["usage"]["network"] == 15
