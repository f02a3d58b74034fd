"""``python -m bldr`` is the command ``bldr``."""

from __future__ import annotations

from bldr.cli.entry import start

__all__: list[str] = []

if __name__ == "__main__":
    start()
