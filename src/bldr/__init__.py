"""Run any build or test command hermetically: it sees what was declared and nothing else.

Every public name can be imported from here; the module that holds it is imported when the name is first used.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.audit.events import AuditEvent, EventKind
    from bldr.audit.log import AuditLog, logging_hook
    from bldr.audit.reader import Finding, Verification
    from bldr.errors import (
        ActionError,
        AuditError,
        BackendUnavailableError,
        BldrError,
        BlobNotFoundError,
        BuilderfileError,
        BuilderfileSyntaxError,
        CacheError,
        CommandFailedError,
        CommitError,
        DependencyCycleError,
        DigestMismatchError,
        EngineError,
        FetchError,
        GuaranteeUnavailableError,
        InvalidCommandError,
        InvalidLimitError,
        InvalidPathError,
        LearnError,
        LimitReachedError,
        NotCacheableError,
        OverlappingPathsError,
        SandboxError,
        SandboxLostError,
        SandboxSetupError,
        SpecError,
        TimeLimitError,
        UnknownTargetError,
    )
    from bldr.execution.changes import Change, ChangeKind
    from bldr.execution.executor import HermeticExecutor
    from bldr.execution.fetch import fetch
    from bldr.execution.interface import BuildRequest, BuildSandbox, PreparedEnvironment, create_sandbox
    from bldr.execution.monitor import ResourceMonitor, create_monitor
    from bldr.execution.session import Sandbox
    from bldr.execution.timeout import TimeoutEnforcer, create_timeout_enforcer
    from bldr.execution.trial import Trial
    from bldr.learn.learned import Learned
    from bldr.learn.lesson import learn_spec
    from bldr.model.declarations import Declaration, Role
    from bldr.model.environment import EnvSet
    from bldr.model.limits import ResourceLimits
    from bldr.model.network import Endpoint, NetworkPolicy
    from bldr.model.paths import PathSet
    from bldr.model.process import ProcessPolicy
    from bldr.model.receipt import Guarantee, GuaranteeRecord, Receipt
    from bldr.model.result import Denial, ExecutionResult, ResourceUsage, Termination, Violation
    from bldr.model.spec import Access, HermeticSpecBuilder, SandboxSpec, SandboxSpecBuilder
    from bldr.model.timeline import PostMortem, ProcessRecord, ProcessSnapshot, Sample, Timeline
    from bldr.model.trace import Trace, TracedProcess, TraceEvent, TraceLevel
    from bldr.model.traffic import HostTraffic

__all__ = [
    "Access",
    "ActionError",
    "AuditError",
    "AuditEvent",
    "AuditLog",
    "BackendUnavailableError",
    "BldrError",
    "BlobNotFoundError",
    "BuildRequest",
    "BuildSandbox",
    "BuilderfileError",
    "BuilderfileSyntaxError",
    "CacheError",
    "Change",
    "ChangeKind",
    "CommandFailedError",
    "CommitError",
    "Declaration",
    "Denial",
    "DependencyCycleError",
    "DigestMismatchError",
    "Endpoint",
    "EngineError",
    "EnvSet",
    "EventKind",
    "ExecutionResult",
    "FetchError",
    "Finding",
    "Guarantee",
    "GuaranteeRecord",
    "GuaranteeUnavailableError",
    "HermeticExecutor",
    "HermeticSpecBuilder",
    "HostTraffic",
    "InvalidCommandError",
    "InvalidLimitError",
    "InvalidPathError",
    "LearnError",
    "Learned",
    "LimitReachedError",
    "NetworkPolicy",
    "NotCacheableError",
    "OverlappingPathsError",
    "PathSet",
    "PostMortem",
    "PreparedEnvironment",
    "ProcessPolicy",
    "ProcessRecord",
    "ProcessSnapshot",
    "Receipt",
    "ResourceLimits",
    "ResourceMonitor",
    "ResourceUsage",
    "Role",
    "Sample",
    "Sandbox",
    "SandboxError",
    "SandboxLostError",
    "SandboxSetupError",
    "SandboxSpec",
    "SandboxSpecBuilder",
    "SpecError",
    "Termination",
    "TimeLimitError",
    "Timeline",
    "TimeoutEnforcer",
    "Trace",
    "TraceEvent",
    "TraceLevel",
    "TracedProcess",
    "Trial",
    "UnknownTargetError",
    "Verification",
    "Violation",
    "__version__",
    "create_monitor",
    "create_sandbox",
    "create_timeout_enforcer",
    "fetch",
    "learn_spec",
    "logging_hook",
]

__version__ = "0.1.0"

# Module to the public names that it holds; names that are not listed come from bldr.errors.
_HOMES = {
    "bldr.audit.events": ("AuditEvent", "EventKind"),
    "bldr.audit.log": ("AuditLog", "logging_hook"),
    "bldr.audit.reader": ("Finding", "Verification"),
    "bldr.execution.changes": ("Change", "ChangeKind"),
    "bldr.execution.executor": ("HermeticExecutor",),
    "bldr.execution.fetch": ("fetch",),
    "bldr.execution.interface": ("BuildRequest", "BuildSandbox", "PreparedEnvironment", "create_sandbox"),
    "bldr.execution.monitor": ("ResourceMonitor", "create_monitor"),
    "bldr.execution.session": ("Sandbox",),
    "bldr.execution.timeout": ("TimeoutEnforcer", "create_timeout_enforcer"),
    "bldr.execution.trial": ("Trial",),
    "bldr.learn.learned": ("Learned",),
    "bldr.learn.lesson": ("learn_spec",),
    "bldr.model.declarations": ("Declaration", "Role"),
    "bldr.model.environment": ("EnvSet",),
    "bldr.model.limits": ("ResourceLimits",),
    "bldr.model.network": ("Endpoint", "NetworkPolicy"),
    "bldr.model.paths": ("PathSet",),
    "bldr.model.process": ("ProcessPolicy",),
    "bldr.model.receipt": ("Guarantee", "GuaranteeRecord", "Receipt"),
    "bldr.model.result": ("Denial", "ExecutionResult", "ResourceUsage", "Termination", "Violation"),
    "bldr.model.traffic": ("HostTraffic",),
    "bldr.model.timeline": ("PostMortem", "ProcessRecord", "ProcessSnapshot", "Sample", "Timeline"),
    "bldr.model.trace": ("Trace", "TraceEvent", "TraceLevel", "TracedProcess"),
    "bldr.model.spec": ("Access", "HermeticSpecBuilder", "SandboxSpec", "SandboxSpecBuilder"),
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'bldr' has no attribute {name!r}")
    from importlib import import_module

    home = next((module for module, names in _HOMES.items() if name in names), "bldr.errors")
    found = globals()[name] = getattr(import_module(home), name)
    return found


def __dir__() -> list[str]:
    return __all__
