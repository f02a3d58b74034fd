"""What a trace means for a spec."""

from __future__ import annotations

import errno

from bldr.learn.observation import links_on, observe
from bldr.model.trace import Trace, TraceEvent, TraceLevel

LINKS = {"/w/current": "v2", "/bin": "usr/bin", "/usr/bin/cc": "/etc/alternatives/cc", "/loop": "/loop"}


def seen(*events: TraceEvent) -> dict[str, tuple[str, ...]]:
    found = observe(Trace(TraceLevel.FULL, events=events), lambda path: LINKS.get(path, ""))
    return {name: paths for name in found.__match_args__ if (paths := getattr(found, name))}


def test_reads_looks_and_listings_are_told_apart() -> None:
    events = (
        TraceEvent("read", "/w/a", "/w/a", entry="file"),
        TraceEvent("look", "/w/b", "/w/b", entry="file"),
        TraceEvent("look", "/w", "/w", entry="dir"),
        TraceEvent("list", "/w/d", "/w/d", entry="dir"),
        TraceEvent("read", "/w/absent", "/w/absent", errno=errno.ENOENT),
        TraceEvent("read", "/proc/cpuinfo", "/proc/cpuinfo", entry="file"),
    )

    assert seen(*events) == {"reads": ("/w/a",), "looks": ("/w/b",), "listings": ("/w/d",)}


def test_what_the_command_made_itself_is_no_read() -> None:
    assert seen(TraceEvent("write", "/w/o", "/w/o"), TraceEvent("read", "/w/o", "/w/o", entry="file", own=True)) == {
        "changes": ("/w/o",)
    }


def test_a_link_on_the_way_is_noted() -> None:
    assert seen(TraceEvent("read", "/w/v2/a", "/w/current/a", entry="file")) == {
        "reads": ("/w/v2/a",),
        "links": ("/w/current",),
    }
    assert links_on("/bin/cc", lambda path: LINKS.get(path, "")) == ("/bin", "/usr/bin/cc")
    assert links_on("/w/current/../b", lambda path: LINKS.get(path, "")) == ("/w/current",)
    assert len(links_on("/loop", lambda path: LINKS.get(path, ""))) == 40


def test_a_program_is_read_with_its_interpreters() -> None:
    found = seen(TraceEvent("execute", "/w/x", "/w/x", entry="file", interpreters=("/bin/sh", "/lib/ld.so")))

    assert found == {"reads": ("/bin/sh", "/lib/ld.so", "/w/x"), "links": ("/bin",), "programs": ("/w/x",)}


def test_changes_are_what_was_written_moved_and_deleted() -> None:
    found = seen(
        TraceEvent("write", "/w/a"),
        TraceEvent("rename", "/w/b", target="/w/c"),
        TraceEvent("link", "/w/d", target="/w/e"),
        TraceEvent("delete", "/w/f"),
        TraceEvent("write", "/home/me/.cache/x", errno=errno.EROFS),
        TraceEvent("write", "/w/g", errno=errno.EEXIST),
        TraceEvent("write", "/dev/null"),
    )

    assert found == {
        "changes": ("/w/a", "/w/b", "/w/c", "/w/e", "/w/f"),
        "refused": ("/home/me/.cache/x",),
    }
