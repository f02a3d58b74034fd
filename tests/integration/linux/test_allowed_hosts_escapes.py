"""Attempts to get further than the allowed hosts: each is possible on the host, or by who has the rights that it lacks."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator

import pytest

from bldr import HermeticExecutor, NetworkPolicy, ProcessPolicy
from tests.far_hosts import stream_server
from tests.processes import BOUND, specification

pytestmark = [pytest.mark.needs("user-namespaces", "system-python")]

PYTHON = "/usr/bin/python3"

PROGRAM = """
import errno, json, os, random, socket, struct, sys
port, abstract, inside = int(sys.argv[1]), "\\0" + sys.argv[2], sys.argv[3] == "inside"
found = {}
def attempt(name, call):
    try:
        found[name] = call() or "possible"
    except OSError as error:
        found[name] = errno.errorcode.get(error.errno, str(error))
def tcp(address, port):
    with socket.create_connection((address, port), 10) as link:
        return link.recv(10).decode()
def unix():
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(abstract)
        return link.recv(10).decode()
def ask_kernel(kind, body):
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as link:
        link.send(struct.pack("=IHHII", 16 + len(body), kind, 0x605, 1, 0) + body)
        code = struct.unpack_from("=i", link.recv(4096), 16)[0]
    if code:
        raise OSError(-code, "")
def add_rule():
    ask_kernel(32, struct.pack("=BBBBBBBBI", 2, 0, 0, 0, 254, 0, 0, 1, 0) + struct.pack("=HHI", 8, 6, 4321))
def delete_rule():
    ask_kernel(33, struct.pack("=BBBBBBBBI", 2, 0, 0, 0, 100, 0, 0, 1, 0))
def bind(address, port):
    with socket.socket() as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        link.bind((address, port))
        link.listen()
def join(path):
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(os.open(path, os.O_RDONLY), 0x40000000):
        raise OSError(ctypes.get_errno(), "")
found["descriptors"] = sorted(int(name) for name in os.listdir("/proc/self/fd"))[:-1]
attempt("service-of-the-host", lambda: tcp("127.0.0.1", port))
attempt("abstract-socket", unix)
attempt("add-rule", add_rule)
attempt("raw-socket", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 6).close())
attempt("raw-socket-v6", lambda: socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58).close())
attempt("packet-socket", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3).close())
attempt("network-of-init", lambda: join("/proc/1/ns/net"))
attempt("own-network", lambda: join("/proc/self/ns/net"))
if inside:
    attempt("allowed", lambda: tcp("far.test", 8080))
    attempt("delete-rule", delete_rule)
    attempt("take-the-place", lambda: bind(socket.gethostbyname("far.test"), 8080))
    attempt("take-all-places", lambda: bind("0.0.0.0", 8080))
    attempt("descriptors-of-init", lambda: os.listdir("/proc/1/fd"))
    random.seed(7)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.connect(("198.18.0.1", 53))
        for size in range(0, 600):
            link.send(random.randbytes(size))
    for size in (1, 2, 3, 700):
        with socket.create_connection(("198.18.0.1", 53), 10) as link:
            link.sendall(random.randbytes(size))
    attempt("allowed-still", lambda: tcp("far.test", 8080))
print(json.dumps(found))
"""


def greet(connection: socket.socket) -> None:
    connection.sendall(b"hello")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with stream_server(greet) as port:
        yield port


@pytest.fixture(scope="module")
def abstract() -> Iterator[str]:
    name = f"bldr-test-hosts.{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0" + name)
        server.listen()

        def work() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    greet(connection)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        yield name
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.fixture(scope="module")
def outside(port: int, abstract: str) -> dict[str, object]:
    words = [PYTHON, "-I", "-c", PROGRAM, str(port), abstract, "outside"]
    return json.loads(subprocess.run(words, capture_output=True, check=True, timeout=BOUND).stdout)


@pytest.fixture(scope="module")
def inside(port: int, abstract: str) -> dict[str, object]:
    spec = specification().with_network(NetworkPolicy.allow_hosts([f"far.test:8080=127.0.0.1:{port}"])).build()
    result = HermeticExecutor.create(spec).execute([PYTHON, "-I", "-c", PROGRAM, str(port), abstract, "inside"])
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_the_allowed_host_is_reached(inside: dict[str, object]) -> None:
    assert inside["allowed"] == "hello"


@pytest.mark.parametrize("attempt", ["service-of-the-host", "abstract-socket"])
def test_services_of_the_host_are_out_of_reach(
    inside: dict[str, object], outside: dict[str, object], attempt: str
) -> None:
    assert (outside[attempt], inside[attempt]) == ("hello", "ECONNREFUSED")


@pytest.mark.parametrize(
    ("attempt", "refusal"),
    [
        ("raw-socket", "EPERM"),
        ("raw-socket-v6", "EPERM"),
        ("packet-socket", "EAFNOSUPPORT"),
        ("add-rule", "EPERM"),
        ("delete-rule", "EPERM"),
        ("network-of-init", "EACCES"),
        ("own-network", "EPERM"),
        ("take-the-place", "EADDRINUSE"),
        ("take-all-places", "EADDRINUSE"),
        ("descriptors-of-init", "EACCES"),
    ],
)
def test_the_network_cannot_be_changed_from_inside(inside: dict[str, object], attempt: str, refusal: str) -> None:
    assert inside[attempt] == refusal


def test_the_command_has_no_descriptor_of_the_gateway(inside: dict[str, object]) -> None:
    assert inside["descriptors"] == [0, 1, 2]


def test_nothing_that_is_sent_to_the_name_server_stops_the_gateway(inside: dict[str, object]) -> None:
    assert inside["allowed-still"] == "hello"


def test_root_of_a_nested_user_namespace_cannot_change_the_network_either(port: int, abstract: str) -> None:
    builder = specification().with_process(ProcessPolicy(allow_userns=True))
    spec = builder.with_network(NetworkPolicy.allow_hosts([f"far.test:8080=127.0.0.1:{port}"])).build()
    words = ["unshare", "-U", "-r", PYTHON, "-I", "-c", PROGRAM, str(port), abstract, "inside"]

    result = HermeticExecutor.create(spec).execute(words)

    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    names = ("add-rule", "delete-rule", "raw-socket", "service-of-the-host", "allowed", "allowed-still")
    assert [found[name] for name in names] == ["EPERM", "EPERM", "EPERM", "ECONNREFUSED", "hello", "hello"]
