"""Which traced accesses failed because of the sandbox: what is there on the host and was not shown, or not writable."""

from __future__ import annotations

import errno
import os

from bldr.model.result import Denial
from bldr.model.spec import Access
from bldr.model.value import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bldr.model.spec import SandboxSpec
    from bldr.model.trace import Trace, TraceEvent

__all__ = ["denials", "host_place", "is_denied", "with_processes"]

_LOOKING = ("read", "list", "look", "execute", "connect")
_CHANGING = ("write", "delete", "rename", "link")
_MOST_NAMES = 20  # of hidden entries that are named


def denials(
    trace: Trace,
    spec: SandboxSpec,
    *,
    is_there: Callable[[str], bool] = os.path.lexists,
    names_in: Callable[[str], Sequence[str]] = os.listdir,
) -> tuple[Denial, ...]:
    """Find what was denied; one for each path and kind, in the order of the trace.

    Args:
        trace: What was done.
        spec: What was allowed.
        is_there: Whether the host has something at a path.
        names_in: What a directory of the host holds.
    """
    found: dict[tuple[str, str], Denial] = {}
    shown = frozenset(_ways(spec))
    for event in trace.events:
        if event.own:
            continue
        if is_denied(event, spec, is_there=is_there):
            key = event.kind, event.subject
            found.setdefault(key, Denial(event.kind, event.subject, _sentence(event), event.pid))
        elif event.kind == "list" and not event.errno and (names := _hidden(event.subject, spec, names_in, shown)):
            message = f"{event.subject} was listed without {', '.join(names[:_MOST_NAMES])}"
            if len(names) > _MOST_NAMES:
                message += f" and {len(names) - _MOST_NAMES} more"
            found.setdefault(("list", event.subject), Denial("list", event.subject, message, event.pid))
    return tuple(found.values())


def with_processes(refused: Iterable[Denial], trace: Trace) -> tuple[Denial, ...]:
    """Return refusals of the gateway, which sees no processes, with those that the trace saw ask for the same."""
    asked = {
        event.subject.rstrip(".").lower(): event.pid
        for event in reversed(trace.events)
        if event.kind in ("resolve", "connect", "send")
    }
    return tuple([replace(one, pid=asked.get(one.subject.lower(), one.pid)) for one in refused])


def is_denied(event: TraceEvent, spec: SandboxSpec, *, is_there: Callable[[str], bool] = os.path.lexists) -> bool:
    """Whether an event failed, and would not have failed on the host for the same reason."""
    if not event.errno:
        return False
    if event.kind in ("connect", "send") and not event.subject.startswith("/"):
        return True
    if event.errno in (errno.EROFS, errno.ENETUNREACH):
        return True
    if event.kind in _LOOKING:
        return is_there(host_place(event.asked or event.subject, spec)) or is_there(event.subject)
    if event.kind in _CHANGING and event.errno == errno.ENOENT:
        parent = os.path.dirname(event.target or event.subject)
        return is_there(host_place(parent, spec))
    return False


def host_place(path: str, spec: SandboxSpec) -> str:
    """Return where the host has what an inside path means: a path that was not declared means itself."""
    path = os.path.normpath(path)
    return spec.host_path(path) or path


def _hidden(
    directory: str, spec: SandboxSpec, names_in: Callable[[str], Sequence[str]], shown: frozenset[str]
) -> list[str]:
    """Return what the host has in a directory and the sandbox, which shows some paths besides, does not."""
    if any(paths.covers(directory) for paths in (spec.inputs, spec.outputs, spec.overlays)):
        return []
    if spec.temps.contains(directory) or directory.startswith(("/proc", "/dev", "/sys")):
        return []
    try:
        names = sorted(names_in(host_place(directory, spec)))
    except OSError:
        return []
    base = directory.rstrip("/")
    return [name for name in names if spec.access(f"{base}/{name}") == Access.NONE and f"{base}/{name}" not in shown]


def _ways(spec: SandboxSpec) -> Iterable[str]:
    """Yield the directories that lead to what is declared, and those that are always there."""
    yield from ("/dev", "/proc", "/etc", "/tmp")
    for declaration in spec.declarations:
        path = declaration.at
        while path != "/":
            yield path
            path = os.path.dirname(path)


def _sentence(event: TraceEvent) -> str:
    done = {
        "read": "reading", "list": "listing", "look": "looking at", "execute": "executing", "write": "writing",
        "delete": "deleting", "rename": "renaming", "link": "linking", "connect": "connecting to",
        "send": "sending to",
    }.get(event.kind, event.kind)  # fmt: skip
    return f"{done} {event.subject}: {os.strerror(event.errno)}"
