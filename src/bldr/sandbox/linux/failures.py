"""The errors of steps that failed in the sandbox, from what init reported."""

from __future__ import annotations

import os

from bldr.errors import BackendUnavailableError, InvalidCommandError, SandboxLostError, SandboxSetupError
from bldr.sandbox.linux.stages import STAGES_OF_THE_HOST, step_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from bldr.errors import BldrError
    from bldr.sandbox.linux.steps import Step

__all__ = ["no_answer", "not_started", "setup_failure", "trace_unavailable", "unavailable"]


def setup_failure(
    report: tuple[int, str, int, str],
    *,
    cwd: str,
    steps: Sequence[Step],
    stages_of_the_host: Sequence[str] = STAGES_OF_THE_HOST,
) -> BldrError:
    """Make the error of a step that failed.

    Args:
        report: The number of the step, -1 for what comes before the first; its operation, errno and text.
        cwd: The working directory that was asked for.
        steps: Those that the launcher was asked for, in order.
        stages_of_the_host: Stages that no spec can influence: what fails there fails for every sandbox on this host.
    """
    number, operation, code, text = report
    if operation == "chdir":
        return InvalidCommandError(
            f"the working directory {cwd!r} is not in the sandbox: {os.strerror(code)}",
            code="spec.cwd-invalid",
            hint="declare it, or choose another one with --cwd",
        )
    if number < 0 and operation == "trace":
        return trace_unavailable(_why_no_trace(code, text), code)
    if number < 0 and operation in stages_of_the_host:
        return unavailable(operation, code, text)
    step = steps[number].describe() if 0 <= number < len(steps) else step_of(operation)
    if operation in ("landlock", "seccomp", "confine") and code:
        return unavailable("landlock" if operation == "confine" else operation, code, text)
    return SandboxSetupError(
        f"cannot {step}: {text}",
        step=step,
        errno=code,
        strerror=os.strerror(code) if code else "",
        code="sandbox.canary" if operation == "canary" else "",
        hint="free some space, or set TMPDIR to a directory on another disk" if operation == "scratch" else _hint(code),
    )


def _hint(code: int) -> str:
    import errno

    if code in (errno.EMFILE, errno.ENFILE):
        return "raise the limit of open files (ulimit -n)"
    if code in (errno.ENOMEM, errno.ENOSPC, errno.EAGAIN):
        return "free memory, disk space or processes, or run fewer at a time"
    if code in (errno.ENOENT, errno.ENOTDIR):
        return "a declared path changed while the sandbox was made; try again"
    if code == errno.EBUSY:
        return "its system calls are listened to already, by a tracer or by a sandbox around this one"
    return ""


def trace_unavailable(why: str, number: int = 0) -> BackendUnavailableError:
    """Make the error of a trace that cannot be had, with its reason."""
    return BackendUnavailableError(
        f"cannot trace the command: {why}",
        capability="trace",
        step=step_of("trace"),
        errno=number,
        code="sandbox.trace-unavailable",
        hint="leave the trace out: --trace off",
    )


def _why_no_trace(code: int, text: str) -> str:
    import errno

    if code == errno.EBUSY:
        return "somebody around this sandbox listens to its system calls already, and the kernel allows one listener"
    return text


def unavailable(stage: str, number: int, text: str) -> BackendUnavailableError:
    """Make the error of a stage that this host refuses for every sandbox, with the remedy for this host."""
    from bldr.sandbox.linux.facts import read_facts
    from bldr.sandbox.linux.remedies import explain_failure

    cause, hint, code = explain_failure(stage, number, read_facts())
    if stage not in ("landlock", "seccomp"):  # which the lower rung needs as well
        from bldr.sandbox.linux.landlock.offer import hint_with_offer

        hint = hint_with_offer(hint)
    return BackendUnavailableError(
        f"cannot {step_of(stage)}: {cause.removeprefix(f'{stage}: ')} ({text})",
        capability=stage,
        step=step_of(stage),
        errno=number,
        code=code,
        hint=hint,
    )


def not_started(error: OSError) -> SandboxLostError:
    """Make the error of a launcher for which there is no process."""
    return SandboxLostError(f"cannot start the launcher: {error.strerror}", step=step_of("launcher"))


def no_answer(seconds: float) -> SandboxLostError:
    """Make the error of a launcher that says nothing.

    Args:
        seconds: How long that was waited for.
    """
    return SandboxLostError(
        f"cannot reach the launcher: no answer within {seconds:g} s",
        step="reach the launcher",
        hint="a declared path may lie on a file system that does not answer (findmnt lists them); try again",
    )
