"""The backend for hosts without namespaces: Landlock, seccomp and a subreaper."""

from __future__ import annotations

import os

from bldr.errors import BackendUnavailableError, InvalidCommandError, SandboxSetupError
from bldr.model.paths import is_within
from bldr.model.spec import Access
from bldr.sandbox.linux.landlock import guarantees
from bldr.sandbox.linux.landlock.offer import FIRST_ABI, landlock_abi
from bldr.sandbox.linux.landlock.plan import compile_rules, moved_temps
from bldr.sandbox.linux.landlock.refusals import refuse_beyond
from bldr.sandbox.linux.landlock.steps import MakeTemp
from bldr.sandbox.linux.landlock.surroundings import look_around
from bldr.sandbox.linux.launcher import shared_landlock_launcher
from bldr.sandbox.linux.requests import encode_command, encode_plan, encode_request
from bldr.sandbox.linux.running import LinuxSandbox
from bldr.sandbox.refusals import lookup_failed
from bldr.sandbox.resolve import resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.errors import BldrError
    from bldr.model.limits import ResourceLimits
    from bldr.model.spec import SandboxSpec
    from bldr.sandbox.command import Command
    from bldr.sandbox.linux.launcher import Launcher
    from bldr.sandbox.linux.plan import Plan
    from bldr.sandbox.resolved import ResolvedSpec

__all__ = ["NAME", "LandlockBackend"]

NAME = "linux-landlock"
_CANARY_FILE = "canary"  # as in _bldr_launcher.landlock_steps
_STAGES_OF_THE_HOST = ("landlock", "confine", "seccomp", "drop")


class LandlockBackend:
    """A spec made ready to run on the host's own files; see `bldr.sandbox.linux.backend.LinuxBackend`.

    Args:
        spec: What is asked for.
        launcher: The fork server to use; the one of this process by default.

    Raises:
        BackendUnavailableError: This kernel's Landlock is too old, or the spec asks for what only namespaces can do.
        SpecError: The spec does not fit this host's files.
        GuaranteeUnavailableError: It asks for something that nothing here enforces.
    """

    def __init__(self, spec: SandboxSpec, launcher: Launcher | None = None) -> None:
        _refuse_old_kernel()
        guarantees.refuse_unavailable(spec)
        self.spec = spec
        self.launcher = launcher or shared_landlock_launcher()
        self.resolved: ResolvedSpec = resolve(spec)
        refuse_beyond(self.resolved)
        try:
            around = look_around(self.resolved)
        except OSError as error:
            raise lookup_failed(error) from error
        self.plan: Plan = compile_rules(self.resolved, around)
        self._wired = [step for step in self.plan.steps if step.encode()]
        self._payload = encode_plan(self.plan.requests())
        self._moved = moved_temps(self.resolved)
        self._own_temps = [step for step in self.plan.steps if isinstance(step, MakeTemp)]

    def start(self, command: Command) -> LinuxSandbox:
        """Start a command; see `bldr.sandbox.linux.backend.LinuxBackend.start` for arguments and errors."""
        if command.trace != "off":
            from bldr.sandbox.linux.failures import trace_unavailable

            raise trace_unavailable("without namespaces the one listener of a process decides on changes of attributes")
        self._refuse_hidden(command.cwd)
        flags = (b"terminal",) if command.terminal else ()
        made: list[str] = []
        temps: dict[str, str] = {}

        def payload(place: str) -> bytes:
            self._make_temps(place, made)
            temps.update({at: f"{place}/{index}" for index, at in enumerate(self._moved)})
            env = [os.fsencode(f"{name}={_moved(text, temps)}") for name, text in self.spec.environment.items()]
            words = [os.fsencode(word) for word in command.argv]
            encoded = encode_command(os.fsencode(_moved(command.cwd, temps)), words, env)
            return encode_request(uid=0, flags=flags, place=place, limits=(), plan=self._payload, command=encoded)

        status = self.launcher.start(command.streams, payload, temps=made)
        sandbox = LinuxSandbox(
            status,
            command.argv,
            failure=lambda number, operation, code, text: self._failure(number, operation, code, text, command.cwd),
            receipt=lambda facts: guarantees.records(
                self.spec, self.plan, facts, timeout=command.until is not None, silence=command.silence
            ),
            notes=lambda _facts: guarantees.notes(temps),
            backend=NAME,
        )
        sandbox.await_start(command.until, command.meanwhile)
        return sandbox

    def watched_limits(self) -> ResourceLimits:
        """The limits that have to be looked after while a command runs."""
        return self.spec.limits

    def _refuse_hidden(self, cwd: str) -> None:
        """chdir(2) goes everywhere; only what is declared, and what leads there, is a directory of the sandbox.

        Raises:
            InvalidCommandError: The working directory is neither.
        """
        sets = self.resolved.effective()
        if cwd == "/" or sets.access(cwd) != Access.NONE or self.spec.access(cwd) != Access.NONE:
            return
        if not any(is_within(entry.at, cwd) for entry in self.resolved.entries):
            raise InvalidCommandError(
                f"the working directory {cwd!r} is not in the sandbox: it was not declared",
                code="spec.cwd-invalid",
                hint="declare it, or choose another one with --cwd",
            )

    def _make_temps(self, place: str, made: list[str]) -> None:
        path = place
        try:
            os.mkdir(place, 0o700)  # the status removes it
            os.close(os.open(f"{place}/{_CANARY_FILE}", os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
            for index in range(len(self._moved)):
                os.mkdir(f"{place}/{index}", 0o700)
            for step in self._own_temps:
                path = step.at
                os.mkdir(path)
                made.append(path)
                os.chmod(path, step.mode)  # mkdir(2) is subject to the umask
        except OSError as error:
            raise SandboxSetupError(
                f"cannot make a directory for temps at {path!r}: {error.strerror}",
                step="make temps",
                errno=error.errno or 0,
                strerror=error.strerror or "",
                hint="free some space, or set TMPDIR to a directory on another disk",
            ) from error

    def _failure(self, number: int, operation: str, code: int, text: str, cwd: str) -> BldrError:
        from bldr.sandbox.linux.failures import setup_failure

        return setup_failure(
            (number, operation, code, text), cwd=cwd, steps=self._wired, stages_of_the_host=_STAGES_OF_THE_HOST
        )


def _moved(text: str, temps: dict[str, str]) -> str:
    """Return a path, or the value of a variable, with a temp that was moved replaced by its place."""
    for at, place in temps.items():
        if text == at or text.startswith(at + "/"):
            return place + text[len(at) :]
    return text


def _refuse_old_kernel() -> None:
    abi = landlock_abi()
    if abi < FIRST_ABI:
        what = f"has Landlock ABI {abi}" if abi else "has no Landlock that can be used"
        raise BackendUnavailableError(
            f"without namespaces Landlock ABI {FIRST_ABI} is needed, and this kernel {what}",
            capability="landlock",
            code="sandbox.no-landlock",
            hint="use Linux 6.2 or later with Landlock switched on, or make namespaces possible: bldr doctor",
        )
