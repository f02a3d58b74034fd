"""What a running command sees of changes that others make to its inputs meanwhile."""

from __future__ import annotations

import os

from bldr import HermeticExecutor
from tests.escape.stage import BOUND, Tree, with_tree

LOOK = """
import sys
def look(path):
    try:
        return open(path).read().strip()
    except OSError as error:
        return type(error).__name__
for line in sys.stdin:
    print(*[look(path) for path in sys.argv[1:]], sep="|", flush=True)
"""


def play(world: str) -> dict[str, object]:
    tree = Tree(f"{world}/attempt")
    single = f"{tree.path}/single"
    with open(single, "w", encoding="utf-8") as file:
        file.write("first\n")
    watched = [f"{tree.source}/opened", f"{tree.source}/sub/secret", f"{tree.source}/new", single]
    executor = HermeticExecutor.create(with_tree(tree).input(single).build())
    with executor.start(["python3", "-c", LOOK, *watched], stdin="pipe", stdout="pipe") as session:
        stdin, stdout = session.stdin, session.stdout
        assert stdin is not None
        assert stdout is not None

        def look() -> list[str]:
            stdin.write(b"look\n")
            return stdout.readline().decode().strip().split("|")

        before = look()
        with open(f"{tree.source}/opened", "w", encoding="utf-8") as file:
            file.write("changed\n")
        with open(f"{tree.source}/new", "w", encoding="utf-8") as file:
            file.write("added\n")
        # Somebody replaces a directory of the input by a link to a place that was not declared.
        os.rename(f"{tree.source}/sub", f"{tree.source}/sub.old")
        os.symlink(tree.undeclared, f"{tree.source}/sub")
        with open(f"{single}.new", "w", encoding="utf-8") as file:
            file.write("second\n")
        os.rename(f"{single}.new", single)
        after = look()
        stdin.close()
        status = session.wait(BOUND).exit_code
    with open(f"{tree.source}/sub/secret", encoding="utf-8") as file:
        outside = file.read()
    return {"before": before, "after": after, "status": status, "outside": outside}
