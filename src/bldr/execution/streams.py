"""Standard streams: what the caller may give, and the pipes and captures that follow from it."""

from __future__ import annotations

import os
import time

from bldr.errors import InvalidCommandError
from bldr.sandbox.command import Streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol, TypeAlias

    from bldr.execution.relay import Relay

    class HasFileno(Protocol):
        def fileno(self) -> int: ...

    Source: TypeAlias = bytes | int | str | HasFileno | None
    Sink: TypeAlias = int | str | HasFileno

__all__ = ["DEFAULT_CAPTURE_LIMIT", "Capture", "Feed", "Plumbing"]

DEFAULT_CAPTURE_LIMIT = 256 * 1024 * 1024  # bytes a stream; a build that prints more keeps its head and its tail
_CHUNK = 1 << 18  # bytes; four times the default capacity of a pipe
_NAMES = ("stdin", "stdout", "stderr")


class Capture:
    """Collects a stream up to a limit; beyond it the first and the last half are kept.

    Args:
        fd: The reading end of the pipe, which the capture owns.
        limit: Bytes; ``None`` keeps everything.
    """

    def __init__(self, fd: int, limit: int | None) -> None:
        self.fd = fd
        self._limit = limit
        self._head: list[bytes] = []
        self._tail: list[bytes] = []
        self._head_size = 0
        self._tail_size = 0
        self.dropped = 0
        self.last = 0.0  # when the last byte came, as of time.monotonic()

    def read(self) -> bytes:
        """Take what is there; empty at the end of the stream, after which the descriptor is closed.

        Raises:
            BlockingIOError: Nothing is there now.
        """
        chunk = os.read(self.fd, _CHUNK)
        if chunk:
            self.last = time.monotonic()
            self._keep(chunk)
        else:
            self.close()
        return chunk

    def _keep(self, chunk: bytes) -> None:
        if self._limit is None:
            self._head.append(chunk)
            return
        room = max(0, (self._limit if not self._tail else self._head_size) - self._head_size)
        if len(chunk) <= room:
            self._head.append(chunk)
            self._head_size += len(chunk)
            return
        if not self._tail:
            self._split(chunk)
        else:
            self._tail.append(chunk)
            self._tail_size += len(chunk)
        self._trim()

    def _split(self, chunk: bytes) -> None:
        """The limit is passed for the first time: the first half stays the head, the rest becomes the tail."""
        assert self._limit is not None
        whole = b"".join(self._head) + chunk
        half = self._limit // 2
        self._head, self._head_size = [whole[:half]], half
        self._tail, self._tail_size = [whole[half:]], len(whole) - half

    def _trim(self) -> None:
        assert self._limit is not None
        excess = self._tail_size - (self._limit - self._head_size)
        while excess > 0:
            first = self._tail[0]
            if len(first) <= excess:
                self._tail.pop(0)
                cut = len(first)
            else:
                self._tail[0] = first[excess:]
                cut = excess
            excess -= cut
            self._tail_size -= cut
            self.dropped += cut

    def content(self) -> bytes:
        """Return what was kept."""
        return b"".join(self._head) + b"".join(self._tail)

    def close(self) -> None:
        """Close the descriptor; harmless when it is closed."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Feed:
    """Writes bytes to the command's standard input as fast as it reads them."""

    def __init__(self, fd: int, content: bytes | bytearray | memoryview) -> None:
        self.fd = fd
        self._rest = memoryview(content).cast("B")

    def write(self) -> bool:
        """Write what fits; False when everything is written or nobody reads any more, and the pipe is closed."""
        if self.fd < 0:
            return False
        try:
            self._rest = self._rest[os.write(self.fd, self._rest[:_CHUNK]) :]
        except BlockingIOError:
            return True
        except BrokenPipeError:
            self._rest = self._rest[:0]
        if self._rest:
            return True
        self.close()
        return False

    def close(self) -> None:
        """Close the descriptor; harmless when it is closed."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Plumbing:
    """The descriptors of one execution: the command's ends, until they are handed over, and ours.

    Args:
        stdin: ``None`` for ``/dev/null``, bytes, a descriptor, a file, ``"inherit"`` or ``"pipe"``.
        stdout: ``"capture"``, ``"inherit"``, ``"relay"``, ``"discard"``, ``"pipe"``, a descriptor or a file.
        stderr: As ``stdout``, or ``"stdout"`` for the same place.
        limit: Bytes that a capture keeps of each stream; ``None`` for all.

    Raises:
        InvalidCommandError: A stream is none of these.
    """

    def __init__(self, stdin: Source, stdout: Sink, stderr: Sink, limit: int | None) -> None:
        self._theirs: list[int] = []
        self.pipes: dict[str, int] = {}
        self.captures: dict[str, Capture] = {}
        self.relays: list[Relay] = []
        self.feed: Feed | None = None
        self._limit = limit
        try:
            ends = [self._source(stdin), self._sink("stdout", stdout)]
            ends.append(ends[1] if stderr == "stdout" else self._sink("stderr", stderr))
        except BaseException:
            self.close()
            raise
        self.streams = Streams(*ends)

    @property
    def last_output(self) -> float:
        """When the command printed something on a captured or relayed stream for the last time, as of time.monotonic().

        0 before it has printed anything. What it prints on other streams is not heard.
        """
        times = [capture.last for capture in self.captures.values()] + [relay.last for relay in self.relays]
        return max(times, default=0.0)

    def _source(self, source: Source) -> int:
        if isinstance(source, (bytes, bytearray, memoryview)):
            reading, writing = self._pipe()
            self._theirs.append(reading)
            os.set_blocking(writing, False)
            self.feed = Feed(writing, source)
            return reading
        if source == "pipe":
            reading, writing = self._pipe()
            self._theirs.append(reading)
            self.pipes["stdin"] = writing
            return reading
        if source is None:
            return self._null(os.O_RDONLY)
        return _descriptor("stdin", source)

    def _sink(self, name: str, sink: Sink) -> int:
        if sink == "discard":
            return self._null(os.O_WRONLY)
        if sink in ("capture", "pipe"):
            reading, writing = self._pipe()
            self._theirs.append(writing)
            if sink == "capture":
                os.set_blocking(reading, False)
                self.captures[name] = Capture(reading, self._limit)
            else:
                self.pipes[name] = reading
            return writing
        if sink == "relay":
            return self._relayed(name)
        return _descriptor(name, sink)

    def _relayed(self, name: str) -> int:
        """The command's end of a relay to the caller's stream of this name.

        Where both streams of the caller lead to the same place they share one, so that what was printed first is passed
        on first.
        """
        from bldr.execution.relay import Relay, same_file

        target = _descriptor(name, "inherit")
        for relay in self.relays:
            if same_file(relay.target, target):
                return relay.command_end
        self.relays.append(Relay(target))
        return self.relays[-1].command_end

    def _pipe(self) -> tuple[int, int]:
        return os.pipe()  # both ends are close-on-exec (PEP 446)

    def _null(self, flags: int) -> int:
        fd = os.open(os.devnull, flags | os.O_CLOEXEC)
        self._theirs.append(fd)
        return fd

    def handed_over(self) -> None:
        """Close the command's ends: the sandbox has its own copies."""
        while self._theirs:
            os.close(self._theirs.pop())
        for relay in self.relays:
            relay.close_command_end()

    def __del__(self) -> None:
        """An exception in the wrong moment (Ctrl-C) may have left it to nobody."""
        if "_limit" in vars(self):
            self.close()

    def close(self) -> None:
        """Close everything that nobody has taken over."""
        self.handed_over()
        if self.feed is not None:
            self.feed.close()
        for capture in self.captures.values():
            capture.close()
        for relay in self.relays:
            relay.close()
        while self.pipes:
            os.close(self.pipes.popitem()[1])


def _descriptor(name: str, stream: Source | Sink) -> int:
    if stream == "inherit":
        return _NAMES.index(name)
    fd = _number_of(stream)
    if fd is None:
        choices = "'inherit', 'pipe', a descriptor, a file" + (", bytes or None" if name == "stdin" else "")
        others = (
            ""
            if name == "stdin"
            else ", 'capture', 'relay' or 'discard'" + (" or 'stdout'" if name == "stderr" else "")
        )
        raise InvalidCommandError(
            f"{name} cannot be {stream!r}", code="spec.stream-invalid", hint=f"use {choices}{others}"
        )
    try:
        os.fstat(fd)
    except (OSError, OverflowError) as error:
        raise InvalidCommandError(
            f"{name} is closed: descriptor {fd}", code="spec.stream-invalid", hint="give an open file"
        ) from error
    return fd


def _number_of(stream: Source | Sink) -> int | None:
    """The descriptor of a stream; ``None`` when it has none, as a file in memory or a closed one."""
    if isinstance(stream, int):
        return None if isinstance(stream, bool) else stream
    if stream is None or isinstance(stream, (str, bytes, bytearray, memoryview)):
        return None
    try:
        return stream.fileno()
    except (AttributeError, OSError, ValueError):
        return None
