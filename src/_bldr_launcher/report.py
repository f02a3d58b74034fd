"""What init and the command's process tell the supervisor when something fails; see ``init`` for all messages."""

from __future__ import annotations

import os

from _bldr_launcher import channel, wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    Answer = TypeVar("Answer")

__all__ = ["StepError", "confess", "confession", "guarded", "send"]


class StepError(Exception):
    """A step failed; the supervisor is told which."""

    def __init__(self, step: int, operation: bytes, error: OSError) -> None:
        super().__init__(step)
        self.report = [
            b"failed",
            str(step).encode(),
            operation,
            str(error.errno or 0).encode(),
            os.fsencode(str(error.args[-1]) if error.args else str(error)),
        ]


def confess(status: int, error: BaseException) -> None:
    """Report a mistake of our own."""
    if status >= 0:
        send(status, confession(error))


def confession(error: BaseException) -> list[bytes]:
    """Return the report of a mistake of our own."""
    text = f"{type(error).__name__}: {error}"
    if error.__traceback__ is not None:
        last = error.__traceback__
        while last.tb_next is not None:
            last = last.tb_next
        text += f" ({os.path.basename(last.tb_frame.f_code.co_filename)}:{last.tb_lineno})"
    return [b"failed", b"-1", b"internal", b"0", os.fsencode(text)]


def guarded(step: int, operation: bytes, call: Callable[..., Answer], *arguments: object, **options: object) -> Answer:
    """Call something whose failure is that of a step.

    Args:
        step: Its number; -1 before the first.
        operation: Its name in reports.
        call: What is called.
        arguments: For it.
        options: For it.

    Raises:
        StepError: It raised OSError.
    """
    try:
        return call(*arguments, **options)
    except OSError as error:
        raise StepError(step, operation, error) from error


def send(status: int, items: list[bytes], fds: Sequence[int] = ()) -> None:
    channel.send(status, wire.pack(items), fds)
