"""What a plan shows is what the spec says: for every host, every spec and every path."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from hypothesis import event, given, note, settings
from hypothesis import strategies as st

from bldr.errors import SpecError
from bldr.model.declarations import Role
from bldr.model.paths import is_within
from bldr.model.spec import Access, SandboxSpec
from bldr.sandbox.host import PathKind
from bldr.sandbox.linux import steps
from bldr.sandbox.linux.plan import compile as compile_plan
from bldr.sandbox.linux.simulate import MountTable, simulate
from bldr.sandbox.linux.steps import Kind, Where
from bldr.sandbox.resolve import resolve
from bldr.sandbox.resolved import ResolvedSpec, follow_links
from tests.property.plan_hosts import UNIVERSE, MemoryHost, random_host, random_spec

Case = tuple[MemoryHost, SandboxSpec, ResolvedSpec]

# Cases come from one number: drawn entry by entry, nearly all of them would be trivial. The number is what is reported.
seeds = st.integers(0, 2**64 - 1)
CASES_OF_A_SEED = 10


def cases(seed: int, *, links: bool, optional: bool = True, mapped: bool = True) -> Iterator[Case]:
    """Yield some hosts with specs that can be resolved on them."""
    random = Random(seed)
    for _ in range(CASES_OF_A_SEED):
        host = random_host(random, links=links)
        spec = random_spec(random, host, optional=optional, mapped=mapped)
        if spec is None:
            event("contradiction")
            continue
        note(f"host {host.tree}\nI {spec.inputs}\nO {spec.outputs}\nT {spec.temps}\n{spec.declarations}")
        try:
            resolved = resolve(spec, host=host)
        except SpecError as error:
            event(f"refused: {error.code}")
        else:
            event("graft" if resolved.grafts else "moved" if resolved.moves else "plain")
            yield host, spec, resolved


def table_of(resolved: ResolvedSpec) -> MountTable:
    return simulate(compile_plan(resolved))


@given(seeds)
def test_without_links_the_sandbox_shows_exactly_what_was_declared(seed: int) -> None:
    for _, spec, resolved in cases(seed, links=False, optional=False):
        table = table_of(resolved)

        # An input that is shown at the root does not bring the host's /dev, /proc and /sys along.
        assert {path: table.access(path) for path in UNIVERSE} == {path: spec.access(path) for path in UNIVERSE}


@given(seeds)
def test_with_links_the_sandbox_shows_what_the_resolved_sets_say(seed: int) -> None:
    for _, _, resolved in cases(seed, links=True):
        table, sets, links = table_of(resolved), resolved.effective(), resolved.links()

        expected = {path: sets.access(follow_links(path, links)) for path in UNIVERSE}
        assert {path: table.access(path) for path in UNIVERSE} == expected


@given(seeds)
def test_without_links_each_path_shows_the_file_that_was_declared(seed: int) -> None:
    for host, spec, resolved in cases(seed, links=False, optional=False):
        table = table_of(resolved)
        rebuilt = {graft.at for graft in resolved.grafts}

        for path in UNIVERSE:
            declared = spec.host_path(path)
            if declared in host.tree and path not in rebuilt:
                # Where a mountpoint had to be made, the directories on the way to it are our own.
                below = [one.at for one in spec.declarations if is_within(one.at, path) and one.at != path]
                assert table.host_path(path) == declared or below, path
            if spec.access(path) == Access.NONE:
                assert table.host_path(path) == ""


@given(seeds)
def test_every_mountpoint_exists_and_every_source_is_there(seed: int) -> None:
    """Asks the host, step by step, what the kernel would ask it. ``MemoryHost`` refuses to look through a link."""
    for host, _, resolved in cases(seed, links=True):
        table = MountTable()
        for step in compile_plan(resolved).steps:
            if isinstance(step, steps.Bind):
                assert is_mountable(host.lstat_kind(step.source), step.kind), step
            if isinstance(step, steps.Bind | steps.Mask) and step.where == Where.INSIDE:
                assert is_mountable(host.lstat_kind(table.host_path(step.at)), step.kind), step
            elif isinstance(step, steps.MountScratch | steps.MakeSkeleton) and step.where == Where.INSIDE:
                assert host.lstat_kind(table.host_path(step.at)) == PathKind.DIR, step
            elif isinstance(step, steps.ShowLink):
                assert host.readlink(table.host_path(step.at)) == step.target, step
            table.execute(step)


def is_mountable(found: str, kind: str) -> bool:
    return found == PathKind.DIR if kind == Kind.DIR else found in (PathKind.FILE, PathKind.DEVICE)


@given(seeds)
def test_the_effective_sets_are_disjoint(seed: int) -> None:
    for _, _, resolved in cases(seed, links=True):
        sets = resolved.effective()

        assert sets.inputs.isdisjoint(sets.outputs)
        assert sets.inputs.isdisjoint(sets.temps)
        assert sets.outputs.isdisjoint(sets.temps)
        assert sets.overlays.isdisjoint(sets.inputs | sets.outputs | sets.temps)


@given(seeds)
def test_a_declared_name_works_inside(seed: int) -> None:
    """Every link on the way is shown, so a declared name leads to the file to which it leads on the host."""
    for host, spec, resolved in cases(seed, links=True, mapped=False):
        table = table_of(resolved)
        links = {at: text[3:] for at, text in host.tree.items() if text[:2] == "->"}

        for one in spec.declarations:
            if one.role != Role.TEMP and not one.optional:
                assert table.access(one.at) == (Access.READ if one.role == Role.INPUT else Access.WRITE)
                assert table.host_path(one.at) in (follow_links(one.at, links), ""), one


@given(seeds)
def test_what_an_output_writes_is_shown_by_no_input_and_no_overlay(seed: int) -> None:
    for _, _, resolved in cases(seed, links=True):
        table, overlays, links = table_of(resolved), resolved.effective().overlays, resolved.links()
        shown = [path for path in UNIVERSE if table.host_path(path)]
        written = {
            table.host_path(path)
            for path in shown
            if table.access(path) == Access.WRITE and follow_links(path, links) not in overlays
        }

        assert not [
            path
            for path in shown
            if table.host_path(path) in written
            and (table.access(path) == Access.READ or follow_links(path, links) in overlays)
        ]


@given(seeds)
def test_every_refusal_says_what_to_do(seed: int) -> None:
    random = Random(seed)
    for _ in range(CASES_OF_A_SEED):
        host = random_host(random, links=True)
        spec = random_spec(random, host, optional=True, mapped=True)
        try:
            if spec is not None:
                resolve(spec, host=host)
        except SpecError as error:
            assert str(error)
            assert error.hint


@given(seeds)
@settings(max_examples=10)
def test_no_path_of_the_host_is_looked_at_twice(seed: int) -> None:
    for host, spec, resolved in cases(seed, links=True):
        host.looks.clear()

        assert resolve(spec, host=host) == resolved
        assert len(host.looks) == len(set(host.looks))
