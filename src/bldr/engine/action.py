"""Actions: the commands that targets are lowered to, as values."""

from __future__ import annotations

from bldr.builderfile.places import STATE
from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.builderfile.label import Label

__all__ = ["INTERMEDIATE", "WORKSPACE", "Action", "intermediate"]

WORKSPACE = "/workspace"
"""Where the workspace is shown to every action, whatever its place on the host."""

INTERMEDIATE = f"{STATE}/out"
"""The folder of the workspace for what is made on the way to products."""


@value
class Action:
    """One command of a target.

    All paths are relative to the workspace, which is also the directory that the command starts in; inside it is at
    :data:`WORKSPACE`. What the target's ``hermetic`` block says (variables, limits, further inputs, network) is added
    by the engine and is not told here.

    Args:
        target: The target that it belongs to.
        name: What people are shown, unique in the target: ``compile src/main.c``.
        argv: The command.
        inputs: The files that it may read, folders with a ``/`` behind; outputs of other actions among them, which
            then run before. Their order means nothing.
        outputs: The files, or folders with a ``/`` behind, that it has to write. Their parent folders exist when it
            starts, and are empty but for inputs; nothing else that it writes there is kept.
        env: Further variables, by name; those of the target's ``hermetic`` block win.
        depfile: A file that it writes in the syntax of make, and that names the headers among its inputs that it has
            read: as long as none of these and no other input but headers changes, and no input is added or removed, it
            is up to date. Empty when there is none; then every input counts. It lies in the parent folder of an output,
            and is not kept.
        reports: Those of the outputs that are put in place also when the command fails, if it has written them: what a
            test says of its cases.
        mnemonic: One word for what kind of action it is: ``Compile``.
    """

    target: Label
    name: str
    argv: tuple[str, ...]
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    depfile: str = ""
    reports: tuple[str, ...] = ()
    mnemonic: str = "Custom"

    def __str__(self) -> str:
        return f"{self.target} {self.name}"


def intermediate(label: Label, path: str = "") -> str:
    """Return where an intermediate file of a target lies, relative to the workspace.

    Args:
        label: The target.
        path: The file's path in the target's own folder for such files; that folder itself when it is empty.

    Example:
        >>> from bldr.builderfile.label import Label
        >>> intermediate(Label("lib", "count"), "lib/count.c.o")
        '.builder/out/lib/count~/lib/count.c.o'
    """
    folder = f"{label.folder}/" if label.folder else ""
    return f"{INTERMEDIATE}/{folder}{label.name}~/{path}"
