"""Targets as people name them on a command line: labels, shorter forms, and whole folders."""

from __future__ import annotations

from bldr.builderfile.label import Label
from bldr.builderfile.places import within
from bldr.builderfile.workspace import unknown_target
from bldr.errors import BuilderfileError, UnknownTargetError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.builderfile.workspace import Workspace

__all__ = ["select"]

_BELOW = "..."


def select(text: str, workspace: Workspace, folder: str) -> list[Label]:
    """Return the targets that a word stands for, in the order of labels.

    ``//lib:util`` is a target of the workspace, ``lib:util`` one of a folder below the caller's, ``util`` and ``:util``
    one of the caller's folder, or the nearest one above that has a Builderfile; ``lib:all`` is what a folder declares,
    ``//...`` and ``lib/...`` everything below one.

    Args:
        text: The word.
        workspace: The workspace.
        folder: The caller's folder, relative to it.

    Raises:
        BuilderfileError: It cannot be read.
        UnknownTargetError: There is no such target.
    """
    rooted = text.startswith("//")
    where, colon, name = text.rpartition(":")
    if text == _BELOW or text.endswith(f"/{_BELOW}"):
        base = _joined(folder, text.removesuffix(_BELOW).strip("/"), rooted=rooted)
        found = [label for label in workspace.targets if within(label.folder, base)]
        if not found:
            raise UnknownTargetError(f"there is no target below {base or '//'!r}", hint="bldr query lists all targets")
        return found
    if not colon and "/" in text:
        head = text.rstrip("/")
        raise BuilderfileError(
            f"{text!r} names a folder and no target in it",
            code="builderfile.label-invalid",
            hint=f"write {head}:{head.rpartition('/')[2]}, or {head}/... for every target below it",
        )
    base = _joined(folder, where.strip("/"), rooted=rooted) if where else _nearest(folder, workspace)
    label = Label.parse(f"//{base}:{name}")
    if label in workspace.targets:
        return [label]
    if name == "all" and colon:
        return [label for label in workspace.targets if label.folder == base] or _unknown(label, workspace)
    return _unknown(label, workspace)


def _nearest(folder: str, workspace: Workspace) -> str:
    while folder and folder not in workspace.folders:
        folder = folder.rpartition("/")[0]
    return folder


def _unknown(label: Label, workspace: Workspace) -> list[Label]:
    raise unknown_target(label, workspace)


def _joined(folder: str, path: str, *, rooted: bool) -> str:
    parts = [] if rooted or not folder else folder.split("/")
    for part in path.split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)
