"""Whatever is declared: a spec keeps its invariants, or there is no spec."""

from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bldr.errors import OverlappingPathsError
from bldr.model.paths import PathSet, is_within, join
from bldr.model.spec import Access, Role, SandboxSpec, SandboxSpecBuilder
from tests.property.path_strategies import builders, paths, spec_or_none, specs


@given(specs)
def test_inputs_outputs_and_temps_share_no_path(spec: SandboxSpec) -> None:
    assert spec.inputs.isdisjoint(spec.outputs)
    assert spec.inputs.isdisjoint(spec.temps)
    assert spec.outputs.isdisjoint(spec.temps)
    assert spec.overlays.isdisjoint(spec.inputs | spec.outputs | spec.temps)


@given(specs, paths)
def test_access_follows_from_the_sets(spec: SandboxSpec, path: str) -> None:
    expected = (
        Access.READ
        if path in spec.inputs
        else Access.WRITE
        if path in spec.outputs or path in spec.temps or path in spec.overlays
        else Access.NONE
    )

    assert spec.access(path) == expected


@given(specs, paths)
def test_what_is_shown_unmapped_comes_from_the_same_place(spec: SandboxSpec, path: str) -> None:
    shown = path in spec.inputs or path in spec.outputs or path in spec.overlays

    assert spec.host_path(path) == (path if shown else "")


@given(specs)
def test_every_set_begins_at_declared_places(spec: SandboxSpec) -> None:
    for role, inside in (
        (Role.INPUT, spec.inputs),
        (Role.OUTPUT, spec.outputs),
        (Role.TEMP, spec.temps),
        (Role.OVERLAY, spec.overlays),
    ):
        places = PathSet.of(one.at for one in spec.declarations if one.role == role)

        assert inside <= places
        assert all(inside.contains(one.at) for one in spec.declarations if one.role == role)


@given(specs)
def test_a_place_is_declared_once(spec: SandboxSpec) -> None:
    places = [one.at for one in spec.declarations]

    assert len(set(places)) == len(places)


@given(specs)
def test_a_spec_comes_back_from_its_text(spec: SandboxSpec) -> None:
    text = spec.to_json()

    assert SandboxSpec.from_json(text) == spec
    assert SandboxSpec.from_json(text).to_json() == text
    assert text.isascii()
    assert json.dumps(json.loads(text), sort_keys=True, separators=(",", ":")) == text


@given(specs)
def test_a_spec_survives_pickling(spec: SandboxSpec) -> None:
    copy = pickle.loads(pickle.dumps(spec))

    assert copy == spec
    assert hash(copy) == hash(spec)
    assert copy.digest() == spec.digest()


@given(builders(carve=False))
def test_a_strict_builder_keeps_every_declared_path_whole(builder: SandboxSpecBuilder) -> None:
    spec = spec_or_none(builder)
    if spec is None:
        return
    declared = [one for one in spec.declarations if not one.origin]

    assert all(spec.outputs.covers(one.at) for one in declared if one.role == Role.OUTPUT)
    assert all(spec.temps.covers(one.at) for one in declared if one.role == Role.TEMP)


@given(builders())
def test_a_refusal_names_two_paths_and_the_fix(builder: SandboxSpecBuilder) -> None:
    if spec_or_none(builder) is not None:
        return
    with pytest.raises(OverlappingPathsError) as caught:
        builder.build()
    error = caught.value

    assert error.first
    assert error.second
    assert repr(error.first) in error.message
    assert repr(error.second) in error.message
    assert error.hint


@given(st.lists(st.tuples(paths, paths), max_size=4), st.lists(st.tuples(paths, paths), min_size=1, max_size=2), paths)
def test_no_input_shows_what_an_output_writes(
    inputs: list[tuple[str, str]], outputs: list[tuple[str, str]], probe: str
) -> None:
    """Also when host paths are shown at other places, so that the two have no inside path in common."""
    builder = SandboxSpecBuilder.create().carve()
    try:
        for host, at in inputs:
            builder.input(host, at)
        for host, at in outputs:
            builder.output(host, at)
        spec = builder.build()
    except OverlappingPathsError:
        return
    probes = [probe, *(join(at, probe[1:]) for _, at in inputs), *(at for _, at in inputs)]

    for path in probes:
        if path in spec.inputs:
            assert not any(is_within(spec.host_path(path), host) for host, _ in outputs)


@given(builders(carve=True))
def test_carving_changes_neither_outputs_nor_declared_temps(builder: SandboxSpecBuilder) -> None:
    spec = spec_or_none(builder)
    if spec is None:
        return

    assert spec.outputs == PathSet.of(one.at for one in spec.declarations if one.role == Role.OUTPUT)
    assert PathSet.of(one.at for one in spec.declarations if one.role == Role.TEMP and not one.origin) <= spec.temps


@given(builders(carve=True))
def test_building_twice_gives_the_same_spec(builder: SandboxSpecBuilder) -> None:
    assert spec_or_none(builder) == spec_or_none(builder)
