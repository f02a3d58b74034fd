"""``python -m bldr`` is the command ``bldr``."""

from __future__ import annotations

import sys

from bldr.cli.main import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
