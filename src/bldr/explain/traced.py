"""The causes that a trace shows."""

from __future__ import annotations

import os

from bldr.explain import advice
from bldr.explain.cause import Cause, Evidence
from bldr.explain.causes import write_cause
from bldr.model.value import replace
from bldr.trace.denials import denials, is_denied

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from bldr.explain.clues import Clue
    from bldr.explain.host import Host
    from bldr.model.spec import SandboxSpec
    from bldr.model.trace import Trace, TraceEvent

__all__ = ["of_trace"]

# What programs look for in passing and do without; a message that names it counts all the same.
_AMBIENT = (
    "/usr/share/locale", "/usr/lib/locale", "/etc/ld.so.preload", "/etc/localtime", "/etc/selinux", "/sys",
    "/etc/inputrc", "/usr/local/share/locale", "/etc/gitconfig", "/etc/python3", "/var/run/nscd", "/run/systemd",
    "/etc/login.defs",
)  # fmt: skip
_RANKS = {
    "execute": 60, "write": 58, "delete": 55, "rename": 55, "link": 55, "connect": 52, "send": 50, "read": 45,
    "list": 25, "look": 20,
}  # fmt: skip
_NAMED = 100  # the command's messages name it
_LATER = 10  # at most, for what happened late


def of_trace(trace: Trace, spec: SandboxSpec, host: Host, told: Sequence[Clue]) -> list[Cause]:
    """Find the denied accesses of a trace; those that a message names, and late ones, rank higher."""
    names = {os.path.basename(clue.name.rstrip("/")) for clue in told if clue.name}
    count = len(trace.events) or 1
    found: dict[tuple[str, str], Cause] = {}
    for place, event in enumerate(trace.events):
        if event.own or not is_denied(event, spec, is_there=host.has):
            continue
        named = os.path.basename(event.subject) in names
        if not named and any(event.subject == one or event.subject.startswith(one + "/") for one in _AMBIENT):
            continue
        rank = _RANKS.get(event.kind, 20) + (_NAMED if named else 0) + _LATER * place // count
        cause = _cause(event, spec, host, rank)
        process = trace.process(event.pid)
        cause = replace(
            cause,
            evidence=Evidence.TRACE,
            who=process.argv if process is not None else (),
            saw=os.strerror(event.errno),
        )
        key = cause.kind, cause.subject
        if key not in found or found[key].rank < rank:
            found[key] = cause
    for denial in denials(trace, spec, is_there=lambda _path: False, names_in=host.names_in):
        if denial.kind == "list" and denial.subject != "/":
            text = f"{denial.message}: what was not declared is not listed"
            found.setdefault(("list", denial.subject), Cause("list", denial.subject, text, Evidence.TRACE, rank=5))
    return list(found.values())


def _cause(event: TraceEvent, spec: SandboxSpec, host: Host, rank: int) -> Cause:
    path = event.subject
    if event.kind in ("write", "delete", "rename", "link"):
        return write_cause(event.target or path, spec, host, saw="", rank=rank)
    if event.kind in ("connect", "send") and not path.startswith("/"):
        remedy = advice.allow_host(*_split(path))
        text = f"{path} cannot be reached: there is no network in the sandbox"
        return Cause(
            "connect",
            path,
            text,
            Evidence.TRACE,
            remedy=remedy,
            rank=rank,
        )
    if not host.has(path) and host.has(event.asked):
        path = event.asked
    remedy = advice.allow_read(path)
    kind = "device" if path.startswith("/dev/") else "execute" if event.kind == "execute" else "read"
    return Cause(
        kind,
        path,
        f"{path} is on the host, and the sandbox does not show it: it was not declared",
        Evidence.TRACE,
        nearest=advice.nearest(path, spec),
        remedy=remedy,
        warning=advice.warning_about(path, host.home),
        rank=rank,
    )


def _split(endpoint: str) -> tuple[str, str]:
    host, _, port = endpoint.rpartition(":")
    return host, port
