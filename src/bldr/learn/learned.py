"""What was learned: a spec, the command that it is for, and what is to be said about both."""

from __future__ import annotations

from bldr.learn.files import Files
from bldr.model.environment import EnvSet
from bldr.model.limits import ResourceLimits
from bldr.model.network import NetworkPolicy
from bldr.model.paths import is_within
from bldr.model.spec import Access, SandboxSpecBuilder
from bldr.model.value import replace, value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from bldr.learn.variables import Variable
    from bldr.model.spec import SandboxSpec

__all__ = ["Learned"]


@value
class Learned:
    """A command and what suffices for it; :func:`bldr.learn_spec` makes it.

    Args:
        argv: The command.
        cwd: Where it runs: the caller's directory.
        files: The paths.
        variables: What is set, beside what every sandbox sets.
        hosts: What may be reached, as ``--allow-host`` takes it.
        limits: Those that were asked for.
        limit_options: The same as options.
        proven: Whether the command was seen to succeed in a sandbox of exactly this.
    """

    argv: tuple[str, ...]
    cwd: str
    files: Files = Files()
    variables: tuple[Variable, ...] = ()
    hosts: tuple[str, ...] = ()
    limits: ResourceLimits = ResourceLimits()
    limit_options: tuple[str, ...] = ()
    proven: bool = False

    def spec(self, *, elsewhere: Mapping[str, str] | None = None) -> SandboxSpec:
        """Return the spec.

        Args:
            elsewhere: Of an output, the directory of the host that shall receive what is written there; an empty one
                means a private layer over what is there.

        Raises:
            SpecError: It contradicts itself.
        """
        places = elsewhere or {}
        builder = SandboxSpecBuilder.create().carve().with_toolchain(self.files.toolchain)
        for path in self.files.inputs:
            builder.input(path)
        for path in self.files.overlays:
            builder.overlay(path)
        for path in self.files.outputs:
            if places.get(path, path):
                builder.output(places.get(path, path), path)
            else:
                builder.overlay(path)
        for path in self.files.temps:
            builder.temp(path)
        builder.default_home().env_set(EnvSet.hermetic().without("HOME").without("TMPDIR"))
        for one in self.variables:
            builder.env(one.name, one.content)
        if self.hosts:
            builder.with_network(NetworkPolicy.allow_hosts(self.hosts))
        return builder.with_limits(ResourceLimits.hermetic().merge(self.limits)).build()

    def text(self, form: str = "command-line") -> str:
        """Return it as ``command-line``, as a program in ``python`` or as a target of a ``builderfile``.

        Raises:
            LearnError: It cannot be said in that way.
            KeyError: There is no such form.
        """
        from bldr.learn.spelling import FORMATS

        return FORMATS[form](self)

    @property
    def shows_cwd(self) -> bool:
        """Whether the directory of the command is visible without being asked for."""
        files = self.files
        declared = (*files.inputs, *files.outputs, *files.overlays)
        return any(is_within(self.cwd, one) for one in declared)

    @property
    def reaches_cwd(self) -> bool:
        """Whether its directory is there at all: declared, or on the way to what is."""
        spec = self.spec()
        return (
            self.cwd == "/"
            or spec.access(self.cwd) != Access.NONE
            or any(is_within(declaration.at, self.cwd) for declaration in spec.declarations)
        )

    @property
    def directory(self) -> str:
        """Where the command starts in the sandbox."""
        return self.cwd if self.shows_cwd or self.reaches_cwd else "/"

    def with_files(self, **changes: object) -> Learned:
        """Return the same with other paths."""
        return replace(self, files=replace(self.files, **changes))
