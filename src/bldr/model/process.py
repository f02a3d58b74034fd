"""What a command may do with processes."""

from __future__ import annotations

from bldr.errors import InvalidLimitError
from bldr.model.value import value

__all__ = ["ProcessPolicy"]


@value
class ProcessPolicy:
    """How the processes of an execution are confined.

    Args:
        max_children: How many processes the command may have beside itself at one time; ``None`` sets no ceiling of
            its own beside ``ResourceLimits.processes``.
        kill_on_parent_exit: Whether everything inside ends when the supervisor does. It always does: ``False`` can be
            said, and is refused.
        allow_userns: Whether the command may make user namespaces of its own, as a nested sandbox needs. It makes
            more of the kernel reachable, so it is off.
        allow_fork: Whether the command may make further processes. Threads it may always make.
        allow_exec: Whether a program may be executed after the command itself, whose interpreter and loader belong to
            it. What it refuses is the system call: code that a program reads and runs by itself is no execution.

    Raises:
        InvalidLimitError: ``max_children`` is negative.
    """

    max_children: int | None = None
    kill_on_parent_exit: bool = True
    allow_userns: bool = False
    allow_fork: bool = True
    allow_exec: bool = True

    def __post_init__(self) -> None:
        children = self.max_children
        if children is not None and (type(children) is not int or children < 0):
            raise InvalidLimitError(
                f"max_children is {children!r}, which is not a number of processes",
                hint="write 0 or more, or None for no ceiling of its own",
            )

    @staticmethod
    def hermetic() -> ProcessPolicy:
        """Return the policy that leaves nothing behind."""
        return ProcessPolicy()
