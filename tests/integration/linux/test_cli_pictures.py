"""``--report``, ``--profile`` and ``--progress`` of ``bldr run``."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import termios
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.processes import BOUND

pytestmark = pytest.mark.needs("user-namespaces")

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


def test_a_page_and_a_trace_of_a_run(bldr: Run, tmp_path: Path) -> None:
    page, profile = tmp_path / "run.html", tmp_path / "run.json"
    script = "for i in 1 2 3; do sleep 0.6; done; exit 3"

    done = bldr("run", "--report", str(page), "--profile", str(profile), "-e", "SECRET=<b>", "sh", "-c", script)

    assert done.returncode == 3
    text = page.read_text(encoding="utf-8")
    assert "failed with status 3" in text
    assert "&lt;b&gt;" in text
    assert "reads-confined" in text
    assert "make the new root" in text or "<ol>" in text
    assert '<figure data-plot="processes">' in text
    assert '<figure data-plot="memory">' in text
    names = [event["name"] for event in json.loads(profile.read_text())["traceEvents"] if event["ph"] == "X"]
    assert "sleep" in names
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.html", "run.json"]


def test_a_page_that_cannot_be_written_is_found_out_first(bldr: Run, tmp_path: Path) -> None:
    done = bldr("run", "--profile", str(tmp_path / "a"), "--report", str(tmp_path / "no" / "b"), "--", "echo", "ran")

    assert (done.returncode, done.stdout) == (125, b"")
    assert b"cannot write the report: No such file or directory" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_does_not_start_leaves_no_page(bldr: Run, tmp_path: Path) -> None:
    assert bldr("run", "--report", str(tmp_path / "a.html"), "no-such-command").returncode == 127
    assert list(tmp_path.iterdir()) == []


def test_plain_progress_speaks_between_lines_only(bldr: Run) -> None:
    script = "printf begun >&2; sleep 6; echo ' and done' >&2"

    done = bldr("run", "--progress", "plain", "sh", "-c", script)

    assert done.returncode == 0
    assert done.stderr == b"begun and done\n"
    done = bldr("run", "--progress", "plain", "sleep", "7.5")
    assert re.fullmatch(rb"bldr: [4-7] s, .*1 process\n", done.stderr)


def test_without_a_terminal_nothing_is_shown(bldr: Run) -> None:
    assert bldr("run", "sleep", "1.5").stderr == b""
    assert bldr("run", "--progress", "rich", "sleep", "1.5").stderr == b""


def test_an_unknown_way_is_refused(bldr: Run) -> None:
    done = bldr("run", "--progress", "loud", "true")

    assert done.returncode == 2
    assert b"--progress loud" in done.stderr


def on_a_terminal(argv: list[str], *options: str) -> bytes:
    leader, follower = pty.openpty()
    fcntl.ioctl(leader, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 72, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    process = subprocess.Popen(
        [argv[0], *argv[1:], "run", *options],
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=follower,
        env=environment,
    )
    os.close(follower)
    seen = b""
    while select.select([leader], [], [], BOUND)[0]:
        try:
            seen += os.read(leader, 65536)
        except OSError:
            break
    assert process.wait(BOUND) == 0
    os.close(leader)
    return seen


LIVE = re.compile(rb"\r\x1b\[2K[^\r\n]*(?=\r\x1b\[2K)")


@pytest.mark.needs("terminal")
def test_a_live_line_comes_and_goes_and_the_output_stays(bldr_argv: list[str]) -> None:
    script = (
        "echo first; test -t 1 && test -t 2 && echo terminals; sleep 4; printf 'no end'; sleep 0.6; echo; echo last >&2"
    )

    seen = on_a_terminal(bldr_argv, "--", "sh", "-c", script)

    lines = LIVE.findall(seen)
    assert len(lines) > 3
    assert re.search(rb"[123] s", lines[0])
    assert b"of 4 GiB" in lines[-1]
    assert b"terminals" in lines[-1]
    plain = re.sub(rb"\x1b\[[0-9;]*m", b"", lines[-1].removeprefix(b"\r\x1b[2K")).decode()
    assert len(plain) <= 69
    assert LIVE.sub(b"", seen).replace(b"\r\x1b[2K", b"") == b"first\r\nterminals\r\nno end\r\nlast\r\n"


@pytest.mark.needs("terminal")
def test_a_short_command_or_a_quiet_one_sees_no_line(bldr_argv: list[str]) -> None:
    assert on_a_terminal(bldr_argv, "--", "echo", "x") == b"x\r\n"
    assert on_a_terminal(bldr_argv, "-q", "--", "sleep", "1.6") == b""
    assert on_a_terminal(bldr_argv, "--progress", "none", "--", "sleep", "1.6") == b""
