# ruff: noqa: D102 -- what describe() and encode() return is said once, in bldr.sandbox.linux.steps.Step
"""The steps of a plan without namespaces. Limits and canaries are those of `bldr.sandbox.linux.steps`."""

from __future__ import annotations

import os

from bldr.model.value import value
from bldr.sandbox.linux.steps import Step, show

__all__ = [
    "AdoptProcesses",
    "Allow",
    "Confine",
    "DropPrivileges",
    "FilterSystemCalls",
    "MakeTemp",
    "MoveTemp",
    "Rule",
    "ShareHost",
]


class Rule:
    """What a rule lets be done with a path, and with everything beneath it."""

    LIST = "list"
    """The names in directories can be listed."""
    READ = "read"
    """Files can be read and executed as well."""
    WRITE = "write"
    """Files can be changed, made and removed as well."""
    DEVICE = "device"
    """A device can be used."""


@value
class ShareHost(Step):
    """There is nothing to enter: the command stays where it is, and less of it can be hidden."""

    def describe(self) -> str:
        return "stay in the namespaces of the host: its names, processes and identity are seen"


@value
class AdoptProcesses(Step):
    """Init is the subreaper of the command; it does this by itself."""

    def describe(self) -> str:
        return "adopt every process that descends from the command, and end them with it"


@value
class MoveTemp(Step):
    """A temp that nobody asked for, in a private directory: scratch directory number ``index`` of this execution.

    Its own place is the host's and stays out of reach; variables that name it name the private directory instead.
    """

    index: int
    at: str

    def describe(self) -> str:
        return f"make an empty temp on disk in place of {show(self.at)}, for TMPDIR, HOME and the like"

    def encode(self) -> tuple[bytes, ...]:
        return (b"temp", b"%d" % self.index, os.fsencode(self.at))


@value
class MakeTemp(Step):
    """A temp at its own place on the host, where nothing is before and nothing is left afterwards."""

    at: str
    mode: int = 0o755

    def describe(self) -> str:
        return f"make an empty temp at {show(self.at)}, on the host, and remove it afterwards"

    def encode(self) -> tuple[bytes, ...]:
        return (b"temp-at", os.fsencode(self.at))


@value
class Allow(Step):
    """One rule: ``access`` to a path of the host that is a ``dir`` or a ``file``, and to what is beneath it."""

    at: str
    access: str
    kind: str

    def describe(self) -> str:
        what = {
            Rule.LIST: "listing directories in",
            Rule.READ: "reading",
            Rule.WRITE: "reading and writing",
            Rule.DEVICE: "using",
        }[self.access]
        return f"allow {what} {show(self.at)}"

    def encode(self) -> tuple[bytes, ...]:
        return (b"allow", os.fsencode(self.at), self.access.encode(), self.kind.encode())


@value
class DropPrivileges(Step):
    """no_new_privs and no capability. The user stays the caller."""

    def describe(self) -> str:
        return "drop all capabilities and forbid new privileges"

    def encode(self) -> tuple[bytes, ...]:
        return (b"drop",)


@value
class Confine(Step):
    """The rules come into force."""

    def describe(self) -> str:
        return "allow no other file, no TCP, and no signal to a process outside (Landlock, as far as its ABI goes)"

    def encode(self) -> tuple[bytes, ...]:
        return (b"confine",)


@value
class FilterSystemCalls(Step):
    """The seccomp filters, with what namespaces would have kept apart."""

    def describe(self) -> str:
        return "filter system calls: no socket but connected pairs, no shared IPC; modes, owners and times by the rules"

    def encode(self) -> tuple[bytes, ...]:
        return (b"seccomp",)
