"""Hosts that are allowed can be reached, and nothing else: with servers on loopback under invented names."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bldr import (
    BackendUnavailableError,
    HermeticExecutor,
    NetworkPolicy,
    ResourceLimits,
    SandboxLostError,
    Termination,
)
from bldr.sandbox.linux.gateway import Gateway
from bldr.sandbox.linux.launcher import Launcher
from bldr.sandbox.select import lower_backend_for
from tests.capabilities import loopback_name
from tests.dialling import DIAL, echo, printed, refused, run
from tests.far_hosts import datagram_echo, stream_server
from tests.processes import BOUND, Witness, children, descriptors, specification, until

pytestmark = [pytest.mark.needs("user-namespaces", "system-python")]


def test_a_host_that_is_allowed_is_reached_and_counted(launcher: Launcher, echo_port: int) -> None:
    result = run(launcher, [f"far.test:80=127.0.0.1:{echo_port}"], "print(ask('far.test', 80))")

    assert printed(result) == ["b'HELLO'"]
    (one,) = result.hosts
    assert (one.host, one.port, one.protocol, one.connections, one.sent, one.received) == (
        "far.test",
        80,
        "tcp",
        1,
        5,
        5,
    )
    assert result.usage.network == 10
    assert result.denials == ()


def test_a_host_that_is_not_allowed_does_not_exist_and_is_reported(launcher: Launcher, echo_port: int) -> None:
    result = run(launcher, [f"far.test:80=127.0.0.1:{echo_port}"], "print(failure(dial, 'other.test', 80))")

    assert printed(result) == ["gaierror"]
    assert refused(result) == {("resolve", "other.test")}
    assert result.denials[0].message == "the name other.test was not resolved: it is not allowed"
    assert result.hosts == ()


def test_who_asked_for_a_host_is_known_when_it_is_traced(launcher: Launcher, echo_port: int) -> None:
    program = "print(failure(socket.getaddrinfo, 'other.test', 80))"

    result = run(launcher, [f"echo.test:{echo_port}=127.0.0.1"], program, trace="network")

    assert result.trace is not None
    (denial,) = [one for one in result.denials if one.subject == "other.test"]
    process = result.trace.process(denial.pid)
    assert process is not None
    assert "python" in process.argv[0]


def test_another_port_of_an_allowed_host_is_refused_and_reported(launcher: Launcher, echo_port: int) -> None:
    result = run(launcher, [f"far.test:80=127.0.0.1:{echo_port}"], f"print(failure(dial, 'far.test', {echo_port}))")

    assert printed(result) == ["ConnectionRefusedError"]
    assert refused(result) == {("connect", f"far.test:{echo_port}")}


@pytest.mark.parametrize(
    ("address", "subject"), [("1.2.3.4", "1.2.3.4:443"), ("2606:4700::1111", "[2606:4700::1111]:443")]
)
def test_an_address_that_is_not_allowed_is_refused_and_reported(launcher: Launcher, address: str, subject: str) -> None:
    result = run(launcher, ["far.test:80=127.0.0.1"], f"print(failure(dial, '{address}', 443))")

    assert printed(result) == ["ConnectionRefusedError"]
    assert refused(result) == {("connect", subject)}


def test_an_allowed_address_keeps_its_own(launcher: Launcher, echo_port: int) -> None:
    hosts = [f"203.0.113.7:80=127.0.0.1:{echo_port}", f"[2001:db8::7]:80=127.0.0.1:{echo_port}"]
    program = """
for address in "203.0.113.7", "2001:db8::7":
    with dial(address, 80) as link:
        print(link.getpeername()[:2])
    print(ask(address, 80), failure(dial, address, 81))
"""

    result = run(launcher, hosts, program)

    answer = "b'HELLO' ConnectionRefusedError"
    assert printed(result) == ["('203.0.113.7', 80)", answer, "('2001:db8::7', 80)", answer]
    assert refused(result) == {("connect", "203.0.113.7:81"), ("connect", "[2001:db8::7]:81")}


def test_a_host_with_an_ipv6_address_only_is_reached(launcher: Launcher) -> None:
    with stream_server(echo, family=socket.AF_INET6) as port:
        result = run(launcher, [f"six.test:80=[::1]:{port}"], "print(ask('six.test', 80))")

    assert printed(result) == ["b'HELLO'"]


def test_every_name_below_a_wildcard_is_reached_on_its_ports(launcher: Launcher, echo_port: int) -> None:
    program = """
print(ask("a.cdn.test", 80), ask("B.c.CDN.test", 80))
print(failure(dial, "cdn.test", 80), failure(dial, "evilcdn.test", 80), failure(dial, "a.cdn.test", 81))
"""

    result = run(launcher, [f"*.cdn.test:80=127.0.0.1:{echo_port}"], program)

    assert printed(result) == ["b'HELLO' b'HELLO'", "gaierror gaierror ConnectionRefusedError"]
    assert {one.host for one in result.hosts} == {"a.cdn.test", "b.c.cdn.test"}
    assert refused(result) == {("resolve", "cdn.test"), ("resolve", "evilcdn.test"), ("connect", "a.cdn.test:81")}


def test_a_port_of_one_wildcard_is_not_one_of_another(launcher: Launcher, echo_port: int) -> None:
    hosts = [f"*.one.test:80=127.0.0.1:{echo_port}", f"*.two.test:81=127.0.0.1:{echo_port}"]
    program = "print(ask('a.one.test', 80), ask('a.two.test', 81), failure(ask, 'a.one.test', 81))"

    result = run(launcher, hosts, program)

    assert printed(result) == ["b'HELLO' b'HELLO' ConnectionResetError"]
    assert refused(result) == {("connect", "a.one.test:81")}


def test_a_name_has_the_ports_of_its_wildcard_as_well(launcher: Launcher, echo_port: int) -> None:
    hosts = [f"*.cdn.test:80=127.0.0.1:{echo_port}", f"a.cdn.test:81=127.0.0.1:{echo_port}"]

    result = run(launcher, hosts, "print(ask('a.cdn.test', 80), ask('a.cdn.test', 81), ask('b.cdn.test', 80))")

    assert printed(result) == ["b'HELLO' b'HELLO' b'HELLO'"]


def test_more_names_than_a_wildcard_has_addresses_for_are_refused_by_name(launcher: Launcher, echo_port: int) -> None:
    program = """
names = [socket.gethostbyname(f"n{number}.cdn.test") for number in range(128)]
print(len(set(names)), failure(socket.gethostbyname, "one-more.cdn.test"), ask("n127.cdn.test", 80))
"""

    result = run(launcher, [f"*.cdn.test:80=127.0.0.1:{echo_port}"], program)

    assert printed(result) == ["128 gaierror b'HELLO'"]
    assert "too many names" in result.denials[0].message


def test_datagrams_pass_where_they_are_allowed(launcher: Launcher) -> None:
    program = """
def exchange(host, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(20)
        link.sendto(b"hello", (host, port))
        return link.recvfrom(100)
def connected(host, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(20)
        link.connect((host, port))
        link.send(b"hello")
        return link.recv(100)
answer, sender = exchange("far.test", 123)
print(answer, sender[1], connected("far.test", 123), connected("a.cdn.test", 123), failure(connected, "far.test", 124))
print(failure(exchange, "8.8.8.8", 53))
"""
    with datagram_echo() as port:
        result = run(launcher, [f"far.test:123/udp=127.0.0.1:{port}", f"*.cdn.test:123/udp=127.0.0.1:{port}"], program)

    assert printed(result) == ["b'HELLO' 123 b'HELLO' b'HELLO' ConnectionRefusedError", "OSError"]
    assert [(one.protocol, one.sent, one.received) for one in result.hosts] == [("udp", 10, 10), ("udp", 5, 5)]


def test_what_the_resolver_of_the_host_says_counts(launcher: Launcher) -> None:
    result = run(launcher, ["does-not-exist.invalid"], "print(failure(dial, 'does-not-exist.invalid', 443))")

    assert printed(result) == ["gaierror"]
    assert refused(result) == {("resolve", "does-not-exist.invalid")}
    assert "it is not allowed" not in result.denials[0].message


@pytest.mark.needs("loopback-name")
def test_a_name_that_leads_to_this_machine_is_not_followed(launcher: Launcher) -> None:
    """As after DNS rebinding: the name is allowed, and its address is a service that only this machine can reach."""
    name = loopback_name()
    with stream_server(echo) as port:
        result = run(launcher, [f"{name}:{port}"], f"print(failure(ask, '{name}', {port}))")

    assert printed(result) == ["gaierror"]
    assert result.hosts == ()
    assert ", an address of this machine" in result.denials[0].message


# What the note on this design calls pitfalls, one by one.


def test_resolvers_that_look_for_configured_addresses_find_ipv4(launcher: Launcher, echo_port: int) -> None:
    program = """
found = socket.getaddrinfo("far.test", 80, socket.AF_INET, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)
print(found[0][4])
"""

    result = run(launcher, [f"far.test:80=127.0.0.1:{echo_port}"], program)

    assert printed(result) == ["('198.18.1.1', 80)"]


def test_an_allowed_host_that_does_not_answer_is_a_reset_and_a_line_in_the_result(launcher: Launcher) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and nobody listens
        port = bound.getsockname()[1]
        result = run(launcher, [f"far.test:80=127.0.0.1:{port}"], "print(failure(ask, 'far.test', 80))")

    assert printed(result) == ["ConnectionResetError"]
    (one,) = result.hosts
    assert one.failure == "Connection refused"


def test_a_port_that_is_allowed_outside_can_be_used_on_the_own_loopback(launcher: Launcher) -> None:
    program = """
def listen(address):
    link = socket.socket()
    link.bind((address, 8080))
    link.listen()
    return link
link = listen("127.0.0.1")
print(failure(listen, "0.0.0.0"))
client = dial("localhost", 8080)
print(link.accept()[1][0])
"""

    result = run(launcher, ["far.test:8080=127.0.0.1:9"], program)

    assert printed(result) == ["OSError", "127.0.0.1"]
    assert result.hosts == ()
    assert result.denials == ()


def test_the_own_name_resolves_and_questions_for_services_are_no_violation(launcher: Launcher) -> None:
    program = """
import struct
print(socket.gethostbyname(socket.gethostname()), socket.gethostbyname("localhost"), socket.gethostbyname("x.localhost"))
query = struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0)
query += b"".join(bytes([len(one)]) + one for one in (b"_http", b"_tcp", b"far", b"test")) + b"\\0" + struct.pack(">HH", 33, 1)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
    link.settimeout(20)
    link.connect(("198.18.0.1", 53))
    link.send(query)
    print(link.recv(512)[3] & 15)
with dial("198.18.0.1", 53) as link:
    link.sendall(struct.pack(">H", len(query)) + query[:5])
    link.sendall(query[5:])
    print(link.recv(512)[5] & 15)
"""

    result = run(launcher, ["far.test:80=127.0.0.1"], program)

    assert printed(result) == ["127.0.0.1 127.0.0.1 127.0.0.1", "3", "3"]
    assert result.denials == ()


def test_a_connection_may_be_idle_for_longer_than_it_may_take_to_make_it(launcher: Launcher) -> None:
    gate = threading.Event()

    def slow(connection: socket.socket) -> None:
        connection.recv(100)
        gate.wait(2)
        connection.sendall(b"at last")

    with stream_server(slow) as port:
        result = run(launcher, [f"far.test:80=127.0.0.1:{port}"], "print(ask('far.test', 80))")

    assert printed(result) == ["b'at last'"]


def test_a_datagram_to_anywhere_else_has_no_route_however_it_is_sent(launcher: Launcher) -> None:
    program = """
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
    print(failure(link.sendto, b"x", ("8.8.8.8", 53)), failure(link.sendmsg, [b"x"], [], 0, ("8.8.8.8", 53)))
try:
    socket.create_connection(("8.8.8.8", 53), 5)
except OSError as error:
    print(error.strerror)
"""

    result = run(launcher, ["far.test:80=127.0.0.1"], program)

    assert printed(result) == ["OSError OSError", "Connection refused"]


def test_when_the_gateway_dies_connections_fail_and_the_result_says_so(launcher: Launcher, echo_port: int) -> None:
    spec = specification().with_network(NetworkPolicy.allow_hosts([f"far.test:80=127.0.0.1:{echo_port}"])).build()
    program = f"""{DIAL}
address = socket.gethostbyname("far.test")
link = dial(address, 80)
link.sendall(b"x")
print(link.recv(1), flush=True)
sys.stdin.read(1)
try:
    left = link.recv(1)
except ConnectionResetError:
    left = b""
print(left, failure(dial, address, 80))
"""
    before = children(os.getpid())
    executor = HermeticExecutor.create(spec, launcher=launcher)
    with executor.start(
        ["/usr/bin/python3", "-I", "-c", program], stdin="pipe", stdout="pipe", timeout=BOUND
    ) as session:
        assert session.stdin is not None
        assert session.stdout is not None
        assert session.stdout.readline() == b"b'X'\n"
        (gateway,) = [pid for pid in children(os.getpid()) - before if pid != launcher.pid]
        with Witness(gateway) as witness:
            os.kill(gateway, signal.SIGKILL)
            assert until(lambda: Path(f"/proc/{gateway}/stat").read_text().split(")")[1].split()[0] == "Z")
            session.stdin.write(b"\n")
            assert session.stdout.readline() == b"b'' ConnectionRefusedError\n"
            result = session.wait()
            assert not witness.survivors()

    assert result.exit_code == 0
    assert any("gateway ended early" in note for note in result.receipt.notes)
    assert result.usage.network == 2


def test_addresses_of_the_real_hosts_stay_outside(launcher: Launcher, echo_port: int) -> None:
    program = "print(socket.getaddrinfo('far.test', 80, type=socket.SOCK_STREAM))"

    (text,) = printed(run(launcher, [f"far.test:80=127.0.0.1:{echo_port}"], program))

    assert "198.18.1.1" in text
    assert "127.0.0.1" not in text


# Limits, receipts, and what is left.


def test_more_bytes_than_are_allowed_end_everything(launcher: Launcher) -> None:
    def flood(connection: socket.socket) -> None:
        connection.sendall(bytes(64 << 20))

    with stream_server(flood) as port:
        result = run(
            launcher,
            [f"far.test:80=127.0.0.1:{port}"],
            "link = dial('far.test', 80)\nwhile link.recv(65536): pass",
            limits=ResourceLimits(network_io="4M"),
        )

    assert (result.exit_code, result.termination) == (124, Termination.LIMIT_REACHED)
    (found,) = result.violations
    assert found.kind == "network_io"
    assert found.message.startswith("network I/O limit reached: 4.")
    assert (4 << 20) < (result.usage.network or 0) < (6 << 20)
    record = result.receipt.record("network-io-limit")
    assert (record.asked, record.enforced_by) == (True, ("gateway",))


def test_fewer_bytes_than_are_allowed_are_left_alone(launcher: Launcher, echo_port: int) -> None:
    hosts = [f"far.test:80=127.0.0.1:{echo_port}"]

    result = run(launcher, hosts, "print(ask('far.test', 80))", limits=ResourceLimits(network_io="10"))

    assert printed(result) == ["b'HELLO'"]
    assert result.violations == ()


def test_a_run_with_hosts_is_not_hermetic_and_says_what_held(launcher: Launcher) -> None:
    result = run(launcher, ["far.test:80=127.0.0.1"], "pass")

    assert not result.hermetic
    assert result.receipt.missing == ("no-network",)
    record = result.receipt.record("network-allow-list")
    assert (record.asked, record.enforced_by, record.verified) == (True, ("network-namespace", "gateway"), True)
    assert not result.receipt.record("no-network").asked


def test_nothing_is_left_of_many_runs(launcher: Launcher, echo_port: int) -> None:
    hosts = [f"far.test:80=127.0.0.1:{echo_port}", "*.cdn.test:80=127.0.0.1"]
    printed(run(launcher, hosts, "print(ask('far.test', 80))"))
    before = descriptors(), children(os.getpid())

    for _ in range(5):
        printed(run(launcher, hosts, "print(ask('far.test', 80))"))

    assert (descriptors(), children(os.getpid())) == before


def test_a_command_that_cannot_be_started_leaves_no_gateway(launcher: Launcher) -> None:
    run(launcher, ["far.test:80=127.0.0.1"], "pass")
    before = descriptors(), children(os.getpid())
    spec = specification().with_network(NetworkPolicy.allow_hosts(["far.test:80=127.0.0.1"])).build()

    with pytest.raises(Exception, match="no-such-command"):
        HermeticExecutor.create(spec, launcher=launcher).execute(["no-such-command"])

    assert (descriptors(), children(os.getpid())) == before


@pytest.mark.parametrize("program", ["", "import os, sys; os.read(int(sys.argv[1]), 1)", "raise SystemExit(3)"])
def test_a_gateway_that_does_not_come_up_is_reported(program: str) -> None:
    spec = specification().with_network(NetworkPolicy.allow_hosts(["far.test"])).build()
    before = descriptors(), children(os.getpid())
    gateway = Gateway(spec, entry=("-c", program))

    with pytest.raises(SandboxLostError, match="cannot start the gateway: it ended before it was ready"):
        gateway.take([b"sockets", b"1"], [])

    gateway.finish()
    assert gateway.was_lost
    assert (descriptors(), children(os.getpid())) == before


def test_without_namespaces_allowed_hosts_are_refused_by_name(launcher: Launcher) -> None:
    spec = specification().with_network(NetworkPolicy.allow_hosts(["far.test"])).build()

    with pytest.raises(BackendUnavailableError, match="allowed hosts need a network namespace"):
        lower_backend_for(spec)


def test_the_gateway_ends_with_a_supervisor_that_is_killed(echo_port: int) -> None:
    hosts = ["--allow-host", f"far.test:80=127.0.0.1:{echo_port}"]
    program = f"{DIAL}\nlink = dial('far.test', 80)\nprint('up', flush=True)\nlink.recv(1)"
    words = [sys.executable, "-m", "bldr", "run", *hosts, "--", "/usr/bin/python3", "-I", "-c", program]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as bldr:
        assert bldr.stdout is not None
        assert bldr.stdout.readline() == b"up\n"
        with Witness(bldr.pid) as witness:
            assert len(witness.pids) >= 4  # bldr, launcher, gateway, init and the command
            bldr.kill()
            assert not witness.survivors()
