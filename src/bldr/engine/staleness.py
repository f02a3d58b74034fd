"""Whether an action is up to date, and if not, why. Pure."""

from __future__ import annotations

from hashlib import sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bldr.engine.state import Record

__all__ = ["digest_of_names", "why_stale"]


def digest_of_names(paths: Iterable[str]) -> str:
    """Return one text for a set of names."""
    return sha256("\0".join(sorted(paths)).encode("utf-8", "surrogateescape")).hexdigest()


def why_stale(
    known: Record | None,
    *,
    command: str,
    policy: str,
    toolchain: str,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
) -> str:
    """Say why an action has to run again; empty when it is up to date.

    Args:
        known: How it was when it succeeded last.
        command: Its command now, as one text.
        policy: Its sandbox now, as one text.
        toolchain: The identity of its toolchain now.
        inputs: What its inputs hold now.
        outputs: What its outputs hold now.
    """
    if known is None:
        return "it was not built yet"
    if known.command != command:
        return "its command changed"
    if known.policy != policy:
        return "its confinement changed"
    if known.toolchain != toolchain:
        return "the toolchain changed"
    for path, content in known.inputs.items():
        now = inputs.get(path)
        if now != content:
            return f"{path} is gone" if now is None else f"{path} changed"
    if known.names != digest_of_names(inputs):
        new = sorted(set(inputs) - set(known.inputs))
        return f"{new[0]} is new" if len(inputs) == len(known.inputs) + 1 else "it has other inputs than before"
    if known.outputs != outputs:
        return _why_outputs(known.outputs, outputs)
    return ""


def _why_outputs(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    for path, content in before.items():
        if path not in now:
            return f"{path} is missing"
        if now[path] != content:
            return f"{path} was changed by somebody else"
    return f"{min(set(now) - set(before))} was added by somebody else"
