"""An execution in a thread of its own, which an event loop waits for and can cancel."""

from __future__ import annotations

import _thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from bldr.execution.session import Sandbox
    from bldr.model.result import ExecutionResult

__all__ = ["run_in_background"]


async def run_in_background(start: Callable[[], Sandbox]) -> ExecutionResult:
    """Start an execution and wait for its end without blocking the event loop.

    It has a thread of its own: the loop's pool is small, and commands that wait for each other would wait for a free
    thread for ever. A cancelled task kills the command, and goes on when nothing of it is left.
    """
    import asyncio
    import concurrent.futures
    import threading

    execution = _Execution(start)
    outcome: concurrent.futures.Future[ExecutionResult] = concurrent.futures.Future()
    outcome.set_running_or_notify_cancel()  # from now on it cannot be cancelled: somebody has to close the session

    def work() -> None:
        try:
            outcome.set_result(execution.run())
        except BaseException as error:  # noqa: BLE001  the task that waits for it gets it
            outcome.set_exception(error)

    threading.Thread(target=work, name="bldr-execution", daemon=True).start()
    waiting = asyncio.wrap_future(outcome)
    try:
        return await asyncio.shield(waiting)
    except asyncio.CancelledError:
        execution.cancel()
        while not waiting.done():
            try:
                await asyncio.wait([waiting])
            except asyncio.CancelledError:
                pass  # cancelled once more; the first one is raised
        waiting.exception()  # it was cancelled: how it ended interests nobody
        raise


class _Execution:
    """A session that can be cancelled before it exists."""

    def __init__(self, start: Callable[[], Sandbox]) -> None:
        self._start = start
        self._lock = _thread.allocate_lock()
        self._session: Sandbox | None = None
        self._cancelled = False

    def run(self) -> ExecutionResult:
        with self._start() as session:
            with self._lock:
                self._session = session
                cancelled = self._cancelled
            if cancelled:
                session.kill()
            return session.wait()

    def cancel(self) -> None:
        with self._lock:
            self._cancelled = True
            session = self._session
        if session is not None:
            session.kill()
