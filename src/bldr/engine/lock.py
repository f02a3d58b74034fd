"""One build at a time in a workspace: a lock that goes with the process that holds it."""

from __future__ import annotations

import fcntl
import os

from bldr.engine.state import prepare_folder
from bldr.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

__all__ = ["WorkspaceLock"]


class WorkspaceLock:
    """Holds a workspace, as long as the context lasts.

    Args:
        root: The absolute path of the workspace.
        wait: Whether to wait for another build, instead of refusing.
        say: Called once with a sentence before waiting.

    Raises:
        EngineError: Another process builds.
        OSError: The state of the workspace cannot be written.
    """

    def __init__(self, root: str, *, wait: bool = False, say: Callable[[str], None] = lambda _text: None) -> None:
        self._path = os.path.join(prepare_folder(root), "lock")
        self._wait = wait
        self._say = say
        self._fd = -1

    def __enter__(self) -> Self:
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            self._take()
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)
        except BaseException:
            os.close(self._fd)
            raise
        return self

    def _take(self) -> None:
        if self._is_taken():
            return
        if not self._wait:
            raise EngineError(
                f"{self._owner()} builds in this workspace",
                code="engine.locked",
                hint="wait until it has ended, or say --wait",
            )
        self._say(f"waiting for {self._owner()}, which builds in this workspace")
        fcntl.flock(self._fd, fcntl.LOCK_EX)

    def __exit__(self, *_error: object) -> None:
        os.close(self._fd)

    def _is_taken(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _owner(self) -> str:
        number = os.pread(self._fd, 32, 0).strip()
        return f"another bldr (process {number.decode()})" if number.isdigit() else "another bldr"
