"""The trace against the rules of its format, as the document "Trace Event Format" of the Chromium project has them.

Perfetto's own trace_processor is no judge here: its Python package fetches the program when it runs.
"""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from bldr.engine.result import BuildResult
from bldr.report import build_trace, trace
from bldr.report.html import Run
from tests.unit.engine.builds import empty_build, failed_build, hostile_build, large_build
from tests.unit.report.runs import HOSTILE, build_run, hostile_run, tiny_run

FIELDS = {
    "M": {"name", "ph", "pid", "tid", "args"},
    "X": {"name", "cat", "ph", "ts", "dur", "pid", "tid", "args"},
    "C": {"name", "ph", "ts", "pid", "tid", "args"},
    "i": {"name", "cat", "ph", "s", "ts", "pid", "tid", "args"},
}
METADATA = {
    "process_name": "name",
    "process_labels": "labels",
    "thread_name": "name",
    "thread_sort_index": "sort_index",
}


def refuse_constant(name: str) -> float:
    raise AssertionError(f"{name} is no JSON (RFC 8259)")


BUILDS = [failed_build(), empty_build(), hostile_build(HOSTILE), large_build(200)]
RUNS = [build_run(), tiny_run(), hostile_run(), hostile_run(200)]


def text_of(one: Run | BuildResult) -> str:
    if isinstance(one, Run):
        return trace.render(one.result, version="0.1.0")
    return build_trace.render(one, version="0.1.0")


@pytest.mark.parametrize("one", [*RUNS, *BUILDS], ids=lambda one: type(one).__name__)
def test_every_event_keeps_the_rules(one: Run | BuildResult) -> None:
    text = text_of(one)
    content = json.loads(text, parse_constant=refuse_constant)
    events = content["traceEvents"]

    assert text.isascii()
    assert set(content) == {"displayTimeUnit", "otherData", "traceEvents"}
    assert content["displayTimeUnit"] == "ms"
    named = {event["tid"] for event in events if event["name"] == "thread_name"}
    for event in events:
        assert set(event) == FIELDS[event["ph"]]
        assert type(event["pid"]) is type(event["tid"]) is int
        assert event["tid"] in named
        if event["ph"] == "M":
            assert list(event["args"]) == [METADATA[event["name"]]]
        else:
            assert type(event["ts"]) is int
            assert event["ts"] >= 0
        if event["ph"] == "X":
            assert type(event["dur"]) is int
            assert event["dur"] >= 0
        assert type(event["name"]) is str
        assert event["name"]
        if event["ph"] == "C":
            assert event["args"]
            assert all(type(number) in (int, float) for number in event["args"].values())
        if event["ph"] == "i":
            assert event["s"] in ("g", "p", "t")


@pytest.mark.parametrize("one", [*RUNS, *BUILDS], ids=lambda one: type(one).__name__)
def test_slices_of_a_track_nest_or_follow_one_another(one: Run | BuildResult) -> None:
    events = json.loads(text_of(one))["traceEvents"]
    for tid in {event["tid"] for event in events if event["ph"] == "X"}:
        spans = [
            (event["ts"], event["ts"] + event["dur"]) for event in events if event["ph"] == "X" and event["tid"] == tid
        ]
        assert all(before[1] <= after[0] for before, after in pairwise(spans))


def test_every_process_and_violation_is_in_it() -> None:
    run = build_run()
    assert run.result.timeline is not None
    events = json.loads(trace.render(run.result, version="0.1.0"))["traceEvents"]

    assert len([event for event in events if event["ph"] == "X"]) == len(run.result.timeline.processes) + 1
    assert [event["args"]["actual"] for event in events if event["ph"] == "i"] == [1500 << 20]
    assert {event["name"] for event in events if event["ph"] == "C"} == {
        "memory", "CPUs in use", "tasks", "disk, bytes a second"
    }  # fmt: skip


def test_a_build_shows_its_critical_path_its_cache_and_its_queue() -> None:
    events = json.loads(text_of(failed_build()))["traceEvents"]
    tracks = {event["args"]["name"]: event["tid"] for event in events if event["name"] == "thread_name"}
    slices = {tid: [event for event in events if event["ph"] == "X" and event["tid"] == tid] for tid in tracks.values()}

    assert list(tracks) == ["build", "critical path", "actions 1", "actions 2"]
    assert [(event["name"], event["ts"], event["dur"]) for event in slices[tracks["critical path"]]] == [
        ("//:app compile src/a.c", 500000, 2000000),
        ("//:app link bin/app", 2500000, 500000),
        ("//src:t run the test", 3000000, 1000000),
    ]
    assert [(event["name"], event["ts"], event["dur"]) for event in slices[tracks["build"]]] == [
        ("prepare", 0, 500000), ("actions", 500000, 3750000)
    ]  # fmt: skip
    assert [event["cat"] for event in slices[tracks["actions 1"]] + slices[tracks["actions 2"]]] == [
        "action,built,critical", "action,built,critical", "action,failed,critical", "action,built", "action,cached"
    ]  # fmt: skip
    assert {event["name"] for event in events if event["ph"] == "i"} == {"//src:t run the test failed"}
    assert [event["args"] for event in events if event["name"] == "actions" and event["ph"] == "C"][:2] == [
        {"running": 2, "ready": 1}, {"running": 2, "ready": 0}
    ]  # fmt: skip
