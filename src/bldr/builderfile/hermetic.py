"""The ``hermetic`` block: sets, network, limits and environment, read by the parsers of the model."""

from __future__ import annotations

from bldr.builderfile import places
from bldr.builderfile.schema import HERMETIC, NETWORK, PROCESS, RESOURCES, camel
from bldr.builderfile.target import Hermetic
from bldr.model.environment import EnvSet
from bldr.model.limits import ResourceLimits, parse_count, parse_duration
from bldr.model.network import Endpoint, NetworkPolicy
from bldr.model.process import ProcessPolicy
from bldr.model.toolchain import SYSTEM, named
from bldr.model.value import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from bldr.builderfile.reader import Reader
    from bldr.builderfile.syntax import Entry, Node

__all__ = ["hermetic_of"]


def hermetic_of(node: Node, reader: Reader) -> Hermetic:
    """Return what a ``hermetic`` block says; its mistakes go to the reader."""
    entries = reader.block(node, HERMETIC, "hermetic")
    enabled = reader.truth(entries["enabled"].value) if "enabled" in entries else True
    timeout = None
    if "timeout" in entries:
        timeout = _duration(entries["timeout"].value, reader)
    return Hermetic(
        enabled=enabled is not False,
        inputs=reader.list_of(entries.get("inputs"), places.host_or_workspace).values,
        outputs=reader.list_of(entries.get("outputs"), places.of_output).values,
        temps=reader.list_of(entries.get("temps"), places.host_or_workspace).values,
        network=_network(entries["network"].value, reader) if "network" in entries else NetworkPolicy.hermetic(),
        timeout=timeout,
        limits=_limits(entries, reader),
        process=_process(entries["process"].value, reader) if "process" in entries else ProcessPolicy.hermetic(),
        env=_env(entries["env"].value, reader) if "env" in entries else EnvSet(),
        toolchain=_toolchain(entries["toolchain"].value, reader) if "toolchain" in entries else SYSTEM.name,
    )


def _duration(node: Node, reader: Reader) -> float | None:
    text = reader.quantity(node, 'a duration, such as "90s" or "1h"')
    return None if text is None else reader.tried(node.span, parse_duration, text, what="timeout")


def _network(node: Node, reader: Reader) -> NetworkPolicy:
    from bldr.builderfile.syntax import Block

    if not isinstance(node, Block):
        if reader.truth(node):
            reader.add(
                node.span,
                "the network cannot be opened as a whole",
                code="builderfile.value-invalid",
                hint='name the hosts: network: { allowHosts: ["github.com:443"]; }',
            )
        return NetworkPolicy.hermetic()
    entries = reader.entries(node, NETWORK, "network")
    hosts = reader.list_of(entries.get("allowHosts"), lambda text, _: Endpoint.parse(text))
    enabled = reader.truth(entries["enabled"].value) if "enabled" in entries else bool(hosts.values)
    if enabled and "enabled" in entries and not hosts.values:
        reader.add(
            entries["enabled"].value.span,
            "the network is enabled without a host that may be reached",
            code="builderfile.value-invalid",
            hint='write allowHosts: ["github.com:443"]',
        )
    if not enabled or not hosts.values:
        return NetworkPolicy.hermetic()
    texts = [str(endpoint) for endpoint in hosts.values]
    policy = reader.tried(entries["allowHosts"].value.span, NetworkPolicy.allow_hosts, texts)
    return policy or NetworkPolicy.hermetic()


def _limits(entries: Mapping[str, Entry], reader: Reader) -> ResourceLimits:
    found: dict[str, Entry] = {}
    if "resources" in entries:
        found = reader.block(entries["resources"].value, RESOURCES, "resources")
    if "memory" in entries:
        if "memory" in found:
            reader.add(
                found["memory"].key.span,
                "'memory' is set twice, in hermetic and in resources",
                code="builderfile.key-duplicate",
                hint="remove one of them",
            )
        found["memory"] = entries["memory"]
    limits = ResourceLimits()
    for key, entry in found.items():
        text = reader.quantity(entry.value, f"a quantity for {key}")
        one = None if text is None else reader.tried(entry.value.span, _limit, RESOURCES[key], text)
        if one is not None:
            limits = limits.merge(one)
    return limits


def _limit(name: str, text: str) -> ResourceLimits:
    return ResourceLimits(**{name: text})  # type: ignore[arg-type]  # every field reads text


def _process(node: Node, reader: Reader) -> ProcessPolicy:
    entries = reader.block(node, PROCESS, "process")
    children = None
    if "maxChildren" in entries:
        value = entries["maxChildren"].value
        text = reader.quantity(value, "a number of processes")
        if text is not None:
            children = reader.tried(value.span, parse_count, text, what="maxChildren", minimum=0)
    truths = {
        name: reader.truth(entries[camel(name)].value)
        for name in ("kill_on_parent_exit", "allow_userns", "allow_fork", "allow_exec")
        if camel(name) in entries
    }
    said = {name: truth for name, truth in truths.items() if truth is not None}
    return replace(ProcessPolicy.hermetic(), max_children=children, **said)


def _toolchain(node: Node, reader: Reader) -> str:
    from bldr.builderfile.syntax import NUMBER, Scalar

    if not isinstance(node, Scalar) or node.kind == NUMBER:
        reader.wrong_kind(node, "the name of a toolchain", "write system or none")
        return SYSTEM.name
    toolchain = reader.tried(node.span, named, node.value)
    return SYSTEM.name if toolchain is None else toolchain.name


def _env(node: Node, reader: Reader) -> EnvSet:
    variables = EnvSet()
    for name, (key, text) in reader.pairs(node, "a block of variables").items():
        one = reader.tried(key.span, variables.with_variable, name, text)
        variables = one if one is not None else variables
    return variables
