"""Which declared inputs a command did not use."""

from __future__ import annotations

import errno

from bldr.model.spec import SandboxSpecBuilder
from bldr.model.trace import Trace, TracedProcess, TraceEvent, TraceLevel
from bldr.model.value import replace
from bldr.trace.unused import unused_inputs

SPEC = (
    SandboxSpecBuilder.create()
    .carve()
    .with_toolchain("system")
    .input("/w/src")
    .input("/w/include")
    .input("/w/link")
    .input("/w/VERSION")
    .output("/w/out")
    .build()
)
TRACE = Trace(
    TraceLevel.FULL,
    events=(
        TraceEvent("read", "/w/src/a/main.c", "/w/src/a/main.c", entry="file"),
        TraceEvent("read", "/w/include/absent.h", "/w/include/absent.h", errno=errno.ENOENT),
        TraceEvent("look", "/elsewhere/x", "/w/link/x", entry="file"),
        TraceEvent("connect", "/w/VERSION"),
    ),
)


def test_an_input_is_used_when_something_in_it_was_found() -> None:
    assert unused_inputs(TRACE, SPEC) == ("/w/VERSION", "/w/include")


def test_a_listing_uses_the_directory_and_an_interpreter_itself() -> None:
    more = (
        TraceEvent("list", "/w/include", "/w/include", entry="dir"),
        TraceEvent("execute", "/w/src/x", "/w/src/x", entry="file", interpreters=("/w/VERSION",)),
    )

    assert unused_inputs(replace(TRACE, events=TRACE.events + more), SPEC) == ()


def test_nothing_is_said_where_not_everything_was_seen() -> None:
    assert unused_inputs(replace(TRACE, level=TraceLevel.NETWORK), SPEC) == ()
    assert unused_inputs(replace(TRACE, dropped=1), SPEC) == ()
    assert unused_inputs(replace(TRACE, processes=(TracedProcess(7, 1, nested=True),)), SPEC) == ()
