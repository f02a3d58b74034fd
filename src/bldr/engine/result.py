"""What is known of a build after its end. Pure."""

from __future__ import annotations

from bldr.engine.outcome import Status
from bldr.engine.showing import mapped_back
from bldr.model.paths import printable
from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from bldr.engine.outcome import Outcome
    from bldr.engine.testing import Suite

__all__ = ["SCHEMA", "BuildResult", "action_to_dict"]

SCHEMA = 1
"""Of the result of a build and of its events, as JSON. Within one schema, keys and events are only added."""


@value
class BuildResult:
    """What came of a build.

    Args:
        root: The absolute path of the workspace.
        verb: ``build`` or ``test``.
        asked: The words that were asked for; none for everything.
        targets: The labels of the targets that they stand for.
        outcomes: What became of each action, each behind those that it needs.
        needs: For each action the numbers of those that it needs.
        jobs: How many were to be carried out at a time.
        exit_status: That of the verb.
        is_stopped: Whether somebody asked for the end.
        started_at: Seconds since the epoch.
        began: The same moment, in seconds of ``time.monotonic()``.
        ended: When it ended, likewise.
        tests: What became of each test, where tests were asked for.
    """

    root: str
    verb: str
    asked: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    needs: tuple[tuple[int, ...], ...] = ()
    jobs: int = 1
    exit_status: int = 0
    is_stopped: bool = False
    started_at: float = 0.0
    began: float = 0.0
    ended: float = 0.0
    tests: tuple[Suite, ...] = ()

    @property
    def duration(self) -> float:
        """Seconds from its start to its end."""
        return max(0.0, self.ended - self.began)

    @property
    def status(self) -> str:
        """``succeeded``, ``failed`` or ``interrupted``."""
        return "interrupted" if self.is_stopped else "failed" if self.exit_status else "succeeded"

    @property
    def busy(self) -> float:
        """Seconds that actions took, all together."""
        return sum(outcome.seconds for outcome in self.outcomes)

    @property
    def is_hermetic(self) -> bool:
        """Whether everything that ran had every guarantee of the hermetic profile, now or when it was kept."""
        return all(outcome.result is None or outcome.result.hermetic for outcome in self.outcomes)

    def count(self, *statuses: str) -> int:
        """Return how many actions ended in one of some ways."""
        return sum(outcome.status in statuses for outcome in self.outcomes)

    def begin_of(self, outcome: Outcome) -> float:
        """Return when something was begun, in seconds since the build was."""
        return max(0.0, outcome.began - self.began)

    def critical_path(self) -> tuple[int, ...]:
        """Return the numbers of the actions on the longest way through the graph, in time, in their order.

        However many are carried out at a time, a build of these actions does not take less than they do together.
        What was up to date took no time, and is left out.
        """
        longest: list[float] = []
        before: list[int] = []
        for number, outcome in enumerate(self.outcomes):
            need = max(self.needs[number], key=longest.__getitem__, default=-1)
            longest.append(outcome.seconds + (longest[need] if need >= 0 else 0.0))
            before.append(need)
        step = max(range(len(longest)), key=longest.__getitem__, default=-1)
        found: list[int] = []
        while step >= 0:
            if self.outcomes[step].seconds:
                found.append(step)
            step = before[step]
        return tuple(reversed(found))

    def to_dict(self) -> dict[str, object]:
        """Return the result for JSON; all text in it can be encoded."""
        path = self.critical_path()
        return {
            "schema": SCHEMA,
            "verb": self.verb,
            "workspace": printable(self.root),
            "targets": [printable(label) for label in self.targets],
            "status": self.status,
            "exit_status": self.exit_status,
            "hermetic": self.is_hermetic,
            "jobs": self.jobs,
            "started_at": self.started_at,
            "duration": self.duration,
            "counts": counts_of(self.outcomes),
            "critical_path": {
                "seconds": sum(self.outcomes[number].seconds for number in path),
                "actions": [printable(str(self.outcomes[number].action)) for number in path],
            },
            "actions": [action_to_dict(outcome, self.root, self.began) for outcome in self.outcomes],
            **({"tests": [test.to_dict() for test in self.tests]} if self.verb == "test" else {}),
        }


def counts_of(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """Return how many actions ended in each way, by status."""
    found = dict.fromkeys(Status.ALL, 0)
    for outcome in outcomes:
        found[outcome.status] += 1
    return found


def action_to_dict(outcome: Outcome, root: str, began: float) -> dict[str, object]:
    """Return what became of an action for JSON.

    Args:
        outcome: What became of it.
        root: The absolute path of the workspace, which is put in place of the one inside.
        began: When the build was begun, in seconds of ``time.monotonic()``.
    """
    action, result = outcome.action, outcome.result
    ran = outcome.ended > 0
    told: dict[str, object] = {
        "action": printable(str(action)),
        "target": printable(str(action.target)),
        "name": printable(action.name),
        "mnemonic": action.mnemonic,
        "status": outcome.status,
        "reason": printable(outcome.reason),
        "problem": printable(outcome.problem),
        "hint": printable(outcome.hint),
        "note": printable(outcome.note),
        "argv": [printable(word) for word in action.argv],
        "outputs": [printable(path) for path in action.outputs],
        "began": round(max(0.0, outcome.began - began), 6) if ran else None,
        "seconds": round(outcome.seconds, 6) if ran else None,
    }
    if result is not None:
        told |= {
            "exit_code": result.exit_code,
            "termination": result.termination,
            "hermetic": result.hermetic,
            "digest": result.action or None,
            "usage": None if result.cached else result.usage.to_dict(),
            "output": mapped_back(result.stdout, root).decode("utf-8", "backslashreplace"),
            "output_dropped": result.stdout_dropped,
        }
    return told
