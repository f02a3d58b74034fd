"""Test the package and pack it into one file: ``build.py OUTPUT-DIRECTORY``. Nothing is written anywhere else."""

from __future__ import annotations

import os
import sys
import unittest
import zipapp

HERE = os.path.dirname(os.path.abspath(__file__))


def main() -> int:
    output = os.path.join(sys.argv[1], "tally.pyz")
    sys.path.insert(0, HERE)
    outcome = unittest.TextTestRunner(verbosity=2).run(unittest.defaultTestLoader.discover(os.path.join(HERE, "tests")))
    if not outcome.wasSuccessful():
        return 1
    zipapp.create_archive(
        HERE,
        output,
        interpreter="/usr/bin/env python3",
        main="tally.__main__:run",
        filter=lambda path: path.parts[0] == "tally" and path.suffix == ".py",
    )
    print(f"packed {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
