"""Targets as values: what a Builderfile says, without where it says it."""

from __future__ import annotations

from bldr.model.environment import EnvSet
from bldr.model.limits import ResourceLimits
from bldr.model.network import NetworkPolicy
from bldr.model.process import ProcessPolicy
from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.builderfile.label import Label

__all__ = ["CUSTOM", "EXECUTABLE", "LIBRARY", "TEST", "TYPES", "Hermetic", "Target"]

EXECUTABLE = "executable"
LIBRARY = "library"
TEST = "test"
CUSTOM = "custom"
TYPES = (CUSTOM, EXECUTABLE, LIBRARY, TEST)


@value
class Hermetic:
    """The ``hermetic`` block of a target.

    Args:
        enabled: Whether the target runs in a sandbox.
        inputs: Further paths that can be read: absolute ones are paths of the host, others are relative to the
            workspace.
        outputs: Further directories that can be written and are kept, relative to the workspace.
        temps: Paths that start empty and are gone afterwards; absolute, or relative to the workspace.
        network: Which endpoints can be reached.
        timeout: Seconds of wall-clock time; ``None`` sets no timeout.
        limits: The limits that are set; all others have their defaults.
        process: How processes are confined.
        env: Variables, beside those that every action has.
    """

    enabled: bool = True
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    temps: tuple[str, ...] = ()
    network: NetworkPolicy = NetworkPolicy.hermetic()
    timeout: float | None = None
    limits: ResourceLimits = ResourceLimits()
    process: ProcessPolicy = ProcessPolicy.hermetic()
    env: EnvSet = EnvSet()


@value
class Target:
    """One target, as it is declared.

    Args:
        label: Its name.
        type: One of :data:`TYPES`.
        language: What it is written in; empty where the sources tell.
        sources: Patterns of files, relative to the workspace; one that begins with ``!`` takes files away.
        headers: Patterns of the headers that others may include.
        deps: The targets that it needs.
        command: The argument vector of a ``custom`` or ``test`` target.
        output: The files, or directories with a ``/`` behind, that it makes, relative to the workspace; empty where
            its type and language tell.
        hermetic: How it is confined.
    """

    label: Label
    type: str
    language: str = ""
    sources: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    deps: tuple[Label, ...] = ()
    command: tuple[str, ...] = ()
    output: tuple[str, ...] = ()
    hermetic: Hermetic = Hermetic()
