# ruff: noqa: D102 -- what describe() and encode() return is said once, in Step
"""The steps of a plan: values that describe themselves to people and encode themselves for the launcher.

``describe()`` is the line that ``bldr plan`` prints. ``encode()`` is the request on the wire: the name of the
operation and its arguments as bytes, integers in decimal ASCII (modes in octal); a step that the launcher does on its
own before any request encodes to ``()``. A step decides nothing and touches nothing.

Where a mountpoint comes from is part of a step, because the launcher has to know which directories are its own:

* ``skeleton``: the directory around it belongs to the sandbox's own root; the step creates the mountpoint.
* ``graft``: the directory around it belongs to a nested skeleton (see `MakeSkeleton`), and the way there leads through
  directories of the host; the step creates the mountpoint, opening the way component by component.
* ``temp``: the directory around it belongs to a temp; the step creates the mountpoint.
* ``overlay``: the directory around it belongs to an overlay; the step creates in the private layer what is missing of
  the mountpoint and of the way to it.
* ``inside``: the mountpoint exists in what an earlier step bound; it is opened component by component.
"""

from __future__ import annotations

import os

from bldr.model.value import ValueClass, value

__all__ = [
    "Absent",
    "AnswerNames",
    "Bind",
    "Canary",
    "DropPrivileges",
    "EnterNamespaces",
    "FilterSystemCalls",
    "ForbidUserNamespaces",
    "Kind",
    "Landlock",
    "LoopbackUp",
    "MakeDevices",
    "MakeDirectory",
    "MakeLink",
    "MakeSkeleton",
    "MapIdentity",
    "Mask",
    "MountCopy",
    "MountOverlay",
    "MountProc",
    "MountScratch",
    "MountTmpfs",
    "NewRoot",
    "Pivot",
    "Seal",
    "SeeRefused",
    "SetHostname",
    "SetLimit",
    "ShowLink",
    "StandInFor",
    "StandInForMore",
    "Step",
    "Unseal",
    "Where",
    "WriteFile",
    "show",
]

_encode = os.fsencode
_set = object.__setattr__


class Where:
    """Who owns the directory in which a step works (see the docstring of the module)."""

    SKELETON = "skeleton"
    GRAFT = "graft"
    TEMP = "temp"
    OVERLAY = "overlay"
    INSIDE = "inside"


class Kind:
    """What a mountpoint has to be: a directory, or anything else."""

    DIR = "dir"
    FILE = "file"


class Step(metaclass=ValueClass):
    """One operation of a plan."""

    def describe(self) -> str:
        """Return the line that people read."""
        raise NotImplementedError

    def encode(self) -> tuple[bytes, ...]:
        """Return the request for the launcher, ``()`` when there is nothing to ask for."""
        return ()


def show(path: str) -> str:
    """Return a path as people read it: as it is, or quoted when it holds spaces, quotes or unprintable characters."""
    plain = path.isprintable() and not any(char in path for char in " '\"\\")
    return path if plain else repr(path)


@value
class EnterNamespaces(Step):
    """New user, mount, pid, network, ipc and uts namespaces; the launcher does this by itself."""

    def describe(self) -> str:
        return "enter new user, mount, pid, network, ipc and uts namespaces"


@value
class MapIdentity(Step):
    """The caller becomes ``uid`` inside."""

    uid: int

    def describe(self) -> str:
        return f"map the caller to uid {self.uid} and gid {self.uid}"


@value
class LoopbackUp(Step):
    """The private loopback interface works; nothing else does."""

    def describe(self) -> str:
        return "bring the private loopback up"


@value
class AnswerNames(Step):
    """Addresses that stand for allowed hosts, and a name server that knows them; ``literals`` keep their own."""

    name_server: str
    literals: tuple[str, ...]

    def describe(self) -> str:
        return f"answer names at {self.name_server}: the allowed ones, and no others"

    def encode(self) -> tuple[bytes, ...]:
        return (b"names", *[literal.encode() for literal in self.literals])


@value
class StandInFor(Step):
    """A socket that seems to be a port of an allowed host; who accepts is the gateway."""

    host: str
    address: str
    port: int
    protocol: str

    def describe(self) -> str:
        where = f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"
        return f"stand in at {where}/{self.protocol} for port {self.port} of {self.host}"

    def encode(self) -> tuple[bytes, ...]:
        return (b"stand-in", self.protocol.encode(), self.address.encode(), b"%d" % self.port)


@value
class StandInForMore(Step):
    """Sockets at a row of addresses, for names that only a wildcard allows."""

    address: str
    count: int
    places: tuple[tuple[str, int], ...]

    def describe(self) -> str:
        ports = ", ".join([f"{port}/{protocol}" for protocol, port in self.places])
        return f"stand in at {self.count} addresses from {self.address} on for names below *, at {ports}"

    def encode(self) -> tuple[bytes, ...]:
        places = [f"{protocol}:{port}".encode() for protocol, port in self.places]
        return (b"pool", self.address.encode(), b"%d" % self.count, *places)


@value
class SeeRefused(Step):
    """Attempts to connect to anything else are refused, and seen by the gateway."""

    literals: tuple[str, ...]

    def describe(self) -> str:
        return "refuse connections to everything else, and note them"

    def encode(self) -> tuple[bytes, ...]:
        return (b"watch", *[literal.encode() for literal in self.literals])


@value
class NewRoot(Step):
    """An empty root, which the next steps fill."""

    def describe(self) -> str:
        return "make an empty root"


@value
class MountProc(Step):
    """A ``/proc`` that shows the processes of the sandbox only."""

    def describe(self) -> str:
        return "mount a new proc at /proc"


@value
class MakeDevices(Step):
    """A minimal ``/dev``."""

    def describe(self) -> str:
        return "make /dev with null, zero, full, random, urandom, tty, ptmx, a private pts and a private shm"


@value
class SetHostname(Step):
    """The host name that the sandbox sees."""

    name: str

    def describe(self) -> str:
        return f"set the host name to {show(self.name)}"

    def encode(self) -> tuple[bytes, ...]:
        return (b"hostname", _encode(self.name))


@value
class MakeDirectory(Step):
    """A directory of our own, as parent of something or as mountpoint."""

    at: str
    mode: int = 0o755
    where: str = Where.SKELETON

    def describe(self) -> str:
        return f"make directory {show(self.at)}"

    def encode(self) -> tuple[bytes, ...]:
        return (b"dir", _encode(self.at), b"%o" % self.mode, self.where.encode())


@value
class WriteFile(Step):
    """A synthesised file."""

    at: str
    mode: int
    content: bytes
    where: str = Where.SKELETON

    def describe(self) -> str:
        size = len(self.content)
        return f"write {show(self.at)} ({size} byte{'' if size == 1 else 's'})"

    def encode(self) -> tuple[bytes, ...]:
        return (b"file", _encode(self.at), b"%o" % self.mode, self.content, self.where.encode())


@value
class MakeLink(Step):
    """A symbolic link, with the text that it has on the host."""

    at: str
    target: str
    where: str = Where.SKELETON

    def describe(self) -> str:
        return f"make link {show(self.at)} -> {show(self.target)}"

    def encode(self) -> tuple[bytes, ...]:
        return (b"link", _encode(self.at), _encode(self.target), self.where.encode())


@value
class ShowLink(Step):
    """A link on the way to a declared path that an earlier bind shows already; nothing has to be done."""

    at: str
    target: str

    def describe(self) -> str:
        return f"see link {show(self.at)} -> {show(self.target)}"


@value
class Bind(Step):
    """A file or directory of the host. ``writable`` is for readers only: sealing decides, and unsealing."""

    source: str
    at: str
    kind: str
    where: str
    writable: bool

    # There is one bind for each input, so that its construction counts (see bldr.sandbox.resolved.Entry).
    def __init__(self, source: str, at: str, kind: str, where: str, *, writable: bool = False) -> None:
        _set(self, "source", source)
        _set(self, "at", at)
        _set(self, "kind", kind)
        _set(self, "where", where)
        _set(self, "writable", writable)

    def describe(self) -> str:
        mode = "writable" if self.writable else "read-only"
        return f"bind {show(self.source)} at {show(self.at)}, {mode}"

    def encode(self) -> tuple[bytes, ...]:
        return (b"bind", _encode(self.source), _encode(self.at), self.kind.encode(), self.where.encode())


@value
class MountScratch(Step):
    """A temp on disk: scratch directory number ``index`` of this execution."""

    index: int
    at: str
    mode: int
    where: str

    def describe(self) -> str:
        return f"mount an empty temp at {show(self.at)}, on disk"

    def encode(self) -> tuple[bytes, ...]:
        return (b"temp", b"%d" % self.index, _encode(self.at), b"%o" % self.mode, self.where.encode())


@value
class MountTmpfs(Step):
    """A temp in memory, of at most ``size`` bytes."""

    at: str
    size: int
    mode: int
    where: str

    def describe(self) -> str:
        return f"mount an empty temp at {show(self.at)}, in memory, at most {self.size} bytes"

    def encode(self) -> tuple[bytes, ...]:
        return (b"tmpfs", _encode(self.at), b"%d" % self.size, b"%o" % self.mode, self.where.encode())


@value
class MountOverlay(Step):
    """A directory of the host whose writes land in a private layer (overlayfs).

    The layer is scratch directory number ``index`` of this execution, or in memory, of at most ``size`` bytes.
    """

    source: str
    at: str
    index: int | None
    size: int | None
    where: str

    def describe(self) -> str:
        layer = "on disk" if self.size is None else f"in memory, at most {self.size} bytes"
        return f"overlay {show(self.source)} at {show(self.at)}, writes land in a private layer {layer}"

    def encode(self) -> tuple[bytes, ...]:
        layer = b"" if self.index is None else b"%d" % self.index
        size = b"" if self.size is None else b"%d" % self.size
        return (b"overlay", _encode(self.source), _encode(self.at), layer, size, self.where.encode())


@value
class MountCopy(Step):
    """A private copy of a file or directory of the host: scratch entry number ``index`` of this execution."""

    index: int
    source: str
    at: str
    kind: str
    where: str
    reason: str

    def describe(self) -> str:
        return f"copy {show(self.source)} for {show(self.at)}, writes land in the copy: {self.reason}"

    def encode(self) -> tuple[bytes, ...]:
        return (b"copy", b"%d" % self.index, _encode(self.at), self.kind.encode(), self.where.encode())


@value
class MakeSkeleton(Step):
    """A nested skeleton: an empty directory of our own over what the host has at ``at``.

    Later steps create mountpoints in it (`Where.GRAFT`). It either stands for a directory of an input whose entries
    are bound one by one, because a mountpoint is missing there (``of_input``), or it hides an undeclared directory
    that has declared paths below it. The root is a skeleton already, so for ``/`` there is nothing to ask for.
    """

    at: str
    mode: int
    where: str
    of_input: bool = False

    def describe(self) -> str:
        if self.of_input:
            return f"rebuild directory {show(self.at)}, read-only"
        return f"hide {show(self.at)} except for what is declared in it"

    def encode(self) -> tuple[bytes, ...]:
        if self.at == "/":
            return ()
        return (b"skeleton", _encode(self.at), b"%o" % self.mode, self.where.encode())


@value
class Mask(Step):
    """An empty directory, or an unreadable file, over something that was not declared."""

    at: str
    kind: str
    where: str

    def describe(self) -> str:
        return f"hide {show(self.at)}"

    def encode(self) -> tuple[bytes, ...]:
        return (b"mask", _encode(self.at), self.kind.encode(), self.where.encode())


@value
class Absent(Step):
    """An undeclared path with nothing to hide, because nothing is there."""

    at: str

    def describe(self) -> str:
        return f"nothing to hide at {show(self.at)}"


@value
class Seal(Step):
    """All mounts so far become read-only, recursively."""

    def describe(self) -> str:
        return "make everything read-only"

    def encode(self) -> tuple[bytes, ...]:
        return (b"seal",)


@value
class Unseal(Step):
    """One mount becomes writable again; with ``deep`` also the mounts of the host below it (outputs have no others)."""

    at: str
    deep: bool = False

    def describe(self) -> str:
        return f"make {show(self.at)} writable"

    def encode(self) -> tuple[bytes, ...]:
        return (b"unseal", _encode(self.at), b"all" if self.deep else b"one")


@value
class Pivot(Step):
    """The new root becomes the root, and the old one is gone."""

    def describe(self) -> str:
        return "change to the new root and detach the old one"

    def encode(self) -> tuple[bytes, ...]:
        return (b"pivot",)


@value
class ForbidUserNamespaces(Step):
    """Nothing inside can make a user namespace."""

    def describe(self) -> str:
        return "forbid user namespaces inside"

    def encode(self) -> tuple[bytes, ...]:
        return (b"no-userns",)


@value
class SetLimit(Step):
    """A resource limit of each process; ``None`` is unlimited. The launcher clips it to its own hard limit."""

    name: str
    soft: int | None
    hard: int | None

    def describe(self) -> str:
        soft, hard = _limit(self.soft), _limit(self.hard)
        return f"limit {self.name} to {soft}" if soft == hard else f"limit {self.name} to {soft}, at most {hard}"

    def encode(self) -> tuple[bytes, ...]:
        return (b"rlimit", self.name.encode(), _limit(self.soft).encode(), _limit(self.hard).encode())


def _limit(number: int | None) -> str:
    return "unlimited" if number is None else str(number)


@value
class Landlock(Step):
    """A second layer: everything can be read and executed, only what is beneath these paths can be written."""

    writable: tuple[str, ...]

    def describe(self) -> str:
        return f"allow writes beneath {', '.join(map(show, self.writable))} only (Landlock, where the kernel has it)"

    def encode(self) -> tuple[bytes, ...]:
        return (b"landlock", *map(_encode, self.writable))


@value
class DropPrivileges(Step):
    """no_new_privs, no capability, not dumpable; CAP_SETFCAP stays where sandboxes inside must be possible."""

    nested: bool = False

    def describe(self) -> str:
        return f"drop all capabilities{' but CAP_SETFCAP' if self.nested else ''} and forbid new privileges"

    def encode(self) -> tuple[bytes, ...]:
        return (b"drop", b"1" if self.nested else b"0")


@value
class FilterSystemCalls(Step):
    """The seccomp filter.

    With ``chown`` a change of owner to an id that is not mapped succeeds and does nothing; with ``mounts`` the calls
    that a sandbox inside this one needs stay allowed.
    """

    chown: bool
    mounts: bool = False

    def describe(self) -> str:
        extra = "; chown to ids that are not mapped succeeds" if self.chown else ""
        return f"filter system calls{extra}"

    def encode(self) -> tuple[bytes, ...]:
        return (b"seccomp", b"1" if self.chown else b"0", b"1" if self.mounts else b"0")


@value
class Refuse(Step):
    """No further process, or no further program, beside the command: what ``fork`` and ``exec`` say."""

    fork: bool
    exec: bool

    def describe(self) -> str:
        what = [text for text, is_set in (("processes", self.fork), ("programs", self.exec)) if is_set]
        return f"refuse further {' and '.join(what)}, and try one"

    def encode(self) -> tuple[bytes, ...]:
        return (b"refuse", *[word for word, is_set in ((b"fork", self.fork), (b"exec", self.exec)) if is_set])


@value
class Canary(Step):
    """An attempt that has to be refused in this very sandbox, so that ``guarantee`` counts as verified."""

    guarantee: str
    kind: str
    argument: str = ""

    def describe(self) -> str:
        return f"verify {self.guarantee}: {_CANARIES[self.kind].format(show(self.argument))}"

    def encode(self) -> tuple[bytes, ...]:
        return (b"canary", self.guarantee.encode(), self.kind.encode(), _encode(self.argument))


_CANARIES = {
    "absent": "{} cannot be opened",
    "readonly": "nothing can be written at {}",
    "unlisted": "{}, which is not allowed, cannot be reached",
    "unreachable": "no address can be reached",
    "capless": "no capability is left",
    "filtered": "a denied system call is refused",
    "hostname": "the host name is {}",
    "pid1": "no process of the host is seen",
    "ipc": "no shared memory of the host is seen",
    "unset": "the command gets no variable of the process that starts it",
    "own-file": "a file of the caller that was not declared can be neither read nor changed",
    "no-socket": "no socket can be made",
    "no-shared-memory": "no System V shared memory can be looked for",
}
