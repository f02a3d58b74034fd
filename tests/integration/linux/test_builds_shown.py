"""What people and programs see of ``bldr build`` and ``bldr test``: a terminal, a log, files."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

from tests.screens import Screen

pytestmark = [pytest.mark.needs("user-namespaces"), pytest.mark.slow]

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]

PATIENCE = 100.0  # seconds for a whole bldr to start, on a machine with a hundred other programs
BUILDERFILE = """
target("good") { type: custom; command: "echo a warning; echo 1 > out/good"; output: "out/good"; }
target("slow") { type: custom; deps: [":good"]; command: "cat gate > out/slow"; output: "out/slow"; sources: ["gate"]; }
target("bad") { type: custom; command: "echo told why; exit 3"; output: "out/bad"; }
"""


@pytest.fixture
def workspace(tmp_path: Path, known_toolchain: Path) -> Path:
    """A workspace, and a cache that knows the toolchain."""
    (tmp_path / "ws").mkdir()
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "index.sqlite").write_bytes(known_toolchain.read_bytes())
    (tmp_path / "ws" / "gate").write_text("open\n", encoding="ascii")
    (tmp_path / "ws" / "Builderfile").write_text(BUILDERFILE, encoding="ascii")
    return tmp_path / "ws"


class Watched:
    """A ``bldr`` on a terminal of 72 columns."""

    def __init__(self, argv: list[str], verb: str, workspace: Path, *options: str) -> None:
        self.leader, follower = pty.openpty()
        fcntl.ioctl(self.leader, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 72, 0, 0))
        self.process = subprocess.Popen(
            [*argv, verb, f"--cache-dir={workspace.parent / 'cache'}", *options],
            cwd=workspace,
            stdin=subprocess.DEVNULL,
            stdout=follower,
            stderr=follower,
            env={**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8"},
        )
        os.close(follower)
        self.screen = Screen(72, 24)
        self.pending = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.kill()  # harmless where it has ended
        self.process.wait(PATIENCE)
        os.close(self.leader)

    def until(self, is_shown: Callable[[list[str]], bool]) -> list[str]:
        """Read until the screen shows something, or the process has ended; return what it shows."""
        while not is_shown(self.screen.lines):
            assert select.select([self.leader], [], [], PATIENCE)[0], self.screen.lines
            try:
                self.pending += os.read(self.leader, 65536)
            except OSError:  # the other end was closed
                break
            whole, feed, rest = self.pending.rpartition(b"\x1b[J")  # what is drawn ends with it, or with a message
            if feed or self.pending.endswith(b"\n"):
                self.screen.feed(self.pending if self.pending.endswith(b"\n") else whole + feed)
                self.pending = b"" if self.pending.endswith(b"\n") else rest
        return self.screen.lines

    def end(self) -> tuple[int, list[str]]:
        """Wait for the end; returns the status and everything that stayed on the screen."""
        self.until(lambda _lines: False)
        self.screen.feed(self.pending)
        return self.process.wait(PATIENCE), self.screen.lines


@pytest.mark.needs("terminal")
def test_a_terminal_shows_what_runs_and_keeps_what_was_said(workspace: Path, bldr_argv: list[str]) -> None:
    (workspace / "Builderfile").write_text(BUILDERFILE.replace("cat gate", "sleep 1.5; cat gate"), encoding="ascii")
    with Watched(bldr_argv, "build", workspace, "-k", "-j1") as seen:
        shown = seen.until(lambda lines: any("s  //:slow run its command" in line for line in lines))
        status, kept = seen.end()

    head = next(line for line in shown if "1 running" in line)
    assert "2/3 · 1 failed" in head or "1/3" in head
    assert status == 1
    assert "a warning" in kept
    assert "told why" in kept
    assert [line for line in kept if "failed:" in line] == [
        f"bldr: [{number}/3] //:bad run its command failed: the command '/bin/sh' ended w"
        for number in (1, 2, 3)
        if any(f"[{number}/3] //:bad" in line for line in kept)
    ]
    assert kept[-1].startswith("bldr: 2 built, 1 failed in ")
    assert not any("running" in line for line in kept)


@pytest.mark.needs("terminal")
def test_ctrl_c_is_answered_and_leaves_a_clean_terminal(workspace: Path, bldr_argv: list[str]) -> None:
    (workspace / "Builderfile").write_text(BUILDERFILE.replace("cat gate", "sleep 100; cat gate"), encoding="ascii")
    with Watched(bldr_argv, "build", workspace, "//:slow") as seen:
        seen.until(lambda lines: any("s  //:slow run its command" in line for line in lines))
        seen.process.send_signal(signal.SIGINT)
        status, kept = seen.end()

    assert status == 130
    assert kept[-2] == "bldr: [2/2] //:slow run its command was cancelled"
    assert kept[-1].startswith("bldr: 1 built, 1 cancelled in ")
    assert not any("waiting" in line for line in kept)


def test_a_build_is_told_as_events_and_as_json(workspace: Path, bldr: Run) -> None:
    done = bldr(
        "build", "--cache-dir=../cache", "-k", "--events", "../events", "--json", "../result.json", cwd=workspace
    )

    assert done.returncode == 1
    events = [json.loads(line) for line in (workspace.parent / "events").read_bytes().splitlines()]
    assert (events[0]["event"], events[-1]["event"], events[-1]["status"]) == ("build-began", "build-ended", "failed")
    ended = {one["target"]: one for one in events if one["event"] == "action-ended"}
    assert {label: one["status"] for label, one in ended.items()} == {
        "//:good": "built", "//:slow": "built", "//:bad": "failed"
    }  # fmt: skip
    assert (ended["//:bad"]["exit_code"], ended["//:bad"]["output"]) == (3, "told why\n")
    assert all(one["hermetic"] for one in ended.values())
    result = json.loads((workspace.parent / "result.json").read_text(encoding="ascii"))
    assert (result["exit_status"], result["counts"]["built"], result["status"]) == (1, 2, "failed")

    bldr("build", "--cache-dir=../cache", "--events=../events", "--json=../result.json", "//:slow", cwd=workspace)
    assert json.loads((workspace.parent / "result.json").read_text(encoding="ascii"))["counts"]["up-to-date"] == 2


def test_a_page_and_a_trace_of_a_build(workspace: Path, bldr: Run) -> None:
    (workspace / "Builderfile").write_text(BUILDERFILE.replace("exit 3", "cat secret"), encoding="ascii")
    (workspace / "secret").write_text("<b>\n", encoding="ascii")
    files = ("--report=../build.html", "--profile=../build.json")

    assert bldr("build", "--cache-dir=../cache", "-kq", *files, cwd=workspace).returncode == 1

    page = (workspace.parent / "build.html").read_text(encoding="utf-8")
    assert "<h1>bldr build</h1>" in page
    assert "1 action failed" in page
    assert "told why" in page
    assert "add &quot;//secret&quot; to sources of //:bad" in page
    assert "reads-confined" in page
    events = json.loads((workspace.parent / "build.json").read_text(encoding="ascii"))["traceEvents"]
    assert {event["name"] for event in events if "critical" in event.get("cat", "")} >= {"//:slow run its command"}
    assert sorted(path.name for path in workspace.parent.glob("*build*")) == ["build.html", "build.json"]

    assert bldr("build", "--report=../no/build.html", cwd=workspace).returncode == 125
    assert bldr("build", "//:none", *files, cwd=workspace).returncode == 2
    assert (workspace.parent / "build.html").read_text(encoding="utf-8") == page  # a mistake leaves the last one


def test_why_nothing_was_built_is_json_too(workspace: Path, bldr: Run) -> None:
    assert bldr("build", "--json=../result.json", "//:none", cwd=workspace).returncode == 2
    told = json.loads((workspace.parent / "result.json").read_text(encoding="ascii"))
    assert told["error"]["code"] == "builderfile.target-unknown"
    assert bldr("build", "--dry-run", "--json=../plan.json", "--cache-dir=../cache", cwd=workspace).returncode == 0
    planned = json.loads((workspace.parent / "plan.json").read_text(encoding="ascii"))["planned"]
    assert {one["reason"] for one in planned} == {"it was not built yet", "it needs //:good run its command"}
    assert bldr("build", "--dry-run", "--events=../e", cwd=workspace).returncode == 2
    assert bldr("build", "--progress=loud", cwd=workspace).returncode == 2


def test_a_killed_build_leaves_whole_events(workspace: Path, bldr_argv: list[str]) -> None:
    (workspace / "Builderfile").write_text(BUILDERFILE.replace("cat gate", "sleep 100; cat gate"), encoding="ascii")
    events = workspace.parent / "events"
    process = subprocess.Popen(
        [*bldr_argv, "build", "--cache-dir=../cache", "--events", str(events), "//:slow"],
        cwd=workspace,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == b"bldr: [1/2] //:good run its command\n"
    process.kill()
    process.wait(PATIENCE)
    process.stderr.close()

    told = [json.loads(line) for line in events.read_bytes().splitlines()]
    assert [one["event"] for one in told][:3] == ["build-began", "action-began", "action-ended"]
    assert events.read_bytes().endswith(b"\n")


class Watching:
    """A ``bldr`` that builds again and again, and what it says."""

    def __init__(self, argv: list[str], verb: str, workspace: Path, *options: str) -> None:
        self.process = subprocess.Popen(
            [*argv, verb, "--watch", "--cache-dir=../cache", *options], cwd=workspace, stderr=subprocess.PIPE
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.kill()  # harmless where it has ended
        self.process.communicate(timeout=PATIENCE)

    def until(self, text: str) -> list[str]:
        """Return what it says up to a line that begins with a text."""
        assert self.process.stderr is not None
        told: list[str] = []
        while not told or not told[-1].startswith(text):
            line = self.process.stderr.readline().decode()
            assert line, told
            told.append(line.removeprefix("bldr: ").rstrip("\n"))
        return told

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        _, rest = self.process.communicate(timeout=PATIENCE)
        assert rest == b""
        return self.process.returncode


def test_a_change_is_built_again_until_somebody_asks_for_the_end(workspace: Path, bldr_argv: list[str]) -> None:
    with Watching(bldr_argv, "build", workspace, "--events=../events", "//:slow") as watching:
        assert "2 built" in watching.until("watching ")

        (workspace / "gate").write_text("second\n", encoding="ascii")
        assert watching.until("1 ")[0] == "gate changed"
        (workspace / "unrelated.txt").write_text("nobody reads it\n", encoding="ascii")
        (workspace / "gate").unlink()
        told = watching.until("hint: ")
        assert any("gate is gone" in line for line in told)
        assert any("there is no file 'gate'" in line for line in told)
        (workspace / "gate").write_text("third\n", encoding="ascii")
        watching.until("1 built, 1 up to date")
        (workspace / "Builderfile").write_text(BUILDERFILE.replace("cat gate", "exit 5; cat gate"), encoding="ascii")
        assert any("failed" in line for line in watching.until("1 up to date, 1 failed"))
        (workspace / "Builderfile").write_text(BUILDERFILE.replace("cat gate", "tr a-z A-Z < gate"), encoding="ascii")
        watching.until("1 built, 1 up to date")

        assert watching.end() == 130
    assert (workspace / "out" / "slow").read_text(encoding="ascii") == "THIRD\n"
    events = [json.loads(line) for line in (workspace.parent / "events").read_bytes().splitlines()]
    assert [one["event"] for one in events].count("build-began") >= 5


def test_watching_what_cannot_be_watched_is_refused(workspace: Path, bldr: Run) -> None:
    for options in (("--dry-run",), ("--no-hermetic",)):
        done = bldr("build", "--watch", *options, cwd=workspace)
        assert done.returncode == 2
        assert b"contradict each other" in done.stderr
    done = bldr("build", "--watch", cwd=workspace, env={**os.environ, "BUILDER_HERMETIC": "false"})
    assert (done.returncode, b"--watch needs sandboxes" in done.stderr) == (2, True)
    assert bldr("build", "--watch", "//:none", cwd=workspace).returncode == 2
    assert bldr("test", "--watch", "//:good", cwd=workspace).returncode == 2


def test_tests_are_told_as_events_as_json_and_on_the_page(workspace: Path, bldr: Run) -> None:
    (workspace / "t.sh").write_text("echo 1..2; echo ok 1 - adds; echo not ok 2 - divides; exit 1\n", encoding="ascii")
    (workspace / "Builderfile").write_text('target("t") { type: test; sources: ["t.sh"]; }\n', encoding="ascii")
    files = ("--events=../events", "--json=../result.json", "--report=../page.html", "--profile=../trace.json")

    done = bldr("test", "--cache-dir=../cache", *files, cwd=workspace)

    assert done.returncode == 1
    assert done.stderr.endswith(b"bldr: 0 of 1 tests passed, 1 failed, 1 of 2 cases failed\n")
    events = [json.loads(line) for line in (workspace.parent / "events").read_bytes().splitlines()]
    assert [one["event"] for one in events] == [
        "build-began", "action-began", "action-ended", "test-ended", "build-ended"
    ]  # fmt: skip
    (told,) = json.loads((workspace.parent / "result.json").read_text(encoding="ascii"))["tests"]
    assert (told["target"], told["passed"], [case["verdict"] for case in told["cases"]]) == (
        "//:t", False, ["passed", "failed"]
    )  # fmt: skip
    page = (workspace.parent / "page.html").read_text(encoding="utf-8")
    assert "<h1>bldr test</h1>" in page
    assert "0 of 1 passed" in page
    assert "divides" in page
    assert json.loads((workspace.parent / "trace.json").read_text(encoding="ascii"))["traceEvents"]
