"""What a command did, as the kernel was asked for it: files, programs and addresses, by which process."""

from __future__ import annotations

from bldr.errors import SpecError
from bldr.model.paths import printable
from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Trace", "TraceEvent", "TraceLevel", "TracedProcess"]


class TraceLevel:
    """How much is traced."""

    OFF = "off"
    NETWORK = "network"
    FULL = "full"
    ALL = (OFF, NETWORK, FULL)

    @staticmethod
    def checked(level: str) -> str:
        """Return the level.

        Raises:
            SpecError: There is none of that name.
        """
        if level not in TraceLevel.ALL:
            raise SpecError(
                f"there is no trace level {level!r}",
                code="spec.trace-unknown",
                hint=f"the levels are {', '.join(TraceLevel.ALL)}",
            )
        return level


@value
class TracedProcess:
    """A process that made at least one traced call.

    Args:
        pid: Its number on the host.
        parent: The number of its parent when it was first seen.
        argv: What it executed last, cut after some thousand bytes; empty when it executed nothing.
        begun: Seconds from the first traced call until it was first seen.
        nested: Whether it lives in a root of its own, where its paths were not followed.
    """

    pid: int
    parent: int
    argv: tuple[str, ...] = ()
    begun: float = 0.0
    nested: bool = False

    def to_dict(self) -> dict[str, object]:
        """Return the process for JSON."""
        return {
            "pid": self.pid,
            "parent": self.parent,
            "argv": [printable(word) for word in self.argv],
            "begun": self.begun,
            "nested": self.nested,
        }


@value
class TraceEvent:
    """One thing that was done, recorded when it was done first.

    Args:
        kind: ``read``, ``list`` (a directory), ``look`` (whether something is there, and what), ``write``, ``delete``,
            ``rename``, ``link``, ``execute``, ``connect``, ``bind``, ``send`` or ``resolve`` (a name).
        subject: An inside path without links, an endpoint, or a name.
        asked: The path as it was asked for, made absolute; empty where that is no path.
        target: What a rename or link makes.
        call: The system call.
        errno: What the command was answered, as predicted from what was there; 0 for success, or when unknown.
        entry: What was there before: ``file``, ``dir``, ``link``, ``device``, ``pipe``, ``socket``; empty for nothing.
        pid: The process, by its number on the host.
        time: Seconds since the first traced call.
        own: Whether the command had made it itself.
        argv: The arguments of an execution.
        interpreters: The inside paths of what the kernel opened to execute a program.
    """

    kind: str
    subject: str
    asked: str = ""
    target: str = ""
    call: str = ""
    errno: int = 0
    entry: str = ""
    pid: int = 0
    time: float = 0.0
    own: bool = False
    argv: tuple[str, ...] = ()
    interpreters: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return the event for JSON."""
        return {
            "kind": self.kind,
            "subject": printable(self.subject),
            "asked": printable(self.asked),
            "target": printable(self.target),
            "call": self.call,
            "errno": self.errno,
            "entry": self.entry,
            "pid": self.pid,
            "time": self.time,
            "own": self.own,
            "argv": [printable(word) for word in self.argv],
            "interpreters": [printable(path) for path in self.interpreters],
        }


@value
class Trace:
    """Everything that was traced of one execution. Each fact is there once, with the process that came first.

    Args:
        level: One of :class:`TraceLevel`. With ``network`` no file is recorded but those that were executed.
        processes: In the order in which they were first seen.
        events: In their order.
        calls: How many calls were looked at.
        dropped: How many records did not fit.
    """

    level: str = TraceLevel.OFF
    processes: tuple[TracedProcess, ...] = ()
    events: tuple[TraceEvent, ...] = ()
    calls: int = 0
    dropped: int = 0

    @property
    def reads(self) -> tuple[str, ...]:
        """The files that were read or executed and that the command had not made itself, interpreters too, sorted."""
        found = set(self._subjects("read", "execute"))
        for event in self._done("execute"):
            found.update(event.interpreters)
        return tuple(sorted(found))

    @property
    def listings(self) -> tuple[str, ...]:
        """The directories that were listed and that the command had not made itself, sorted."""
        return tuple(sorted(set(self._subjects("list"))))

    @property
    def probes(self) -> tuple[str, ...]:
        """The paths where something was looked for and nothing was, sorted."""
        kinds = ("read", "list", "look", "execute")
        return tuple(sorted({one.subject for one in self.events if one.errno and not one.entry and one.kind in kinds}))

    @property
    def writes(self) -> tuple[str, ...]:
        """What was made or changed, sorted; it may have been deleted later."""
        made = {event.target for event in self._done("rename", "link")}
        return tuple(sorted(made.union([event.subject for event in self._done("write")])))

    @property
    def deletes(self) -> tuple[str, ...]:
        """What was deleted or renamed away, sorted."""
        return tuple(sorted({event.subject for event in self._done("delete", "rename")}))

    @property
    def executions(self) -> tuple[TraceEvent, ...]:
        """The programs that were executed, in their order."""
        return tuple(self._done("execute"))

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The addresses that were connected or sent to, and the names that were asked for, sorted."""
        kinds = ("connect", "send", "resolve")
        found = [event for event in self.events if event.kind in kinds]
        return tuple(sorted({event.subject for event in found if event.entry or not event.subject.startswith("/")}))

    def process(self, pid: int) -> TracedProcess | None:
        """Return the process of an event."""
        return next((process for process in self.processes if process.pid == pid), None)

    def to_dict(self) -> dict[str, object]:
        """Return the trace for JSON."""
        return {
            "level": self.level,
            "calls": self.calls,
            "dropped": self.dropped,
            "processes": [process.to_dict() for process in self.processes],
            "events": [event.to_dict() for event in self.events],
        }

    def _done(self, *kinds: str) -> Iterable[TraceEvent]:
        return [event for event in self.events if event.kind in kinds and not event.errno]

    def _subjects(self, *kinds: str) -> Iterable[str]:
        return [event.subject for event in self._done(*kinds) if not event.own and event.subject]
