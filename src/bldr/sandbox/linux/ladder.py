"""The rungs of Linux: namespaces, and where this host refuses them Landlock, if the caller accepts what is weaker."""

from __future__ import annotations

from bldr.errors import BackendUnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.model.limits import ResourceLimits
    from bldr.model.spec import SandboxSpec
    from bldr.sandbox.command import Command
    from bldr.sandbox.linux.backend import LinuxBackend
    from bldr.sandbox.linux.landlock.backend import LandlockBackend
    from bldr.sandbox.linux.launcher import Launcher
    from bldr.sandbox.linux.plan import Plan
    from bldr.sandbox.linux.running import LinuxSandbox

__all__ = ["Ladder", "accepts_landlock"]


def accepts_landlock(spec: SandboxSpec) -> bool:
    """Say whether a spec names every guarantee that is weaker without namespaces on this kernel."""
    from bldr.sandbox.linux.landlock.offer import landlock_abi, weaker_guarantees

    return spec.allow_degraded.issuperset(weaker_guarantees(landlock_abi()))


class Ladder:
    """A backend that begins with namespaces, and stays without them once this host has refused them.

    Args:
        upper: The backend with namespaces.
    """

    def __init__(self, upper: LinuxBackend) -> None:
        self._upper = upper
        self._lower: LandlockBackend | None = None

    @property
    def spec(self) -> SandboxSpec:
        """The spec."""
        return self._upper.spec

    @property
    def launcher(self) -> Launcher:
        """The launcher of sandboxes with namespaces."""
        return self._upper.launcher

    @property
    def plan(self) -> Plan:
        """The plan of the rung that this host has; a launcher is started to find out."""
        if self._lower is None:
            try:
                self._upper.launcher.ensure()
            except BackendUnavailableError as error:
                self._lower = self._descend(error)
        return self._upper.plan if self._lower is None else self._lower.plan

    def start(self, command: Command) -> LinuxSandbox:
        """Start a command; see `bldr.sandbox.linux.backend.LinuxBackend.start` for arguments and errors."""
        if self._lower is None:
            try:
                return self._upper.start(command)
            except BackendUnavailableError as error:
                self._lower = self._descend(error)
        return self._lower.start(command)

    def watched_limits(self) -> ResourceLimits:
        """The limits that have to be looked after while a command runs."""
        return (self._lower or self._upper).watched_limits()

    def _descend(self, refusal: BackendUnavailableError) -> LandlockBackend:
        """Make the backend without namespaces.

        Raises:
            BackendUnavailableError: It cannot serve this spec either; the refusal of namespaces is told as well.
        """
        from bldr.sandbox.linux.landlock.backend import LandlockBackend

        try:
            return LandlockBackend(self.spec, self._upper.launcher.without_namespaces())
        except BackendUnavailableError as error:
            raise BackendUnavailableError(
                f"{error.message}; there are no namespaces here: {refusal.message}",
                capability=error.capability,
                code=error.code,
                hint=f"{error.hint}; or {refusal.hint}" if refusal.hint else error.hint,
            ) from error
