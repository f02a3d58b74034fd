"""What a traced command needed of the host, by what it means for a spec. Pure but for questions about links."""

from __future__ import annotations

import errno
import os

from bldr.model.paths import is_within
from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bldr.model.trace import Trace, TraceEvent

__all__ = ["Observation", "links_on", "observe", "within_any"]

_CHANGING = ("write", "delete", "rename", "link")
_REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM)
_MOST_LINKS = 40  # MAXSYMLINKS in <linux/namei.h>
_NOT_FILES = ("/dev", "/proc", "/sys")  # every sandbox has its own, or none


@value
class Observation:
    """What was used and changed; inside paths, which are those of the host, sorted.

    Args:
        reads: Files whose content was used, programs and interpreters too, that the command had not made itself.
        looks: Files and links of which it asked whether they are there, and what they are like.
        listings: Directories that were listed.
        links: Links that led to one of these.
        changes: What was made, changed, renamed or deleted, and where a rename or link led.
        refused: What could not be written.
        programs: The paths of executed programs, as they were asked for.
    """

    reads: tuple[str, ...] = ()
    looks: tuple[str, ...] = ()
    listings: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()


def observe(trace: Trace, link: Callable[[str], str] | None = None) -> Observation:
    """Sort the events of a trace.

    Args:
        trace: Of the level ``full``.
        link: The text of the link at a path of the host, empty where there is none; asked about each step once.
    """
    known: dict[str, str] = {}

    def remembered(path: str) -> str:
        if path not in known:
            known[path] = (link or _read_link)(path)
        return known[path]

    found: dict[str, set[str]] = {name: set() for name in Observation.__match_args__}
    for event in trace.events:
        if event.kind in _CHANGING:
            if event.errno in _REFUSED:
                found["refused"].add(event.target or event.subject)
            elif not event.errno:
                found["changes"].update(filter(None, (event.target, "" if event.kind == "link" else event.subject)))
        elif not event.errno and not event.own and event.subject:
            _use(event, found, remembered)
    return Observation(**{name: tuple(sorted(filter(_is_file, paths))) for name, paths in found.items()})


def _use(event: TraceEvent, found: dict[str, set[str]], link: Callable[[str], str]) -> None:
    asked = [event.asked] if event.asked.startswith("/") else []
    match event.kind:
        case "read" if event.entry == "file":
            found["reads"].add(event.subject)
        case "execute":
            found["reads"].update((event.subject, *event.interpreters))
            found["programs"].add(event.asked or event.subject)
            asked += event.interpreters
        case "list":
            found["listings"].add(event.subject)
        case "look" if event.entry in ("file", "link"):
            found["looks"].add(event.subject)
        case "look" if event.entry == "dir":
            pass
        case _:
            return
    for path in asked:
        hops = links_on(path, link)
        found["links"].update(hops)


def links_on(path: str, link: Callable[[str], str]) -> tuple[str, ...]:
    """Return the links that are followed on the way to a path, the last one included.

    Example:
        >>> links_on("/a/b", {"/a": "x", "/x/b": "/c"}.get)
        ('/a', '/x/b')
    """
    found: list[str] = []
    here, todo = "/", [name for name in reversed(path.split("/")) if name not in ("", ".")]
    while todo and len(found) < _MOST_LINKS:
        name = todo.pop()
        if name == "..":
            here = os.path.dirname(here)
            continue
        step = f"{here.rstrip('/')}/{name}"
        target = link(step)
        if not target:
            here = step
            continue
        found.append(step)
        todo += [name for name in reversed(target.split("/")) if name not in ("", ".")]
        here = "/" if target.startswith("/") else here
    return tuple(found)


def _read_link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _is_file(path: str) -> bool:
    return not any(is_within(path, one) for one in _NOT_FILES)


def within_any(path: str, directories: Iterable[str]) -> bool:
    """Whether a path is one of these or lies in one."""
    return any(is_within(path, one) for one in directories)
