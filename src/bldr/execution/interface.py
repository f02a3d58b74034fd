"""The interface for build engines: make a sandbox ready for a request and its inputs, then run commands in it."""

from __future__ import annotations

import os
import time

from bldr.execution.executor import HermeticExecutor
from bldr.model.limits import parse_duration
from bldr.model.receipt import Guarantee, GuaranteeRecord, Receipt
from bldr.model.result import ExecutionResult, ResourceUsage, Termination
from bldr.model.spec import HermeticSpecBuilder
from bldr.model.value import replace, value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bldr.model.limits import Duration
    from bldr.model.spec import SandboxSpec

__all__ = ["BuildRequest", "BuildSandbox", "PreparedEnvironment", "create_sandbox"]


@value
class BuildRequest:
    """What an engine wants to build.

    Args:
        workspace_root: The absolute path of the workspace; commands start there.
        output_dir: The existing directory that is written; a relative path lies in the workspace.
        temp_dir: A temp.
        toolchain: The name of a toolchain.
    """

    workspace_root: str
    output_dir: str
    temp_dir: str = "/tmp/build"
    toolchain: str = "system"


def create_sandbox(*, hermetic: bool = True) -> BuildSandbox:
    """Return what makes environments for builds.

    Args:
        hermetic: Whether commands are confined; otherwise they run as the caller does, and their results say so.

    Example:
        >>> from bldr import BuildRequest, create_sandbox
        >>> sandbox = create_sandbox(hermetic=True)
        >>> sandbox.hermetic
        True
    """
    return BuildSandbox(hermetic=hermetic)


class BuildSandbox:
    """Makes environments; see :func:`create_sandbox`."""

    def __init__(self, *, hermetic: bool) -> None:
        self.hermetic = hermetic

    def prepare(self, request: BuildRequest, inputs: Iterable[str]) -> PreparedEnvironment:
        """Make an environment ready.

        Args:
            request: What is built.
            inputs: What can be read: absolute paths, or paths in the workspace. None at all means nothing.

        Raises:
            SpecError: A path cannot be used.
            BackendUnavailableError: Nothing here can confine commands.
        """
        spec = HermeticSpecBuilder.for_build(
            request.workspace_root,
            list(inputs),
            request.output_dir,
            request.temp_dir,
            request.toolchain,
            whole_workspace=False,
        )
        if self.hermetic:
            HermeticExecutor.create(spec)  # whatever is wrong is told now
        return PreparedEnvironment(spec, request, hermetic=self.hermetic)


class PreparedEnvironment:
    """Runs commands for one request; made by :meth:`BuildSandbox.prepare`.

    Attributes:
        spec: What commands may see and do.
    """

    def __init__(self, spec: SandboxSpec, request: BuildRequest, *, hermetic: bool) -> None:
        self.spec = spec
        self._request = request
        self._hermetic = hermetic

    def execute(
        self,
        command: Sequence[str],
        env_vars: Mapping[str, str] | None = None,
        timeout: Duration | None = None,
    ) -> ExecutionResult:
        """Run a command and wait for its end.

        Args:
            command: The argument vector.
            env_vars: Further variables.
            timeout: Wall-clock seconds.

        Raises:
            SpecError: A variable or the command cannot be.
            SandboxError: The sandbox could not be made.
        """
        if not self._hermetic:
            return _unconfined(tuple(command), self._request.workspace_root, dict(env_vars or {}), timeout)
        spec = self.spec
        for name, text in (env_vars or {}).items():
            spec = replace(spec, environment=spec.environment.with_variable(name, text))
        return HermeticExecutor.create(spec).execute(command, self._request.workspace_root, timeout=timeout)


def _unconfined(
    argv: tuple[str, ...], cwd: str, variables: Mapping[str, str], timeout: Duration | None
) -> ExecutionResult:
    from signal import SIGKILL
    from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired

    seconds = None if timeout is None else parse_duration(timeout, what="timeout")
    started_at, begun = time.time(), time.monotonic()
    process = Popen(
        argv,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        cwd=cwd,
        env={**os.environ, **variables},
        start_new_session=True,
    )
    termination = Termination.EXITED
    try:
        stdout, stderr = process.communicate(timeout=seconds)
    except TimeoutExpired:
        termination = Termination.TIMED_OUT
        os.killpg(process.pid, SIGKILL)
        stdout, stderr = process.communicate()
    status = process.returncode
    signal = -status if status < 0 and termination == Termination.EXITED else None
    wall = time.monotonic() - begun
    return ExecutionResult(
        argv=argv,
        exit_code=124 if termination == Termination.TIMED_OUT else 128 - status if status < 0 else status,
        termination=termination if signal is None else Termination.SIGNALED,
        signal=signal,
        stdout=stdout,
        stderr=stderr,
        usage=ResourceUsage(wall),
        receipt=Receipt(
            tuple([GuaranteeRecord(name, asked=True, detail="no sandbox") for name in Guarantee.PROFILE]), "fallback"
        ),
        started_at=started_at,
        duration=wall,
    )
