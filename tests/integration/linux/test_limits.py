"""Limits hold and are told from other ends: one suite for hosts with a cgroup of our own, and for those without."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bldr import (
    GuaranteeUnavailableError,
    HermeticExecutor,
    InvalidCommandError,
    LimitReachedError,
    ProcessPolicy,
    ResourceLimits,
    Sandbox,
    Termination,
    create_monitor,
)
from bldr.model.value import replace
from bldr.sandbox.linux.launcher import Launcher
from tests.processes import BOUND, Witness, specification, until

pytestmark = [pytest.mark.needs("user-namespaces")]

MEBIBYTE = 1 << 20
HOG = "import sys, time; block = bytearray(int(sys.argv[1]) << 20); time.sleep(60)"
SPIN = "while True: pass"
BOMB = """
import os, time
started = 0
try:
    while started < 200:
        if os.fork() == 0:
            time.sleep(60)
        started += 1
except OSError:
    pass
os.write(1, b"%d" % started)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def executor(launcher: Launcher) -> HermeticExecutor:
    return HermeticExecutor.create(specification().build(), launcher=launcher)


@pytest.fixture(scope="module")
def has_cgroup(executor: HermeticExecutor, launcher: Launcher) -> bool:
    executor.execute(["true"])
    return bool(launcher.groups.path)


def test_a_memory_hog_is_ended_and_reported_as_out_of_memory(executor: HermeticExecutor, has_cgroup: bool) -> None:
    result = executor.execute(["python3", "-c", HOG, "400"], limits=ResourceLimits(memory="100M"), timeout=BOUND)

    assert (result.exit_code, result.termination) == (124, Termination.LIMIT_REACHED)
    (found,) = result.violations
    assert (found.kind, found.limit) == ("memory", 100 * MEBIBYTE)
    assert found.message.startswith("memory limit reached: ")
    assert found.actual >= 100 * MEBIBYTE * 0.9
    assert result.usage.peak_memory is not None
    assert result.usage.peak_memory >= 100 * MEBIBYTE * 0.9
    if has_cgroup:
        assert result.usage.peak_memory <= 101 * MEBIBYTE
    else:
        assert "python3" in found.message
        assert found.argv[0] == "python3"
        assert result.post_mortem is not None
        assert [one.argv[0] for one in result.post_mortem.processes] == ["python3"]
    record = result.receipt.record("memory-limit")
    assert (record.asked, record.enforced_by) == (True, ("cgroup",) if has_cgroup else ("sampling",))
    with pytest.raises(LimitReachedError, match="memory limit reached"):
        result.check()


def test_memory_below_the_limit_is_left_alone(executor: HermeticExecutor) -> None:
    program = "block = bytearray(40 << 20); import time; time.sleep(0.3)"

    result = executor.execute(["python3", "-c", program], limits=ResourceLimits(memory="150M"), timeout=BOUND)

    assert (result.exit_code, result.violations) == (0, ())
    assert result.usage.peak_memory is not None
    assert 40 * MEBIBYTE < result.usage.peak_memory < 80 * MEBIBYTE


def test_a_fork_bomb_does_not_get_past_its_limit(executor: HermeticExecutor, has_cgroup: bool) -> None:
    """Without a cgroup one process too many is let through, so that it is seen; see docs/limits.md."""
    result = executor.execute(["python3", "-c", BOMB], limits=ResourceLimits(processes=20), timeout=BOUND)

    assert (result.exit_code, result.termination) == (124, Termination.LIMIT_REACHED)
    assert [one.kind for one in result.violations] == ["processes"]
    if result.stdout:  # what it had started beside itself before it was refused
        assert int(result.stdout) <= (19 if has_cgroup else 20)
    assert result.usage.peak_processes is None or result.usage.peak_processes <= 21


def test_as_many_processes_as_are_allowed_can_be_started(executor: HermeticExecutor) -> None:
    script = "for i in 1 2 3 4 5; do sleep 0.4 & done; wait"

    result = executor.execute(["sh", "-c", script], limits=ResourceLimits(processes=6), timeout=BOUND)

    assert (result.exit_code, result.violations) == (0, ())
    assert result.usage.processes == 6


def test_a_shell_that_is_refused_a_process_and_gives_up_is_told_from_one_that_fails(executor: HermeticExecutor) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9; do sleep 60 & done; wait"

    result = executor.execute(["sh", "-c", script], limits=ResourceLimits(processes=4), timeout=BOUND)

    assert result.termination == Termination.LIMIT_REACHED
    assert [one.kind for one in result.violations] == ["processes"]


def test_children_are_limited_beside_the_command(launcher: Launcher) -> None:
    spec = specification().with_process(ProcessPolicy(max_children=2)).build()
    result = HermeticExecutor.create(spec, launcher=launcher).execute(["python3", "-c", BOMB], timeout=BOUND)

    assert [(one.kind, one.limit) for one in result.violations] == [("processes", 3)]


def test_cpu_time_of_all_processes_together_is_limited(executor: HermeticExecutor) -> None:
    script = f"python3 -c '{SPIN}' & python3 -c '{SPIN}'"

    result = executor.execute(["sh", "-c", script], limits=ResourceLimits(cpu_time=0.6), timeout=BOUND, grace=1)

    assert (result.exit_code, result.termination) == (124, Termination.LIMIT_REACHED)
    (found,) = result.violations
    assert (found.kind, found.limit) == ("cpu_time", 0.6)
    assert 0.6 <= found.actual < 2
    assert result.usage.cpu_time >= 0.5


def test_a_file_that_grows_too_large_is_a_violation(executor: HermeticExecutor) -> None:
    result = executor.execute(
        ["dd", "if=/dev/zero", "of=/tmp/large", "bs=1M", "count=3"], limits=ResourceLimits(file_size="1M")
    )

    assert [one.kind for one in result.violations] == ["file_size"]


def test_a_timeout_is_told_from_a_limit_and_both_from_a_signal(executor: HermeticExecutor) -> None:
    timed_out = executor.execute(["sleep", "60"], timeout=5)
    killed = executor.execute(["sh", "-c", "kill -KILL $$"])

    assert (timed_out.termination, [one.kind for one in timed_out.violations]) == ("timed-out", ["wall_time"])
    assert timed_out.post_mortem is not None
    assert [one.argv for one in timed_out.post_mortem.processes] == [("sleep", "60")]
    assert (killed.termination, killed.exit_code, killed.violations) == ("signaled", 137, ())


def test_silence_ends_a_command_and_output_keeps_it_alive(executor: HermeticExecutor) -> None:
    silent = executor.execute(["sh", "-c", "echo once; sleep 60"], silence=1.5)
    talking = executor.execute(["sh", "-c", "for i in 1 2 3 4 5 6; do echo $i; sleep 0.5; done"], silence=2)

    assert (silent.termination, silent.exit_code) == (Termination.TIMED_OUT, 124)
    assert [one.kind for one in silent.violations] == ["silence"]
    assert talking.exit_code == 0


def test_a_limit_that_ends_a_command_leaves_nobody(executor: HermeticExecutor) -> None:
    session = executor.start(
        ["sh", "-c", f"setsid python3 -c '{SPIN}' & python3 -c '{SPIN}'"], limits=ResourceLimits(cpu_time=0.5), grace=0
    )
    init = session.meter()
    assert until(lambda: init.look()[0].processes == 3)
    pids = [one.pid for one in init.look(closely=True)[1]]
    with session, Witness(pids[0]) as witness:
        session.wait()

        assert witness.survivors() == set()


SHELL_BOMB = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 600 & done; wait"
EAT = "blocks = []\nwhile True: blocks.append(bytes(1 << 18) + b'x')"


def test_sixteen_sandboxes_each_keep_their_own_limits(executor: HermeticExecutor) -> None:
    """No two have the same limit. Those that stay below theirs live until all the others have been ended."""
    asked: dict[int, tuple[str, float]] = {}
    sessions: list[Sandbox] = []
    for number in range(4):
        usual = ResourceLimits(memory=(40 + number) * MEBIBYTE, processes=20 + number, cpu_time=60 + number)
        memory, processes, seconds = (24 + 2 * number) * MEBIBYTE, 4 + number, 0.3 + number / 10
        for kind, limit, limits, argv in (
            ("memory", memory, ResourceLimits(memory=memory), ["python3", "-I", "-S", "-c", EAT]),
            ("processes", processes, ResourceLimits(processes=processes), ["sh", "-c", SHELL_BOMB]),
            ("cpu_time", seconds, ResourceLimits(cpu_time=seconds), ["python3", "-I", "-S", "-c", SPIN]),
            ("", 0, ResourceLimits(), ["sh", "-c", "sleep 600 & read go; kill $!"]),
        ):
            asked[len(sessions)] = (kind, limit)
            sessions.append(executor.start(argv, limits=usual.merge(limits), stdin="pipe", grace=0))
    results = {}
    for number in [*(one for one in asked if asked[one][0]), *(one for one in asked if not asked[one][0])]:
        with sessions[number] as session:
            if not asked[number][0]:
                assert not session.ended
                assert session.stdin is not None
                session.stdin.write(b"go\n")
                session.stdin.close()
            results[number] = session.wait()

    reached = {number: [(one.kind, one.limit) for one in result.violations] for number, result in results.items()}
    assert reached == {number: [asked[number]] if asked[number][0] else [] for number in asked}
    assert {results[number].exit_code for number in asked if not asked[number][0]} == {0}


def test_a_timeline_has_samples_and_processes(executor: HermeticExecutor) -> None:
    result = executor.execute(["sh", "-c", "sleep 1.2; sleep 1.2"], timeline=True)

    timeline = result.timeline
    assert timeline is not None
    assert len(timeline.samples) >= 2
    assert [one.time for one in timeline.samples] == sorted(one.time for one in timeline.samples)
    assert [one.argv[0] for one in timeline.processes] == ["sh", "sleep", "sleep"]
    assert all(one.parent == timeline.processes[0].pid for one in timeline.processes[1:])
    assert executor.execute(["true"]).timeline is None


def test_a_monitor_watches_an_execution_without_ending_it(executor: HermeticExecutor) -> None:
    monitor = create_monitor(ResourceLimits(memory="20M", processes=1))
    with executor.start(["sh", "-c", "python3 -c 'block = bytearray(60 << 20); input()'"], stdin="pipe") as session:
        monitor.start(session)
        assert until(lambda: (monitor.snapshot().peak_memory or 0) > 60 * MEBIBYTE)
        assert session.stdin is not None
        session.stdin.write(b"\n")
        session.stdin.close()
        result = session.wait()
    usage = monitor.stop()

    assert result.exit_code == 0
    assert monitor.is_violated()
    assert {one.kind for one in monitor.violations()} == {"memory", "processes"}
    assert usage.peak_memory is not None


def test_limits_above_what_the_host_has_are_refused() -> None:
    for limits in (ResourceLimits(memory="1000T"), ResourceLimits(cpus=8000), ResourceLimits(tmp_size="1000T")):
        with pytest.raises(GuaranteeUnavailableError, match="is above what this host has"):
            HermeticExecutor.create(specification().with_limits(limits).build())


def test_what_only_a_cgroup_enforces_is_refused_without_one(launcher: Launcher, has_cgroup: bool) -> None:
    spec = specification().with_limits(ResourceLimits(cpus=0.5)).build()
    if has_cgroup:
        result = HermeticExecutor.create(spec, launcher=launcher).execute(["true"])
        assert result.receipt.record("cpu-limit").enforced_by == ("cgroup",)
        return
    with pytest.raises(GuaranteeUnavailableError, match="because there is no cgroup for it: ") as caught:
        HermeticExecutor.create(spec, launcher=launcher)
    assert caught.value.hint.endswith("--allow-degraded cpu-limit")
    degraded = replace(spec, allow_degraded=frozenset({"cpu-limit"}))
    record = HermeticExecutor.create(degraded, launcher=launcher).execute(["true"]).receipt.record("cpu-limit")
    assert (record.asked, record.enforced_by) == (True, ())


def test_a_mechanism_that_is_required_and_missing_is_refused(launcher: Launcher, has_cgroup: bool) -> None:
    spec = specification().with_limits(ResourceLimits(memory="200M")).require("memory-limit", "cgroup").build()
    if has_cgroup:
        assert HermeticExecutor.create(spec, launcher=launcher).execute(["true"]).exit_code == 0
        return
    with pytest.raises(GuaranteeUnavailableError, match="memory-limit cannot be enforced by cgroup here"):
        HermeticExecutor.create(spec, launcher=launcher)


def test_no_cgroup_is_left(has_cgroup: bool) -> None:
    own = Launcher(ready=1)
    executor = HermeticExecutor.create(specification().build(), launcher=own)
    for _ in range(30):
        executor.execute(["true"])
    place = own.groups.path
    with executor.start(["sleep", "60"]) as session:
        session.kill()
        session.wait()
    assert bool(place) == has_cgroup
    own.stop()
    assert not place or not os.path.exists(place)


def test_a_limit_that_is_required_and_not_set_is_refused() -> None:
    with pytest.raises(GuaranteeUnavailableError, match="cpu-limit cannot be enforced here") as caught:
        HermeticExecutor.create(specification().require("cpu-limit").build())

    assert caught.value.hint == "set its limit"


def test_landlock_is_not_promised_where_nested_sandboxes_rule_it_out() -> None:
    nested = specification().with_process(ProcessPolicy(allow_userns=True)).require("writes-confined", "landlock")

    with pytest.raises(GuaranteeUnavailableError, match="writes-confined cannot be enforced by landlock here"):
        HermeticExecutor.create(nested.build())


def test_a_monitor_watches_a_process_and_what_it_starts() -> None:
    program = "block = bytearray(50 << 20); input()"
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {program!r}])"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE) as process:
        monitor = create_monitor(ResourceLimits(memory="30M"))
        monitor.start(process.pid)
        seen = until(lambda: (monitor.snapshot().peak_memory or 0) > 50 * MEBIBYTE)
        process.communicate(b"\n", timeout=BOUND)
    usage = monitor.stop()

    assert seen
    assert [one.kind for one in monitor.violations()] == ["memory"]
    assert usage.peak_processes == 2
    assert (process.returncode, usage.measured_by) == (0, "sampling")
    with pytest.raises(ProcessLookupError):
        create_monitor(ResourceLimits()).start(process.pid)
    with pytest.raises(InvalidCommandError):
        create_monitor(ResourceLimits()).start(0)


EVERYTHING = """
from bldr import HermeticExecutor, ResourceLimits, create_monitor
from tests.processes import specification
executor = HermeticExecutor.create(specification().build())
executor.execute(["true"])
with create_monitor(ResourceLimits()) as monitor:
    monitor.start()
    before = monitor.snapshot().peak_processes
    executor.execute(["sleep", "0.5"])
    print(before, monitor.snapshot().peak_processes)
"""


def test_a_monitor_of_everything_does_not_count_bldr_itself(repository: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EVERYTHING], cwd=repository, capture_output=True, timeout=60, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, b"0 1\n", b"")
