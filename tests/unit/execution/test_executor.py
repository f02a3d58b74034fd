"""The face of executions: one list of what can be asked for."""

from __future__ import annotations

import ast
import inspect

from bldr import HermeticExecutor
from bldr.execution import executor


def test_execute_passes_on_everything_that_start_takes() -> None:
    tree = ast.parse(inspect.getsource(executor))
    (options,) = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == "Options"]
    passed_on = {
        item.target.id for item in options.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    }
    taken = inspect.signature(HermeticExecutor.start).parameters.values()

    assert passed_on == {one.name for one in taken if one.kind is one.KEYWORD_ONLY} - {"pty"}
