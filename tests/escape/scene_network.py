"""Attempts to connect: the host is a network namespace of its own, with listeners on loopback and on a far address.

The far addresses are those that RFC 5737 and RFC 3849 keep for documentation, so whoever answers is ours.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import threading

from bldr import HermeticExecutor
from tests.escape.stage import LANDLOCK, PYTHON, Tree, is_host_root, try_both, with_tree

FAR_V4, FAR_V6 = "192.0.2.1", "2001:db8::1"
SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCSIFADDR = 0x8913, 0x8914, 0x8916  # <linux/sockios.h>
IFF_UP_RUNNING = 0x1 | 0x40  # <linux/if.h>
HOLD_PORT = """
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print(server.getsockname()[1], flush=True)
sys.stdin.read()
"""


def play(world: str) -> dict[str, object]:
    if not os.environ.get("OWN_NETWORK"):
        flags = ["-n"] if is_host_root() else ["-U", "-r", "-n"]
        os.environ["OWN_NETWORK"] = "1"
        argv = ["unshare", *flags, PYTHON, "-m", "tests.escape.stage", "network", world]
        os.execvp(argv[0], argv)
    _raise_interface()
    control, attempt = Tree(f"{world}/control"), Tree(f"{world}/attempt")
    name = f"bldr-test.{os.getpid()}"
    where: dict[str, object] = {"abstract": name}
    for family, near, far, version in (
        (socket.AF_INET, "127.0.0.1", FAR_V4, 4),
        (socket.AF_INET6, "::1", FAR_V6, 6),
    ):
        for prefix, address in (("", near), ("far_", far)):
            where[f"{prefix}tcp{version}"] = _greet(family, (address, 0))
            where[f"{prefix}udp{version}"] = _answer(family, (address, 0))
    _greet(socket.AF_UNIX, "\0" + name)
    places = []
    for tree in (control, attempt):
        paths = {"socket": f"{tree.undeclared}/socket", "declared_socket": f"{tree.source}/socket"}
        for path in paths.values():
            _greet(socket.AF_UNIX, path)
        places.append(tree.places(**where, **paths))
    answer = try_both("network", with_tree(attempt), *places)
    if LANDLOCK:
        return answer
    return answer | {"ports": _same_port_twice(with_tree(attempt)), "outside_port": _same_port_outside()}


def _raise_interface() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP_RUNNING))
        address = struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton(FAR_V4))
        fcntl.ioctl(control, SIOCSIFADDR, struct.pack("16s16s", b"lo:1", address))
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as control:
        address = socket.inet_pton(socket.AF_INET6, FAR_V6)
        fcntl.ioctl(control, SIOCSIFADDR, struct.pack("=16sIi", address, 128, socket.if_nametoindex("lo")))


def _greet(family: int, address: object) -> list[object]:
    """Listen, and say hello to everybody who connects; returns the address."""
    server = socket.socket(family, socket.SOCK_STREAM)
    server.bind(address)  # type: ignore[arg-type]
    server.listen()

    def serve() -> None:
        while True:
            link, _ = server.accept()
            link.send(b"hello")
            link.close()

    threading.Thread(target=serve, daemon=True).start()
    return list(server.getsockname()[:2])


def _answer(family: int, address: object) -> list[object]:
    server = socket.socket(family, socket.SOCK_DGRAM)
    server.bind(address)  # type: ignore[arg-type]

    def serve() -> None:
        while True:
            _, sender = server.recvfrom(16)
            server.sendto(b"hello", sender)

    threading.Thread(target=serve, daemon=True).start()
    return list(server.getsockname()[:2])


def _same_port_twice(builder) -> list[str]:
    """Two sandboxes hold one port at the same time; returns what each says."""
    executor = HermeticExecutor.create(builder.build())
    said = []
    sessions = []
    port = "8080"
    for _ in range(2):
        session = executor.start(["python3", "-c", HOLD_PORT, port], stdin="pipe", stdout="pipe")
        sessions.append(session)
        assert session.stdout is not None
        said.append(session.stdout.readline().decode().strip())
    for session in sessions:
        assert session.stdin is not None
        session.stdin.close()
        said.append(str(session.wait().exit_code))
        session.__exit__(None, None, None)
    return said


def _same_port_outside() -> str:
    first = socket.create_server(("127.0.0.1", 0))
    try:
        socket.create_server(first.getsockname()).close()
    except OSError as error:
        return os.strerror(error.errno or 0)
    finally:
        first.close()
    return "possible"
