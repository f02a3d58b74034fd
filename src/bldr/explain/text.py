"""Causes in lines for people. Pure."""

from __future__ import annotations

import shlex

from bldr.explain.cause import Evidence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from bldr.explain.cause import Cause

__all__ = ["all_lines", "likely_lines"]

_SURE = {
    Evidence.TRACE: "traced",
    Evidence.MESSAGE: "from the command's messages",
    Evidence.GATEWAY: "refused by the gateway",
    Evidence.RESULT: "measured",
    Evidence.GUESS: "a guess",
}
_LONGEST = 160  # characters of a message or a command line


def likely_lines(causes: Sequence[Cause]) -> list[str]:
    """Say the likeliest cause, and how many more there are."""
    if not causes:
        return []
    cause = causes[0]
    if cause.kind == "timeout" or cause.evidence == Evidence.GATEWAY:  # that was said already, with the option
        return []
    lines = [] if cause.evidence == Evidence.RESULT else [f"likely cause: {cause.text}"]  # that was said already
    if cause.remedy.options:
        lines.append(f"hint: to allow it: {' or '.join(_alternatives(cause))}")
    if cause.warning:
        lines.append(f"hint: beware: {cause.warning}")
    if len(causes) > 1:
        more = f"{len(causes) - 1} more possible cause{'s' if len(causes) > 2 else ''}"
        lines.append(f"hint: bldr explain tells {more}, with who and where")
    return lines


def all_lines(causes: Sequence[Cause], unused: Sequence[str] = ()) -> list[str]:
    """Tell everything, numbered, and the inputs that were declared and not used."""
    lines: list[str] = []
    for number, cause in enumerate(causes, 1):
        lines.append(f"{number}. {cause.text} ({_SURE.get(cause.evidence, cause.evidence)})")
        if cause.saw:
            lines.append(f"   what the command saw: {_cut(cause.saw)}")
        if cause.who:
            lines.append(f"   who: {_cut(shlex.join(cause.who))}")
        if cause.nearest:
            lines.append(f"   nearest declared path: {cause.nearest}")
        for title, items in (
            ("to allow it", _alternatives(cause)),
            ("in Python", cause.remedy.calls),
            ("in a Builderfile", cause.remedy.lines),
        ):
            if items:
                both = " and " if cause.kind != "write" and title != "to allow it" else " or "
                lines.append(f"   {title}: {both.join(items)}")
        if cause.warning:
            lines.append(f"   beware: {cause.warning}")
    if unused:
        lines += ["", f"Declared and not used: {', '.join(unused)}"]
    return lines


def _alternatives(cause: Cause) -> tuple[str, ...]:
    """What is written can go to an output or to an overlay; everything else needs each of its options."""
    return (" ".join(cause.remedy.options),) if cause.kind != "write" and cause.remedy.options else cause.remedy.options


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
