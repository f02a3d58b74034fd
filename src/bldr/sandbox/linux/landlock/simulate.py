"""What a command could do under the rules of a plan, without a kernel: Landlock's rules add up along a path."""

from __future__ import annotations

from bldr.model.paths import parent
from bldr.model.spec import Access
from bldr.sandbox.host import PathKind
from bldr.sandbox.linux.landlock import steps
from bldr.sandbox.linux.landlock.steps import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.sandbox.linux.plan import Plan

__all__ = ["Domain", "simulate_rules"]

_OF_THE_SANDBOX = ("/proc",)  # beside what is in none of I, O and T, such as /dev/null


def simulate_rules(plan: Plan) -> Domain:
    """Return the domain after all steps of a plan."""
    domain = Domain()
    for step in plan.steps:
        if isinstance(step, steps.Confine):
            domain.is_closed = True
        elif isinstance(step, steps.Allow):
            assert not domain.is_closed, step.describe()
            domain.add(step.at, step.access, step.kind)
        elif isinstance(step, steps.MakeTemp):
            assert not domain.is_closed, step.describe()
            domain.add(step.at, Rule.WRITE, PathKind.DIR)
    assert domain.is_closed, "the rules never come into force"
    return domain


class Domain:
    """Which rules there are for which path."""

    def __init__(self) -> None:
        self.is_closed = False
        self._rules: dict[str, set[tuple[str, str]]] = {}

    def add(self, at: str, access: str, kind: str) -> None:
        """Add a rule."""
        if at not in _OF_THE_SANDBOX:
            self._rules.setdefault(at, set()).add((access, kind))

    def access(self, path: str) -> str:
        """Return what can be done with the content of a path without links: a constant of `bldr.model.spec.Access`."""
        found = self._found(path)
        if Rule.WRITE in found:
            return Access.WRITE
        return Access.READ if found & {Rule.READ, Rule.DEVICE} else Access.NONE

    def can_be_listed(self, path: str) -> bool:
        """Say whether the names in a directory can be listed."""
        return bool(self._found(path) - {Rule.DEVICE})

    def _found(self, path: str) -> set[str]:
        found = {access for access, _ in self._rules.get(path, ())}
        while path != "/":
            path = parent(path)
            found |= {access for access, kind in self._rules.get(path, ()) if kind == PathKind.DIR}
        return found
