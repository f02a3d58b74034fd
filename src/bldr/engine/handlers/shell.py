"""Shell: a program or a test is one script, a library is a folder of scripts that others read."""

from __future__ import annotations

import posixpath

from bldr.builderfile.schema import LANGUAGES
from bldr.builderfile.target import LIBRARY, TEST
from bldr.engine.action import Action
from bldr.engine.handlers import Provided
from bldr.errors import BuilderfileError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from bldr.builderfile.workspace import Resolved

__all__ = ["HANDLER"]


class _Shell:
    def provides(self, target: Resolved, needs: Sequence[Provided]) -> Provided:  # noqa: ARG002
        """The scripts themselves, and what is made of them."""
        runtime = (*target.sources, *target.outputs)
        return Provided(target.target.label, target.language, products=target.outputs, runtime=runtime)

    def actions(self, target: Resolved, needs: Sequence[Provided]) -> Sequence[Action]:  # noqa: ARG002
        """Copy the script, so that it can be executed, or all of them into a folder."""
        declared = target.target
        if declared.type == TEST:
            return ()
        (output,) = target.outputs
        if declared.type == LIBRARY:
            argv = ("cp", "--parents", *target.sources, output)
        else:
            argv = ("install", "-m", "755", _script(target), output)
        name = f"copy to {output.rstrip('/')}"
        return (Action(declared.label, name, argv, target.sources, target.outputs, mnemonic="Copy"),)

    def tests(self, target: Resolved, needs: Sequence[Provided]) -> Sequence[Action]:
        """Run the script, from the root of the workspace; other sources are its data."""
        if target.target.type != TEST:
            return ()
        script = _script(target)
        program = "bash" if posixpath.splitext(script)[1] == ".bash" else "sh"
        seen = dict.fromkeys([*target.sources, *[path for need in needs for path in (*need.products, *need.runtime)]])
        return (Action(target.target.label, "test", (program, script), tuple(seen), mnemonic="Test"),)


def _script(target: Resolved) -> str:
    scripts = [path for path in target.sources if path.endswith(LANGUAGES["shell"])] or list(target.sources)
    if len(scripts) != 1:
        raise BuilderfileError(
            f"{target.target.label} has {len(scripts)} scripts, and one of them would have to begin",
            code="builderfile.value-invalid",
            hint="make the others a library and name it in deps",
        )
    return scripts[0]


HANDLER = _Shell()
