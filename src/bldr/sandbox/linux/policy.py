"""What the policy for processes asks of Linux, and the rows of the receipt for it."""

from __future__ import annotations

from bldr.model.receipt import Guarantee, GuaranteeRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.model.spec import SandboxSpec

__all__ = ["mechanisms", "rows"]

_MECHANISM = "seccomp"


def mechanisms(guarantee: str, spec: SandboxSpec) -> tuple[str, ...]:
    """Return what enforces a guarantee; empty for other guarantees, and where the policy does not ask for it."""
    return (_MECHANISM,) if guarantee in _asked(spec) else ()


def rows(spec: SandboxSpec) -> list[GuaranteeRecord]:
    """Write the rows of what is refused. Each was tried right before the command was executed, or it would not run."""
    return [GuaranteeRecord(name, True, (_MECHANISM,), True, detail) for name, detail in _asked(spec).items()]


def _asked(spec: SandboxSpec) -> dict[str, str]:
    found = {}
    if not spec.process.allow_fork:
        found[Guarantee.NO_NEW_PROCESSES] = "threads can be made"
    if not spec.process.allow_exec:
        found[Guarantee.NO_NEW_PROGRAMS] = "code that a program reads and runs by itself is no execution"
    return found
