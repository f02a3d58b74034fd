"""A cause of a failure, as it is told, kept and shown."""

from __future__ import annotations

from bldr.model.paths import printable
from bldr.model.value import value

__all__ = ["Cause", "Evidence"]


class Evidence:
    """Where a cause is known from."""

    TRACE = "trace"  # the kernel was asked
    MESSAGE = "message"  # the command said so, and spec and host agree
    GATEWAY = "gateway"  # it refused a host, and said so
    RESULT = "result"  # the execution itself: a limit, a timeout
    GUESS = "guess"  # it fits; nothing says so


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
        options: Options of ``bldr run`` that would allow it.
        calls: Calls of the spec builder that would allow it.
        lines: Lines of a target in a Builderfile that would allow it.
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
    options: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
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
            "options": [printable(option) for option in self.options],
            "calls": [printable(call) for call in self.calls],
            "lines": [printable(line) for line in self.lines],
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
        words = {name: known[name] for name in Cause.__match_args__}
        for name in ("who", "options", "calls", "lines"):
            items = words[name]
            if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
                raise TypeError(f"{name!r} is no list of texts")
            words[name] = tuple(items)
        if not all(isinstance(words[name], str) for name in ("kind", "subject", "text", "evidence", "saw", "warning")):
            raise TypeError("a field is no text")
        return Cause(**words)  # type: ignore[arg-type]  # checked above
