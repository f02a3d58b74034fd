"""Targets with a command of their own."""

from __future__ import annotations

from bldr.builderfile.target import TEST
from bldr.engine.action import Action
from bldr.engine.handlers import Provided
from bldr.engine.handlers.c import include_dirs, links_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from bldr.builderfile.workspace import Resolved

__all__ = ["HANDLER"]


class _Custom:
    def provides(self, target: Resolved, needs: Sequence[Provided]) -> Provided:  # noqa: ARG002
        """Its outputs, as they are; archives and shared libraries among them are linked."""
        return Provided(
            target.target.label,
            products=target.outputs,
            headers=target.headers,
            include_dirs=include_dirs(target.target),
            links=links_of(target.outputs),
            runtime=target.outputs,
        )

    def actions(self, target: Resolved, needs: Sequence[Provided]) -> Sequence[Action]:
        """The command, with the outputs and headers in sight of what it needs; not what other commands have needed."""
        return () if target.target.type == TEST else (_action(target, needs, "run its command", "Custom"),)

    def tests(self, target: Resolved, needs: Sequence[Provided]) -> Sequence[Action]:
        """The command of a test."""
        return (_action(target, needs, "test", "Test"),) if target.target.type == TEST else ()


def _action(target: Resolved, needs: Sequence[Provided], name: str, mnemonic: str) -> Action:
    inputs = [*target.sources, *target.headers]
    for need in needs:
        inputs += [*need.products, *need.headers, *need.runtime]
    seen = tuple(dict.fromkeys(inputs))
    return Action(target.target.label, name, target.target.command, seen, target.outputs, mnemonic=mnemonic)


HANDLER = _Custom()
