"""From the bytes of the tracer to a trace: order, own work, and bytes that are no recording."""

from __future__ import annotations

import errno
import struct

import pytest

from _bldr_launcher import wire
from bldr.errors import SandboxLostError
from bldr.model.trace import Trace, TracedProcess, TraceEvent, TraceLevel
from bldr.sandbox.protocol import Recording
from bldr.trace.decode import decode


def recording(*records: tuple[object, ...], calls: int = 0, dropped: int = 0) -> Recording:
    data = b""
    for record in records:
        packed = wire.pack([word if isinstance(word, bytes) else str(word).encode() for word in record])
        data += struct.pack("<I", len(packed)) + packed
    return Recording(data, calls, dropped)


def full(*records: tuple[object, ...], isolated: bool = True) -> Trace:
    return decode(recording(*records), level=TraceLevel.FULL, isolated=isolated)


def path(action: str, place: str, failure: int = 0, kind: str = "f", time: int = 0) -> tuple[object, ...]:
    return ("path", time, 7, "openat", action, place, place, failure, kind)


def test_an_empty_recording_is_an_empty_trace() -> None:
    assert decode(recording(calls=3, dropped=1), level="network") == Trace("network", (), (), 3, 1)


def test_a_process_has_the_arguments_that_it_executed_last() -> None:
    trace = full(
        ("process", 0, 7, 3),
        ("execute", 1_000_000, 7, "execve", "/bin/sh", "/usr/bin/dash", 0, 1, "/lib/ld.so", "sh", "-c", "x"),
        ("execute", 2_000_000, 7, "execve", "/w/x", "/w/x", 0, 0, "x"),
        ("execute", 3_000_000, 7, "execve", "/w/y", "/w/y", errno.ENOENT, 0),
    )

    assert trace.processes == (TracedProcess(7, 3, ("x",)),)
    assert trace.process(7) == trace.processes[0]
    assert trace.process(8) is None
    first = trace.executions[0]
    assert (first.asked, first.subject, first.time) == ("/bin/sh", "/usr/bin/dash", 1.0)
    assert (first.interpreters, first.argv) == (("/lib/ld.so",), ("sh", "-c", "x"))
    assert len(trace.executions) == 2
    assert trace.reads == ("/lib/ld.so", "/usr/bin/dash", "/w/x")
    assert trace.probes == ("/w/y",)


def test_what_the_command_made_is_its_own_work_from_then_on() -> None:
    trace = full(
        path("read", "/w/config"),
        path("write", "/w/out", kind="", time=1),
        path("write", "/w/out/a.o", kind=""),
        path("read", "/w/out/a.o"),
        path("write", "/w/config"),
        path("read", "/w/config"),
        ("pair", 2, 7, "rename", "rename", "/w/out/a.o", "/w/b.o", 0),
        path("list", "/w/out", kind="d"),
        path("list", "/w", kind="d"),
        path("read", "/w/b.o"),
        path("delete", "/w/b.o"),
    )

    assert trace.reads == ("/w/config",)
    assert trace.listings == ("/w",)
    assert trace.writes == ("/w/b.o", "/w/config", "/w/out", "/w/out/a.o")
    assert trace.deletes == ("/w/b.o", "/w/out/a.o")


def test_a_write_that_fails_makes_nothing() -> None:
    trace = full(path("write", "/w/a", errno.EROFS, ""), path("read", "/w/a", errno.ENOENT, ""))

    assert (trace.writes, trace.reads, trace.probes) == ((), (), ("/w/a",))
    assert not trace.events[1].own


@pytest.mark.parametrize(
    ("family", "address", "subject", "out"),
    [
        ("inet", "192.0.2.1", "192.0.2.1:80", True),
        ("inet", "127.3.2.1", "127.3.2.1:80", False),
        ("inet", "0.0.0.0", "0.0.0.0:80", False),
        ("inet6", "2001:db8::1", "[2001:db8::1]:80", True),
        ("inet6", "::1", "[::1]:80", False),
        ("inet6", "::ffff:127.0.0.1", "[::ffff:127.0.0.1]:80", False),
        ("abstract", "name", "@name", False),
    ],
)
def test_nothing_but_the_loopback_can_be_reached_without_a_network(
    family: str, address: str, subject: str, out: bool
) -> None:
    record = ("net", 0, 7, "connect", "connect", family, address, 80)

    (event,) = full(record).events
    assert (event.subject, event.errno) == (subject, errno.ENETUNREACH if out else 0)
    (event,) = full(record, isolated=False).events
    assert event.errno == 0


def test_binding_fails_for_no_address_that_is_known() -> None:
    assert full(("net", 0, 7, "bind", "bind", "inet", "192.0.2.1", 80)).events[0].errno == 0


def test_endpoints_are_addresses_names_and_sockets_that_were_there() -> None:
    trace = full(
        ("net", 0, 7, "connect", "connect", "inet", "192.0.2.1", 80),
        ("name", 0, 7, "example.org", "192.0.2.53"),
        path("connect", "/run/absent", errno.ENOENT, ""),
        path("connect", "/run/there", 0, "s"),
    )

    assert trace.endpoints == ("/run/there", "192.0.2.1:80", "example.org")


def test_a_process_in_a_root_of_its_own_is_marked() -> None:
    trace = full(("process", 0, 7, 3), ("nested", 5, 7, 7))

    assert trace.processes == (TracedProcess(7, 3, nested=True),)


def test_undecodable_bytes_survive() -> None:
    trace = full(("path", 0, 7, "openat", "read", b"/w/\xff", b"/w/\xff", 0, "f"))

    assert trace.reads == ("/w/\udcff",)
    assert trace.to_dict()["events"][0]["subject"] == "/w/\\xff"  # type: ignore[index]


@pytest.mark.parametrize(
    "data",
    [
        b"\0",
        b"\xff\0\0\0",
        b"\4\0\0\0\0\0\0\0",
        recording(("odd", 0, 1)).data,
        recording(("path", 0, 1, "open")).data,
        recording(("path", "x", 1, "open")).data,
        recording(("execute", 0, 1, "execve", "a", "b", "x", 0)).data,
        recording(("process",)).data,
    ],
    ids=repr,
)
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(SandboxLostError, match="the tracer broke the protocol"):
        decode(Recording(data), level="full")


def test_events_are_values() -> None:
    assert TraceEvent("read", "/a") == TraceEvent("read", "/a")
    assert TracedProcess(1, 0).to_dict()["argv"] == []
