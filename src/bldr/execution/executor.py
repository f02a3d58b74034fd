"""Run commands hermetically: the public face of specs, plans and sandboxes."""

from __future__ import annotations

import os
import time

from bldr.errors import BldrError, InvalidCommandError, SandboxError, TimeLimitError
from bldr.execution.streams import DEFAULT_CAPTURE_LIMIT, Plumbing
from bldr.model.limits import parse_duration
from bldr.model.paths import normalize
from bldr.sandbox.command import Command
from bldr.sandbox.select import backend_for, lower_backend_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypedDict, Unpack

    from bldr.audit.log import AuditLog
    from bldr.execution.session import Sandbox
    from bldr.execution.streams import Sink, Source
    from bldr.model.limits import Duration, ResourceLimits
    from bldr.model.result import Denial, ExecutionResult
    from bldr.model.spec import SandboxSpec
    from bldr.model.trace import Trace
    from bldr.sandbox.linux.launcher import Launcher
    from bldr.sandbox.linux.plan import Plan
    from bldr.sandbox.protocol import Backend, Recording

    class Options(TypedDict, total=False):
        """What ``execute`` passes on to ``start``; a test compares the two."""

        timeout: Duration | None
        silence: Duration | None
        grace: Duration
        limits: ResourceLimits | None
        stdin: Source
        stdout: Sink
        stderr: Sink
        capture_limit: int | None
        list_outputs: bool
        timeline: bool
        trace: str


__all__ = ["HermeticExecutor"]

_GRACE = 2.0  # seconds between SIGTERM and SIGKILL; as long as most programs need to remove their temporary files


class HermeticExecutor:
    r"""Runs commands in sandboxes of one spec, from any thread and as many at a time as wanted.

    Example:
        >>> from bldr import HermeticExecutor, SandboxSpecBuilder
        >>> spec = SandboxSpecBuilder.create().with_toolchain("system").build()
        >>> HermeticExecutor.create(spec).execute(["echo", "hello"]).stdout
        b'hello\n'
    """

    def __init__(self, backend: Backend, audit: AuditLog | None = None) -> None:
        self._backend = backend
        self._audit = audit

    @staticmethod
    def create(
        spec: SandboxSpec, *, launcher: Launcher | None = None, audit: AuditLog | None = None
    ) -> HermeticExecutor:
        """Look at the host once and make a plan.

        Args:
            spec: What commands may see and do.
            launcher: The fork server to use; the one of this process by default.
            audit: Where each violation and denial of an execution is written, and why one was not started.

        Raises:
            AuditError: The audit log cannot be written.
            SpecError: The spec does not fit this host's files.
            GuaranteeUnavailableError: It asks for something that nothing here enforces.
            BackendUnavailableError: Nothing here can confine commands on this platform.
        """
        if audit is None:
            return HermeticExecutor(backend_for(spec, launcher))
        audit.prepare()
        try:
            return HermeticExecutor(backend_for(spec, launcher), audit)
        except BldrError as error:
            audit.record_refusal(error)
            raise

    @staticmethod
    def platform() -> str:
        """Return the backend that would be used here.

        It is ``linux-namespaces``, or ``linux-landlock`` where there are no namespaces and weaker guarantees have to be
        accepted by name, or ``fallback`` when nothing confines.
        """
        if HermeticExecutor.is_supported():
            return "linux-namespaces"
        from bldr.model.spec import SandboxSpec

        try:
            backend = lower_backend_for(SandboxSpec())
        except BldrError:
            return "fallback"
        return "linux-landlock" if _sets_up(backend) else "fallback"

    @staticmethod
    def is_supported() -> bool:
        """Whether commands can be run hermetically here: a sandbox is made and thrown away again."""
        from bldr.model.spec import SandboxSpec

        try:
            backend = backend_for(SandboxSpec())
        except BldrError:
            return False
        return _sets_up(backend)

    @property
    def spec(self) -> SandboxSpec:
        """The spec."""
        return self._backend.spec

    def plan(self) -> Plan:
        """Return the steps that make each sandbox."""
        return self._backend.plan

    def execute(
        self,
        argv: Sequence[str | os.PathLike[str]],
        cwd: str | os.PathLike[str] | None = None,
        **options: Unpack[Options],
    ) -> ExecutionResult:
        """Run a command and wait for its end.

        Args:
            argv: The command; without a slash it is looked up in the sandbox's PATH.
            cwd: Inside directory; ``/`` by default.
            options: How it is run: what :meth:`start` takes, but for ``pty``.

        Raises:
            InvalidCommandError: The command, the directory or a stream cannot be used. Nothing ran.
            SandboxError: The sandbox could not be made. Nothing ran.
            SandboxLostError: The sandbox was ended from outside.
            TimeLimitError: The timeout passed before the command was started. Later it is in the result.
            AuditError: The command has ended, and its violations could not be written; ``result`` is set.

        A KeyboardInterrupt is passed on to the command as SIGINT; it is raised when the command has ended, or has been
        killed after the grace.
        """
        with self.start(argv, cwd, **options) as session:
            try:
                return session.wait()
            except KeyboardInterrupt:
                session.signal(2)  # SIGINT
                grace = parse_duration(options.get("grace", _GRACE), what="grace", allow_zero=True)
                try:
                    session.wait(timeout=grace)
                except (TimeoutError, SandboxError):
                    pass  # leaving the context kills it
                raise

    async def execute_async(
        self,
        argv: Sequence[str | os.PathLike[str]],
        cwd: str | os.PathLike[str] | None = None,
        **options: Unpack[Options],
    ) -> ExecutionResult:
        """Run a command without blocking the event loop; see :meth:`execute`. Cancelling the task kills the command."""
        from bldr.execution.background import run_in_background

        return await run_in_background(lambda: self.start(argv, cwd, **options))

    def start(
        self,
        argv: Sequence[str | os.PathLike[str]],
        cwd: str | os.PathLike[str] | None = None,
        *,
        timeout: Duration | None = None,
        silence: Duration | None = None,
        grace: Duration = _GRACE,
        limits: ResourceLimits | None = None,
        stdin: Source = None,
        stdout: Sink = "capture",
        stderr: Sink = "capture",
        capture_limit: int | None = DEFAULT_CAPTURE_LIMIT,
        pty: bool = False,
        list_outputs: bool = True,
        timeline: bool = False,
        trace: str = "off",
    ) -> Sandbox:
        """Start a command and return the session; see :meth:`execute` for the errors.

        Args:
            argv: The command; without a slash it is looked up in the sandbox's PATH.
            cwd: Inside directory; ``/`` by default.
            timeout: Wall-clock seconds from this call until SIGTERM; the making of the sandbox is included.
            silence: Seconds without any output of captured streams until SIGTERM.
            grace: Seconds from SIGTERM to the kill of everything inside.
            limits: Limits for this execution in place of the spec's.
            stdin: ``None`` for ``/dev/null``, bytes, a descriptor, a file, ``"inherit"`` or ``"pipe"``.
            stdout: ``"capture"``, ``"inherit"``, ``"relay"``, ``"discard"``, ``"pipe"``, a descriptor or a file. A
                relay reaches the caller's own stream as ``"inherit"`` does, but through this process.
            stderr: As ``stdout``, or ``"stdout"`` for the same place.
            capture_limit: Bytes that are kept of each captured stream, half from its head and half from its tail;
                ``None`` keeps everything.
            pty: Give the command a terminal of its own; ``Sandbox.pty_fd`` is the other side, and the streams are not
                used.
            list_outputs: Whether the result names the files in O.
            timeline: Whether the result tells what the command used over time, sampled ten times a second.
            trace: What the result tells of what the command did: nothing (``off``), programs and connections
                (``network``), or files as well (``full``). See docs/trace.md for what each costs.
        """
        words = _checked_argv(argv)
        if trace != "off":
            from bldr.model.trace import TraceLevel

            TraceLevel.checked(trace)
        directory = "/" if cwd is None else normalize(cwd, what="cwd")
        seconds = None if timeout is None else parse_duration(timeout, what="timeout")
        until = None if seconds is None else time.monotonic() + seconds
        quiet = None if silence is None else parse_duration(silence, what="silence")
        patience = parse_duration(grace, what="grace", allow_zero=True)
        backend = self._backend if limits is None else self._limited(limits)
        if pty:
            stdin, stdout, stderr = None, "discard", "discard"
        plumbing = Plumbing(stdin, stdout, stderr, capture_limit)
        running = None
        try:
            running = backend.start(
                Command(
                    words,
                    directory,
                    plumbing.streams,
                    terminal=pty,
                    until=until,
                    silence=quiet is not None,
                    trace=trace,
                    meanwhile=_load_session,
                )
            )
            from bldr.execution.session import Sandbox

            plumbing.handed_over()
            return Sandbox(
                running,
                plumbing,
                words,
                timeout=seconds,
                deadline=until,
                silence=quiet,
                grace=patience,
                limits=backend.watched_limits(),
                timeline=timeline,
                backend=running.backend,
                outputs=self._list_outputs if list_outputs else tuple,
                audit=self._audit,
                interpret=None if trace == "off" else lambda recording: self._interpret(recording, trace),
            )
        except BaseException as error:  # Ctrl-C too: nothing may run that nobody holds
            if running is not None:
                running.close()
            plumbing.close()
            if self._audit is not None and isinstance(error, TimeLimitError):
                self._audit.record_late_start(words, seconds)
            elif self._audit is not None and isinstance(error, BldrError):
                self._audit.record_refusal(error, words)
            raise

    def _interpret(self, recording: Recording, level: str) -> tuple[Trace, tuple[Denial, ...], tuple[str, ...]]:
        from bldr.trace.decode import decode
        from bldr.trace.denials import denials
        from bldr.trace.unused import unused_inputs

        trace = decode(recording, level=level, isolated=self.spec.network.is_hermetic)
        return trace, denials(trace, self.spec), unused_inputs(trace, self.spec)

    def _limited(self, limits: ResourceLimits) -> Backend:
        from bldr.model.value import replace

        return backend_for(replace(self.spec, limits=self.spec.limits.merge(limits)), self._backend.launcher)

    def _list_outputs(self) -> tuple[str, ...]:
        """Return the host paths of everything but directories in O, sorted; links are not followed."""
        found: list[str] = []
        for declaration in self.spec.declarations:
            if declaration.role == "output":
                for directory, names, files in os.walk(declaration.host):
                    links = [name for name in names if os.path.islink(os.path.join(directory, name))]
                    found += [os.path.join(directory, name) for name in (*files, *links)]
        return tuple(sorted(found))


def _load_session() -> None:
    """Load what is needed from the start of a command on, the first time."""
    from bldr.execution import loop as _loop  # noqa: F401
    from bldr.execution import session as _session  # noqa: F401


def _sets_up(backend: Backend) -> bool:
    """Say whether a sandbox can be made: everything is set up, and then "/" is no program."""
    try:
        HermeticExecutor(backend).execute(["/"])
    except InvalidCommandError:
        return True
    except BldrError:
        return False
    return False


def _checked_argv(argv: Sequence[str | os.PathLike[str]]) -> tuple[str, ...]:
    if isinstance(argv, (str, bytes)):
        raise InvalidCommandError(
            f"the command {argv!r} is one text", hint="give a list of words: ['cc', '-c', 'main.c']"
        )
    words = tuple(os.fsdecode(word) for word in argv)
    if not words or not words[0]:
        raise InvalidCommandError("the command is empty", code="spec.command-empty", hint="name a program to run")
    for word in words:
        if "\0" in word:
            raise InvalidCommandError(
                f"the argument {word!r} holds a NUL byte, which no argument can",
                code="spec.command-nul",
                hint="pass such bytes through a file or standard input",
            )
    return words
