"""Workspaces made of texts."""

from __future__ import annotations

from pathlib import Path

from bldr.builderfile.workspace import Workspace, load

__all__ = ["files", "workspace"]


def files(root: Path, contents: dict[str, str]) -> Path:
    """Write files below a directory; a text that begins with ``->`` is a link."""
    for name, text in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("->"):
            path.symlink_to(text[2:])
        else:
            path.write_text(text, encoding="utf-8")
    return root


def workspace(root: Path, contents: dict[str, str]) -> Workspace:
    """Write files and read the Builderfiles among them."""
    return load(str(files(root, contents)))
