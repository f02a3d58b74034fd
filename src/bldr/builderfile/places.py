"""Paths as a Builderfile writes them: relative to its folder, or to the workspace when they begin with ``//``.

Paths are compared and joined as texts here; what symbolic links make of them is looked at when files are looked at
(:mod:`bldr.builderfile.tree`).
"""

from __future__ import annotations

from bldr.errors import BuilderfileError

__all__ = ["ANY", "STATE", "host_or_workspace", "is_pattern", "of_folder", "of_output", "of_source", "within"]

STATE = ".builder"  # the folder of the workspace in which bldr keeps what it remembers
ANY = "**"  # any number of folders
_WILD = frozenset("*?[")


def of_source(text: str, folder: str) -> str:
    """Return a pattern of sources relative to the workspace.

    Raises:
        BuilderfileError: It leads out of the workspace, or cannot be a path.
    """
    exclusion = text.startswith("!")
    if text[exclusion:].startswith("/") and not text[exclusion:].startswith("//"):
        raise BuilderfileError(
            f"{text!r} is not in the workspace",
            code="builderfile.path-escapes",
            hint="sources are files of the workspace; what else a target reads stands in hermetic.inputs",
        )
    path = _relative(text[exclusion:], folder, text)
    _check_pattern(path)
    if not path or text.endswith("/"):
        raise _invalid(text, "is a folder", f'write "{text.rstrip("/") or "."}/**" for every file below it')
    if path.startswith("!"):
        raise _invalid(text, "begins with '!'", "rename the file")
    return "!" * exclusion + path


def of_output(text: str, folder: str) -> str:
    """Return the path of an output relative to the workspace; a ``/`` behind it is kept.

    Raises:
        BuilderfileError: It leads out of the workspace, or cannot be an output.
    """
    if text.startswith("/") and not text.startswith("//"):
        raise BuilderfileError(
            f"{text!r} is not in the workspace",
            code="builderfile.path-escapes",
            hint="outputs are written into the workspace: write a relative path, or //path from its root",
        )
    path = _relative(text, folder, text)
    if not path:
        raise _invalid(text, "is the workspace itself", 'write a folder in it, such as "dist/"')
    if is_pattern(path):
        raise _invalid(text, "is a pattern", "name each output, or the folder that holds them")
    if within(path, STATE):
        raise _invalid(text, "is where bldr keeps its state", 'write another folder, such as "dist/"')
    if path.rpartition("/")[2] == "Builderfile":
        raise _invalid(text, "is the name of a Builderfile", "write another name")
    return path + "/" * text.endswith("/")


def of_folder(text: str, folder: str) -> str:
    """Return the path of a folder relative to the workspace; ``.`` is the workspace itself.

    Raises:
        BuilderfileError: It leads out of the workspace, or cannot be a path.
    """
    if text.startswith("/") and not text.startswith("//"):
        raise BuilderfileError(
            f"{text!r} is not in the workspace",
            code="builderfile.path-escapes",
            hint='write a relative path, or //path from its root; folders of the host stand in flags: ["-I/path"]',
        )
    path = _relative(text, folder, text)
    if is_pattern(path):
        raise _invalid(text, "is a pattern", "name each folder")
    return path or "."


def host_or_workspace(text: str, folder: str) -> str:
    """Return a path of ``hermetic.inputs`` or ``temps``: absolute as it is, otherwise relative to the workspace.

    Raises:
        BuilderfileError: It leads out of the workspace, or cannot be a path.
    """
    if text.startswith("/") and not text.startswith("//"):
        parts = [part for part in text.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise _invalid(text, "has '..' in it", "write where it leads")
        return "/" + "/".join(parts)
    return _relative(text, folder, text) or "."


def within(path: str, folder: str) -> bool:
    """Return whether a path is a folder or lies in it; both are relative to the workspace, without ``/`` behind."""
    return not folder or path == folder or path.startswith(folder + "/")


def is_pattern(path: str) -> bool:
    """Return whether a path has wildcards."""
    return not _WILD.isdisjoint(path)


def _check_pattern(pattern: str) -> None:
    """Refuse what looks like a pattern and would not mean what it says.

    Raises:
        BuilderfileError: ``**`` has something beside it, or a ``[`` is never closed.
    """
    for part in pattern.split("/"):
        if ANY in part and part != ANY:
            raise BuilderfileError(
                f"'**' has something beside it in {part!r}",
                code="builderfile.path-invalid",
                hint=f'it stands for whole folders: write "**/{part.replace(ANY, "*")}"',
            )
        start = part.find("[")
        if start >= 0 and "]" not in part[start + 2 :]:
            raise BuilderfileError(
                f"the bracket in {part!r} is never closed",
                code="builderfile.path-invalid",
                hint="write [[] for the character itself",
            )


def _relative(text: str, folder: str, shown: str) -> str:
    """Return a path relative to the workspace, without ``.`` and with its leading ``..`` resolved."""
    if not text:
        raise _invalid(shown, "is empty", "write a path")
    rooted = text.startswith("//")
    above = [] if rooted or not folder else folder.split("/")
    parts: list[str] = []
    for part in text.split("/"):
        if part in ("", "."):
            continue
        if part == "..":
            if parts:
                raise _invalid(shown, "has '..' behind a name", "write where it leads: a link may lead elsewhere")
            if not above:
                raise BuilderfileError(
                    f"{shown!r} leads out of the workspace",
                    code="builderfile.path-escapes",
                    hint="only what is in the workspace can be named here; other files stand in hermetic.inputs",
                )
            above.pop()
        else:
            parts.append(part)
    return "/".join(above + parts)


def _invalid(text: str, why: str, hint: str) -> BuilderfileError:
    return BuilderfileError(f"{text!r} cannot be used here: it {why}", code="builderfile.path-invalid", hint=hint)
