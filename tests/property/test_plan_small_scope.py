"""Every spec over five paths, on every host over the same paths: what the plan shows is what the spec says.

Small-scope check: what goes wrong at all mostly goes wrong with few paths already, and these are all of them.
"""

from __future__ import annotations

from itertools import product

import pytest

from bldr.errors import SpecError
from bldr.model.spec import SandboxSpec, SandboxSpecBuilder
from bldr.sandbox.linux.plan import compile as compile_plan
from bldr.sandbox.linux.simulate import simulate
from bldr.sandbox.resolve import resolve
from bldr.sandbox.resolved import follow_links
from tests.property.plan_hosts import MemoryHost, all_paths

PLACES = ("/a", "/a/a", "/a/b", "/b", "/b/a")
UNIVERSE = all_paths(3, ("a", "b"))
HOSTS = [
    MemoryHost({path: kind for path, kind in tree.items() if kind})
    for tree in (
        dict(zip(PLACES, kinds, strict=True))
        for kinds in product(
            ["dir"], ["dir", "file", "-> ../b", "-> b", ""], ["dir", ""], ["dir", "-> a"], ["file", "dir", ""]
        )
    )
    if tree["/b"] == "dir" or not tree["/b/a"]
]


def all_specs() -> list[SandboxSpec]:
    found = []
    every = ["", "input", "output", "temp", "overlay"]
    for roles in product(every, every, ["", "input", "temp"], every, ["", "input"]):
        builder = SandboxSpecBuilder.create().carve()
        for path, role in zip(PLACES, roles, strict=True):
            if role:
                getattr(builder, role)(path)
        try:
            found.append(builder.build())
        except SpecError:
            continue
    return found


@pytest.mark.slow
def test_all_small_plans_show_what_their_specs_say() -> None:
    resolved_ones = 0
    for spec, host in product(all_specs(), HOSTS):
        try:
            resolved = resolve(spec, host=host)
        except SpecError:
            continue
        resolved_ones += 1
        table, sets, links = simulate(compile_plan(resolved)), resolved.effective(), resolved.links()
        for path in UNIVERSE:
            assert table.access(path) == sets.access(follow_links(path, links)), (path, host.tree, spec)
            if not any(text[:2] == "->" for text in host.tree.values()):
                assert table.access(path) == spec.access(path), (path, host.tree, spec)

    assert resolved_ones > 1000
