"""Actions as people are shown them: commands as a shell reads them, and paths of the host in what was printed. Pure."""

from __future__ import annotations

import os
import re  # noqa: TID253  # only who builds imports it

from bldr.engine.action import WORKSPACE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["mapped_back", "shown_words"]

_INSIDE = re.compile(rb"(?<![\w./-])" + WORKSPACE.encode() + rb"(?=[/\s'\":;,)\]]|$)")
_SAFE = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")


def shown_words(argv: Sequence[str]) -> str:
    """Return a command as a shell would read it."""
    return " ".join(word if _SAFE.fullmatch(word) else "'" + word.replace("'", "'\\''") + "'" for word in argv)


def mapped_back(output: bytes, root: str) -> bytes:
    """Return what an action printed with paths of the host in place of those inside.

    Example:
        >>> mapped_back(b"/workspace/a.c:3: no /workspaces", "/home/me/p")
        b'/home/me/p/a.c:3: no /workspaces'
    """
    return _INSIDE.sub(lambda _match: os.fsencode(root), output)
