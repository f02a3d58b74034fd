"""Audit logs of real executions, with many writers, writers that die, and a full disk."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from bldr import AuditError, AuditEvent, AuditLog, HermeticExecutor, SandboxSpecBuilder
from bldr.audit.log import rotated
from bldr.errors import TimeLimitError
from bldr.model.result import Termination
from tests.processes import until

Run = Callable[..., subprocess.CompletedProcess[bytes]]
BOUND = 20_000  # milliseconds that an event may take on a loaded machine
SOURCES = Path(__file__).parents[3] / "src"

# Writes events until it is told to stop or is killed: file, name, count, largest file.
WRITER = """
import sys
sys.path.insert(0, sys.argv[1])
from bldr import AuditEvent, AuditLog
log = AuditLog(sys.argv[2], max_size=int(sys.argv[5]), keep=None, sync=False)
print("ready", flush=True)
for number in range(int(sys.argv[4])):
    log.record(AuditEvent("network", f"{sys.argv[3]}-{number}", "refused", argv=("x" * 500,)))
print("done", flush=True)
"""


def writer(path: Path, name: str, count: int, max_size: int = 1 << 30) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-c", WRITER, SOURCES, path, name, str(count), str(max_size)],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("max_size", [1 << 30, 20_000])
def test_many_writers_lose_nothing_and_mix_nothing(tmp_path: Path, max_size: int) -> None:
    path = tmp_path / "log"
    writers = [writer(path, f"w{number}", 60, max_size) for number in range(6)]

    assert [one.wait(timeout=60) for one in writers] == [0] * 6
    log = AuditLog(path)
    found = log.verify()
    assert (found.intact, found.events) == (True, 360), found.findings
    assert bool(rotated(log.path)) == (max_size < 1 << 30)
    for number in range(6):
        mine = [one.subject for one in log.read() if one.subject.startswith(f"w{number}-")]
        assert mine == [f"w{number}-{count}" for count in range(60)]
    for one in writers:
        assert one.stdout is not None
        one.stdout.close()


def test_threads_take_turns(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "log", sync=False)
    threads = [
        threading.Thread(target=lambda: [log.record(AuditEvent("limit", "x", "y")) for _ in range(40)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert (log.verify().intact, log.verify().events) == (True, 320)


def test_writers_that_are_killed_leave_a_log_that_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = AuditLog(path, max_size=30_000, keep=None, sync=False)
    for round_ in range(12):
        victim = writer(path, f"v{round_}", 100_000, 30_000)
        assert victim.stdout is not None
        assert victim.stdout.readline() == b"ready\n"
        before = log.head()
        until(lambda: log.head() != before)  # noqa: B023  called at once; it has written something, and goes on
        victim.send_signal(signal.SIGKILL)
        victim.wait(timeout=60)
        victim.stdout.close()
        log.record(AuditEvent("limit", f"after-{round_}", "y"))

    found = log.verify()
    assert found.intact, found.findings
    assert [one.subject for one in log.read() if one.subject.startswith("after")] == [f"after-{n}" for n in range(12)]


FULL_DISK = """
set -e
mount -t tmpfs -o size=64k,mode=755 t {at}
{python} -I -c '{program}' {sources} {at}/log
"""
FILLER = """
import os, sys
sys.path.insert(0, sys.argv[1])
from bldr import AuditError, AuditEvent, AuditLog
log = AuditLog(sys.argv[2])
written = 0
try:
    while True:
        log.record(AuditEvent("network", "x" * 1000, "refused"))
        written += 1
except AuditError as error:
    print(error.code, written > 20)
found = log.verify()
print(found.intact, found.events == written, found.torn)
with open(os.path.dirname(sys.argv[2]) + "/ballast", "wb") as ballast:
    pass
os.truncate(sys.argv[2] + ".head", os.path.getsize(sys.argv[2] + ".head"))
os.rename(sys.argv[2], sys.argv[2] + ".000000000000")
os.unlink(sys.argv[2] + ".000000000000")
log.record(AuditEvent("network", "after", "refused"))
print(next(iter(log.read())).sequence == written)
"""


@pytest.mark.needs("user-namespaces")
def test_a_full_disk_leaves_no_torn_line_and_says_so(tmp_path: Path) -> None:
    at = tmp_path / "small"
    at.mkdir()
    script = FULL_DISK.format(at=at, python=sys.executable, program=FILLER.replace("'", '"'), sources=SOURCES)

    done = subprocess.run(["unshare", "-Urm", "sh", "-c", script], capture_output=True, timeout=60, check=False)

    assert done.stdout.decode().split("\n") == ["audit.write-failed True", "True True 0", "True", ""], done.stderr


def executor(log: AuditLog) -> HermeticExecutor:
    spec = SandboxSpecBuilder.create().with_toolchain("system").env("PATH", "/usr/bin:/bin").build()
    return HermeticExecutor.create(spec, audit=log)


@pytest.mark.needs("user-namespaces")
def test_a_timeout_is_written(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "log")
    run = executor(log)

    result = run.execute(["sleep", "60"], timeout=3, grace=0)
    run.execute(["true"])

    assert result.termination == Termination.TIMED_OUT
    (event,) = log.read()
    assert (event.kind, event.subject, event.argv, event.limit) == ("timeout", "wall_time", ("sleep", "60"), 3)


@pytest.mark.needs("user-namespaces")
def test_what_a_trace_shows_as_denied_is_written(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "log")

    result = executor(log).execute(["sh", "-c", "cat /etc/fstab /home; echo x > /usr/x"], trace="full")

    assert result.denials
    assert [(one.subject, one.denial) for one in log.read()] == [(one.subject, True) for one in result.denials]
    assert ("filesystem-write", "/usr/x") in [(one.kind, one.subject) for one in log.read()]


@pytest.mark.needs("user-namespaces")
def test_a_timeout_before_the_start_is_written(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "log")

    with pytest.raises(TimeLimitError) as caught:
        executor(log).execute(["sleep", "60"], timeout=1e-9)
    assert caught.value.result is None
    (event,) = log.read()
    assert event.message == "timed out before the command was started"


@pytest.mark.needs("user-namespaces")
def test_a_log_that_cannot_take_an_event_loses_no_result(tmp_path: Path) -> None:
    directory = tmp_path / "gone"
    directory.mkdir()
    session = executor(AuditLog(directory / "log")).start(["sleep", "60"], timeout=3, grace=0)
    for name in os.listdir(directory):
        (directory / name).unlink()
    directory.rmdir()

    with session:
        with pytest.raises(AuditError) as caught:
            session.wait()
        result = session.wait()

    assert caught.value.result is result
    assert result.exit_code == 124


@pytest.mark.needs("user-namespaces", "bldr-command")
def test_the_command_line_writes_shows_and_verifies(bldr: Run, tmp_path: Path) -> None:
    ran = bldr("run", "--audit-log", "log", "--timeout", "3", "--", "sleep", "60", cwd=tmp_path)
    shown = bldr("audit", "log", cwd=tmp_path)
    filtered = bldr("audit", "--kind", "network", "log", cwd=tmp_path)
    listed = bldr("audit", "--json", "--subject", "wall*", "--since", "1h", "log", cwd=tmp_path)
    intact = bldr("audit", "--verify", "log", cwd=tmp_path)

    assert ran.returncode == 124
    assert b"timeout" in shown.stdout
    assert b"timed out after 3 s  [sleep 60]" in shown.stdout
    assert filtered.stdout == b""
    assert json.loads(listed.stdout)["subject"] == "wall_time"
    assert (intact.returncode, intact.stdout) == (0, b"intact: event 0\n")
    path = tmp_path / "log"
    path.write_bytes(path.read_bytes().replace(b"sleep", b"SLEEP"))
    broken = bldr("audit", "--verify", "log", cwd=tmp_path)
    assert broken.returncode == 1
    assert b"log:1: the line is not what was written" in broken.stdout


@pytest.mark.needs("user-namespaces", "bldr-command")
def test_a_setting_names_the_log_relative_to_its_file(bldr: Run, tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    (tmp_path / "a" / ".builderrc").write_text("BUILDER_HERMETIC_AUDIT_LOG=audit.jsonl\n", encoding="ascii")

    bldr("run", "--timeout", "3", "--", "sleep", "60", cwd=below)

    assert (tmp_path / "a" / "audit.jsonl").exists()
    assert bldr("audit", "--verify", cwd=below).stdout == b"intact: event 0\n"
    assert len(bldr("audit", "--head", cwd=below).stdout) == 2 + 64 + 1


@pytest.mark.needs("user-namespaces", "bldr-command")
def test_a_log_that_cannot_be_written_stops_the_run(bldr: Run, tmp_path: Path) -> None:
    done = bldr("run", "--audit-log", tmp_path / "no" / "log", "--", "echo", "ran")

    assert (done.returncode, done.stdout) == (125, b"")
    assert b"cannot write the audit log" in done.stderr


@pytest.mark.needs("user-namespaces", "bldr-command")
@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["-i", "nothing-here"], "spec.path-missing"),
        (["-o", ".", "-t", "."], "spec.paths-overlap"),
        (["--require", "disk-rate-limit"], "sandbox.guarantee-unavailable"),
        ([], "spec.command-not-found"),
    ],
)
def test_why_a_command_was_not_started_is_written(bldr: Run, tmp_path: Path, options: list[str], code: str) -> None:
    log = tmp_path / "log"

    done = bldr("run", "--audit-log", log, *options, "--", "no-such-program", cwd=tmp_path)

    assert done.returncode in (125, 127), done
    (event,) = AuditLog(log).read()
    assert (event.kind, event.subject, event.denial) == ("refusal", code, True)
    assert event.message in done.stderr.decode()
    shown = bldr("audit", "--kind", "refusal", "--json", log)
    assert json.loads(shown.stdout)["subject"] == code


@pytest.mark.needs("bldr-command")
def test_events_are_followed_over_a_change_of_files(bldr_argv: list[str], tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "log", max_size=1500, keep=None, sync=False)
    log.record(AuditEvent("network", "early", "refused"))
    with subprocess.Popen([*bldr_argv, "audit", "-f", "--json", log.path], stdout=subprocess.PIPE, bufsize=0) as reader:
        assert reader.stdout is not None
        seen = [json.loads(reader.stdout.readline())["subject"]]
        for number in range(12):
            log.record(AuditEvent("network", f"n{number}", "refused"))
        poller = select.poll()
        poller.register(reader.stdout, select.POLLIN)
        lines = b""
        while lines.count(b"\n") < 12 and poller.poll(BOUND):
            lines += os.read(reader.stdout.fileno(), 1 << 16)
        seen += [json.loads(line)["subject"] for line in lines.splitlines()]
        reader.send_signal(signal.SIGINT)
        status = reader.wait(timeout=30)

    assert seen == ["early", *[f"n{number}" for number in range(12)]]
    assert status == 0


@pytest.mark.needs("bldr-command")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--kind", "netwrok", "x"], b"did you mean network?"),
        (["--since", "someday", "x"], b"this is no time"),
        (["--last", "-1", "x"], b"--last"),
        (["--expect", "1:a", "x"], b"belongs to --verify"),
        (["x", "y"], b"takes one file"),
        ([], b"needs a file"),
    ],
)
def test_mistakes_are_named(bldr: Run, tmp_path: Path, arguments: list[str], words: bytes) -> None:
    (tmp_path / "x").touch()
    done = bldr("audit", *arguments, cwd=tmp_path)

    assert done.returncode == 2, done
    assert words in done.stderr
