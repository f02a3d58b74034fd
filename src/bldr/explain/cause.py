"""A cause of a failure, as it is told, kept and shown."""

from __future__ import annotations

from bldr.model.paths import printable
from bldr.model.value import value

__all__ = ["Cause", "Evidence", "Remedy"]


class Evidence:
    """Where a cause is known from."""

    TRACE = "trace"  # the kernel was asked
    MESSAGE = "message"  # the command said so, and spec and host agree
    GATEWAY = "gateway"  # it refused a host, and said so
    RESULT = "result"  # the execution itself: a limit, a timeout
    GUESS = "guess"  # it fits; nothing says so


@value
class Remedy:
    """What allows something, in the words of each place that it can be said in; alternatives, or all of them.

    Args:
        options: Options of ``bldr run``.
        calls: Calls of the spec builder.
        lines: Lines of a target in a Builderfile; none where it has no word for it.
    """

    options: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()

    def __or__(self, other: Remedy) -> Remedy:
        return Remedy(self.options + other.options, self.calls + other.calls, self.lines + other.lines)


@value
class Cause:
    """One thing that was denied or missing.

    Args:
        kind: ``read``, ``execute``, ``library``, ``write``, ``connect``, ``resolve``, ``variable``, ``device``,
            ``setuid``, ``limit``, ``timeout`` or ``list``.
        subject: The inside path, host, variable or limit.
        text: One sentence: what failed and why.
        evidence: One of :class:`Evidence`.
        saw: What the command was answered, in words; empty when unknown.
        who: The arguments of the process that was denied it; empty when unknown.
        nearest: The declared path that is nearest, with its role; empty where that means nothing.
        remedy: What would allow it.
        warning: Why to think twice; empty when there is no reason.
        rank: Larger is more likely.
    """

    kind: str
    subject: str
    text: str
    evidence: str
    saw: str = ""
    who: tuple[str, ...] = ()
    nearest: str = ""
    remedy: Remedy = Remedy()
    warning: str = ""
    rank: int = 0

    def to_dict(self) -> dict[str, object]:
        """Return the cause for JSON."""
        return {
            "kind": self.kind,
            "subject": printable(self.subject),
            "text": printable(self.text),
            "evidence": self.evidence,
            "saw": self.saw,
            "who": [printable(word) for word in self.who],
            "nearest": printable(self.nearest),
            "options": [printable(option) for option in self.remedy.options],
            "calls": [printable(call) for call in self.remedy.calls],
            "lines": [printable(line) for line in self.remedy.lines],
            "warning": printable(self.warning),
            "rank": self.rank,
        }

    @staticmethod
    def from_dict(document: dict[str, object]) -> Cause:
        """Return the cause of a document that :meth:`to_dict` has made.

        Raises:
            KeyError: Something is missing in it.
            TypeError: Something in it is of another type.
        """
        known = {"lines": []} | document  # a record of an earlier version has none
        who, *remedy = [_texts(name, known.pop(name)) for name in ("who", *Remedy.__match_args__)]
        words = {name: known[name] for name in Cause.__match_args__ if name not in ("who", "remedy")}
        if not all(isinstance(words[name], str) for name in ("kind", "subject", "text", "evidence", "saw", "warning")):
            raise TypeError("a field is no text")
        return Cause(who=who, remedy=Remedy(*remedy), **words)  # type: ignore[arg-type]  # checked above


def _texts(name: str, items: object) -> tuple[str, ...]:
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise TypeError(f"{name!r} is no list of texts")
    return tuple(items)
