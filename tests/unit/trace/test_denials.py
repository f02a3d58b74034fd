"""Which events are denials: what the host has and the sandbox does not show, or does not let change."""

from __future__ import annotations

import errno

import pytest

from bldr import SandboxSpecBuilder
from bldr.model.result import Denial
from bldr.model.spec import SandboxSpec
from bldr.model.trace import Trace, TraceEvent
from bldr.trace.denials import denials, host_place, is_denied, with_processes

ON_HOST = {"/w/src/a.c", "/w/hidden.h", "/w/out", "/w/src", "/host/tree/b", "/run/daemon.sock"}
NAMES = {"/w": ["hidden.h", "out", "src"], "/w/src": ["a.c"], "/": ["dev", "etc", "home", "proc", "tmp", "w"]}


@pytest.fixture
def spec() -> SandboxSpec:
    return (
        SandboxSpecBuilder.create().input("/w/src").input("/host/tree", "/tree").output("/w/out").temp("/tmp").build()
    )


def found(spec: SandboxSpec, *events: TraceEvent) -> tuple[Denial, ...]:
    return denials(Trace("full", (), events), spec, is_there=ON_HOST.__contains__, names_in=lambda path: NAMES[path])


@pytest.mark.parametrize(
    ("kind", "subject", "failure", "denied"),
    [
        ("read", "/w/hidden.h", errno.ENOENT, True),
        ("look", "/w/hidden.h", errno.ENOENT, True),
        ("execute", "/w/hidden.h", errno.ENOENT, True),
        ("read", "/w/nothing.h", errno.ENOENT, False),
        ("read", "/w/src/a.c", 0, False),
        ("write", "/w/src/a.c", errno.EROFS, True),
        ("delete", "/w/src/a.c", errno.EROFS, True),
        ("write", "/w/src/sub/a.o", errno.ENOENT, False),
        ("write", "/w/hidden-dir/a.o", errno.ENOENT, True),
        ("write", "/w/out/a.o", errno.EEXIST, False),
        ("connect", "192.0.2.1:80", errno.ENETUNREACH, True),
        ("connect", "/run/daemon.sock", errno.ENOENT, True),
        ("connect", "/run/nscd/socket", errno.ENOENT, False),
    ],
)
def test_denied_is_what_the_host_would_have_granted(
    spec: SandboxSpec, kind: str, subject: str, failure: int, denied: bool
) -> None:
    event = TraceEvent(kind, subject, subject, errno=failure)
    there = ON_HOST | {"/w/hidden-dir"}

    assert is_denied(event, spec, is_there=there.__contains__) == denied


def test_each_path_is_denied_once_with_a_sentence(spec: SandboxSpec) -> None:
    event = TraceEvent("read", "/w/hidden.h", "/w/hidden.h", errno=errno.ENOENT, pid=7)

    assert found(spec, event, event) == (
        Denial("read", "/w/hidden.h", "reading /w/hidden.h: No such file or directory", 7),
    )


def test_the_own_work_of_a_command_is_never_denied(spec: SandboxSpec) -> None:
    assert found(spec, TraceEvent("delete", "/w/src/a.c", errno=errno.EROFS, own=True)) == ()


def test_a_listing_tells_what_was_left_out(spec: SandboxSpec) -> None:
    (denial,) = found(spec, TraceEvent("list", "/w", entry="dir"))

    assert denial.message == "/w was listed without hidden.h"
    assert found(spec, TraceEvent("list", "/w/src", entry="dir")) == ()
    assert found(spec, TraceEvent("list", "/tmp", entry="dir")) == ()
    (root,) = found(spec, TraceEvent("list", "/", entry="dir"))
    assert root.message == "/ was listed without home"


def test_a_listing_with_many_names_is_cut(spec: SandboxSpec) -> None:
    names = [f"n{number:02}" for number in range(25)]
    trace = Trace("full", (), (TraceEvent("list", "/w", entry="dir"),))

    (denial,) = denials(trace, spec, names_in=lambda _path: names)

    assert denial.message.endswith("n19 and 5 more")


def test_a_directory_that_the_host_does_not_let_list_hides_nothing(spec: SandboxSpec) -> None:
    def refuse(_path: str) -> list[str]:
        raise PermissionError

    trace = Trace("full", (), (TraceEvent("list", "/w", entry="dir"),))
    assert denials(trace, spec, names_in=refuse) == ()


def test_an_inside_path_means_the_host_path_that_is_shown_there(spec: SandboxSpec) -> None:
    assert host_place("/tree/b", spec) == "/host/tree/b"
    assert host_place("/w/x/../hidden.h", spec) == "/w/hidden.h"


def test_refusals_of_the_gateway_get_the_process_that_asked() -> None:
    trace = Trace(
        "network",
        (),
        (
            TraceEvent("resolve", "Other.test.", pid=7),
            TraceEvent("resolve", "other.test", pid=8),
            TraceEvent("connect", "192.0.2.7:443", pid=9),
        ),
    )
    refused = (Denial("resolve", "other.test"), Denial("connect", "192.0.2.7:443"), Denial("connect", "192.0.2.8:443"))

    assert [one.pid for one in with_processes(refused, trace)] == [7, 9, 0]
