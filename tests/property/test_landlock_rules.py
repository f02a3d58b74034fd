"""What the rules of a plan without mounts allow is what the spec says: for every host, every spec and every path."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from bldr.errors import BackendUnavailableError
from bldr.model.declarations import Role
from bldr.model.paths import PathSet, is_within, join
from bldr.model.spec import Access, SandboxSpec, SandboxSpecBuilder
from bldr.sandbox.host import PathKind
from bldr.sandbox.linux.landlock.plan import compile_rules
from bldr.sandbox.linux.landlock.refusals import refuse_beyond
from bldr.sandbox.linux.landlock.simulate import Domain, simulate_rules
from bldr.sandbox.linux.landlock.steps import Allow, MakeTemp, MoveTemp, Rule
from bldr.sandbox.linux.landlock.surroundings import look_around
from bldr.sandbox.linux.plan import Plan
from bldr.sandbox.resolve import resolve
from bldr.sandbox.resolved import ResolvedSpec
from tests.property.plan_hosts import UNIVERSE, MemoryHost, all_paths
from tests.property.test_plan_access import Case, cases

seeds = st.integers(0, 2**64 - 1)


def plan_of(host: MemoryHost, resolved: ResolvedSpec) -> Plan:
    refuse_beyond(resolved)
    return compile_rules(resolved, look_around(resolved, host=host))


def planned(seed: int, *, links: bool) -> Iterator[tuple[Case, Plan, Domain]]:
    """Yield the cases that need no mount."""
    for case in cases(seed, links=links):
        host, _, resolved = case
        try:
            plan = plan_of(host, resolved)
        except BackendUnavailableError as error:
            assert error.code == "sandbox.beyond-landlock"
            assert error.hint
            event("beyond Landlock")
        else:
            event("entry by entry" if any(step for step in plan.steps if is_listing(step)) else "whole")
            yield case, plan, simulate_rules(plan)


def is_listing(step: object) -> bool:
    return isinstance(step, Allow) and step.access == Rule.LIST


def expected(resolved: ResolvedSpec, path: str) -> str:
    """The access that the resolved sets give; a temp that nobody asked for is not at its own place."""
    sets = resolved.effective()
    if sets.outputs.contains(path):
        return Access.WRITE
    if any(one.role == Role.TEMP and one.origin != "default" and is_within(path, one.at) for one in resolved.entries):
        return Access.WRITE
    return Access.READ if sets.inputs.contains(path) else Access.NONE


def exists(host: MemoryHost, path: str) -> bool:
    return path in host.tree and host.lstat_kind(path) != PathKind.LINK


@given(seeds)
def test_what_is_there_can_be_read_and_written_exactly_as_declared(seed: int) -> None:
    for links in (False, True):
        for (host, _, resolved), _, domain in planned(seed, links=links):
            there = [path for path in host.tree if exists(host, path)]
            found = {path: domain.access(path) for path in there if host.tree[path] != "dir"}

            assert found == {path: expected(resolved, path) for path in found}


@given(seeds)
def test_no_path_can_be_used_that_was_not_declared(seed: int) -> None:
    """Also where nothing is now: a file that appears later is not readable beyond what was declared."""
    order = [Access.NONE, Access.READ, Access.WRITE]
    for links in (False, True):
        for (_, _, resolved), _, domain in planned(seed, links=links):
            beyond = [
                path for path in UNIVERSE if order.index(domain.access(path)) > order.index(expected(resolved, path))
            ]

            assert beyond == []


@given(seeds)
def test_a_declared_directory_can_be_listed(seed: int) -> None:
    for (host, _, resolved), _, domain in planned(seed, links=True):
        for path, kind in host.tree.items():
            if kind == "dir" and expected(resolved, path) != Access.NONE:
                assert domain.can_be_listed(path), path


@given(seeds)
def test_every_rule_is_for_something_that_is_there(seed: int) -> None:
    for (host, _, _), plan, _ in planned(seed, links=True):
        made = {step.at for step in plan.steps if isinstance(step, MakeTemp)}
        for step in plan.steps:
            if isinstance(step, Allow) and step.at != "/proc":
                assert step.at not in made
                assert (host.lstat_kind(step.at) == PathKind.DIR) == (step.kind == PathKind.DIR), step


@given(seeds)
def test_a_plan_is_the_same_every_time(seed: int) -> None:
    for (host, _, resolved), plan, _ in planned(seed, links=True):
        assert plan_of(host, resolved) == plan
        assert all(step.describe() for step in plan.steps)


HOLED = {"/a/b/c": "file", "/a/b/d": "file", "/a/e": "dir", "/a/l": "-> e", "/x": "file"}


def resolved_of(host: MemoryHost, builder: SandboxSpecBuilder) -> ResolvedSpec:
    return resolve(builder.build(), host=host)


def test_a_hole_is_left_out_by_allowing_its_neighbours() -> None:
    host = MemoryHost(HOLED)
    shown = PathSet.subtree("/a") - PathSet.subtree("/a/b/c")
    plan = plan_of(host, resolved_of(host, SandboxSpecBuilder.create().input(shown)))

    rules = {(step.at, step.access) for step in plan.steps if isinstance(step, Allow) and step.at != "/proc"}

    assert rules == {("/a", Rule.LIST), ("/a/b/d", Rule.READ), ("/a/e", Rule.READ)}


def test_an_output_in_an_input_leaves_no_hole() -> None:
    host = MemoryHost(HOLED)
    plan = plan_of(host, resolved_of(host, SandboxSpecBuilder.create().carve().input("/a").output("/a/e")))

    rules = {(step.at, step.access) for step in plan.steps if isinstance(step, Allow) and step.at != "/proc"}

    assert rules == {("/a", Rule.READ), ("/a/e", Rule.WRITE)}


def test_a_temp_that_nobody_asked_for_is_made_elsewhere_and_its_place_stays_shut() -> None:
    host = MemoryHost({"/tmp/secret": "file", "/tmp/mine/x": "file"})
    plan = plan_of(host, resolved_of(host, SandboxSpecBuilder.create().input("/tmp/mine").default_temp("/tmp")))
    domain = simulate_rules(plan)

    assert [step.at for step in plan.steps if isinstance(step, MoveTemp)] == ["/tmp"]
    assert (domain.access("/tmp/secret"), domain.access("/tmp/mine/x")) == (Access.NONE, Access.READ)


def beyond(builder: SandboxSpecBuilder, host: MemoryHost | None = None) -> BackendUnavailableError:
    host = host or MemoryHost(HOLED)
    with pytest.raises(BackendUnavailableError) as caught:
        plan_of(host, resolved_of(host, builder))
    return caught.value


@pytest.mark.parametrize(
    ("builder", "words"),
    [
        (SandboxSpecBuilder.create().input("/a", "/elsewhere"), ("'/a'", "'/elsewhere'", "mount namespace")),
        (SandboxSpecBuilder.create().output("/a", "/elsewhere"), ("'/a'", "'/elsewhere'", "mount namespace")),
        (SandboxSpecBuilder.create().temp("/a/e"), ("'/a/e'", "is there on the host")),
        (SandboxSpecBuilder.create().temp("/missing/t"), ("'/missing/t'", "cannot be made")),
        (SandboxSpecBuilder.create().default_temp("/tmp").tmp_size("1M"), ("temps in memory",)),
        (SandboxSpecBuilder.create().hostname("other"), ("'other'", "uts namespace")),
        (SandboxSpecBuilder.create().uid(5), ("user id 5", "user namespace")),
        (SandboxSpecBuilder.create().overlay("/a"), ("overlay '/a'", "mount namespace")),
    ],
    ids=[
        "input elsewhere",
        "output elsewhere",
        "temp over something",
        "temp nowhere",
        "tmp-size",
        "hostname",
        "uid",
        "overlay",
    ],
)
def test_what_needs_a_namespace_is_refused_by_name(builder: SandboxSpecBuilder, words: tuple[str, ...]) -> None:
    error = beyond(builder)

    assert error.code == "sandbox.beyond-landlock"
    assert [word for word in words if word not in error.message] == []
    assert error.hint


def test_a_hole_in_a_directory_that_cannot_be_listed_is_refused() -> None:
    host = MemoryHost(HOLED, unreadable=frozenset(["/a/b"]))

    error = beyond(SandboxSpecBuilder.create().input(PathSet.subtree("/a") - PathSet.subtree("/a/b/c")), host)

    assert "'/a/b'" in error.message
    assert error.code == "sandbox.beyond-landlock"


def test_small_scope_every_pair_of_holes() -> None:
    """Every set of at most two holes below one input, on one tree that has every path of depth 3."""
    names = ("a", "b")
    tree = dict.fromkeys(all_paths(2, names)[1:], "dir") | dict.fromkeys(
        [path for path in all_paths(3, names) if path.count("/") == 3], "file"
    )
    host = MemoryHost(tree)
    below = [path for path in tree if is_within(path, "/a") and path != "/a"]
    for first in below:
        for second in below:
            shown = PathSet.subtree("/a") - PathSet.of([first, second])
            spec: SandboxSpec = SandboxSpecBuilder.create().input(shown).build()
            domain = simulate_rules(plan_of(host, resolve(spec, host=host)))
            files = [path for path, kind in tree.items() if kind == "file"]

            assert {path: domain.access(path) for path in files} == {path: spec.access(path) for path in files}
            assert domain.can_be_listed(join("/a", ""))
