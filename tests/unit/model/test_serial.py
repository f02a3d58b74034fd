"""The canonical text of a spec and its digest, which caches keep."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bldr.errors import OverlappingPathsError, SpecError
from bldr.model.limits import ResourceLimits
from bldr.model.network import NetworkPolicy
from bldr.model.paths import PathSet
from bldr.model.process import ProcessPolicy
from bldr.model.serial import SCHEMA
from bldr.model.spec import HermeticSpecBuilder, SandboxSpec, SandboxSpecBuilder
from bldr.model.value import replace

GOLDEN = Path(__file__).parents[2] / "golden" / "digests"

SPECS = {
    "empty": SandboxSpec(),
    "build": HermeticSpecBuilder.for_build("/workspace", ["src"], "bin", "/tmp/build"),
    "test": HermeticSpecBuilder.for_test("/workspace", "tests", "/tmp/test", toolchain="none"),
    "full": (
        SandboxSpecBuilder.create()
        .input(PathSet.subtree("/w") - PathSet.subtree("/w/out"), at="/src")
        .input(b"/odd/\xff\n'\"")
        .output("/w/out", at="/out")
        .temp("/t")
        .overlay("/l", "/layered")
        .default_temp("/tmp")
        .env("LANG", "C.UTF-8")
        .env("ODD", "ü\udcff\n")
        .with_network(NetworkPolicy.allow_hosts(["example.com:443", "2001:db8::1"]))
        .with_limits(ResourceLimits.hermetic().merge(ResourceLimits(memory="2G", cpu_time="90s", core_size=0)))
        .with_process(ProcessPolicy(max_children=8, allow_userns=True))
        .hostname("box")
        .uid(1000)
        .tmp_size("1G")
        .allow_degraded("network")
        .require("syscalls-filtered", "seccomp")
        .build()
    ),
}


def test_the_digest_of_a_spec_never_changes_within_a_schema_version() -> None:
    """When this fails, a cache would miss or, worse, hit: raise ``SCHEMA`` and write a new file."""
    golden = json.loads((GOLDEN / f"specs-{SCHEMA}.json").read_text(encoding="ascii"))

    assert {name: spec.digest() for name, spec in SPECS.items()} == golden


def test_the_text_of_a_spec_never_changes_within_a_schema_version() -> None:
    golden = (GOLDEN / f"spec-full-{SCHEMA}.json").read_text(encoding="ascii")

    assert SPECS["full"].to_json() == golden.rstrip("\n")


@pytest.mark.parametrize("name", SPECS)
def test_a_spec_comes_back_from_its_text(name: str) -> None:
    spec = SPECS[name]

    assert SandboxSpec.from_json(spec.to_json()) == spec
    assert json.loads(spec.to_json())["schema"] == SCHEMA


def test_undecodable_bytes_are_json_escapes() -> None:
    text = SPECS["full"].to_json()

    assert "\\udcff" in text
    assert text.isascii()


@pytest.mark.parametrize(
    "change",
    [
        {"hostname": "other"},
        {"uid": 1},
        {"limits": ResourceLimits.hermetic().merge(ResourceLimits(tmp_size=1))},
        {"limits": ResourceLimits(memory="4G", cpu_time="1h", processes=128)},
        {"process": ProcessPolicy(allow_userns=True)},
        {"network": NetworkPolicy.allow_hosts(["a"])},
        {"inputs": PathSet.subtree("/x")},
        {"overlays": PathSet.subtree("/x")},
        {"allow_degraded": frozenset({"no-network"})},
        {"require": (("no-network", ""),)},
    ],
)
def test_every_field_counts_for_the_digest(change: dict[str, object]) -> None:
    changed = replace(SPECS["empty"], **change)

    assert changed.digest() != SPECS["empty"].digest()
    assert SandboxSpec.from_json(changed.to_json()) == changed


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", "3", '{"schema":1}', '"x"', "{"])
def test_text_that_is_not_of_a_spec_is_refused(text: str) -> None:
    with pytest.raises(SpecError) as caught:
        SandboxSpec.from_json(text)

    assert caught.value.code == "spec.text-invalid"
    assert caught.value.hint


def test_text_of_another_schema_version_is_refused() -> None:
    text = SPECS["empty"].to_json().replace(f'"schema":{SCHEMA}', '"schema":1')

    with pytest.raises(SpecError, match="it has the schema version 1, not 3"):
        SandboxSpec.from_json(text)


def test_the_invariants_are_checked_again_when_text_is_read() -> None:
    document = json.loads(SPECS["build"].to_json())
    document["temps"] = document["inputs"]

    with pytest.raises(OverlappingPathsError):
        SandboxSpec.from_json(json.dumps(document))
