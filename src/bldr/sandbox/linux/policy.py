"""What the policy for processes asks of Linux, and the rows of the receipt for it."""

from __future__ import annotations

from bldr.errors import GuaranteeUnavailableError
from bldr.model.receipt import Guarantee, GuaranteeRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.model.spec import SandboxSpec

__all__ = ["mechanisms", "refuse_unavailable", "rows"]

_MECHANISM = "seccomp"


def refuse_unavailable(spec: SandboxSpec) -> None:
    """Refuse a sandbox that shall go on without anybody who looks after it.

    Raises:
        GuaranteeUnavailableError: The policy asks for that.
    """
    if not spec.process.kill_on_parent_exit:
        raise GuaranteeUnavailableError(
            "a sandbox cannot outlive the process that started it",
            guarantee=Guarantee.NO_SURVIVORS,
            hint=(
                "leave kill_on_parent_exit as it is, and let bldr itself survive who starts it: setsid --fork bldr run"
                " ..., or systemd-run --user bldr run ..."
            ),
        )


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
