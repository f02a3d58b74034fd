"""Files in the syntax of make that compilers write: what they have read. Pure.

Such a file names what was included, and nothing else: not what an assembler puts in by ``.incbin``, and not a compiler
that is an input, too. So it says something of headers only; every other input counts, but for what only linkers read.
"""

from __future__ import annotations

import posixpath

from bldr.engine.action import WORKSPACE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["counted", "named_paths"]

_INCLUDED = (
    *(".h", ".hh", ".hpp", ".hxx", ".h++", ".H", ".inc", ".inl", ".ipp", ".tpp", ".tcc", ".ixx", ".def", ".tab"),
    *(".c", ".cc", ".cpp", ".cxx", ".c++", ".C"),
)
_LINKED = (".a", ".o")
_TOOLCHAIN = ("/usr/", "/lib/", "/lib32/", "/lib64/", "/bin/", "/sbin/", "/etc/")
_NO_TOOLCHAIN = "/usr/local/"


def named_paths(text: str) -> frozenset[str]:
    r"""Return the paths that a depfile names, those of the workspace relative to it, without those of the toolchain.

    Example:
        >>> sorted(named_paths("a.o: a.c /workspace/lib/b.h \\\n /usr/include/stdio.h /opt/c.h\n"))
        ['/opt/c.h', 'a.c', 'lib/b.h']
    """
    found = set()
    for words in _rules(text):
        behind = False
        for word in words:
            if not behind and word.endswith(":"):
                behind = True
            elif behind:
                path = posixpath.normpath(word)
                if path.startswith(f"{WORKSPACE}/"):
                    path = path[len(WORKSPACE) + 1 :]
                if not path.startswith(_TOOLCHAIN) or path.startswith(_NO_TOOLCHAIN):
                    found.add(path)
    return frozenset(found)


def counted(named: Iterable[str], inputs: Iterable[str]) -> frozenset[str]:
    """Return the inputs whose content counts.

    A name that is no input is another one for something that is: a link has been followed. Then all of them count.

    Args:
        named: What the depfile names.
        inputs: The files that the action could read.

    Example:
        >>> sorted(counted(["a.c", "b.h"], ["a.c", "b.h", "c.h", "d.bin"]))
        ['a.c', 'b.h', 'd.bin']
    """
    every, told = frozenset(inputs), frozenset(named)
    if not told <= every:
        return every
    return told | {path for path in every if not path.endswith((*_INCLUDED, *_LINKED))}


def _rules(text: str) -> list[list[str]]:
    """Return the words of each logical line; a backslash quotes a blank or ``#``, and ``$$`` is a dollar."""
    rules: list[list[str]] = [[]]
    word: list[str] = []
    at, end = 0, len(text)

    def close() -> None:
        if word:
            rules[-1].append("".join(word))
            word.clear()

    while at < end:
        letter, following = text[at], text[at + 1 : at + 2]
        at += 1
        if letter == "\\" and following in ("\n", "\r"):
            close()
            at += 2 if text[at : at + 2] == "\r\n" else 1
        elif letter == "\\" and following in (" ", "#", "\\", ":"):
            word.append(following)
            at += 1
        elif letter == "$" and following == "$":
            word.append("$")
            at += 1
        elif letter == "\n":
            close()
            rules.append([])
        elif letter in " \t\r":
            close()
        else:
            word.append(letter)
    close()
    return rules
