"""Names of targets: ``//folder:name`` from anywhere, ``:name`` from the same folder."""

from __future__ import annotations

from bldr.errors import BuilderfileError
from bldr.model.value import value

__all__ = ["Label"]

_set = object.__setattr__

_LONGEST = 128  # characters of a name; it becomes part of file names
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.+")


@value
class Label:
    """The name of a target: the folder of its Builderfile, relative to the workspace, and its name there.

    Example:
        >>> str(Label.parse(":util", "lib")), str(Label.parse("//:app", "lib"))
        ('//lib:util', '//:app')
    """

    folder: str
    name: str

    # Every question about a graph looks labels up: written out, that takes a third of the time.
    def __init__(self, folder: str, name: str) -> None:
        _set(self, "folder", folder)
        _set(self, "name", name)

    def __eq__(self, other: object) -> bool:
        return type(other) is Label and self.name == other.name and self.folder == other.folder

    def __hash__(self) -> int:
        return hash((self.folder, self.name))

    @staticmethod
    def parse(text: str, folder: str = "") -> Label:
        """Read a label.

        Args:
            text: ``//folder:name`` or ``:name``.
            folder: The folder that ``:name`` is relative to; empty for the root of the workspace.

        Raises:
            BuilderfileError: It is none.
        """
        where, colon, name = text.rpartition(":")
        if not colon:
            hint = f'write "{text}:{text.rpartition("/")[2]}"' if text.startswith("//") else f'write ":{text}"'
            raise _invalid(text, "has no colon", hint if text and _why_no_name(text.rpartition("/")[2]) == "" else "")
        if why := _why_no_name(name):
            raise _invalid(text, why)
        if not where:
            return Label(folder, name)
        if not where.startswith("//"):
            raise _invalid(text, "does not begin with // or :", f'write "//{text.lstrip("/")}" from the root')
        path = where[2:]
        parts = path.split("/") if path else []
        if any(part in ("", ".", "..") for part in parts) or "\0" in path:
            raise _invalid(text, "has no plain path before its colon", 'write "//folder/below:name", from the root')
        return Label(path, name)

    @staticmethod
    def named(name: str, folder: str) -> Label:
        """Return the label of a target that is declared in a folder.

        Raises:
            BuilderfileError: It cannot be the name of one.
        """
        if why := _why_no_name(name):
            raise BuilderfileError(
                f"{name!r} cannot be the name of a target: it {why}",
                code="builderfile.name-invalid",
                hint="use letters, digits, '_', '-', '+' and '.', beginning with a letter, a digit or '_'",
            )
        return Label(folder, name)

    @property
    def sort_key(self) -> tuple[tuple[str, ...], str]:
        """The order of labels: a folder before those in it."""
        return tuple(self.folder.split("/")) if self.folder else (), self.name

    def __str__(self) -> str:
        return f"//{self.folder}:{self.name}"


def _why_no_name(name: str) -> str:
    if not name:
        return "has no name"
    if len(name) > _LONGEST:
        return f"has a name of more than {_LONGEST} characters"
    strange = next((letter for letter in name if letter not in _LETTERS), "")
    if strange:
        return f"has {strange!r} in its name"
    return f"has a name that begins with {name[0]!r}" if name[0] in "-.+" else ""


def _invalid(text: str, why: str, hint: str = "") -> BuilderfileError:
    return BuilderfileError(
        f"{text!r} is not a label: it {why}",
        code="builderfile.label-invalid",
        hint=hint or 'write ":name" for a target of this file, "//folder:name" for another one',
    )
