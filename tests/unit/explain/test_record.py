"""Records of failed runs: kept for their user, read back, and no more than twenty."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from bldr import ExecutionResult
from bldr.explain.cause import Cause, Evidence, Remedy
from bldr.explain.record import load, save, state_directory

CAUSE = Cause(
    "read",
    "/w/x",
    "it was not declared",
    Evidence.TRACE,
    "No such file",
    ("cat", "/w/x"),
    remedy=Remedy(("-i /w/x",)),
    rank=3,
)


def failed(moment: float = 1.5) -> ExecutionResult:
    return ExecutionResult(("make", "\udcff"), 2, started_at=moment)


def test_what_is_kept_is_what_is_read(tmp_path: Path) -> None:
    environment = {"XDG_STATE_HOME": str(tmp_path)}

    name = save(failed(), [CAUSE], environment)

    record = load("", environment)
    assert record is not None
    assert (record.name, record.argv, record.exit_code, record.level) == (name, ("make", "\\xff"), 2, "off")
    assert record.causes == (CAUSE,)
    assert load(name, environment) == record
    assert load("other", environment) is None
    assert load("../runs/" + name, environment) is None
    (file,) = (tmp_path / "bldr" / "runs").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_the_last_twenty_are_kept(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path)}
    names = [save(failed(float(number)), [], environment) for number in range(25)]

    kept = sorted(path.stem for path in Path(state_directory(environment)).iterdir())

    assert kept == sorted(names[5:])
    assert load("", environment).name == names[-1]  # type: ignore[union-attr]


def test_without_a_home_nothing_is_kept() -> None:
    assert save(failed(), [], {}) == ""
    assert load("", {}) is None
    assert save(failed(), [], {"XDG_STATE_HOME": "/proc/nowhere"}) == ""


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", '{"schema": 2}', '{"schema": 1, "causes": [{}], "argv": [], "exit_code": 1, "level": "off"}',
     json.dumps({"schema": 1, "argv": [], "exit_code": 1, "level": "off", "causes": [CAUSE.to_dict() | {"who": 3}]})],
)  # fmt: skip
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    directory = tmp_path / "bldr" / "runs"
    directory.mkdir(parents=True)
    (directory / "1-2.json").write_text(text, "ascii")

    with pytest.raises(ValueError):
        load("", {"XDG_STATE_HOME": str(tmp_path)})
