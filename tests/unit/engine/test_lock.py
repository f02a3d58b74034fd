"""One build at a time in a workspace."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from bldr.engine.lock import WorkspaceLock
from bldr.errors import EngineError

BOUND = 60


def test_who_does_not_wait_is_told_who_builds(tmp_path: Path) -> None:
    with WorkspaceLock(str(tmp_path)), pytest.raises(EngineError) as caught, WorkspaceLock(str(tmp_path)):
        pass

    assert caught.value.message == f"another bldr (process {os.getpid()}) builds in this workspace"
    with WorkspaceLock(str(tmp_path)):
        pass


def test_who_waits_gets_it_when_it_is_free(tmp_path: Path) -> None:
    told: list[str] = []
    waits, has = threading.Event(), threading.Event()

    def say(text: str) -> None:
        told.append(text)
        waits.set()

    def wait() -> None:
        with WorkspaceLock(str(tmp_path), wait=True, say=say):
            has.set()

    thread = threading.Thread(target=wait)
    with WorkspaceLock(str(tmp_path)):
        thread.start()
        assert waits.wait(BOUND)
        assert not has.is_set()
    thread.join(BOUND)

    assert has.is_set()
    assert told == [f"waiting for another bldr (process {os.getpid()}), which builds in this workspace"]
