"""What a command may see and do: the sets I, O, T, N and E, limits, and how processes are confined.

:class:`SandboxSpec` is the value that everything after it works from. :class:`SandboxSpecBuilder` makes one from
declarations and is strict: two declarations that overlap are an error. :class:`HermeticSpecBuilder` makes the usual
ones and carves: an output or a temp inside an input leaves a hole in the input.
"""

from __future__ import annotations

import os

from bldr.errors import InvalidPathError, OverlappingPathsError, SpecError
from bldr.model.declarations import (
    Declaration,
    Role,
    aliases,
    innermost,
    overlap_between,
    rebased,
    refuse_overlaps,
    sort_key,
)
from bldr.model.environment import EnvSet
from bldr.model.limits import ResourceLimits, parse_size
from bldr.model.network import NetworkPolicy
from bldr.model.paths import PathSet, components, is_within, join, normalize, parent
from bldr.model.process import ProcessPolicy
from bldr.model.receipt import guarantees_named
from bldr.model.toolchain import NONE, named
from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from bldr.model.limits import Size
    from bldr.model.paths import AnyPath
    from bldr.model.toolchain import Toolchain

__all__ = ["Access", "Declaration", "HermeticSpecBuilder", "Role", "SandboxSpec", "SandboxSpecBuilder"]

_LONGEST_HOSTNAME = 64  # __NEW_UTS_LEN in <linux/utsname.h>
_HOME = "/tmp"
_OTHER_HOME = "/bldr-home"
_LARGEST_UID = 2**32 - 2  # the last one stands for "no user" in chown(2)


class Access:
    """What a command may do with a path. What can be written can be read back."""

    NONE = "none"
    READ = "read"
    WRITE = "write"


@value
class SandboxSpec:
    """A request for a sandbox, complete and without contradictions.

    Args:
        declarations: Where the paths come from, sorted by place; parents first.
        inputs: I, the inside paths that can be read.
        outputs: O, the inside paths that can be written and are kept.
        temps: T, the inside paths that start empty, can be written and are gone afterwards.
        overlays: The inside paths that can be read and written, and whose writes land in a private layer.
        network: N.
        environment: E.
        limits: Ceilings.
        process: How processes are confined.
        toolchain: The name of the toolchain whose inputs are in I.
        hostname: What the command sees as host name.
        uid: What the command sees as its user and group id.
        allow_degraded: The guarantees that may be weaker than asked for.
        require: Guarantees that must be enforced, each with a mechanism or an empty string.

    Raises:
        OverlappingPathsError: A path is in two of I, O, T and the overlays.
        SpecError: The host name or the user id cannot be.
    """

    declarations: tuple[Declaration, ...] = ()
    inputs: PathSet = PathSet.empty()
    outputs: PathSet = PathSet.empty()
    temps: PathSet = PathSet.empty()
    overlays: PathSet = PathSet.empty()
    network: NetworkPolicy = NetworkPolicy.hermetic()
    environment: EnvSet = EnvSet()
    limits: ResourceLimits = ResourceLimits.hermetic()
    process: ProcessPolicy = ProcessPolicy.hermetic()
    toolchain: str = "none"
    hostname: str = "bldr"
    uid: int = 0
    allow_degraded: frozenset[str] = frozenset()
    require: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        refuse_overlaps(
            self.declarations, inputs=self.inputs, outputs=self.outputs, temps=self.temps, overlays=self.overlays
        )
        _check_hostname(self.hostname)
        if type(self.uid) is not int or not 0 <= self.uid <= _LARGEST_UID:
            raise SpecError(
                f"the user id {self.uid!r} is not a number from 0 to {_LARGEST_UID}",
                code="spec.uid-invalid",
                hint="0 is what most builds expect; the files stay yours on the host",
            )

    @property
    def process_ceiling(self) -> int | None:
        """How many processes and threads may exist at one time, by the limits and the process policy together."""
        children = self.process.max_children
        ceilings = [self.limits.processes, None if children is None else children + 1]
        return min([one for one in ceilings if one is not None], default=None)

    def access(self, path: AnyPath) -> str:
        """Return what the command may do with an inside path: one of the constants of :class:`Access`."""
        if self.outputs.contains(path) or self.temps.contains(path) or self.overlays.contains(path):
            return Access.WRITE
        return Access.READ if self.inputs.contains(path) else Access.NONE

    def host_path(self, path: AnyPath) -> str:
        """Return the host path that is shown at an inside path; empty for a path of T or of no set."""
        name = normalize(path)
        if self.inputs.contains(name):
            role = Role.INPUT
        elif self.outputs.contains(name):
            role = Role.OUTPUT
        elif self.overlays.contains(name):
            role = Role.OVERLAY
        else:
            return ""
        step = name
        while (found := self._declared(step, role)) is None:
            if step == "/":
                return ""
            step = parent(step)
        return rebased(name, step, found.host)

    def to_json(self) -> str:
        """Return the canonical text, which includes its schema version; equal specs have equal text."""
        from bldr.model.serial import dump

        return dump(self)

    @staticmethod
    def from_json(text: str) -> SandboxSpec:
        """Return the spec whose canonical text this is."""
        from bldr.model.serial import load

        return load(text)

    def digest(self) -> str:
        """Return the SHA-256 of the canonical text in hexadecimal."""
        from hashlib import sha256

        return sha256(self.to_json().encode("ascii")).hexdigest()

    def _declared(self, at: str, role: str) -> Declaration | None:
        from bisect import bisect_left

        index = bisect_left(self.declarations, (components(at), role), key=sort_key)
        if index < len(self.declarations):
            found = self.declarations[index]
            if found.at == at and found.role == role:
                return found
        return None


class SandboxSpecBuilder:
    """Collects declarations; every method returns the builder, :meth:`build` returns the spec.

    Nothing is declared at the start: no path, no variable, no network. The limits are those of
    ``ResourceLimits.hermetic()``, as defaults that nobody asked for.

    Example:
        >>> spec = (
        ...     SandboxSpecBuilder.create()
        ...     .input("/workspace/src")
        ...     .output("/workspace/bin")
        ...     .temp("/tmp/build")
        ...     .env("PATH", "/usr/bin:/bin")
        ...     .build()
        ... )
        >>> spec.access("/workspace/src/main.c"), spec.access("/workspace/bin"), spec.access("/workspace")
        ('read', 'write', 'none')
    """

    def __init__(self) -> None:
        self._declared: dict[tuple[str, str], Declaration] = {}
        self._default_temps: dict[str, Declaration] = {}
        self._with_holes: list[PathSet] = []
        self._plain: list[str] = []
        self._carves = False
        self._has_home = False
        self._toolchain = NONE
        self._variables: dict[str, str] = {}
        self._network = NetworkPolicy.hermetic()
        self._limits = ResourceLimits.hermetic()
        self._process = ProcessPolicy.hermetic()
        self._hostname = "bldr"
        self._uid = 0
        self._tmp_size: int | None = None  # kept apart, because with_limits sets all limits
        self._allow_degraded: set[str] = set()
        self._require: set[tuple[str, str]] = set()

    @staticmethod
    def create() -> SandboxSpecBuilder:
        """Return a builder without declarations."""
        return SandboxSpecBuilder()

    def input(self, path: AnyPath | PathSet, at: AnyPath | None = None) -> SandboxSpecBuilder:
        """Declare what can be read.

        Args:
            path: A file or directory of the host, or a set of them: its holes stay holes.
            at: Where it is shown inside; by default at the same path.

        Raises:
            InvalidPathError: A path is not absolute and normal, or a set with several roots has one place.
            OverlappingPathsError: Something else is declared at that place already.
        """
        if isinstance(path, PathSet):
            self._input_set(path, at)
            return self
        place = self._declare(Role.INPUT, path, at)
        self._plain.append(place)
        return self

    def output(self, path: AnyPath, at: AnyPath | None = None) -> SandboxSpecBuilder:
        """Declare a directory that can be written and is kept; ``at`` is where it is shown inside.

        Raises:
            InvalidPathError: A path is not absolute and normal.
            OverlappingPathsError: Another output is declared at that place already.
        """
        self._declare(Role.OUTPUT, path, at)
        return self

    def temp(self, path: AnyPath) -> SandboxSpecBuilder:
        """Declare an inside path that starts empty, can be written and is gone afterwards.

        Raises:
            InvalidPathError: The path is not absolute and normal.
        """
        name = normalize(path, what=Role.TEMP)
        self._declared[Role.TEMP, name] = Declaration(Role.TEMP, name)
        return self

    def overlay(self, path: AnyPath, at: AnyPath | None = None) -> SandboxSpecBuilder:
        """Declare an input whose writes land in a private layer: the command sees them, and the host never does.

        Args:
            path: A directory of the host, or a file, which is copied.
            at: Where it is shown inside; by default at the same path.

        Raises:
            InvalidPathError: A path is not absolute and normal.
            OverlappingPathsError: Another overlay is declared at that place already.
        """
        self._declare(Role.OVERLAY, path, at)
        return self

    def default_temp(self, path: AnyPath) -> SandboxSpecBuilder:
        """Declare a temp that yields: what is an input or an output, or lies in one, is cut out of it."""
        name = normalize(path, what=Role.TEMP)
        self._default_temps[name] = Declaration(Role.TEMP, name, origin="default")
        return self

    def default_home(self) -> SandboxSpecBuilder:
        """Set HOME and TMPDIR, where they are not set, to ``/tmp``, a temp that yields.

        When ``/tmp`` is no temp in the end, because it is an input or an output or lies in one, they get a temp of
        their own, so that they can always be written to and are gone afterwards.
        """
        self._has_home = True
        return self.default_temp(_HOME)

    def carve(self) -> SandboxSpecBuilder:
        """Let outputs and temps leave holes in inputs, instead of refusing such overlaps: I without O and T."""
        self._carves = True
        return self

    def with_toolchain(self, toolchain: str | Toolchain) -> SandboxSpecBuilder:
        """Add the inputs of a toolchain, ``system`` or ``none`` or a part of one, in place of an earlier one."""
        self._toolchain = named(toolchain) if isinstance(toolchain, str) else toolchain
        return self

    def with_network(self, policy: NetworkPolicy) -> SandboxSpecBuilder:
        """Set which endpoints can be reached."""
        self._network = policy
        return self

    def with_limits(self, limits: ResourceLimits) -> SandboxSpecBuilder:
        """Set the limits, all of them."""
        self._limits = limits
        return self

    def with_resources(self, limits: ResourceLimits) -> SandboxSpecBuilder:
        """Set the limits; another name for :meth:`with_limits`."""
        return self.with_limits(limits)

    def with_process(self, policy: ProcessPolicy) -> SandboxSpecBuilder:
        """Set how processes are confined."""
        self._process = policy
        return self

    def env(self, name: str, text: str) -> SandboxSpecBuilder:
        """Set one variable.

        Raises:
            SpecError: The name or the value cannot be one.
        """
        self._variables.update(EnvSet({name: text}).items())
        return self

    def env_set(self, variables: EnvSet) -> SandboxSpecBuilder:
        """Set all variables of a set, beside those that are set already."""
        self._variables.update(variables.items())
        return self

    def hostname(self, name: str) -> SandboxSpecBuilder:
        """Set the host name inside.

        Raises:
            SpecError: It is not a host name.
        """
        _check_hostname(name)
        self._hostname = name
        return self

    def uid(self, number: int) -> SandboxSpecBuilder:
        """Set the user and group id inside; the owner on the host is always the caller."""
        self._uid = number
        return self

    def tmp_size(self, size: Size) -> SandboxSpecBuilder:
        """Keep the temps in memory and cap each at so many bytes.

        Raises:
            InvalidLimitError: It is not a size.
        """
        self._tmp_size = parse_size(size, what="tmp_size")
        return self

    def allow_degraded(self, *names: str) -> SandboxSpecBuilder:
        """Name guarantees, or groups of them such as ``network``, that may be weaker than asked for.

        Raises:
            SpecError: A name is unknown.
        """
        self._allow_degraded.update(guarantees_named(names))
        return self

    def require(self, name: str, mechanism: str = "") -> SandboxSpecBuilder:
        """Name a guarantee, or a group of them, that must be enforced, where given by this mechanism.

        Raises:
            SpecError: The name is unknown.
        """
        self._require.update((guarantee, mechanism) for guarantee in guarantees_named((name,)))
        return self

    def build(self) -> SandboxSpec:
        """Return the spec.

        Raises:
            OverlappingPathsError: Declarations overlap.
            SpecError: A guarantee is required and may be weaker.
        """
        contradiction = sorted(name for name, _ in self._require if name in self._allow_degraded)
        if contradiction:
            raise SpecError(
                f"the guarantee {contradiction[0]!r} is required and may be weaker",
                code="spec.guarantee-contradiction",
                hint="say only one of require and allow_degraded of it",
            )
        declared = list(self._declared.values())
        outputs = PathSet.of(one.at for one in declared if one.role == Role.OUTPUT)
        temps = PathSet.of(one.at for one in declared if one.role == Role.TEMP)
        refuse_overlaps(declared, inputs=PathSet.empty(), outputs=outputs, temps=temps)
        inputs, overlays = self._inputs(declared, outputs, temps)
        refuse_overlaps(declared, inputs=inputs, outputs=outputs, temps=temps, overlays=overlays)
        for one in self._default_temps.values():
            rest = PathSet.subtree(one.at) - inputs - outputs - overlays
            if rest.contains(one.at) and (Role.TEMP, one.at) not in self._declared:
                declared.append(one)
                temps |= rest
        variables = dict(self._variables)
        if self._has_home:
            home = _HOME if temps.contains(_HOME) else _OTHER_HOME
            if not temps.contains(home) and not any(is_within(one.at, home) for one in declared):
                declared.append(Declaration(Role.TEMP, home, origin="default"))
                temps |= PathSet.subtree(home)
                inputs -= temps
            variables = {"HOME": home, "TMPDIR": home} | variables
        return SandboxSpec(
            declarations=tuple(sorted(declared, key=sort_key)),
            inputs=inputs,
            outputs=outputs,
            temps=temps,
            overlays=overlays,
            network=self._network,
            environment=EnvSet(variables),
            limits=self._limits_with_tmp_size(),
            process=self._process,
            toolchain=self._toolchain.name,
            hostname=self._hostname,
            uid=self._uid,
            allow_degraded=frozenset(self._allow_degraded),
            require=tuple(sorted(self._require)),
        )

    def _limits_with_tmp_size(self) -> ResourceLimits:
        if self._tmp_size is None:
            return self._limits
        return self._limits.merge(ResourceLimits(tmp_size=self._tmp_size))

    def _declare(self, role: str, path: AnyPath, at: AnyPath | None) -> str:
        host = normalize(path, what=role)
        place = host if at is None else normalize(at, what=f"place of the {role} {host!r}")
        known = self._declared.setdefault((role, place), Declaration(role, place, host))
        if known.host != host:
            raise OverlappingPathsError(
                f"the {role} at {place!r} is declared twice, from {known.host!r} and from {host!r}",
                first=known.host,
                second=host,
                hint="remove one of them, or show it at another place",
            )
        return place

    def _input_set(self, paths: PathSet, at: AnyPath | None) -> None:
        roots = paths.roots()
        if at is not None:
            if len(roots) != 1:
                raise InvalidPathError(
                    f"an input of {len(roots)} roots cannot be shown at the one place {at!r}",
                    hint="declare each root with a place of its own",
                )
            place = normalize(at, what=Role.INPUT)
            shown = PathSet.subtree(place) - PathSet.of(rebased(hole, roots[0], place) for hole in paths.holes())
        else:
            shown = paths
        for root in roots:
            self._declare(Role.INPUT, root, at)
        self._with_holes.append(shown)

    def _inputs(self, declared: list[Declaration], outputs: PathSet, temps: PathSet) -> tuple[PathSet, PathSet]:
        """Return I and the overlays, and add the declarations of the toolchain; when carving, O and T are cut out."""
        inputs = PathSet.of(self._plain)
        for holed in self._with_holes:
            inputs |= holed
        overlays = PathSet.of(one.at for one in declared if one.role == Role.OVERLAY)
        taken = outputs | temps
        if self._carves and not (inputs | overlays).isdisjoint(taken):
            for one in declared:
                if one.role in (Role.INPUT, Role.OVERLAY) and taken.contains(one.at):
                    whole, none = PathSet.subtree(one.at), PathSet.empty()
                    read, layered = (whole, none) if one.role == Role.INPUT else (none, whole)
                    refuse_overlaps(declared, inputs=read, outputs=outputs, temps=temps, overlays=layered)
        if self._carves and not inputs.isdisjoint(overlays):
            inputs, overlays = innermost(declared, inputs, overlays)
        toolchain = self._toolchain
        rest = overlays if not self._carves else overlays | taken
        inputs |= PathSet.of(toolchain.paths) - PathSet.of(toolchain.holes) - overlays
        if self._carves:
            inputs -= taken
            overlays -= taken
        declared += [
            Declaration(Role.INPUT, path, path, optional=True, origin=toolchain.origin)
            for path in toolchain.paths
            if (Role.INPUT, path) not in self._declared and not rest.contains(path)
        ]
        return self._without_aliases(declared, inputs, overlays), overlays

    def _without_aliases(self, declared: list[Declaration], inputs: PathSet, overlays: PathSet) -> PathSet:
        """Return I without what an output writes under another name; refuse it where that cannot be cut out."""
        for alias in aliases(declared):
            if not (inputs | overlays).touches(alias.at):
                continue
            if alias.whole or not self._carves or alias.given.role == Role.OVERLAY:
                raise overlap_between(
                    Declaration(alias.given.role, alias.given.host),
                    Declaration(Role.OUTPUT, alias.output.host),
                    hint=f"the {alias.given.role} is shown at {alias.given.at!r} and the output at {alias.output.at!r},"
                    " but they share files of the host: declare one of them elsewhere",
                )
            shown = PathSet.subtree(alias.at)
            inputs -= shown - PathSet.of(
                one.at
                for one in declared
                if one.role == Role.INPUT and one is not alias.given and shown.contains(one.at)
            )
        return inputs


class HermeticSpecBuilder:
    """Makes the specs that builds and tests usually need.

    They carve, use the toolchain ``system``, ``EnvSet.hermetic()`` and :meth:`SandboxSpecBuilder.default_home`. A
    relative path lies under ``workspace_root``.
    """

    @staticmethod
    def for_build(
        workspace_root: AnyPath,
        sources: Iterable[AnyPath],
        output_dir: AnyPath,
        temp_dir: AnyPath,
        toolchain: str = "system",
        *,
        outputs: Iterable[AnyPath] = (),
        temps: Iterable[AnyPath] = (),
        workspace_at: AnyPath | None = None,
        whole_workspace: bool = True,
    ) -> SandboxSpec:
        """Return a spec for a build.

        Args:
            workspace_root: What relative paths are relative to; the only input when ``sources`` is empty.
            sources: The inputs, files or directories.
            output_dir: The output, an existing directory.
            temp_dir: A temp.
            toolchain: The name of a toolchain.
            outputs: Further outputs, existing directories.
            temps: Further temps.
            workspace_at: Where the workspace is shown inside; by default at its own path. What lies in the workspace is
                shown beneath it, everything else at its own path.
            whole_workspace: Whether no sources mean the whole workspace; otherwise they mean no input at all.

        Raises:
            InvalidPathError: A path cannot be used.
            OverlappingPathsError: A source lies inside the output or the temp, or these two overlap.
            TypeError: ``sources`` is one path instead of several.
        """
        if isinstance(sources, (str, bytes, os.PathLike)):
            raise TypeError(f"sources is a list of paths, not the path {sources!r}")
        root = normalize(workspace_root, what="workspace root")
        builder = _usual(toolchain)
        place = root if workspace_at is None else normalize(workspace_at, what="place of the workspace")
        for source in tuple(sources) or ((root,) if whole_workspace else ()):
            path = _under(root, source)
            builder.input(path, _shown(path, root, place))
        for output in (output_dir, *outputs):
            path = _under(root, output)
            builder.output(path, _shown(path, root, place))
        for temp in (temp_dir, *temps):
            builder.temp(_shown(_under(root, temp), root, place))
        return builder.build()

    @staticmethod
    def for_test(
        workspace_root: AnyPath, test_dir: AnyPath, temp_dir: AnyPath, toolchain: str = "system"
    ) -> SandboxSpec:
        """Return a spec for a test: it reads the workspace and its own directory, and writes to a temp.

        Args:
            workspace_root: An input, and what relative paths are relative to.
            test_dir: An input; it may lie outside the workspace.
            temp_dir: A temp.
            toolchain: The name of a toolchain.

        Raises:
            InvalidPathError: A path cannot be used.
            OverlappingPathsError: An input lies inside the temp.
        """
        root = normalize(workspace_root, what="workspace root")
        builder = _usual(toolchain).input(root).input(_under(root, test_dir))
        return builder.temp(_under(root, temp_dir)).build()


def _usual(toolchain: str) -> SandboxSpecBuilder:
    builder = SandboxSpecBuilder.create().carve().with_toolchain(toolchain)
    return builder.env_set(EnvSet.hermetic().without("HOME").without("TMPDIR")).default_home()


def _under(root: str, path: AnyPath) -> str:
    text = os.fsdecode(path)
    if not text or text[0] == "/":
        return normalize(text)
    return normalize(join(root, text))


def _shown(path: str, root: str, place: str) -> str:
    """Return where a path is shown inside, when the workspace ``root`` is shown at ``place``."""
    return rebased(path, root, place) if place != root and is_within(path, root) else path


def _check_hostname(name: str) -> None:
    labels = name.split(".")
    if len(name) > _LONGEST_HOSTNAME or not all(
        label and label.isascii() and label.replace("-", "").isalnum() and label[0] != "-" != label[-1]
        for label in labels
    ):
        raise SpecError(
            f"{name!r} is not a host name",
            code="spec.hostname-invalid",
            hint=f"use letters, digits, '-' and '.', at most {_LONGEST_HOSTNAME} characters",
        )
