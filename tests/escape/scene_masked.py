"""A host whose /proc is covered in parts, as containers cover it: attempts inside a degraded sandbox.

Played within namespaces whose /proc a test has covered.
"""

from __future__ import annotations

import json
import os
import subprocess

from bldr import BldrError, HermeticExecutor
from tests.escape.stage import Tree, outside, tried, with_tree


def play(world: str) -> dict[str, object]:
    tree = Tree(f"{world}/attempt")
    try:
        HermeticExecutor.create(with_tree(tree).build()).execute(["true"])
    except BldrError as error:
        refusal = {"code": error.code, "message": error.message, "hint": error.hint}
    else:
        refusal = {}
    executor = HermeticExecutor.create(with_tree(tree).allow_degraded("processes-isolated").build())
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as victim:
        places = tree.places(victim=victim.pid)
        answer: dict[str, object] = {"outside": outside("masked", "plain", places)}
        answer |= tried(executor, "masked", places)
        os.kill(victim.pid, 0)
    receipt = executor.execute(["true"]).receipt
    return answer | {"refusal": refusal, "receipt": json.loads(json.dumps(receipt.to_dict()))}
