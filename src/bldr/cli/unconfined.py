"""``BUILDER_HERMETIC=false``: run the command without a sandbox, and say so.

A way to find out whether the sandbox is the cause of a failure. What was explicitly demanded is still refused rather
than dropped.
"""

from __future__ import annotations

import os
import time

from bldr.cli.messages import say
from bldr.cli.run import Interrupts, standard_input
from bldr.errors import GuaranteeUnavailableError
from bldr.model.receipt import Guarantee, GuaranteeRecord, Receipt
from bldr.model.result import ExecutionResult, ResourceUsage, Termination

TYPE_CHECKING = False
if TYPE_CHECKING:
    from subprocess import Popen

    from bldr.cli.options import Parsed
    from bldr.cli.request import Request
    from bldr.cli.settings import Settings

__all__ = ["run_unconfined"]

_GRACE = 2.0  # seconds between SIGTERM and SIGKILL
_TIMED_OUT = 124
_DEMANDS = ("require", "overlay", "memory", "processes", "cpu-time", "file-size", "open-files")


def run_unconfined(parsed: Parsed, asked: Request, settings: Settings) -> ExecutionResult:
    """Run the command with the caller's files, network and variables; ``-e`` adds variables.

    Raises:
        GuaranteeUnavailableError: A limit or a guarantee was demanded by an option.
    """
    policy = asked.spec.process
    refused = [name for name, allowed in (("fork", policy.allow_fork), ("exec", policy.allow_exec)) if not allowed]
    for name in (*_DEMANDS, *refused):
        if parsed.given(name):
            raise GuaranteeUnavailableError(
                f"--{name} cannot be enforced, because {settings.hermetic_origin} is set to false",
                guarantee=name,
                hint=f"leave --{name} out, or unset it to run in a sandbox",
            )
    say(f"NOT hermetic: running without a sandbox, because {settings.hermetic_origin} is set to false")
    if parsed.given("cache"):
        say("not cached: without a sandbox nobody knows what the command depends on")
    for declaration in asked.spec.declarations:
        if declaration.host and declaration.at != declaration.host:
            say(f"without a sandbox {declaration.host!r} is not shown at {declaration.at!r}")
    return _Execution(parsed, asked).run()


class _Execution:
    """A command in a session of its own, so that everything it started can be signalled as one group."""

    def __init__(self, parsed: Parsed, asked: Request) -> None:
        self._argv = parsed.rest
        self._timeout = asked.timeout
        chosen = {text.partition("=")[0] for text in parsed.all("env")}
        extra = {name: text for name, text in asked.spec.environment.items() if name in chosen}
        self._environment = {**os.environ, **extra}
        self._cwd = asked.spec.host_path(asked.cwd) or asked.cwd if parsed.given("cwd") else None
        self._process: Popen[bytes] | None = None

    def run(self) -> ExecutionResult:
        """Start the command and wait for its end."""
        from resource import RUSAGE_CHILDREN, getrusage

        started_at, begin = time.time(), time.monotonic()
        with Interrupts() as interrupts:
            code = self._start()
            termination, signum = Termination.EXITED, None
            if code is None:
                interrupts.reach(self)
                code, termination, signum = self._finish()
        wall = time.monotonic() - begin
        used = getrusage(RUSAGE_CHILDREN)
        return ExecutionResult(
            argv=tuple(self._argv),
            exit_code=code,
            termination=termination,
            signal=signum,
            usage=ResourceUsage(wall, used.ru_utime + used.ru_stime, used.ru_utime, used.ru_stime),
            receipt=_receipt(self._timeout),
            started_at=started_at,
            duration=wall,
        )

    def signal(self, signum: int) -> None:
        """Send a signal to everything that stayed in the command's process group."""
        if self._process is not None and self._process.returncode is None:
            try:
                os.killpg(self._process.pid, signum)
            except ProcessLookupError:  # it has ended, and will be reaped in a moment
                pass

    def kill(self) -> None:
        """End the process group."""
        self.signal(9)

    def _start(self) -> int | None:
        """Start the command; the exit status when it cannot be executed."""
        from subprocess import DEVNULL, Popen

        stdin = standard_input()
        try:
            self._process = Popen(
                self._argv,
                stdin=DEVNULL if stdin is None else stdin,
                cwd=self._cwd,
                env=self._environment,
                start_new_session=True,
            )
        except FileNotFoundError:
            say(f"{self._argv[0]!r}: not found")
            return 127
        except OSError as error:
            say(f"{self._argv[0]!r}: {error.strerror}")
            return 126
        return None

    def _finish(self) -> tuple[int, str, int | None]:
        from subprocess import TimeoutExpired

        assert self._process is not None
        try:
            status = self._process.wait(self._timeout)
        except TimeoutExpired:
            self._end(self._process)
            return _TIMED_OUT, Termination.TIMED_OUT, None
        return (128 - status, Termination.SIGNALED, -status) if status < 0 else (status, Termination.EXITED, None)

    def _end(self, process: Popen[bytes]) -> None:
        """Ask the group to end, then kill it. The command is reaped last: until then its number stays its own."""
        from select import POLLIN, poll

        handle = os.pidfd_open(process.pid)
        try:
            self.signal(15)
            poller = poll()
            poller.register(handle, POLLIN)
            poller.poll(_GRACE * 1000)
        finally:
            os.close(handle)
        self.kill()
        process.wait()


def _receipt(timeout: float | None) -> Receipt:
    records = [GuaranteeRecord(name, asked=True, detail="no sandbox") for name in Guarantee.PROFILE]
    if timeout is not None:
        records.append(GuaranteeRecord(Guarantee.WALL_TIMEOUT, asked=True, enforced_by=("process-group",)))
    return Receipt(tuple(records), "fallback", ("BUILDER_HERMETIC=false: nothing was confined",))
