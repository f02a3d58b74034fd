"""Files in the syntax of make that compilers write: what they have read. Pure."""

from __future__ import annotations

import posixpath

from bldr.engine.action import WORKSPACE

__all__ = ["read_paths"]


def read_paths(text: str) -> frozenset[str]:
    r"""Return the paths of the workspace that a depfile names, relative to it.

    Example:
        >>> sorted(read_paths("a.o: a.c /workspace/lib/b.h \\\n /usr/include/stdio.h\n"))
        ['a.c', 'lib/b.h']
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
                if not path.startswith(("/", "../")):
                    found.add(path)
    return frozenset(found)


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
