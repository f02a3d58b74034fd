"""What became of actions, and who is told of it."""

from __future__ import annotations

from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from bldr.engine.action import Action
    from bldr.model.result import ExecutionResult
    from bldr.model.spec import SandboxSpec

__all__ = ["TESTS", "Observer", "Observers", "Outcome", "Status"]

TESTS = "Test"
"""The mnemonic of the actions that are tests."""


class Status:
    """What became of an action."""

    UP_TO_DATE = "up-to-date"
    CACHED = "cached"
    BUILT = "built"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"

    SUCCEEDED = (UP_TO_DATE, CACHED, BUILT)
    ALL = (*SUCCEEDED, FAILED, CANCELLED, SKIPPED)


@value
class Outcome:
    """What became of one action.

    Args:
        action: The action.
        status: One of :class:`Status`.
        reason: Why it had to run; empty where it was up to date.
        problem: Why it failed, as a sentence; empty where it did not.
        hint: What may mend that.
        note: Why its result is not in the cache, or will not be believed next time.
        result: The execution, from the cache too; its output is in ``stdout``, as it came.
        spec: What it was allowed to see, where it ran in a sandbox.
        began: When it was begun, in seconds of ``time.monotonic()``; 0 where nothing was done.
        ended: When it ended, likewise.
    """

    action: Action
    status: str
    reason: str = ""
    problem: str = ""
    hint: str = ""
    note: str = ""
    result: ExecutionResult | None = None
    spec: SandboxSpec | None = None
    began: float = 0.0
    ended: float = 0.0

    @property
    def succeeded(self) -> bool:
        """Whether the outputs of the action are what they should be."""
        return self.status in Status.SUCCEEDED

    @property
    def seconds(self) -> float:
        """How long it took; 0 where nothing was done."""
        return max(0.0, self.ended - self.began)


class Observer:
    """Is told how a build goes on; every method is called by the thread that builds, and none needs to do anything."""

    def begun(self, total: int, jobs: int) -> None:
        """A build of so many actions begins, so many of them at a time."""

    def started(self, action: Action, reason: str) -> None:
        """An action is stale; its result is looked for, or it runs."""

    def finished(self, outcome: Outcome) -> None:
        """Something became of an action, also of one that was up to date."""

    def waited(self) -> None:
        """Some time went by."""


class Observers(Observer):
    """Tells several."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)

    def begun(self, total: int, jobs: int) -> None:
        """Tell it."""
        for one in self._observers:
            one.begun(total, jobs)

    def started(self, action: Action, reason: str) -> None:
        """Tell it."""
        for one in self._observers:
            one.started(action, reason)

    def finished(self, outcome: Outcome) -> None:
        """Tell it."""
        for one in self._observers:
            one.finished(outcome)

    def waited(self) -> None:
        """Tell it."""
        for one in self._observers:
            one.waited()
