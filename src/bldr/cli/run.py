"""``bldr run``: one command, hermetically."""

from __future__ import annotations

import _signal
import os
from itertools import count

from bldr.cli.options import UsageError, parse
from bldr.cli.verbs_of_runs import RUN
from bldr.errors import AuditError, BldrError, InvalidCommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType
    from typing import Protocol, Self

    from bldr.audit.log import AuditLog
    from bldr.cli.options import Parsed
    from bldr.cli.pictures import Pictures
    from bldr.cli.request import Request
    from bldr.cli.settings import Settings
    from bldr.execution.session import Sandbox
    from bldr.model.result import ExecutionResult
    from bldr.report.terminal import Progress
    from bldr.sandbox.linux.launcher import Launcher

    class Interruptible(Protocol):
        """What a signal needs of a started execution."""

        def signal(self, signum: int) -> None: ...
        def kill(self) -> None: ...


__all__ = ["Interrupts", "audit_log", "main", "noting_refusals", "waited"]

_STDIN, _STDOUT, _STDERR = 0, 1, 2
_KEPT_MESSAGES = 65536  # bytes of the end of what a command prints
_ENDED_BY_CALLER = (_signal.SIGINT, _signal.SIGTERM)


def main(arguments: Sequence[str], *, begun: tuple[int, int] | None = None) -> int:
    """``bldr run``; returns the status of the command.

    Args:
        arguments: What follows the verb.
        begun: Its launcher, where that was forked ahead: number, and descriptor of the socket to it.
    """
    parsed = parse(RUN, arguments)
    if not parsed.rest:
        raise UsageError("run needs a command", hint="bldr run -- make")
    if not (parsed.given("report") or parsed.given("profile")):
        return _run_into_file(parsed, None, begun)
    from bldr.cli.pictures import Pictures

    with Pictures(parsed) as pictures:
        return _run_into_file(parsed, pictures, begun)


def _run_into_file(parsed: Parsed, pictures: Pictures | None, begun: tuple[int, int] | None) -> int:
    json_file = parsed.last("json")
    if json_file is None:
        return _run(parsed, pictures, begun)[1]
    from bldr.cli.resultfile import ResultFile

    with ResultFile(json_file) as file:
        try:
            result, status = _run(parsed, pictures, begun)
        except BldrError as error:
            file.write_error(error)
            raise
        file.write(result.to_dict())
    return status


def _run(parsed: Parsed, pictures: Pictures | None, begun: tuple[int, int] | None) -> tuple[ExecutionResult, int]:
    from bldr.sandbox.select import begin_single

    launcher = begin_single(begun)  # first of all: the sandbox is made while the rest is imported
    from bldr.cli.request import caller_directory, request
    from bldr.cli.settings import load

    directory = caller_directory()
    settings = load(os.environ, directory)
    if settings.notes and not parsed.given("quiet"):
        from bldr.cli.messages import say

        for note in settings.notes:
            say(note)
    with noting_refusals(parsed, settings):
        asked = request(parsed, settings, directory, os.environ)
    if parsed.given("fetch"):
        from bldr.cli.fetch import obtain_all

        obtain_all(parsed, os.environ)
    is_cached = settings.hermetic and parsed.given("cache")
    if is_cached and trace_level(parsed) != "off":
        from bldr.cli.messages import say

        say("not cached: what a command does is only seen when it runs")
        is_cached = False
    heard: list[bytes] = []

    def run_hermetic() -> ExecutionResult:
        try:
            return _hermetic(parsed, asked, launcher, pictures, settings, heard)
        except InvalidCommandError as error:
            if error.code == "spec.command-not-found":
                from bldr.cli.explain import name_program

                name_program(error, parsed.rest[0], asked, directory)
            raise

    if is_cached:
        from bldr.cli.cached import run_cached

        result = run_cached(parsed, asked, launcher, pictures, audit_log(parsed, settings), run_hermetic)
    elif settings.hermetic:
        result = run_hermetic()
    else:
        result = _unconfined(parsed, asked, settings)
        if pictures is not None:
            pictures.draw(result)
    _report(parsed, asked, result)
    if heard and _needs_explanation(result):
        from bldr.cli.explain import explain_failure

        explain_failure(result, asked, directory, heard[0], _second_run(parsed, asked), quiet=parsed.given("quiet"))
    return result, result.exit_code


def _hermetic(
    parsed: Parsed,
    asked: Request,
    launcher: Launcher | None,
    pictures: Pictures | None,
    settings: Settings,
    heard: list[bytes],
) -> ExecutionResult:
    """Run the command; where somebody will ask why it failed, ``heard`` gets the end of its messages."""
    from bldr.execution.executor import HermeticExecutor

    progress = _progress(parsed)
    asks_why = parsed.last("trace") != "off"
    listens = asks_why and not parsed.given("quiet") and parsed.last("progress") != "none"
    stdout, stderr = ("inherit", "inherit") if progress is None else (progress.stdout, "relay")
    if progress is None and listens:
        stdout, stderr = ("relay" if _is_one_stream() else stdout), "relay"
    if asked.silence is not None:
        stdout = stderr = "relay"  # else nobody hears it
    try:
        with Interrupts() as interrupts:
            executor = HermeticExecutor.create(asked.spec, launcher=launcher, audit=audit_log(parsed, settings))
            session = executor.start(
                parsed.rest,
                cwd=asked.cwd,
                timeout=asked.timeout,
                silence=asked.silence,
                stdin=standard_input(),
                stdout=stdout,
                stderr=stderr,
                list_outputs=parsed.given("json") or pictures is not None,
                timeline=pictures is not None or progress is not None,
                trace=trace_level(parsed),
            )
            with session:
                session.keep_output(_KEPT_MESSAGES if listens else 0)
                session.wake_by(interrupts.fd)
                interrupts.reach(session)
                if session.has_terminals:
                    interrupts.on_resize(session.follow_size)
                if progress is not None:
                    progress.watch(session, asked.spec.limits.memory)
                result = waited(session)
    finally:
        if progress is not None:
            progress.close()
    if pictures is not None:
        pictures.draw(result, asked, [step.describe() for step in executor.plan().steps])
    if asks_why:
        heard.append(session.kept_output)
    return result


def audit_log(parsed: Parsed, settings: Settings) -> AuditLog | None:
    """The audit log that an option or a setting names."""
    path = parsed.last("audit-log") or settings.audit_log
    if not path:
        return None
    from bldr.audit.log import AuditLog

    return AuditLog(path)


class noting_refusals:  # noqa: N801  as a function that makes a context
    """Write into the audit log why there is no spec, and so no sandbox."""

    def __init__(self, parsed: Parsed, settings: Settings) -> None:
        self._parsed = parsed
        self._settings = settings

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: object, _traceback: object) -> None:
        log = audit_log(self._parsed, self._settings) if isinstance(error, BldrError) else None
        if log is not None and isinstance(error, BldrError):
            log.record_refusal(error, tuple(self._parsed.rest))


def waited(session: Sandbox) -> ExecutionResult:
    """The result, also where the audit log could not take its events: the command has run, and its status counts."""
    try:
        return session.wait()
    except AuditError as error:
        from bldr.cli.messages import complain

        complain(error)
        return session.wait()


def trace_level(parsed: Parsed) -> str:
    level = parsed.last("trace") or "auto"
    if level not in ("auto", "off", "network", "full"):
        raise UsageError(f"--trace {level}: there is no such level", hint="off, network, full or auto")
    return "off" if level == "auto" else level


def _is_one_stream() -> bool:
    """Whether both streams of the caller lead to the same place, so that they have to keep their order."""
    try:
        return os.path.samestat(os.fstat(_STDOUT), os.fstat(_STDERR))
    except OSError:
        return False


def _needs_explanation(result: ExecutionResult) -> bool:
    """Whether a command failed by itself, and not because its caller ended it."""
    by_caller = result.termination == "signaled" and result.signal in _ENDED_BY_CALLER
    return result.exit_code != 0 and result.termination != "cancelled" and not by_caller


def _second_run(parsed: Parsed, asked: Request) -> Callable[[], ExecutionResult] | None:
    if not parsed.given("explain-on-failure"):
        return None

    def run_again() -> ExecutionResult:
        from bldr.cli.messages import say
        from bldr.execution.executor import HermeticExecutor

        say("it failed; running it once more, traced, to find out why")
        return HermeticExecutor.create(asked.spec).execute(
            parsed.rest, cwd=asked.cwd, timeout=asked.timeout, stdout="discard", trace="full"
        )

    return run_again


def _progress(parsed: Parsed) -> Progress | None:
    mode = parsed.last("progress") or ""
    if mode not in ("", "plain", "rich", "none"):
        raise UsageError(f"--progress {mode}: there is no such way to show it", hint="plain, rich or none")
    quiet = parsed.given("quiet")
    if mode == "none" or (not mode and (quiet or not os.isatty(_STDERR))):
        return None
    from bldr.report.terminal import chosen

    return chosen(mode, quiet=quiet)


def _unconfined(parsed: Parsed, asked: Request, settings: Settings) -> ExecutionResult:
    from bldr.cli.unconfined import run_unconfined

    return run_unconfined(parsed, asked, settings)


def standard_input() -> int | None:
    """The caller's standard input, unless it is a terminal.

    A command in a session of its own that reads a terminal of another session gets an error or is stopped; it gets
    ``/dev/null`` instead, and ``bldr shell`` is there for programs that want a terminal.
    """
    return None if os.isatty(_STDIN) else _STDIN


def _report(parsed: Parsed, asked: Request, result: ExecutionResult) -> None:
    if not (result.violations or result.exit_code or parsed.given("verbose")):
        return
    from bldr.cli.messages import say
    from bldr.cli.request import undeclared_directory

    for violation in result.violations:
        say(violation.message)
    if (result.hosts or result.denials) and result.exit_code and not parsed.given("quiet"):
        from bldr.cli.network import network_lines

        for line in network_lines(result):
            say(line)
    if result.exit_code and not parsed.given("quiet") and (directory := undeclared_directory(parsed, asked)):
        say(f"the command ran in '/', because its directory {directory!r} is not declared")
        say(f"hint: --cwd {directory}, or declare it: -i .")
    if parsed.given("verbose"):
        from bldr.cli.receipt import show

        show(result)


class Interrupts:
    """Forwards the first SIGINT, SIGTERM or SIGHUP to the command; the second one kills everything.

    A terminal sends Ctrl-C to its foreground group, to which the command does not belong, so it is forwarded exactly
    once. A signal that was ignored when bldr started (``nohup``, a shell's background job) stays ignored.

    CPython runs handlers between two of its instructions only. A signal that came to another thread, or just before a
    wait, does not end that wait; ``fd``, which it makes readable, does.
    """

    def __init__(self) -> None:
        self._signals = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP)  # not in the class: Windows has no SIGHUP
        self._session: Interruptible | None = None
        self._count = count()
        self._first = 0
        self._passed_on = False
        self._before: list[tuple[int, object]] = []
        self._wakes_before = -1
        self.fd, self._wakes = -1, -1  # what a signal makes readable, and its other end

    def __enter__(self) -> Self:
        self.fd, self._wakes = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._wakes, False)
        self._wakes_before = _signal.set_wakeup_fd(self._wakes, warn_on_full_buffer=False)
        for signum in self._signals:
            before = _signal.getsignal(signum)
            if before != _signal.SIG_IGN:
                self._before.append((signum, before))
                _signal.signal(signum, self._arrived)
        return self

    def __exit__(self, *_error: object) -> None:
        """Put the handlers back; once a signal has come, one more must not interrupt the cleaning up."""
        if next(self._count):
            self._ignore()
        else:
            for signum, before in self._before:
                _signal.signal(signum, before)  # type: ignore[arg-type]  # it came from getsignal
        self._before.clear()
        _signal.set_wakeup_fd(self._wakes_before)
        os.close(self._wakes)
        os.close(self.fd)

    def reach(self, session: Interruptible) -> None:
        """From now on signals go to this execution; one that came before is delivered now."""
        self._session = session
        if self._first:
            self._pass_on(self._first)

    def on_resize(self, follow: Callable[[], None]) -> None:
        """Call this whenever the size of the caller's terminal changes."""
        self._before.append((_signal.SIGWINCH, _signal.getsignal(_signal.SIGWINCH)))
        _signal.signal(_signal.SIGWINCH, lambda _signum, _frame: follow())

    def _pass_on(self, signum: int) -> None:
        if self._session is not None and not self._passed_on:
            self._passed_on = True
            self._session.signal(signum)

    def _arrived(self, signum: int, _frame: FrameType | None) -> None:
        number = next(self._count)  # in one step, because the next signal may arrive before the next line
        if number == 0:
            self._first = signum
            self._pass_on(signum)
        elif number == 1:
            self._ignore()  # there is nothing left to ask for, and a flood must not hold up the end
            if self._session is None:
                raise KeyboardInterrupt
            self._session.kill()

    def _ignore(self) -> None:
        """Blocked meanwhile: CPython complains of a signal that it has noted and that is then ignored."""
        signals = [signum for signum, _ in self._before]
        _signal.pthread_sigmask(_signal.SIG_BLOCK, signals)
        for signum in signals:
            _signal.signal(signum, _signal.SIG_IGN)
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, signals)
