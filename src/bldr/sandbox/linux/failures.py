"""The errors of steps that failed in the sandbox, from what init reported."""

from __future__ import annotations

import os

from bldr.errors import InvalidCommandError, SandboxSetupError
from bldr.sandbox.linux.launcher import unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from bldr.errors import BldrError
    from bldr.sandbox.linux.steps import Step

__all__ = ["setup_failure"]


def setup_failure(
    report: tuple[int, str, int, str], *, cwd: str, steps: Sequence[Step], stages_of_the_host: Sequence[str]
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
    if number < 0 and operation in stages_of_the_host:
        return unavailable(operation, code, text)
    step = steps[number].describe() if 0 <= number < len(steps) else operation
    if operation in ("landlock", "seccomp", "confine") and code:
        return unavailable("landlock" if operation == "confine" else operation, code, text)
    hint = "the file system of an output must allow id-mapped mounts when root runs bldr; run it as another user"
    return SandboxSetupError(
        f"cannot {step}: {text}",
        step=step,
        errno=code,
        strerror=os.strerror(code) if code else "",
        code="sandbox.canary" if operation == "canary" else "",
        hint=hint if "id-mapped" in text else _hint(code),
    )


def _hint(code: int) -> str:
    import errno

    if code in (errno.EMFILE, errno.ENFILE):
        return "raise the limit of open files (ulimit -n)"
    if code in (errno.ENOMEM, errno.ENOSPC, errno.EAGAIN):
        return "free memory, disk space or processes, or run fewer at a time"
    if code in (errno.ENOENT, errno.ENOTDIR):
        return "a declared path changed while the sandbox was made; try again"
    return ""
