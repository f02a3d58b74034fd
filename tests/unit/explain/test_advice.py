"""What would allow something can be said to bldr run, in Python and in a Builderfile, and is understood there."""

from __future__ import annotations

from pathlib import Path

import pytest

from bldr.explain import advice
from tests.unit.builderfile.workspaces import workspace

TARGET = 'target("a") {{ type: custom; command: ["true"]; output: "o"; {} }}\n'

REMEDIES = (
    advice.allow_read('/opt/a "b"'),
    advice.allow_write("/w/out", overlay=True, workspace="/w"),
    advice.allow_host("example.org", "443"),
    advice.allow_variable("CC"),
    advice.allow_variable("PATH", "/a:/b"),
)
LINES = [line for remedy in REMEDIES for line in remedy.lines]


def test_each_remedy_has_a_line() -> None:
    assert LINES == [
        'hermetic: { inputs: ["/opt/a \\"b\\""]; }',
        'hermetic: { outputs: ["out/"]; }',
        'hermetic: { network: { allowHosts: ["example.org:443"]; } }',
        'hermetic: { env: { "CC": "…" }; }',
        'hermetic: { env: { "PATH": "/a:/b" }; }',
    ]


@pytest.mark.parametrize("line", LINES)
def test_a_line_is_understood(line: str, tmp_path: Path) -> None:
    workspace(tmp_path, {"Builderfile": TARGET.format(line)})


@pytest.mark.parametrize(
    ("name", "amount"), [("memory", "2G"), ("cpu_time", "90s"), ("processes", "9"), ("wall_time", "1m")]
)
def test_a_limit_can_be_raised_in_a_builderfile(name: str, amount: str, tmp_path: Path) -> None:
    (line,) = advice.raise_limit(name).lines

    workspace(tmp_path, {"Builderfile": TARGET.format(line.replace("…", amount))})


def test_an_output_elsewhere_has_no_line() -> None:
    assert advice.allow_write("/elsewhere", overlay=False, workspace="/w").lines == ()
    assert advice.raise_limit("silence").lines == ()
