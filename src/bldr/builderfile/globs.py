"""Patterns of files: ``*``, ``?`` and ``[a-z]`` within a name, ``**`` for any number of folders.

A wildcard matches no hidden name (write the dot), enters no link to a folder, no folder with a Builderfile of its own,
and not the ``bin`` of the workspace; a name that is written out does. So a pattern means the same files on every
machine, and a build never reads what it has written. ``fnmatch`` matches names; the walk is ours, because those of
the standard library follow links to folders, which can be endless, and differ between versions of Python.
"""

from __future__ import annotations

from bldr.builderfile.places import ANY, is_pattern
from bldr.builderfile.tree import DIRECTORY, FILE, FILE_NAME, LINK
from bldr.errors import BuilderfileError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from bldr.builderfile.tree import Tree

__all__ = ["excluded", "files_of", "why_nothing"]


def files_of(pattern: str, tree: Tree) -> list[str]:
    """Return the files that a pattern matches, sorted by folder and name.

    Args:
        pattern: Relative to the workspace, without ``!``.
        tree: The workspace.

    Raises:
        BuilderfileError: A match leads out of the workspace, or is no file.
    """
    parts = _parts(pattern)
    found: dict[str, None] = {}
    seen: set[tuple[str, int]] = set()
    stack = [("", 0, False)]  # a folder, the part that its entries have to match, whether a link led there
    while stack:
        folder, index, linked = stack.pop()
        if (folder, index) in seen:
            continue
        seen.add((folder, index))
        part = parts[index]
        is_last = index == len(parts) - 1
        if part == ANY and not is_last:
            stack.append((folder, index + 1, linked))
        for name, kind in _matching(tree.entries(folder), part):
            path = f"{folder}/{name}" if folder else name
            is_link = linked or kind == LINK
            if part == ANY and kind == DIRECTORY and not tree.is_closed(path):
                stack.append((path, index, linked))
            if is_last:
                if _is_file(path, kind, is_pattern(part), is_link, tree):
                    found[path] = None
            elif part != ANY and (not is_pattern(part) or (kind == DIRECTORY and not tree.is_closed(path))):
                stack.append((path, index + 1, is_link))
    return sorted(found, key=lambda path: path.split("/"))


def _parts(pattern: str) -> list[str]:
    """Return the parts of a pattern; of several ``**`` in a row one is left, which means the same."""
    parts: list[str] = []
    for part in pattern.split("/"):
        if part != ANY or parts[-1:] != [ANY]:
            parts.append(part)
    return parts


def _matching(entries: dict[str, str], part: str) -> list[tuple[str, str]]:
    """Return the entries of a folder that a part matches."""
    if not is_pattern(part):
        return [(part, entries[part])] if part in entries else []
    matches = _matcher(part)
    return [
        (name, kind)
        for name, kind in entries.items()
        if (name[0] != "." or part[0] == ".") and name != FILE_NAME and matches(name)
    ]


def _matcher(part: str) -> Callable[[str], object]:
    if part in (ANY, "*"):
        return bool
    import re
    from fnmatch import translate

    return re.compile(translate(part)).match


def _is_file(path: str, kind: str, is_wild: bool, is_link: bool, tree: Tree) -> bool:  # noqa: FBT001
    """Return whether what was found is a file; what was named and is none, or is outside, is an error."""
    if is_link:
        if outside := tree.leads_out(path):
            raise BuilderfileError(
                f"{path!r} is a link out of the workspace, to {outside!r}",
                code="builderfile.path-escapes",
                hint="copy the file into the workspace, or declare where it lies in hermetic.inputs",
            )
        if kind == LINK:
            kind = tree.kind(path)
    if kind == FILE:
        return True
    if is_wild and kind:
        return False
    why = {"": "is a link to nothing", DIRECTORY: "is a folder"}.get(kind, "is neither a file nor a folder")
    hint = f'write "{path}/**" for every file below it' if kind == DIRECTORY else "name files"
    raise BuilderfileError(f"{path!r} {why}", code="builderfile.path-invalid", hint=hint)


def excluded(path: str, pattern: str) -> bool:
    """Return whether a pattern, without ``!``, takes a file away; here wildcards match hidden names, too."""
    names = path.split("/")
    reached = {0}  # how many names the parts so far can have matched
    parts = _parts(pattern)
    for index, part in enumerate(parts):
        if part == ANY:
            least = min(reached, default=len(names)) + (index == len(parts) - 1)  # at the end it stands for a file
            reached = set(range(least, len(names) + 1))
        else:
            matches = _matcher(part) if is_pattern(part) else part.__eq__
            reached = {count + 1 for count in reached if count < len(names) and matches(names[count])}
    return len(names) in reached


def why_nothing(pattern: str, tree: Tree) -> str:
    """Return a hint for a pattern without a match: the first name that does not exist, and what is near it."""
    folder = ""
    for part in pattern.split("/"):
        if is_pattern(part):
            break
        entries = tree.entries(folder)
        path = f"{folder}/{part}" if folder else part
        if part not in entries:
            from difflib import get_close_matches

            near = get_close_matches(part, list(entries), n=1, cutoff=0.6)
            if near:
                likely = f"{folder}/{near[0]}" if folder else near[0]
                return f"did you mean {likely!r}?"
            return f"there is no {path!r}" if path != pattern else "add the file, or remove it here"
        folder = path
    if tree.kind(pattern) == FILE:
        return f'the file has this very name: write "{pattern.replace("[", "[[]")}"'
    return "wildcards match no hidden file and stay out of folders that have a Builderfile, and of bin"
