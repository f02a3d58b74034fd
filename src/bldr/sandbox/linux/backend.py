"""The Linux backend: from a spec to a plan, and from a plan and a command to a running sandbox."""

from __future__ import annotations

import os

from bldr.errors import SandboxSetupError
from bldr.model.receipt import Guarantee
from bldr.model.value import replace
from bldr.sandbox.linux import guarantees
from bldr.sandbox.linux.launcher import shared_launcher
from bldr.sandbox.linux.plan import compile as compile_plan
from bldr.sandbox.linux.requests import encode_command, encode_plan, encode_request
from bldr.sandbox.linux.running import LinuxSandbox
from bldr.sandbox.linux.steps import Bind, MountScratch
from bldr.sandbox.resolve import resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.errors import BldrError
    from bldr.model.limits import ResourceLimits
    from bldr.model.spec import SandboxSpec
    from bldr.sandbox.linux.launcher import Groups, Launcher
    from bldr.sandbox.linux.plan import Plan
    from bldr.sandbox.protocol import Streams
    from bldr.sandbox.resolved import ResolvedSpec

__all__ = ["NAME", "LinuxBackend"]

NAME = "linux-namespaces"


class LinuxBackend:
    """A spec made ready: resolved, compiled and encoded once, started as often as wanted, from any thread.

    Args:
        spec: What is asked for.
        launcher: The fork server to use; the one of this process by default.

    Raises:
        SpecError: The spec does not fit this host's files.
        GuaranteeUnavailableError: It asks for something that nothing here enforces.
    """

    def __init__(self, spec: SandboxSpec, launcher: Launcher | None = None) -> None:
        self.launcher = launcher or shared_launcher()
        guarantees.refuse_unavailable(spec, self._groups)
        self.spec = spec
        self.resolved: ResolvedSpec = resolve(spec)
        self.plan: Plan = compile_plan(self.resolved)
        wired = [(step, step.encode()) for step in self.plan.steps]
        self._wired = [step for step, fields in wired if fields]
        self._payload = encode_plan([fields for _, fields in wired if fields])
        self._temps = [step for step in self._wired if isinstance(step, MountScratch)]
        self._outputs = {
            number: step.source for number, step in enumerate(self._wired) if isinstance(step, Bind) and step.writable
        }
        self._env = tuple(os.fsencode(f"{name}={text}") for name, text in spec.environment.items())
        self._disks: list[str] = []
        self._flags = (b"host-proc",) if Guarantee.PROCESSES_ISOLATED in spec.allow_degraded else ()

    def start(
        self,
        argv: tuple[str, ...],
        cwd: str,
        streams: Streams,
        *,
        terminal: bool,
        until: float | None,
        silence: bool,
    ) -> LinuxSandbox:
        """Start a command.

        Args:
            argv: The command; the first word is looked up in the sandbox's own PATH and files.
            cwd: Inside directory.
            streams: Its standard streams.
            terminal: Give it a terminal of its own instead of the streams.
            until: Monotonic time when the wall-clock timeout passes, which the caller enforces from the start on.
            silence: Whether silence will end the command; for the receipt.

        Raises:
            SandboxSetupError: A step failed.
            BackendUnavailableError: This host refuses what every sandbox needs.
            InvalidCommandError: The command or the directory is not there.
            TimeLimitError: The timeout passed before the command was started.
        """
        command = encode_command(os.fsencode(cwd), [os.fsencode(word) for word in argv], self._env)
        flags = (*self._flags, b"terminal") if terminal else self._flags

        def payload(place: str) -> bytes:
            self._make_temps(place)
            return encode_request(
                uid=self.spec.uid,
                flags=flags,
                place=place,
                limits=self._group_limits(),
                plan=self._payload,
                command=command,
            )

        status = self.launcher.start((streams.stdin, streams.stdout, streams.stderr), payload)
        sandbox = LinuxSandbox(
            status,
            argv,
            failure=lambda number, operation, code, text: self._failure(number, operation, code, text, cwd),
            receipt=lambda facts: guarantees.records(
                self.spec, self.plan, facts, timeout=until is not None, silence=silence
            ),
            notes=lambda facts: guarantees.notes(self.plan, facts),
            backend=NAME,
            outputs=self._outputs if self.launcher.mode == "root" else None,
        )
        sandbox.await_start(until)
        return sandbox

    def _groups(self) -> Groups:
        self.launcher.ensure()
        return self.launcher.groups

    def _group_limits(self) -> list[tuple[bytes, bytes, bytes]]:
        """What the sandbox's cgroup is to enforce, where it gets one."""
        groups = self.launcher.groups
        if not groups.path:
            return []
        from bldr.sandbox.linux import cgroup

        if self.spec.limits.disk_rate is not None and not self._disks:
            self._disks = cgroup.disks_of([one.host for one in self.spec.declarations if one.host])
        return [
            one for one in cgroup.settings(self.spec, self._disks) if cgroup.controller(one[0]) in groups.controllers
        ]

    def watched_limits(self) -> ResourceLimits:
        """The limits that have to be looked after while a command runs."""
        return replace(self.spec.limits, processes=self.spec.process_ceiling)

    def _make_temps(self, place: str) -> None:
        if not self._temps:
            return
        try:
            os.mkdir(place, 0o700)  # the status removes it
            for temp in self._temps:
                path = f"{place}/{temp.index}"
                os.mkdir(path)
                os.chmod(path, temp.mode)  # mkdir(2) is subject to the umask
        except OSError as error:
            raise SandboxSetupError(
                f"cannot make a directory for temps: {error.strerror}",
                step=self._temps[0].describe(),
                errno=error.errno or 0,
                strerror=error.strerror or "",
                hint="free some space, or set TMPDIR to a directory on another disk",
            ) from error

    def _failure(self, number: int, operation: str, code: int, text: str, cwd: str) -> BldrError:
        from bldr.sandbox.linux.failures import setup_failure

        return setup_failure((number, operation, code, text), cwd=cwd, steps=self._wired)
