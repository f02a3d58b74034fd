"""What the launcher is asked for, as bytes; ``_bldr_launcher.init.Request`` is the other side."""

from __future__ import annotations

import os

from _bldr_launcher import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["encode_command", "encode_plan", "encode_request", "in_memory"]


def encode_request(
    *,
    uid: int,
    flags: Sequence[bytes],
    place: str,
    limits: Sequence[tuple[bytes, bytes, bytes]],
    plan: bytes,
    command: bytes,
) -> bytes:
    """Encode a request; ``plan`` and ``command`` are encoded already."""
    written = wire.pack([word for triple in limits for word in triple])
    packed: bytes = wire.pack([wire.VERSION, b"%d" % uid, b" ".join(flags), os.fsencode(place), written, plan, command])
    return packed


def encode_plan(steps: Sequence[tuple[bytes, ...]]) -> bytes:
    """Encode the steps of a plan: each one its number of words, then the words."""
    fields: list[bytes] = []
    for step in steps:
        fields.append(b"%d" % len(step))
        fields.extend(step)
    packed: bytes = wire.pack(fields)
    return packed


def encode_command(cwd: bytes, argv: Sequence[bytes], env: Sequence[bytes]) -> bytes:
    """Encode what to execute, and where."""
    packed: bytes = wire.pack([b"%d" % len(argv), cwd, *argv, *env])
    return packed


def in_memory(request: bytes) -> int:
    """Put a request that no datagram can hold into a file in memory; returns its descriptor, which is the caller's.

    Raises:
        OSError: There is no room.
    """
    fd = os.memfd_create("bldr-request", os.MFD_CLOEXEC)
    try:
        rest = memoryview(request)
        while rest:
            rest = rest[os.write(fd, rest) :]
    except BaseException:
        os.close(fd)
        raise
    return fd
