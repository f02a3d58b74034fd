"""The keys of a Builderfile: the one place where a name and what it takes live."""

from __future__ import annotations

from bldr.builderfile.target import EXECUTABLE, LIBRARY, SHARED, TEST
from bldr.model.limits import LIMITS

__all__ = [
    "HANDLERS",
    "HERMETIC",
    "LANGUAGES",
    "LANGUAGE_KEYS",
    "LINKAGES",
    "NETWORK",
    "PROCESS",
    "RESOURCES",
    "RUNNERS",
    "TARGET",
    "TYPE_KEYS",
    "camel",
    "language_of",
]

# What each key takes. A "pattern" names files and may have wildcards.
TARGET = {
    "type": "type",
    "language": "language",
    "sources": "patterns",
    "headers": "patterns",
    "deps": "labels",
    "command": "command",
    "output": "outputs",
    "flags": "texts",
    "defines": "map",
    "includes": "folders",
    "linkFlags": "texts",
    "linkage": "linkage",
    "main": "module",
    "runner": "runner",
    "hermetic": "block",
}
HERMETIC = {
    "enabled": "truth",
    "inputs": "paths",
    "outputs": "outputs",
    "temps": "paths",
    "network": "truth or block",
    "memory": "limit",
    "timeout": "duration",
    "resources": "block",
    "process": "block",
    "env": "map",
    "toolchain": "toolchain",
}
NETWORK = {"enabled": "truth", "allowHosts": "hosts"}
PROCESS = {
    "maxChildren": "count",
    "killOnParentExit": "truth",
    "allowUserns": "truth",
    "allowFork": "truth",
    "allowExec": "truth",
}

# Languages by name, each with the endings of its sources.
LANGUAGES = {
    "c": (".c", ".s", ".S"),
    "cpp": (".cc", ".cpp", ".cxx", ".c++", ".C"),
    "python": (".py",),
    "shell": (".sh", ".bash"),
}

# The keys that mean something to some languages and types only. Languages of other packages may use all of them.
LANGUAGE_KEYS = {
    "flags": ("c", "cpp"),
    "defines": ("c", "cpp"),
    "includes": ("", "c", "cpp", "python"),
    "linkFlags": ("c", "cpp"),
    "linkage": ("c", "cpp"),
    "main": ("python",),
    "runner": ("python",),
}
TYPE_KEYS = {"linkage": (LIBRARY,), "main": (EXECUTABLE,), "runner": (TEST,)}
LINKAGES = (SHARED, "static")
RUNNERS = ("pytest", "unittest")
HANDLERS = "bldr.handlers"  # the group of entry points by which other packages bring languages


def camel(name: str) -> str:
    """Return a name of the library as Builderfiles spell it.

    Example:
        >>> camel("cpu_time")
        'cpuTime'
    """
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


RESOURCES = {camel(name): name for name in LIMITS}


def language_of(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Return the languages that files are written in, by their endings, sorted; C++ takes C in.

    Example:
        >>> language_of(("main.cpp", "table.c", "table.h")), language_of(("a.py", "b.c")), language_of(("README",))
        (('cpp',), ('c', 'python'), ())
    """
    found = {language for path in paths for language, endings in LANGUAGES.items() if path.endswith(endings)}
    if found == {"c", "cpp"}:
        found = {"cpp"}
    return tuple(sorted(found))
