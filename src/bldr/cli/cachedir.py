"""Where the cache lies, as options and the environment say."""

from __future__ import annotations

import os

__all__ = ["cache_directory"]


def cache_directory(text: str | None) -> str:
    """Return the directory that an option names, or the usual one."""
    from bldr.store.cache import default_directory

    return os.path.abspath(text) if text else default_directory(os.environ)
