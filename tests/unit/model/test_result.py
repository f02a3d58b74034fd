"""Results of executions."""

from __future__ import annotations

import json
import pickle

import pytest

from bldr.errors import CommandFailedError, TimeLimitError
from bldr.model.receipt import Guarantee, GuaranteeRecord, Receipt
from bldr.model.result import Denial, ExecutionResult, ResourceUsage, Termination, Violation
from bldr.model.trace import Trace, TraceEvent

HERMETIC = Receipt(tuple(GuaranteeRecord(name, True, ("x",)) for name in Guarantee.PROFILE))


def result(exit_code: int = 0, termination: str = Termination.EXITED, signal: int | None = None) -> ExecutionResult:
    return ExecutionResult(("make",), exit_code, termination, signal, usage=ResourceUsage(wall_time=5.04))


@pytest.mark.parametrize(
    ("ended", "success"),
    [
        (result(), True),
        (result(1), False),
        (result(137, Termination.SIGNALED, 9), False),
        (result(124, Termination.TIMED_OUT), False),
        (result(0, Termination.TIMED_OUT), False),
        (result(0, Termination.CANCELLED), False),
    ],
)
def test_success_is_to_exit_with_status_0(ended: ExecutionResult, success: bool) -> None:
    assert ended.success is success
    if success:
        assert ended.check() is ended


@pytest.mark.parametrize(
    ("ended", "error", "code", "message"),
    [
        (result(2), CommandFailedError, "action.exit-status", "the command 'make' ended with status 2"),
        (
            result(139, Termination.SIGNALED, 11),
            CommandFailedError,
            "action.signal",
            "the command 'make' was ended by signal 11 (SIGSEGV)",
        ),
        (
            result(128 + 99, Termination.SIGNALED, 99),
            CommandFailedError,
            "action.signal",
            "the command 'make' was ended by signal 99",
        ),
        (
            result(124, Termination.TIMED_OUT, 15),
            TimeLimitError,
            "action.timed-out",
            "the command 'make' was ended by its timeout after 5.0 s",
        ),
        (
            result(137, Termination.CANCELLED, 9),
            CommandFailedError,
            "action.cancelled",
            "the command 'make' was cancelled",
        ),
    ],
)
def test_a_failure_is_raised_when_asked_for(
    ended: ExecutionResult, error: type[CommandFailedError], code: str, message: str
) -> None:
    with pytest.raises(error) as caught:
        ended.check()

    assert caught.value.code == code
    assert caught.value.message == message
    assert caught.value.result is ended
    assert pickle.loads(pickle.dumps(caught.value)).result == ended


def test_hermetic_and_guarantees_come_from_the_receipt() -> None:
    ended = ExecutionResult(("true",), 0, receipt=HERMETIC)

    assert ended.hermetic
    assert ended.guarantees == HERMETIC.records
    assert not ExecutionResult(("true",), 0).hermetic
    assert ExecutionResult(("true",), 0).guarantees == ()


def test_a_result_becomes_json_whatever_bytes_are_in_it() -> None:
    ended = ExecutionResult(
        argv=("cat", "/w/\udcff", "ü"),
        exit_code=1,
        stdout=b"caf\xc3\xa9 \xff\0\n",
        stderr=b"\x80",
        stdout_dropped=7,
        usage=ResourceUsage(1.0, 0.75, 0.5, 0.25, 4096),
        violations=(Violation("memory", "too much", 2.0, 1.0),),
        denials=(Denial("read", "/etc/\udcfe", "not declared", 4),),
        output_files=("/w/out/\udcff",),
        trace=Trace("full", (), (TraceEvent("read", "/w/a", errno=0, entry="file", pid=7, time=0.5),), 9, 1),
        started_at=1.5,
        duration=2.5,
    )
    document = ended.to_dict()

    assert json.loads(json.dumps(document, ensure_ascii=False).encode("utf-8")) == document
    assert document == {
        "schema": 1,
        "argv": ["cat", "/w/\\xff", "ü"],
        "exit_code": 1,
        "termination": "exited",
        "signal": None,
        "success": False,
        "hermetic": False,
        "stdout": "café \\xff\0\n",
        "stdout_size": 9,
        "stdout_dropped": 7,
        "stderr": "\\x80",
        "stderr_size": 1,
        "stderr_dropped": 0,
        "usage": {
            "wall_time": 1.0,
            "cpu_time": 0.75,
            "user_time": 0.5,
            "system_time": 0.25,
            "peak_memory": 4096,
            "disk_read": None,
            "disk_write": None,
            "processes": None,
            "peak_processes": None,
            "context_switches": None,
            "stalled": None,
            "network": None,
            "measured_by": "",
        },
        "violations": [
            {"kind": "memory", "message": "too much", "actual": 2.0, "limit": 1.0, "time": 0.0, "pid": 0, "argv": []}
        ],
        "denials": [{"kind": "read", "subject": "/etc/\\xfe", "message": "not declared", "pid": 4}],
        "receipt": {"hermetic": False, "backend": "", "guarantees": [], "notes": []},
        "hosts": [],
        "output_files": ["/w/out/\\xff"],
        "reads": ["/w/a"],
        "listings": [],
        "probes": [],
        "writes": [],
        "deletes": [],
        "endpoints": [],
        "unused_inputs": [],
        "trace": {
            "level": "full",
            "calls": 9,
            "dropped": 1,
            "processes": [],
            "events": [
                {
                    "kind": "read",
                    "subject": "/w/a",
                    "asked": "",
                    "target": "",
                    "call": "",
                    "errno": 0,
                    "entry": "file",
                    "pid": 7,
                    "time": 0.5,
                    "own": False,
                    "argv": [],
                    "interpreters": [],
                }
            ],
        },
        "post_mortem": None,
        "started_at": 1.5,
        "duration": 2.5,
        "action": None,
        "cached": False,
    }


def test_a_result_is_a_value() -> None:
    ended = result(3)

    assert pickle.loads(pickle.dumps(ended)) == ended
    assert hash(ended) == hash(result(3))
    with pytest.raises(AttributeError):
        ended.exit_code = 0  # type: ignore[misc]
