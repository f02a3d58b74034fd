"""The tree of errors.

Every class that users can meet has a stable ``code`` (matched by tests and scripts, never the wording) and a page in
``docs/errors.md``::

    BldrError                             what, on what, what the system said; ``hint`` is what to do
     ├─ SpecError (ValueError)            spec.*      the request is wrong; nothing ran
     │   ├─ InvalidPathError              spec.path-*, spec.output-*
     │   ├─ OverlappingPathsError         spec.paths-overlap
     │   ├─ InvalidLimitError             spec.limit-invalid
     │   ├─ InvalidCommandError           spec.command-*
     │   └─ (SpecError itself)             spec.endpoint-* spec.environment-* spec.fetch-* spec.guarantee-*
     │                                     spec.hostname-* spec.text-* spec.toolchain-* spec.uid-*
     ├─ BuilderfileError                  builderfile.*  with ``path``, ``line``, ``column``
     │   ├─ BuilderfileSyntaxError        builderfile.syntax
     │   ├─ UnknownTargetError            builderfile.target-unknown
     │   └─ DependencyCycleError          builderfile.cycle
     ├─ SandboxError                      sandbox.*   the machinery failed; the command did not start
     │   ├─ BackendUnavailableError       sandbox.* with ``capability``
     │   ├─ FetchError                    sandbox.fetch-failed | sandbox.fetch-mismatch
     │   ├─ GuaranteeUnavailableError     sandbox.guarantee-unavailable
     │   ├─ SandboxSetupError (OSError)   sandbox.setup   one step failed, with its errno
     │   └─ SandboxLostError              sandbox.lost    the launcher died or broke the protocol
     ├─ EngineError                       engine.*    a target cannot be built, or what it made is not what was declared
     ├─ CommitError                       commit.*    what a trial changed cannot be taken over
     ├─ LearnError                        learn.*     nothing can be learned of a command, or it cannot be said
     ├─ AuditError                        audit.*     the audit log cannot be written or read
     ├─ ActionError                       action.*    the command ran and did not succeed; ``result`` is set but where
     │                                                a timeout passed before the command was started
     │   ├─ CommandFailedError            action.exit-status | action.signal | action.cancelled
     │   ├─ LimitReachedError             action.limit-reached
     │   └─ TimeLimitError (TimeoutError) action.timed-out
     └─ CacheError                        cache.*     the cache cannot be used, or does not hold what is looked for
         ├─ BlobNotFoundError             cache.blob-missing
         ├─ DigestMismatchError           cache.corrupt   it is never mended silently
         └─ NotCacheableError             cache.not-cacheable
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.model.result import ExecutionResult

__all__ = [
    "ActionError",
    "AuditError",
    "BackendUnavailableError",
    "BldrError",
    "BlobNotFoundError",
    "BuilderfileError",
    "BuilderfileSyntaxError",
    "CacheError",
    "CommandFailedError",
    "CommitError",
    "DependencyCycleError",
    "DigestMismatchError",
    "EngineError",
    "FetchError",
    "GuaranteeUnavailableError",
    "InvalidCommandError",
    "InvalidLimitError",
    "InvalidPathError",
    "LearnError",
    "LimitReachedError",
    "NotCacheableError",
    "OverlappingPathsError",
    "SandboxError",
    "SandboxLostError",
    "SandboxSetupError",
    "SpecError",
    "TimeLimitError",
    "UnknownTargetError",
]


class BldrError(Exception):
    """Base of everything that bldr raises on purpose.

    Args:
        message: One clear sentence without a full stop: what, on what, what the system said.
        code: Stable identifier; defaults to the one of the class.
        hint: One sentence or one command that mends it; empty when nobody can know.
    """

    code: str = "bldr"

    def __init__(self, message: str, *, code: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.hint = hint

    def __str__(self) -> str:
        return self.message

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.message!r}, code={self.code!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.args, dict(self.__dict__))


def _rebuild(cls: type[BldrError], args: tuple[object, ...], state: dict[str, object]) -> BldrError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class SpecError(BldrError, ValueError):
    """The request itself is wrong; nothing ran."""

    code = "spec.invalid"


class InvalidPathError(SpecError):
    """A declared path cannot be used as it was declared."""

    code = "spec.path-invalid"

    def __init__(self, message: str, *, path: str = "", code: str = "", hint: str = "") -> None:
        super().__init__(message, code=code, hint=hint)
        self.path = path


class OverlappingPathsError(SpecError):
    """Two of I, O and T share a path."""

    code = "spec.paths-overlap"

    def __init__(self, message: str, *, first: str = "", second: str = "", code: str = "", hint: str = "") -> None:
        super().__init__(message, code=code, hint=hint)
        self.first = first
        self.second = second


class InvalidLimitError(SpecError):
    """A size, a duration or a count cannot be read or makes no sense."""

    code = "spec.limit-invalid"


class InvalidCommandError(SpecError):
    """The argument vector or the working directory cannot be used."""

    code = "spec.command-invalid"


class BuilderfileError(BldrError):
    """A Builderfile, or what it says about the workspace, is wrong; nothing ran.

    ``path``, ``line`` and ``column`` (both from 1) say where, and begin the text of the error; without a place they are
    empty and 0. ``excerpt`` is the line with a caret below. ``also`` holds what else is wrong, in the order of places.
    """

    code = "builderfile.invalid"

    def __init__(
        self,
        message: str,
        *,
        path: str = "",
        line: int = 0,
        column: int = 0,
        excerpt: str = "",
        also: tuple[BuilderfileError, ...] = (),
        code: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.path = path
        self.line = line
        self.column = column
        self.excerpt = excerpt
        self.also = also

    def __str__(self) -> str:
        place = ":".join([self.path, *(str(number) for number in (self.line, self.column) if number)])
        return f"{place}: {self.message}" if self.path else self.message


class BuilderfileSyntaxError(BuilderfileError):
    """The text is not of the form of a Builderfile."""

    code = "builderfile.syntax"


class UnknownTargetError(BuilderfileError):
    """A target is named that no Builderfile declares."""

    code = "builderfile.target-unknown"


class DependencyCycleError(BuilderfileError):
    """Targets depend on each other in a circle; ``cycle`` names them, and ends with the one that it begins with."""

    code = "builderfile.cycle"

    def __init__(
        self,
        message: str,
        *,
        cycle: tuple[str, ...] = (),
        path: str = "",
        line: int = 0,
        column: int = 0,
        excerpt: str = "",
        also: tuple[BuilderfileError, ...] = (),
        code: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message, path=path, line=line, column=column, excerpt=excerpt, also=also, code=code, hint=hint)
        self.cycle = cycle


class SandboxError(BldrError):
    """The machinery failed and the command did not start.

    ``step`` says what was being done, such as "start the init" or the description of a plan's step; empty when nothing
    was being done yet.
    """

    code = "sandbox.failed"

    def __init__(self, message: str, *, step: str = "", code: str = "", hint: str = "") -> None:
        super().__init__(message, code=code, hint=hint)
        self.step = step


class BackendUnavailableError(SandboxError):
    """This host cannot confine anything in the way that was asked for.

    ``capability`` names what is missing, ``hint`` is the command that would change it, ``errno`` is what the kernel
    answered; 0 when it was not the kernel that refused.
    """

    code = "sandbox.no-backend"

    def __init__(
        self, message: str, *, capability: str = "", step: str = "", errno: int = 0, code: str = "", hint: str = ""
    ) -> None:
        super().__init__(message, step=step, code=code, hint=hint)
        self.capability = capability
        self.errno = errno


class FetchError(SandboxError):
    """A file of the network could not be fetched, or its content was not the one that was declared."""

    code = "sandbox.fetch-failed"


class GuaranteeUnavailableError(SandboxError):
    """A guarantee that was asked for cannot be enforced here, so the command did not start."""

    code = "sandbox.guarantee-unavailable"

    def __init__(self, message: str, *, guarantee: str = "", code: str = "", hint: str = "") -> None:
        super().__init__(message, code=code, hint=hint)
        self.guarantee = guarantee


class SandboxSetupError(SandboxError, OSError):
    """One step of the set-up failed.

    ``errno`` and ``strerror`` are what the kernel said about ``step``.
    """

    code = "sandbox.setup"

    def __init__(
        self, message: str, *, step: str = "", errno: int = 0, strerror: str = "", code: str = "", hint: str = ""
    ) -> None:
        super().__init__(message, step=step, code=code, hint=hint)
        self.errno = errno
        self.strerror = strerror

    def __str__(self) -> str:
        return self.message


class SandboxLostError(SandboxError):
    """The launcher died or broke the protocol; everything it had started is gone."""

    code = "sandbox.lost"


class AuditError(BldrError):
    """The audit log cannot be written or read.

    ``result`` is that of the execution whose events could not be written; ``None`` when nothing ran.
    """

    code = "audit.failed"
    result: ExecutionResult | None = None


class EngineError(BldrError):
    """A target cannot be built, or what its actions made is not what was declared."""

    code = "engine.failed"


class CommitError(BldrError):
    """What a trial changed cannot be taken over; the tree on the host is as it was."""

    code = "commit.failed"


class LearnError(BldrError):
    """Nothing can be learned of a command, or what was learned cannot be proven, said or written."""

    code = "learn.failed"


class ActionError(BldrError):
    """The command ran and did not succeed; ``result`` holds what is known of it."""

    code = "action.failed"

    def __init__(self, message: str, *, result: ExecutionResult | None = None, code: str = "", hint: str = "") -> None:
        super().__init__(message, code=code, hint=hint)
        self.result = result


class CommandFailedError(ActionError):
    """The command ended with a status other than 0, or by a signal."""

    code = "action.exit-status"


class LimitReachedError(ActionError):
    """The command was ended because it used more than a limit allows; ``result.violations`` tells which."""

    code = "action.limit-reached"


class TimeLimitError(ActionError, TimeoutError):
    """The command was ended because its timeout passed, or because it was silent for too long.

    Without a ``result`` it had not been started.
    """

    code = "action.timed-out"

    def __str__(self) -> str:
        return self.message


class CacheError(BldrError):
    """The cache cannot be used, or does not hold what is looked for."""

    code = "cache.failed"


class BlobNotFoundError(CacheError):
    """A blob is not in the content store."""

    code = "cache.blob-missing"


class DigestMismatchError(CacheError):
    """A blob is not what its digest says; it was put into quarantine."""

    code = "cache.corrupt"


class NotCacheableError(CacheError):
    """The result of an action must not be kept, or cannot be; the message is the reason."""

    code = "cache.not-cacheable"
