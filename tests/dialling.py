"""Programs that dial from a sandbox, and what came of it."""

from __future__ import annotations

import socket

from bldr import (
    ExecutionResult,
    HermeticExecutor,
    NetworkPolicy,
)
from bldr.sandbox.linux.launcher import Launcher
from tests.processes import BOUND, specification

__all__ = ["DIAL", "echo", "printed", "refused", "run"]

DIAL = """
import socket, sys
def dial(host, port, timeout=20):
    return socket.create_connection((host, port), timeout)
def ask(host, port, data=b"hello"):
    with dial(host, port) as link:
        link.sendall(data)
        link.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: link.recv(65536), b""))
def failure(call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        return type(error).__name__
    return "none"
"""


def echo(connection: socket.socket) -> None:
    while data := connection.recv(65536):
        connection.sendall(data.upper())
    connection.shutdown(socket.SHUT_WR)


def run(launcher: Launcher, hosts: list[str], program: str, **options: object) -> ExecutionResult:
    spec = specification().with_network(NetworkPolicy.allow_hosts(hosts)).build()
    executor = HermeticExecutor.create(spec, launcher=launcher)
    words = ["/usr/bin/python3", "-I", "-c", DIAL + program]
    return executor.execute(words, timeout=BOUND * 2, **options)  # type: ignore[arg-type]


def printed(result: ExecutionResult) -> list[str]:
    assert result.exit_code == 0, result.stderr.decode()
    return result.stdout.decode().split("\n")[:-1]


def refused(result: ExecutionResult) -> set[tuple[str, str]]:
    return {(one.kind, one.subject) for one in result.denials}
