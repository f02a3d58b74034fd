"""The keys of a target that say how its language is compiled, linked, started or tested."""

from __future__ import annotations

from bldr.builderfile.places import of_folder
from bldr.builderfile.schema import LANGUAGE_KEYS, LANGUAGES, LINKAGES, RUNNERS, TYPE_KEYS
from bldr.builderfile.target import Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bldr.builderfile.reader import Reader
    from bldr.builderfile.syntax import Entry

__all__ = ["check_type", "keys_without_meaning", "options_of"]


def options_of(entries: Mapping[str, Entry], reader: Reader) -> Options:
    """Return the options that the entries of a target set; their mistakes go to the reader."""
    invalid = "builderfile.value-invalid"
    return Options(
        flags=reader.texts(entries["flags"]) if "flags" in entries else (),
        defines=_defines(entries["defines"], reader) if "defines" in entries else (),
        includes=reader.list_of(entries.get("includes"), of_folder).values,
        link_flags=reader.texts(entries["linkFlags"]) if "linkFlags" in entries else (),
        linkage=reader.choice(entries.get("linkage"), LINKAGES, "linkage", invalid),
        main=_main(entries["main"], reader) if "main" in entries else "",
        runner=reader.choice(entries.get("runner"), RUNNERS, "runner", invalid),
    )


def check_type(kind: str, entries: Mapping[str, Entry], reader: Reader, what: str) -> None:
    """Note the options that mean nothing to a type of target."""
    for key, types in TYPE_KEYS.items():
        if key in entries and kind not in types:
            reader.add(
                entries[key].key.span,
                f"the {what} has the key {key!r}, which only targets of type {' or '.join(types)} have",
                code="builderfile.key-unknown",
                hint=f"write type: {types[0]}; or remove the key",
            )


def keys_without_meaning(keys: Iterable[str], language: str) -> list[tuple[str, tuple[str, ...]]]:
    """Return the keys that mean nothing to a language, each with the languages to which it means something.

    Example:
        >>> keys_without_meaning(["sources", "flags", "main"], "python")
        [('flags', ('c', 'cpp'))]
        >>> keys_without_meaning(["flags"], "fortran")  # a handler of somebody else decides
        []
    """
    if language and language not in LANGUAGES:
        return []
    return [
        (key, tuple(filter(None, LANGUAGE_KEYS[key])))
        for key in keys
        if language not in LANGUAGE_KEYS.get(key, (language,))
    ]


def _defines(entry: Entry, reader: Reader) -> tuple[tuple[str, str], ...]:
    found = []
    for name, (key, text) in reader.pairs(entry.value, "a block of macros").items():
        if not (name.isascii() and name.isidentifier()):
            reader.add(
                key.span,
                f"{name!r} is not the name of a macro",
                code="builderfile.value-invalid",
                hint="write letters, digits and _; what takes arguments stands in a header",
            )
        found.append((name, text))
    return tuple(found)


def _main(entry: Entry, reader: Reader) -> str:
    text = reader.text_or_none(entry.value)
    if text is None:
        reader.wrong_kind(entry.value, "a text", 'write "package.module", or "package.module:function"')
        return ""
    module, colon, function = text.partition(":")
    names = [*module.split("."), *(function.split(".") if colon else ())]
    if not all(name.isidentifier() for name in names):
        reader.add(
            entry.value.span,
            f"{text!r} is not the name of a module",
            code="builderfile.value-invalid",
            hint='write "package.module", or "package.module:function"',
        )
    return text
