"""The canonical text of a spec. Equal specs have equal text, and the digest is taken from it.

The text changes only together with ``SCHEMA``, because digests are kept by caches.
"""

from __future__ import annotations

import json  # noqa: TID253  # this module is imported only when text is wanted

from bldr.errors import SpecError
from bldr.model.declarations import Declaration
from bldr.model.environment import EnvSet
from bldr.model.limits import LIMITS, ResourceLimits
from bldr.model.network import Endpoint, NetworkPolicy
from bldr.model.paths import PathSet, normalize
from bldr.model.process import ProcessPolicy
from bldr.model.spec import SandboxSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["SCHEMA", "dump", "load"]

SCHEMA = 3


def dump(spec: SandboxSpec) -> str:
    """Return the canonical JSON of a spec: sorted keys, no spaces, and ASCII with surrogate escapes as JSON escapes."""
    limits: dict[str, object] = {name: getattr(spec.limits, name) for name in LIMITS}
    limits["defaults"] = sorted(spec.limits.defaults)
    document = {
        "schema": SCHEMA,
        "declarations": [
            {"role": one.role, "at": one.at, "host": one.host, "optional": one.optional, "origin": one.origin}
            for one in spec.declarations
        ],
        "inputs": spec.inputs.marks(),
        "outputs": spec.outputs.marks(),
        "temps": spec.temps.marks(),
        "overlays": spec.overlays.marks(),
        "network": [_endpoint(one) for one in spec.network.endpoints],
        "environment": dict(spec.environment),
        "limits": limits,
        "process": {
            "max_children": spec.process.max_children,
            "kill_on_parent_exit": spec.process.kill_on_parent_exit,
            "allow_userns": spec.process.allow_userns,
            "allow_fork": spec.process.allow_fork,
            "allow_exec": spec.process.allow_exec,
        },
        "toolchain": spec.toolchain,
        "hostname": spec.hostname,
        "uid": spec.uid,
        "allow_degraded": sorted(spec.allow_degraded),
        "require": spec.require,
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def load(text: str) -> SandboxSpec:
    """Return the spec of a canonical text; its invariants are checked again.

    Raises:
        SpecError: The text is not that of a spec, or of another schema version.
    """
    try:
        document = json.loads(text)
        schema = document["schema"]
        spec = _spec_of(document) if schema == SCHEMA else None
    except SpecError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _not_a_spec(f"{type(error).__name__}: {error}") from error
    if spec is None:
        raise _not_a_spec(f"it has the schema version {schema!r}, not {SCHEMA}")
    return spec


def _not_a_spec(why: str) -> SpecError:
    return SpecError(
        f"the text is not that of a spec: {why}",
        code="spec.text-invalid",
        hint="take it from SandboxSpec.to_json() of this version of bldr",
    )


def _spec_of(document: dict[str, Any]) -> SandboxSpec:
    limits = document["limits"]
    return SandboxSpec(
        declarations=tuple([Declaration(**one) for one in document["declarations"]]),
        inputs=_set_of(document["inputs"]),
        outputs=_set_of(document["outputs"]),
        temps=_set_of(document["temps"]),
        overlays=_set_of(document["overlays"]),
        network=NetworkPolicy(tuple([Endpoint(*one) for one in document["network"]])),
        environment=EnvSet(document["environment"]),
        limits=ResourceLimits(
            **{name: limits[name] for name in LIMITS},
            defaults=frozenset(limits["defaults"]),
        ),
        process=ProcessPolicy(**document["process"]),
        toolchain=document["toolchain"],
        hostname=document["hostname"],
        uid=document["uid"],
        allow_degraded=frozenset(document["allow_degraded"]),
        require=tuple([(name, mechanism) for name, mechanism in document["require"]]),
    )


def _endpoint(one: Endpoint) -> list[object]:
    plain: list[object] = [one.host, one.port]
    more: list[object] = [one.protocol, one.leads_to, one.target_port]
    return plain if more == ["tcp", "", None] else plain + more


def _set_of(marks: list[tuple[str, bool]]) -> PathSet:
    return PathSet(frozenset([normalize(path) for path, _ in marks]))
