"""``bldr plan``: the policy and the steps, without running."""

from __future__ import annotations

import os

from bldr.cli.messages import page, visible
from bldr.cli.options import parse
from bldr.cli.request import caller_directory, request
from bldr.cli.settings import load
from bldr.cli.verbs import PLAN
from bldr.model.paths import printable
from bldr.model.spec import Role

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bldr.cli.request import Request
    from bldr.model.spec import Declaration, SandboxSpec

__all__ = ["main", "render", "to_dict"]

_SCHEMA = 1
_LIMITS = (
    ("memory", "bytes"),
    ("cpu_time", "seconds"),
    ("processes", ""),
    ("file_size", "bytes"),
    ("disk_io", "bytes"),
    ("disk_rate", "bytes a second"),
    ("network_io", "bytes"),
    ("cpu_weight", ""),
    ("cpus", "CPUs"),
    ("open_files", ""),
    ("core_size", "bytes"),
    ("tmp_size", "bytes for each temp, in memory"),
)


def main(arguments: Sequence[str]) -> int:
    """``bldr plan``."""
    parsed = parse(PLAN, arguments)
    from bldr.execution.executor import HermeticExecutor
    from bldr.sandbox.select import refuse_without_backend

    refuse_without_backend()
    directory = caller_directory()
    asked = request(parsed, load(os.environ, directory), directory, os.environ)
    if parsed.given("fetch"):
        from bldr.cli.fetch import refuse_missing

        refuse_missing(parsed, os.environ)
    steps = [step.describe() for step in HermeticExecutor.create(asked.spec).plan().steps]
    if parsed.given("json"):
        from bldr.cli.resultfile import to_json

        page(to_json(to_dict(asked, parsed.rest, steps)))
    else:
        page(render(asked, parsed.rest, steps))
    return 0


def to_dict(asked: Request, argv: Sequence[str], steps: Sequence[str]) -> dict[str, object]:
    """Return policy and steps for JSON. Keys are only added within one ``schema``."""
    spec = asked.spec
    return {
        "schema": _SCHEMA,
        "digest": spec.digest(),
        "argv": [printable(word) for word in argv],
        "cwd": printable(asked.cwd),
        "timeout": asked.timeout,
        "inputs": _declared(spec, Role.INPUT),
        "outputs": _declared(spec, Role.OUTPUT),
        "temps": _declared(spec, Role.TEMP),
        "overlays": _declared(spec, Role.OVERLAY),
        "input_holes": [printable(path) for path in spec.inputs.holes()],
        "temp_holes": [printable(path) for path in spec.temps.holes()],
        "network": [str(endpoint) for endpoint in spec.network.endpoints],
        "environment": {printable(name): printable(text) for name, text in spec.environment.items()},
        "limits": {name: getattr(spec.limits, name) for name, _ in _LIMITS},
        "explicit_limits": sorted(spec.limits.explicit),
        "toolchain": spec.toolchain,
        "hostname": spec.hostname,
        "uid": spec.uid,
        "allow_userns": spec.process.allow_userns,
        "allow_degraded": sorted(spec.allow_degraded),
        "require": ["=".join(filter(None, pair)) for pair in spec.require],
        "steps": [printable(step) for step in steps],
    }


def render(asked: Request, argv: Sequence[str], steps: Sequence[str]) -> str:
    """Return policy and steps as people read them."""
    spec = asked.spec
    lines: list[str] = []
    if argv:
        from shlex import join

        lines.append(f"Command: {join(argv)}")
    lines.append(f"Directory: {asked.cwd}")
    if asked.timeout is not None:
        lines.append(f"Timeout: {asked.timeout:g} seconds")
    lines += ["", "Inputs (I), read-only:", *_shown(spec, Role.INPUT)]
    lines += [f"  without {hole}" for hole in spec.inputs.holes()]
    lines += ["", "Outputs (O), writable and kept:", *(_shown(spec, Role.OUTPUT) or ["  none"])]
    lines += ["", "Temps (T), empty at the start and gone afterwards:", *(_shown(spec, Role.TEMP) or ["  none"])]
    lines += [f"  without {hole}" for hole in spec.temps.holes()]
    if spec.overlays:
        lines += ["", "Overlays, writes land in a private layer:", *_shown(spec, Role.OVERLAY)]
        lines += [f"  without {hole}" for hole in spec.overlays.holes()]
    endpoints = [f"  {endpoint}" for endpoint in spec.network.endpoints]
    lines += ["", "Network (N):", *(endpoints or ["  nothing but a private loopback"])]
    lines += ["", "Environment (E):", *(f"  {name}={text}" for name, text in spec.environment.items())]
    lines += ["", "Limits:", *_limits(spec)]
    lines += ["", "Identity:", f"  host name {spec.hostname}, user and group id {spec.uid}"]
    lines += _guarantees(spec)
    lines += ["", "Steps:", *(f"  {number:3}  {step}" for number, step in enumerate(steps, 1))]
    return "\n".join(visible(line) for line in lines) + "\n"


def _shown(spec: SandboxSpec, role: str) -> list[str]:
    """A line for each declared path, and one for all that a toolchain has on this host."""
    lines = []
    of_toolchain = []
    for declaration in spec.declarations:
        if declaration.role != role:
            continue
        if declaration.origin.startswith("toolchain"):
            of_toolchain.append(declaration)
            continue
        source = f" from {declaration.host}" if declaration.host not in ("", declaration.at) else ""
        origin = f" ({declaration.origin})" if declaration.origin else ""
        lines.append(f"  {declaration.at}{source}{origin}")
    if of_toolchain:
        present = [declaration.at for declaration in of_toolchain if os.path.lexists(declaration.host)]
        lines += _filled(f"  {of_toolchain[0].origin}:", present)
    return lines


def _filled(title: str, words: Iterable[str]) -> list[str]:
    lines = [title]
    for word in words:
        if len(lines[-1]) + len(word) < 100:
            lines[-1] += " " + word
        else:
            lines.append("    " + word)
    return lines


def _declared(spec: SandboxSpec, role: str) -> list[dict[str, object]]:
    return [_declaration(declaration) for declaration in spec.declarations if declaration.role == role]


def _declaration(declaration: Declaration) -> dict[str, object]:
    return {
        "at": printable(declaration.at),
        "host": printable(declaration.host),
        "optional": declaration.optional,
        "origin": declaration.origin,
    }


def _limits(spec: SandboxSpec) -> list[str]:
    lines = []
    for name, unit in _LIMITS:
        number = getattr(spec.limits, name)
        if number is not None:
            origin = "" if name in spec.limits.explicit else " (default)"
            lines.append(f"  {name.replace('_', ' ')} {_plain(number)} {unit}".rstrip() + origin)
    return lines or ["  none"]


def _guarantees(spec: SandboxSpec) -> list[str]:
    lines = [f"  requires {'='.join(filter(None, pair))}" for pair in spec.require]
    lines += [f"  may lack {name}" for name in sorted(spec.allow_degraded)]
    return ["", "Guarantees:", *lines] if lines else []


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)
