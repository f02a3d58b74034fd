"""The Linux backend: from a spec to a plan, and from a plan and a command to a running sandbox."""

from __future__ import annotations

import errno
import os

from bldr.model.receipt import Guarantee
from bldr.model.value import replace
from bldr.sandbox.linux import guarantees, limits
from bldr.sandbox.linux.launcher import shared_launcher
from bldr.sandbox.linux.prepared import OverlayRefusedError, prepare, refused
from bldr.sandbox.linux.requests import encode_command, encode_request
from bldr.sandbox.linux.steps import MountOverlay
from bldr.sandbox.resolve import resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.errors import BldrError
    from bldr.model.limits import ResourceLimits
    from bldr.model.receipt import GuaranteeRecord
    from bldr.model.spec import SandboxSpec
    from bldr.sandbox.command import Command
    from bldr.sandbox.linux.gateway import Gateway
    from bldr.sandbox.linux.launcher import Groups, Launcher
    from bldr.sandbox.linux.plan import Plan
    from bldr.sandbox.linux.prepared import Prepared
    from bldr.sandbox.linux.running import Facts, LinuxSandbox
    from bldr.sandbox.resolved import ResolvedSpec

__all__ = ["NAME", "LinuxBackend"]

NAME = "linux-namespaces"
_WITHOUT_OVERLAYS = (errno.EINVAL, errno.ENODEV, errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EACCES, errno.EIO)
"""What a kernel or a file system without overlays for user namespaces says; anything else is a failure."""
_TRACED = {
    "network": ("traced: executions, connections and sockets that are bound, but no files (level network)",),
    "full": ("traced: files, executions, connections and sockets that are bound (level full)",),
}


class LinuxBackend:
    """A spec made ready: resolved, compiled and encoded once, started as often as wanted, from any thread.

    Args:
        spec: What is asked for.
        launcher: The fork server to use; the one of this process by default.
        layers: A host directory that keeps the layers of overlays; by default they go with the sandbox.
        resolved: What the spec was resolved to, where the caller has just done that; it is done here otherwise.

    Raises:
        SpecError: The spec does not fit this host's files.
        GuaranteeUnavailableError: It asks for something that nothing here enforces.
    """

    def __init__(
        self,
        spec: SandboxSpec,
        launcher: Launcher | None = None,
        layers: str = "",
        resolved: ResolvedSpec | None = None,
    ) -> None:
        self.launcher = launcher or shared_launcher()
        if limits.prefers_cgroup(spec):
            self.launcher.wants_groups = True
        guarantees.refuse_unavailable(spec, self._groups)
        self.spec = spec
        self.resolved: ResolvedSpec = resolved or resolve(spec)
        self._layers = layers
        self._prepared = prepare(self.resolved, layers=layers)
        self._env = tuple(os.fsencode(f"{name}={text}") for name, text in spec.environment.items())
        self._disks: list[str] = []
        self._receipts: dict[tuple[object, ...], tuple[GuaranteeRecord, ...]] = {}
        self._watched_limits = replace(spec.limits, processes=spec.process_ceiling)
        self._flags = (b"host-proc",) if Guarantee.PROCESSES_ISOLATED in spec.allow_degraded else ()

    def start(self, command: Command) -> LinuxSandbox:
        """Start a command.

        Raises:
            SandboxSetupError: A step failed.
            BackendUnavailableError: This host refuses what every sandbox needs.
            InvalidCommandError: The command or the directory is not there.
            TimeLimitError: The timeout passed before the command was started.
        """
        while True:
            try:
                return self._start(command)
            except OverlayRefusedError as refusal:
                # In this very place with these very file systems: nothing else says so for sure.
                copied = {**self._prepared.copied, refusal.at: refusal.reason}
                self._prepared = prepare(self.resolved, copied, layers=self._layers)

    def copy_overlays(self, reason: str) -> None:
        """Make private copies in place of overlays from now on.

        Args:
            reason: For the receipt.
        """
        copied = {entry.at: reason for entry in self.resolved.entries if entry.role == "overlay"}
        self._prepared = prepare(self.resolved, copied, layers=self._layers)

    @property
    def plan(self) -> Plan:
        """The steps that make a sandbox."""
        return self._prepared.plan

    def _start(self, command: Command) -> LinuxSandbox:
        prepared = self._prepared
        words = [os.fsencode(word) for word in command.argv]
        encoded = encode_command(os.fsencode(command.cwd), words, self._env)
        copies: dict[int, str] = {}
        if prepared.has_copies:
            self.launcher.ensure()
            copies = prepared.copy_ahead(self.launcher.base)
        flags = (*self._flags, b"terminal") if command.terminal else self._flags
        if prepared.is_left_to_the_launcher:
            flags = (*flags, b"temps")
        traced = command.trace != "off"
        if traced:
            flags = (*flags, b"trace-" + command.trace.encode())

        def payload(place: str) -> bytes:
            prepared.make(place, copies)
            return encode_request(
                uid=self.spec.uid,
                flags=flags,
                place=place,
                limits=self._group_limits(),
                plan=prepared.payload,
                command=encoded,
            )

        gateway = None
        try:
            gateway = self._new_gateway()
            status = self.launcher.start(command.streams, payload)
        except BaseException:
            if gateway is not None:
                gateway.close()
            raise
        finally:
            prepared.discard(copies)
        from bldr.sandbox.linux.running import LinuxSandbox

        sandbox = LinuxSandbox(
            status,
            command.argv,
            failure=lambda number, operation, code, text: _failure(
                prepared, (number, operation, code, text), command.cwd
            ),
            receipt=lambda facts: self._records(prepared, facts, command),
            notes=lambda facts: (*guarantees.notes(prepared.plan, facts), *_TRACED.get(command.trace, ())),
            backend=NAME,
            outputs=prepared.outputs if self.launcher.mode == "root" else None,
            traced=traced,
            gateway=gateway,
        )
        sandbox.await_start(command.until, command.meanwhile)
        return sandbox

    def _records(self, prepared: Prepared, facts: Facts, command: Command) -> tuple[GuaranteeRecord, ...]:
        """The rows of a receipt, which are the same for nearly all runs."""
        timeout, silence = command.until is not None, command.silence
        key = (prepared, timeout, silence, facts.decisive)
        rows = self._receipts.get(key)
        if rows is None:
            rows = guarantees.records(self.spec, prepared.plan, facts, timeout=timeout, silence=silence)
            self._receipts[key] = rows
        return rows

    def _new_gateway(self) -> Gateway | None:
        if self.spec.network.is_hermetic:
            return None
        from bldr.sandbox.linux.gateway import Gateway

        return Gateway(self.spec)

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
        return self._watched_limits


def _failure(prepared: Prepared, report: tuple[int, str, int, str], cwd: str) -> BldrError:
    number, operation, code, text = report
    if operation == "overlay" and 0 <= number < len(prepared.steps):
        step = prepared.steps[number]
        if isinstance(step, MountOverlay) and code in _WITHOUT_OVERLAYS:
            return refused(step, code, text)
    from bldr.sandbox.linux.failures import setup_failure

    return setup_failure(report, cwd=cwd, steps=prepared.steps)
