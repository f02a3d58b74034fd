"""Attempts on files, on two equal trees."""

from __future__ import annotations

import os

from tests.escape.stage import Tree, is_host_root, try_both, with_tree

SOMEBODY = 4321  # neither the caller nor root


def play(world: str) -> dict[str, object]:
    control, attempt = Tree(f"{world}/control"), Tree(f"{world}/attempt")
    if is_host_root():
        for tree in (control, attempt):
            path = f"{tree.source}/somebody-elses"
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
            os.chown(path, SOMEBODY, SOMEBODY)
            for directory in (tree.source, tree.out):
                os.mknod(f"{directory}/device", 0o20600, os.makedev(1, 5))
    before = {name: (control.snapshot(name), attempt.snapshot(name)) for name in ("source", "undeclared")}
    answer = try_both("files", with_tree(attempt), control.places(), attempt.places())
    changed = {
        name: [earlier != tree.snapshot(name) for earlier, tree in zip(before[name], (control, attempt), strict=True)]
        for name in before
    }
    return answer | {
        "changed": changed,
        "world": sorted(os.listdir(attempt.path)),
        "result": attempt.snapshot("out")["out/result"],
        "owner": f"{os.getuid()}:{os.getgid()}",
    }
