"""Targets with a command of their own."""

from __future__ import annotations

from bldr.builderfile.target import TEST
from bldr.engine.action import Action
from bldr.engine.handlers import Provided

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from bldr.builderfile.workspace import Resolved

__all__ = ["HANDLER"]


class _Custom:
    def provides(self, target: Resolved, needs: Sequence[Provided]) -> Provided:  # noqa: ARG002
        """Its outputs, as they are."""
        return Provided(
            target.target.label,
            target.language,
            products=target.outputs,
            headers=target.headers,
            runtime=target.outputs,
        )

    def actions(self, target: Resolved, needs: Sequence[Provided]) -> Sequence[Action]:
        """The command, with everything in sight that the targets that it needs provide."""
        return () if target.target.type == TEST else (_action(target, needs, "Custom"),)

    def tests(self, target: Resolved, needs: Sequence[Provided]) -> Sequence[Action]:
        """The command of a test."""
        return (_action(target, needs, "Test"),) if target.target.type == TEST else ()


def _action(target: Resolved, needs: Sequence[Provided], mnemonic: str) -> Action:
    inputs = [*target.sources, *target.headers]
    for provided in needs:
        inputs += [*provided.products, *provided.headers, *provided.runtime]
    return Action(
        target.target.label,
        "run its command",
        target.target.command,
        tuple(dict.fromkeys(inputs)),
        target.outputs,
        mnemonic=mnemonic,
    )


HANDLER = _Custom()
