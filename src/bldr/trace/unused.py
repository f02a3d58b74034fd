"""Declared inputs that a traced command did not use."""

from __future__ import annotations

from bldr.model.spec import Role

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.model.spec import SandboxSpec
    from bldr.model.trace import Trace

__all__ = ["unused_inputs"]

_ELSEWHERE = ("connect", "send", "bind", "resolve")


def unused_inputs(trace: Trace, spec: SandboxSpec) -> tuple[str, ...]:
    """Return the inside paths of declared inputs in which nothing was read, listed, looked at or executed, sorted.

    What a toolchain brings does not count, and neither does a look-up that found nothing: it would find nothing
    without the declaration. An input that was asked for by a link counts by the link and by its target.

    Args:
        trace: Where it is not of the level ``full``, is incomplete, or holds processes with roots of their own, nothing
            is known, and nothing is returned.
        spec: What was declared.
    """
    if trace.level != "full" or trace.dropped or any(process.nested for process in trace.processes):
        return ()
    used: set[str] = set()
    for event in trace.events:
        if event.errno or event.kind in _ELSEWHERE:
            continue
        for path in (event.subject, event.asked, event.target, *event.interpreters):
            step = path
            while step.startswith("/") and step not in used:
                used.add(step)
                step = step[: step.rindex("/")] or "/"
    declared = [one.at for one in spec.declarations if one.role == Role.INPUT and not one.origin]
    return tuple(sorted([at for at in declared if at not in used]))
