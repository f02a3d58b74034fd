"""Attempts to reach somebody outside, and to be reached by nobody but oneself.

Places: ``tcp4 tcp6 udp4 udp6`` (``[address, port]`` of listeners on the host's loopback), ``far_tcp4 far_tcp6 far_udp4
far_udp6`` (of listeners on an address that is no loopback), ``abstract``, ``socket`` (names of unix sockets).
"""

from __future__ import annotations

import os
import socket

from tests.escape.programs.calls import with_capabilities

PATIENCE = 5  # seconds until an answer counts as missing
AF_ALG, AF_VSOCK, AF_PACKET = 38, 40, 17  # <bits/socket.h>


def _connect(family, where):
    with socket.socket(family, socket.SOCK_STREAM) as link:
        link.settimeout(PATIENCE)
        link.connect(tuple(where) if isinstance(where, list) else where)
        return link.recv(16).decode()


def _exchange(family, where):
    with socket.socket(family, socket.SOCK_DGRAM) as link:
        link.settimeout(PATIENCE)
        link.connect(tuple(where))
        link.send(b"?")
        return link.recv(16).decode()


def connect_to_loopback_v4(at):
    return _connect(socket.AF_INET, at.tcp4)


def connect_to_loopback_v6(at):
    return _connect(socket.AF_INET6, at.tcp6)


def ask_loopback_v4(at):
    return _exchange(socket.AF_INET, at.udp4)


def ask_loopback_v6(at):
    return _exchange(socket.AF_INET6, at.udp6)


def connect_out_v4(at):
    return _connect(socket.AF_INET, at.far_tcp4)


def connect_out_v6(at):
    return _connect(socket.AF_INET6, at.far_tcp6)


def ask_out_v4(at):
    return _exchange(socket.AF_INET, at.far_udp4)


def ask_out_v6(at):
    return _exchange(socket.AF_INET6, at.far_udp6)


def send_out_unconnected(at):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.sendto(b"?", tuple(at.far_udp4))


def connect_to_abstract_socket(at):
    return _connect(socket.AF_UNIX, "\0" + at.abstract)


def connect_to_undeclared_socket(at):
    return _connect(socket.AF_UNIX, at.socket)


def connect_to_socket_in_input(at):
    return _connect(socket.AF_UNIX, at.declared_socket)


def list_interfaces(at):
    return sorted(name for _, name in socket.if_nameindex())


def list_addresses(at):
    with open("/proc/net/fib_trie", encoding="ascii") as file:
        return at.far_tcp4[0] in file.read()


@with_capabilities
def open_packet_socket(at):
    _make(AF_PACKET, socket.SOCK_RAW)


@with_capabilities
def open_raw_socket(at):
    _make(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)


def open_vm_socket(at):
    _make(AF_VSOCK, socket.SOCK_STREAM)


def open_crypto_socket(at):
    _make(AF_ALG, socket.SOCK_SEQPACKET)


def _make(family, kind, protocol=0):
    socket.socket(family, kind, protocol).close()


def talk_to_self_v4(at):
    return _talk_to_self(socket.AF_INET, "127.0.0.1")


def talk_to_self_v6(at):
    return _talk_to_self(socket.AF_INET6, "::1")


def talk_to_self_by_name(at):
    with socket.create_server(("localhost", 0)) as server, socket.create_connection(server.getsockname(), PATIENCE):
        return True


def talk_to_self_by_host_name(at):
    name = socket.gethostname() if at.inside else "localhost"
    return sorted({item[4][0] for item in socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)})


def _talk_to_self(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as server:
        server.bind((address, 0))
        server.listen()
        with socket.create_connection(server.getsockname()[:2], PATIENCE) as link:
            link.send(b"hello")
            return server.accept()[0].recv(16).decode()


def look_up_a_name(at):
    """Without a network the answer is an error, and it comes at once."""
    try:
        socket.getaddrinfo("host.invalid", 80)
    except socket.gaierror as error:
        raise LookupError(str(error)) from error


def resolver_configuration(at):
    with open("/etc/resolv.conf", encoding="utf-8") as file:
        return [line for line in file.read().splitlines() if line.startswith("nameserver")]


def own_number(at):
    return os.getpid()
