"""What is asked of a backend for one execution: the command, and how it is to run."""

from __future__ import annotations

from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Command", "Streams"]


@value
class Streams:
    """Descriptors that become the command's standard streams; the sandbox copies them."""

    stdin: int
    stdout: int
    stderr: int


@value
class Command:
    """A command and how it is to run.

    Args:
        argv: Its words; the first one is looked up in the sandbox's own PATH and files.
        cwd: Inside directory.
        streams: Its standard streams.
        terminal: Give it a terminal of its own instead of the streams.
        until: Monotonic time when the wall-clock timeout passes, which the caller enforces from the start on.
        silence: Whether silence will end the command; for the receipt.
        trace: ``off``, ``network`` or ``full``.
        meanwhile: Called when the sandbox has been asked for and is being made, so that its time is not wasted.
    """

    argv: tuple[str, ...]
    cwd: str
    streams: Streams
    terminal: bool = False
    until: float | None = None
    silence: bool = False
    trace: str = "off"
    meanwhile: Callable[[], None] = lambda: None
