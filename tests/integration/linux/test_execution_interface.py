"""The interface of build engines: create, prepare, execute."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bldr import BuildRequest, SpecError, Termination, create_sandbox


@pytest.fixture
def request_(tmp_path: Path) -> BuildRequest:
    (tmp_path / "out").mkdir()
    (tmp_path / "in").write_text("content\n", encoding="ascii")
    (tmp_path / "undeclared").write_text("", encoding="ascii")
    return BuildRequest(os.fspath(tmp_path), "out")


@pytest.mark.needs("user-namespaces")
def test_a_command_sees_its_inputs_and_writes_its_output(request_: BuildRequest, tmp_path: Path) -> None:
    environment = create_sandbox(hermetic=True).prepare(request_, ["in"])

    result = environment.execute(["sh", "-c", "ls; cat in > out/$NAME"], {"NAME": "made"}, timeout=30)

    assert result.success
    assert result.hermetic
    assert result.stdout == b"in\nout\n"
    assert (tmp_path / "out" / "made").read_text(encoding="ascii") == "content\n"
    assert "NAME" not in dict(environment.spec.environment.items())


@pytest.mark.needs("user-namespaces")
def test_what_is_wrong_with_the_request_is_told_when_it_is_prepared(request_: BuildRequest) -> None:
    with pytest.raises(SpecError):
        create_sandbox().prepare(request_, ["missing"])


def test_without_a_sandbox_results_say_so(request_: BuildRequest) -> None:
    environment = create_sandbox(hermetic=False).prepare(request_, ["in"])

    result = environment.execute(["sh", "-c", "echo $NAME; ls undeclared; kill -9 $$"], {"NAME": "x"})

    assert result.stdout == b"x\nundeclared\n"
    assert (result.exit_code, result.signal, result.termination) == (137, 9, Termination.SIGNALED)
    assert not result.hermetic


def test_without_a_sandbox_a_timeout_ends_everything(request_: BuildRequest) -> None:
    result = create_sandbox(hermetic=False).prepare(request_, []).execute(["sh", "-c", "sleep 60 & wait"], timeout=0.1)

    assert (result.exit_code, result.termination) == (124, Termination.TIMED_OUT)
