"""A launcher that breaks the protocol in the way that its first argument names. Started by a test, as an entry."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), *[os.pardir] * 2, "src"))

from _bldr_launcher import channel, wire

READY = [b"ready", b"user", b"/nowhere/bldr-scratch-fake", b"", b"", b"0", b"there is none"]
GREETINGS: dict[str, Callable[[], bytes]] = {
    "silent-end": lambda: b"",
    "garbage": lambda: b"\xff" * 40,
    "short": lambda: b"\1",
    "huge-count": lambda: b"\xff\xff\xff\x7f",
    "too-long": lambda: bytes(100_000),
    "nothing": lambda: wire.pack([]),
    "unknown-word": lambda: wire.pack([b"hello", b"world"]),
    "ready-without-base": lambda: wire.pack([b"ready", b"user"]),
    "ready-undecodable": lambda: wire.pack([b"ready", b"\xff", b"/", *READY[3:]]),
    "failed-without-number": lambda: wire.pack([b"failed", b"-1", b"scratch", b"many", b"text"]),
    "failed-undecodable": lambda: wire.pack([b"failed", b"-1", b"\xff", b"1", b"text"]),
}
REPORTS: dict[str, Callable[[], bytes]] = {
    "no-report": lambda: b"",
    "report-garbage": lambda: b"\xfe" * 7,
    "report-too-long": lambda: bytes(100_000),
    "report-nothing": lambda: wire.pack([]),
    "report-unknown": lambda: wire.pack([b"hello"]),
    "started-without-handle": lambda: wire.pack([b"started", b"7", b"1"]),
    "failed-short": lambda: wire.pack([b"failed", b"1"]),
    "failed-no-number": lambda: wire.pack([b"failed", b"x", b"bind", b"y", b"text"]),
    "failed-no-step": lambda: wire.pack([b"failed", b"99999", b"bind", b"1", b"text"]),
    "absent-no-number": lambda: wire.pack([b"absent", b"x", b"path"]),
}
ENDINGS: dict[str, Callable[[], bytes]] = {
    "no-end": lambda: b"",
    "end-garbage": lambda: b"\xfd" * 5,
    "end-unknown": lambda: wire.pack([b"bye"]),
    "end-no-number": lambda: wire.pack([b"exited", b"x", *[b"0"] * 8]),
    "started-twice": lambda: wire.pack([b"started", b"7", b"1"]),
}
HANGS = ("mute", "deaf", "idle")  # says nothing at all; greets, and reads nothing; takes requests and never answers


def main(way: str, control: int) -> None:
    if way in HANGS:
        hang(way, control)
    greeting = GREETINGS.get(way, lambda: wire.pack(READY))()
    if greeting:
        channel.send(control, greeting)
    if way in GREETINGS:
        return
    _, fds = channel.receive(control, wire.LARGEST_INLINE)
    status = fds[0]
    if way in REPORTS:
        if report := REPORTS[way]():
            channel.send(status, report)
        return
    channel.send(status, wire.pack([b"started", b"7", b"1"]), [os.pidfd_open(os.getpid())])
    if ending := ENDINGS[way]():
        channel.send(status, ending)
    os.close(status)


def hang(way: str, control: int) -> None:
    """Do nothing for ever, also when the supervisor closes its end: what a process does that waits for a dead disk."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
    if way != "mute":
        channel.send(control, wire.pack(READY))
    held = []
    while True:
        if way == "idle":
            data, fds = channel.receive(control, wire.LARGEST_INLINE)
            held += fds
            if data:
                continue
        signal.pause()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
