"""The filter of the tracer, run by the interpreter of ``test_seccomp_programs``: what it asks about and what passes."""

from __future__ import annotations

import struct

import pytest

from _bldr_launcher import seccomp, trace_calls
from tests.simulation.test_seccomp_programs import ALLOW, ARCHITECTURE, ASKED, DATA_SIZE, MACHINES, run

NOWHERE = 0xFFFFFF9C  # AT_FDCWD as a 32-bit number, which is what most programs pass


def ask(machine: str, name: str, *arguments: int, full: bool = True) -> str:
    number = (trace_calls.NUMBERS[machine] | trace_calls.SHARED_NUMBERS)[name]
    return run(trace_calls.trace_filter(full=full, machine=machine), number, arguments, ARCHITECTURE[machine])


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("full", [False, True])
def test_the_program_is_one_that_the_kernel_accepts(machine: str, full: bool) -> None:
    instructions = list(struct.iter_unpack("<HBBI", trace_calls.trace_filter(full=full, machine=machine)))

    assert instructions[-1][0] == seccomp.RET
    for place, (code, jump_true, jump_false, k) in enumerate(instructions):
        assert code in {seccomp.LD, seccomp.JEQ, seccomp.JGE, seccomp.JSET, seccomp.RET}
        if code == seccomp.LD:
            assert k % 4 == 0
            assert k < DATA_SIZE
        elif code != seccomp.RET:
            assert place + 1 + max(jump_true, jump_false) < len(instructions)


@pytest.mark.parametrize("machine", MACHINES)
def test_every_traced_call_is_asked_about_and_no_other(machine: str) -> None:
    for name in trace_calls.NUMBERS[machine] | trace_calls.SHARED_NUMBERS:
        arguments = (NOWHERE, 0x7F0000000000, 0, 0, 0x7F0000000000, 16)

        assert ask(machine, name, *arguments) == ASKED, name
        assert ask(machine, name, *arguments, full=False) == (ASKED if name in trace_calls.NETWORK else ALLOW), name
    program = trace_calls.trace_filter(full=True, machine=machine)
    assert run(program, {"x86_64": 0, "aarch64": 63}[machine], (), ARCHITECTURE[machine]) == ALLOW  # read(2)


@pytest.mark.parametrize("machine", MACHINES)
def test_looking_at_an_open_descriptor_passes(machine: str) -> None:
    assert ask(machine, "newfstatat", 3, 0x7F0000000000, 0x7F0000001000, 0x1000) == ALLOW
    assert ask(machine, "newfstatat", NOWHERE, 0x7F0000000000, 0x7F0000001000, 0x1000) == ASKED
    assert ask(machine, "statx", 3, 0x7F0000000000, 0x1000, 0xFFF, 0x7F0000001000) == ALLOW
    assert ask(machine, "utimensat", 3, 0, 0x7F0000000000, 0) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
def test_what_may_ask_for_a_name_over_a_connection_is_asked_about(machine: str) -> None:
    assert ask(machine, "sendto", 3, 0x7F0000000000, 29, 0x4000, 0, 0, full=False) == ASKED
    assert ask(machine, "sendto", 3, 0x7F0000000000, 512, 0x4000, 0, 0) == ASKED
    assert ask(machine, "sendto", 3, 0x7F0000000000, 513, 0x4000, 0, 0) == ALLOW
    assert ask(machine, "sendto", 3, 0x7F0000000000, 29, 0x4040, 0, 0) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
def test_sending_over_a_connection_passes(machine: str) -> None:
    assert ask(machine, "sendto", 3, 0x7F0000000000, 8, 0, 0, 0) == ALLOW
    assert ask(machine, "sendto", 3, 0x7F0000000000, 8, 0, 0x7F00_0000_0000, 16) == ASKED  # low half 0, high half not
    assert ask(machine, "sendto", 3, 0x7F0000000000, 8, 0, 0x1000, 16) == ASKED


def test_a_call_is_described_for_every_number() -> None:
    for machine in MACHINES:
        calls = trace_calls.calls_of(machine)

        assert {call.name for call in calls.values()} == {*trace_calls.NUMBERS[machine], *trace_calls.SHARED_NUMBERS}


def test_another_machine_is_refused() -> None:
    with pytest.raises(KeyError):
        trace_calls.trace_filter(full=True, machine="riscv64")
