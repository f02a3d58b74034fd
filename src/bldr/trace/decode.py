"""From what the tracer wrote to a :class:`bldr.model.trace.Trace`. Pure; nothing is believed of the bytes.

The records are described in ``_bldr_launcher.tracer``.
"""

from __future__ import annotations

import errno
import os
import struct

from _bldr_launcher import wire
from bldr.errors import SandboxLostError
from bldr.model.trace import Trace, TracedProcess, TraceEvent
from bldr.model.value import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bldr.sandbox.protocol import Recording

__all__ = ["decode"]

_ENTRIES = {"f": "file", "d": "dir", "l": "link", "c": "device", "b": "device", "p": "pipe", "s": "socket"}


def decode(recording: Recording, *, level: str, isolated: bool = True) -> Trace:
    """Read a recording.

    Args:
        recording: What the tracer wrote.
        level: What was traced.
        isolated: Whether nothing but the loopback can be reached.

    Raises:
        SandboxLostError: It is no recording.
    """
    story = _Story(isolated=isolated)
    try:
        for kind, *words in _records(recording.data):
            story.add(kind, words)
    except (ValueError, IndexError) as error:
        raise SandboxLostError(f"the tracer broke the protocol: {error}") from error
    return Trace(level, tuple(story.processes.values()), tuple(story.events), recording.calls, recording.dropped)


def _records(data: bytes) -> Iterator[list[bytes]]:
    place = 0
    while place < len(data):
        if place + 4 > len(data):
            raise ValueError("a record without its length")
        (size,) = struct.unpack_from("<I", data, place)
        yield wire.unpack(data[place + 4 : place + 4 + size])
        place += 4 + size


class _Story:
    """Puts records together in their order."""

    def __init__(self, *, isolated: bool) -> None:
        self.processes: dict[int, TracedProcess] = {}
        self.events: list[TraceEvent] = []
        self._isolated = isolated
        self._made: set[str] = set()

    def add(self, kind: bytes, words: Sequence[bytes]) -> None:
        time, pid = int(words[0]) / 1e6, int(words[1])
        rest = [os.fsdecode(word) for word in words[2:]]
        match kind:
            case b"process":
                self.processes[pid] = TracedProcess(pid, int(rest[0]), begun=time)
            case b"nested":
                self._change(pid, time, nested=True)
            case b"execute":
                self._execute(pid, time, rest)
            case b"path":
                self._path(pid, time, rest)
            case b"pair":
                self._pair(pid, time, rest)
            case b"net":
                self._net(pid, time, rest)
            case b"name":
                self.events.append(TraceEvent("resolve", rest[0], target=rest[1], pid=pid, time=time))
            case _:
                raise ValueError(f"a record {kind!r}")

    def _change(self, pid: int, time: float, **changes: object) -> None:
        known = self.processes.get(pid) or TracedProcess(pid, 0, begun=time)
        self.processes[pid] = replace(known, **changes)

    def _execute(self, pid: int, time: float, words: Sequence[str]) -> None:
        call, asked, place = words[:3]
        failure, count = int(words[3]), int(words[4])
        interpreters, argv = tuple(words[5 : 5 + count]), tuple(words[5 + count :])
        if not failure:
            self._change(pid, time, argv=argv)
        self.events.append(
            TraceEvent(
                "execute",
                place,
                asked,
                call=call,
                errno=failure,
                entry="" if failure == errno.ENOENT else "file",
                pid=pid,
                time=time,
                own=self._is_own(place),
                argv=argv,
                interpreters=interpreters,
            )
        )

    def _path(self, pid: int, time: float, words: Sequence[str]) -> None:
        call, action, asked, place, failure, kind = words
        entry = _ENTRIES.get(kind, "")
        own = self._is_own(place)
        if action == "write" and not entry and failure == "0":
            self._made.add(place)
        self.events.append(TraceEvent(action, place, asked, "", call, int(failure), entry, pid, time, own))

    def _pair(self, pid: int, time: float, words: Sequence[str]) -> None:
        call, action, old, new, failure = words
        own = self._is_own(old)
        if failure == "0":
            self._made.add(new)
        self.events.append(
            TraceEvent(action, old, old, new, call=call, errno=int(failure), entry="file", pid=pid, time=time, own=own)
        )

    def _net(self, pid: int, time: float, words: Sequence[str]) -> None:
        call, action, family, address, port = words
        subject = _endpoint(family, address, port)
        cut_off = self._isolated and action != "bind" and family in ("inet", "inet6") and not _is_loopback(address)
        failure = errno.ENETUNREACH if cut_off else 0
        self.events.append(TraceEvent(action, subject, call=call, errno=failure, pid=pid, time=time))

    def _is_own(self, path: str) -> bool:
        while self._made and path not in ("", "/"):
            if path in self._made:
                return True
            path = path[: path.rindex("/")] if "/" in path else ""
        return False


def _endpoint(family: str, address: str, port: str) -> str:
    if family == "abstract":
        return f"@{address}"
    return f"[{address}]:{port}" if family == "inet6" else f"{address}:{port}"


def _is_loopback(address: str) -> bool:
    """0.0.0.0 and :: mean this host, too."""
    return address.startswith(("127.", "::ffff:127.")) or address in ("::1", "::", "0.0.0.0")  # noqa: S104
