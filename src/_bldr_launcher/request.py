"""What the supervisor asks for: one execution in a sandbox of its own."""

from __future__ import annotations

from _bldr_launcher import wire

__all__ = ["Request", "join", "limits_of", "load_for", "split", "steps_of", "without_trace"]


class Request:
    """What one execution asks for; ``pack`` in the supervisor, ``parse`` in the launcher and in init."""

    __slots__ = ("argv", "cwd", "env", "flags", "limits", "scratch", "steps", "uid")

    def __init__(
        self,
        uid: int,
        flags: set[bytes],
        scratch: bytes,
        step_fields: list[list[bytes]],
        cwd: bytes,
        argv: list[bytes],
        env: list[bytes],
        limits: list[tuple[bytes, bytes, bytes]],
    ) -> None:
        self.uid = uid
        self.flags = flags  # set of b"terminal", b"host-proc", b"temps", b"trace-network", b"trace-full"
        self.scratch = scratch
        self.steps = step_fields
        self.cwd = cwd
        self.argv = argv
        self.env = env
        self.limits = limits  # for the cgroup, see cgroup.py

    @property
    def refused(self) -> frozenset[bytes]:
        """What of ``fork`` and ``exec`` is refused to the command, see policy.py."""
        return frozenset([word for step in self.steps if step[0] == b"refuse" for word in step[1:]])

    def variables(self) -> dict[bytes, bytes]:
        """Return the environment of the command."""
        return dict([item.split(b"=", 1) for item in self.env])

    @property
    def is_traced(self) -> bool:
        """Whether a tracer watches the command."""
        return b"trace-full" in self.flags or b"trace-network" in self.flags

    @staticmethod
    def parse(data: bytes) -> Request:
        """Decode the request; see ``bldr.sandbox.linux.launcher`` for the other side.

        Args:
            data: The datagram, or the content of the memfd.

        Raises:
            wire.WireError: It is in another version, or no request.
        """
        uid, flags, scratch, limits, plan, command = split(data)
        words = wire.unpack(command)
        argc = int(words[0])
        argv, env = words[2 : 2 + argc], words[2 + argc :]
        return Request(int(uid), set(flags.split()), scratch, steps_of(plan), words[1], argv, env, limits_of(limits))


def split(data: bytes) -> list[bytes]:
    """Return the parts of a request: id, flags, scratch directory, limits, plan and command.

    Raises:
        wire.WireError: It is in another version, or no request.
    """
    version, *parts = wire.unpack(data)
    if version != wire.VERSION or len(parts) != 6:
        raise wire.WireError(f"version {version!r} where {wire.VERSION!r} is spoken")
    return parts


def join(uid: bytes, flags: bytes, scratch: bytes, limits: bytes, plan: bytes, command: bytes) -> bytes:
    """Make a request of its parts."""
    return wire.pack([wire.VERSION, uid, flags, scratch, limits, plan, command])


def without_trace(flags: bytes) -> bytes:
    """Return the flags of a request without those that change nothing before the command starts."""
    return b" ".join([word for word in flags.split() if not word.startswith(b"trace-")])


def steps_of(plan: bytes) -> list[list[bytes]]:
    """Decode a plan: the operation and the arguments of each step."""
    fields = wire.unpack(plan)
    decoded = []
    place = 0
    while place < len(fields):
        count = int(fields[place])
        decoded.append(fields[place + 1 : place + 1 + count])
        place += 1 + count
    return decoded


def load_for(steps: list[list[bytes]]) -> bool:
    """Load the modules that few steps need; whether there were any, so that only an init to come has them.

    An init cannot load them: it has left the files that they would be in.
    """
    refuses = any(step[0] == b"refuse" and len(step) > 1 for step in steps)
    has_names = any(step[0] == b"names" for step in steps)
    if refuses:
        from _bldr_launcher import forked as _forked  # noqa: F401
    if has_names:
        from _bldr_launcher import network as _network  # noqa: F401
    return refuses or has_names


def limits_of(limits: bytes) -> list[tuple[bytes, bytes, bytes]]:
    """Decode the limits of a request."""
    items = wire.unpack(limits)
    return list(zip(items[::3], items[1::3], items[2::3], strict=True))
