"""Targets as values: what a Builderfile says, without where it says it."""

from __future__ import annotations

from bldr.model.environment import EnvSet
from bldr.model.limits import ResourceLimits
from bldr.model.network import NetworkPolicy
from bldr.model.process import ProcessPolicy
from bldr.model.toolchain import SYSTEM
from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.builderfile.label import Label

__all__ = ["CUSTOM", "EXECUTABLE", "LIBRARY", "SHARED", "TEST", "TYPES", "Hermetic", "Options", "Target"]

EXECUTABLE = "executable"
LIBRARY = "library"
TEST = "test"
CUSTOM = "custom"
SHARED = "shared"
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
        toolchain: The name of the set of inputs that compilers and interpreters need.
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
    toolchain: str = SYSTEM.name


@value
class Options:
    """How a target is compiled, linked, started or tested; which of it has a meaning depends on its language.

    Args:
        flags: Arguments of the compiler, behind those that bldr gives.
        defines: Macros and their values.
        includes: Folders, relative to the workspace, in which compilers look for headers, by default those with which
            the patterns of headers begin, and Python for modules, by default those that hold the outermost packages.
        link_flags: Arguments of the linker, behind the objects; those of a static library belong to whoever links it.
        linkage: Of a library: ``static`` or ``shared``; empty means static.
        main: Of an executable: the module, or ``module:function``, with which it starts; empty where the sources tell.
        runner: Of a test: ``pytest`` or ``unittest``; empty means the first one that there is.
    """

    flags: tuple[str, ...] = ()
    defines: tuple[tuple[str, str], ...] = ()
    includes: tuple[str, ...] = ()
    link_flags: tuple[str, ...] = ()
    linkage: str = ""
    main: str = ""
    runner: str = ""


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
        options: How its language is compiled, linked, started or tested.
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
    options: Options = Options()
