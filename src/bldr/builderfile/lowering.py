"""Syntax tree to targets: what the words mean, and everything that one file alone can get wrong.

A file is read to its end, so that all mistakes are told at once. Where each part of a target stands is kept beside it,
for errors that show only when the workspace is known.
"""

from __future__ import annotations

from bldr.builderfile import places
from bldr.builderfile.hermetic import hermetic_of
from bldr.builderfile.label import Label
from bldr.builderfile.languages import Languages
from bldr.builderfile.options import check_type, options_of
from bldr.builderfile.reader import Reader
from bldr.builderfile.schema import TARGET
from bldr.builderfile.source import Source, Span, joined
from bldr.builderfile.target import CUSTOM, TEST, TYPES, Hermetic, Target
from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from bldr.builderfile.syntax import Declaration, Entry, File
    from bldr.errors import BuilderfileError

__all__ = ["SHELL", "Declared", "lower"]

SHELL = ("/bin/sh", "-e", "-c")  # what runs a command that is written as one text


@value
class Declared:
    """A target and where it stands; of one that is remembered only the place of its name is known.

    Args:
        target: The target.
        source: The Builderfile.
        name: Where its name stands.
        spans: Where the value of each key stands.
        items: Where each item of each list stands, in the order of the target's.
    """

    target: Target
    source: Source
    name: Span
    spans: Mapping[str, Span]
    items: Mapping[str, tuple[Span, ...]]

    def span(self, key: str, index: int | None = None) -> Span:
        """Return where the value of a key stands, or an item of it; where that is not known, where the name does."""
        if index is None:
            return self.spans.get(key, self.name)
        return self.items[key][index] if key in self.items else self.name

    @property
    def place(self) -> str:
        """File and line, as errors show them."""
        return self.source.place(self.name)


def lower(file: File, folder: str) -> tuple[Declared, ...]:
    """Return the targets of a Builderfile, in the order in which they stand.

    Args:
        file: The syntax tree.
        folder: The folder of the file, relative to the workspace; empty for its root.

    Raises:
        BuilderfileError: Something is wrong; ``also`` holds what else is.
    """
    mistakes: list[BuilderfileError] = []
    found: dict[str, Declared] = {}
    for declaration in file.declarations:
        reader = Reader(file.source, folder, mistakes)
        declared = _target(declaration, reader)
        if declared is None:
            continue
        name = declared.target.label.name
        if name in found:
            reader.add(
                declared.name,
                f"the target {name!r} is declared twice, first at {found[name].place}",
                code="builderfile.target-duplicate",
                hint="give one of them another name",
            )
        found.setdefault(name, declared)
    if mistakes:
        raise joined(mistakes)
    return tuple(found.values())


def _target(declaration: Declaration, reader: Reader) -> Declared | None:
    label = reader.tried(declaration.name.span, Label.named, declaration.name.value, reader.folder)
    what = f"target {declaration.name.value!r}"
    entries = reader.entries(declaration.block, TARGET, what)
    kind = _type(entries, reader, declaration, what)
    command = _command(entries.get("command"), reader)
    hermetic = entries.get("hermetic")
    lists = {
        "sources": reader.list_of(entries.get("sources"), places.of_source),
        "headers": reader.list_of(entries.get("headers"), places.of_source),
        "deps": reader.list_of(entries.get("deps"), Label.parse),
        "output": reader.list_of(entries.get("output"), places.of_output, single=True),
    }
    language = reader.choice(entries.get("language"), Languages(), "language", "builderfile.language-unknown")
    settings = hermetic_of(hermetic.value, reader) if hermetic is not None else Hermetic()
    options = options_of(entries, reader)
    if kind:
        check_type(kind, entries, reader, what)
        _check_shape(kind, entries, reader, declaration, what)
    if label is None:
        return None
    target = Target(
        label=label,
        type=kind,
        language=language,
        sources=lists["sources"].values,
        headers=lists["headers"].values,
        deps=lists["deps"].values,
        command=command,
        output=lists["output"].values,
        hermetic=settings,
        options=options,
    )
    return Declared(
        target,
        reader.source,
        declaration.name.span,
        {key: entry.value.span for key, entry in entries.items()},
        {key: found.spans for key, found in lists.items()},
    )


def _type(entries: Mapping[str, Entry], reader: Reader, declaration: Declaration, what: str) -> str:
    if "type" not in entries:
        reader.add(
            declaration.name.span,
            f"the {what} has no type",
            code="builderfile.key-missing",
            hint=f"write type: {' | '.join(TYPES)};",
        )
    return reader.choice(entries.get("type"), TYPES, "type", "builderfile.type-unknown")


def _command(entry: Entry | None, reader: Reader) -> tuple[str, ...]:
    """Return the argument vector; one text is a line for the shell."""
    if entry is None:
        return ()
    line = reader.text_or_none(entry.value)
    words = (*SHELL, line) if line is not None else reader.texts(entry, "a text or a list of texts")
    if not words or not words[0] or line == "":
        reader.add(
            entry.value.span,
            "the command is empty",
            code="builderfile.value-invalid",
            hint='write a line for the shell, or a list that begins with a program: ["python3", "make.py"]',
        )
    return words


def _check_shape(kind: str, entries: Mapping[str, Entry], reader: Reader, declaration: Declaration, what: str) -> None:
    """Check that a target has the keys that its type needs."""
    if kind == CUSTOM and "command" not in entries:
        reader.add(
            declaration.name.span,
            f"the {what} is custom and has no command",
            code="builderfile.key-missing",
            hint='write command: "..." for the shell, or command: ["program", "argument"]',
        )
    if kind != CUSTOM and "sources" not in entries and not (kind == TEST and "command" in entries):
        reader.add(
            declaration.name.span,
            f"the {what} has no sources",
            code="builderfile.key-missing",
            hint='write sources: ["src/*.c"];' + (" or a command" if kind == TEST else ""),
        )
    if kind not in (CUSTOM, TEST) and "command" in entries:
        reader.add(
            entries["command"].key.span,
            f"the {what} has a command, which only custom and test targets have",
            code="builderfile.key-unknown",
            hint="write type: custom, or remove the command",
        )
