"""Long scripts among the words of a command: shown as the name of a file that holds them.

The file lies in ``.builder/scripts`` and is named by what it holds, so that a command that was shown can be executed by
a shell at the root of the workspace, as it stands.
"""

from __future__ import annotations

import os
from hashlib import sha256

from bldr.builderfile.places import STATE
from bldr.engine.showing import shown_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SCRIPTS", "shown_command"]

SCRIPTS = f"{STATE}/scripts"
_LINES = 6  # that are still shown as they are


def shown_command(argv: Sequence[str], root: str) -> str:
    """Return a command as a shell would read it, with long scripts as ``"$(cat FILE)"``.

    A shell drops the newlines at the end of such a script. One that cannot be written is shown in full.

    Args:
        argv: The command.
        root: The absolute path of the workspace.
    """
    return " ".join(_shown(word, root) for word in argv)


def _shown(word: str, root: str) -> str:
    if word.count("\n") < _LINES:
        return shown_words([word])
    path = f"{SCRIPTS}/{sha256(os.fsencode(word)).hexdigest()[:12]}"
    try:
        _write(os.path.join(root, path), os.fsencode(word))
    except OSError:  # it can still be shown in full
        return shown_words([word])
    return f'"$(cat {path})"'


def _write(path: str, content: bytes) -> None:
    try:
        with open(path, "rb") as file:
            if file.read() == content:
                return
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
    draft = f"{path}.part"
    with open(draft, "wb") as file:
        file.write(content)
    os.replace(draft, path)
