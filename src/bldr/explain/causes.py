"""From what a failed command said, did and met to the causes, the likeliest first.

A message alone proves nothing: a path becomes a cause when the sandbox did not show it and the host has it, a variable
when the caller has it and E does not, a host when there is no network.
"""

from __future__ import annotations

import os

from bldr.explain import advice
from bldr.explain.cause import Cause, Evidence, Remedy
from bldr.explain.clues import Clue, clues, host_of_url
from bldr.model.result import Termination
from bldr.model.spec import Access
from bldr.model.value import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bldr.explain.host import Host
    from bldr.model.result import ExecutionResult
    from bldr.model.spec import SandboxSpec

__all__ = ["causes", "of_program", "write_cause"]

_RANKS = {
    "timeout": 400, "limit": 390, "execute": 80, "library": 78, "write": 75, "connect": 70, "resolve": 70, "device": 65,
    "read": 60, "setuid": 55, "variable": 30, "list": 10,
}  # fmt: skip
_SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/opt", "/boot", "/var/lib", "/var/log", "/var/cache",
)  # fmt: skip
_ROOTS = ("/", "/home", "/root", "/proc", "/sys", "/dev", "/run")


def causes(result: ExecutionResult, spec: SandboxSpec, host: Host, messages: bytes) -> tuple[Cause, ...]:
    """Find what made a command fail.

    Args:
        result: How it ended, with its trace where there is one.
        spec: What was allowed.
        host: What could have been.
        messages: The end of what it printed on its standard error.
    """
    told = clues(messages)
    finder = _Finder(spec, host, messages.decode("utf-8", "surrogateescape"), result.argv)
    found = [*_of_result(result), *_of_gateway(result), *[cause for clue in told for cause in finder.of_clue(clue)]]
    if result.trace is not None:
        from bldr.explain.traced import of_trace

        found += of_trace(result.trace, spec, host, told)
    return _ranked(found)


def of_program(name: str, spec: SandboxSpec, host: Host) -> Cause | None:
    """Say where the host has a program that the sandbox lacks; ``None`` where that is not the reason."""
    finder = _Finder(spec, host, "", ())
    clue = Clue("missing" if "/" in name else "program", name, "")
    return next(iter(finder.of_clue(clue)), None)


def _ranked(found: Iterable[Cause]) -> tuple[Cause, ...]:
    """One cause for each subject: what the trace knows, with the rank that the message gives it."""
    best: dict[tuple[str, str], Cause] = {}
    for cause in found:
        key = ("" if cause.kind in ("read", "execute", "library", "device") else cause.kind, cause.subject)
        known = best.get(key)
        if known is None:
            best[key] = cause
        elif cause.evidence == Evidence.TRACE and known.evidence != Evidence.TRACE:
            best[key] = replace(known, evidence=Evidence.TRACE, who=cause.who, rank=known.rank + 50)
    general = any(cause.kind in ("resolve", "connect") and cause.subject for cause in best.values())
    kept = [cause for cause in best.values() if cause.subject or not general]
    return tuple(sorted(kept, key=lambda cause: -cause.rank))


def _of_result(result: ExecutionResult) -> Iterable[Cause]:
    """What the execution itself says."""
    for violation in result.violations:
        kind = "timeout" if violation.kind in ("wall_time", "silence") else "limit"
        if violation.kind in ("fork", "exec"):
            continue  # the message says it all
        remedy = advice.raise_limit(violation.kind)
        yield Cause(
            kind,
            violation.kind,
            violation.message,
            Evidence.RESULT,
            who=violation.argv,
            remedy=remedy,
            rank=_RANKS[kind],
        )
    if result.termination == Termination.TIMED_OUT and not result.violations:
        text = f"the timeout passed after {result.usage.wall_time:.1f} s"
        remedy = advice.raise_limit("wall_time")
        yield Cause(
            "timeout",
            "wall_time",
            text,
            Evidence.RESULT,
            remedy=remedy,
            rank=_RANKS["timeout"],
        )


def _of_gateway(result: ExecutionResult) -> Iterable[Cause]:
    """What the gateway refused because it is not allowed, with the process where a trace knows it."""
    for denial in result.denials:
        if denial.kind not in ("connect", "resolve") or "it is not allowed" not in denial.message:
            continue
        host, _, port = denial.subject.rpartition(":")
        named = denial.kind == "resolve" or not port.isdecimal()
        remedy = advice.allow_host(denial.subject, "") if named else advice.allow_host(host, port)
        process = None if result.trace is None else result.trace.process(denial.pid)
        yield Cause(
            denial.kind,
            denial.subject,
            denial.message,
            Evidence.GATEWAY,
            who=process.argv if process is not None else (),
            remedy=remedy,
            rank=_RANKS[denial.kind] + 50,
        )


class _Finder:
    """Asks spec and host about clues."""

    def __init__(self, spec: SandboxSpec, host: Host, text: str, argv: Sequence[str]) -> None:
        self._spec = spec
        self._host = host
        self._text = text
        self._argv = argv
        self._includes = [word[2:] for word in argv if word.startswith("-I") and len(word) > 2]
        self._variables = dict(spec.environment.items())

    def of_clue(self, clue: Clue) -> Iterable[Cause]:
        """Return the cause that a clue leads to, if the sandbox is one."""
        kind, name = clue.kind, clue.name
        if kind in ("missing", "denied"):
            return self._missing(clue)
        if kind == "header":
            return self._found(clue, "read", self._host.header(name, self._beside(clue.line)))
        if kind == "program":
            return self._program(clue)
        if kind == "library":
            return self._found(clue, "library", self._host.library(name))
        if kind == "linked":
            path = self._host.library(f"lib{name}.so") or self._host.library(f"lib{name}.a")
            return self._found(clue, "library", path)
        if kind == "package":
            return self._found(clue, "read", self._host.package(name))
        if kind == "cmake":
            return self._cmake(clue)
        if kind == "module":
            return self._found(clue, "read", self._host.module(name))
        if kind in ("readonly", "outside"):
            return self._write(clue)
        if kind in ("host", "network"):
            return self._network(clue)
        if kind == "variable":
            return self._variable(clue)
        return [self._setuid(clue)]

    def _absolute(self, name: str) -> list[str]:
        """Where a name may lead: from the command's directory, and from the caller's."""
        if name.startswith("/"):
            return [_normal(name)]
        places = dict.fromkeys((self._host.directory, self._host.caller))
        return [_normal(f"{place}/{name}") for place in places if place]

    def _beside(self, line: str) -> list[str]:
        source = line.partition(":")[0]
        named = [path for include in self._includes for path in self._absolute(include)]
        return named + [os.path.dirname(path) for path in self._absolute(source)] + self._absolute(".")

    def _hidden(self, path: str) -> str:
        """Return what would have to be declared so that a path is there; empty when the sandbox makes no difference."""
        if self._spec.access(path) == Access.NONE or self._spec.temps.contains(path):
            return path if self._host.has(path) and path not in _ROOTS else ""
        real = self._host.real(self._spec.host_path(path) or path)
        return real if self._spec.access(real) == Access.NONE and self._host.has(real) else ""

    def _missing(self, clue: Clue) -> list[Cause]:
        for path in self._absolute(clue.name):
            if hidden := self._hidden(path):
                return [self._read("device" if hidden.startswith("/dev/") else "read", hidden, clue.line)]
        return []

    def _found(self, clue: Clue, kind: str, path: str) -> list[Cause]:
        hidden = self._hidden(path) if path else ""
        return [self._read(kind, hidden, clue.line)] if hidden else []

    def _read(self, kind: str, path: str, line: str) -> Cause:
        remedy = advice.allow_read(path)
        return Cause(
            kind,
            path,
            f"{path} is on the host, and the sandbox does not show it: it was not declared",
            Evidence.MESSAGE,
            saw=line,
            nearest=advice.nearest(path, self._spec),
            remedy=remedy,
            warning=advice.warning_about(path, self._host.home),
            rank=_RANKS[kind] + 100,
        )

    def _program(self, clue: Clue) -> list[Cause]:
        path = self._host.program(clue.name)
        if not path:
            return []
        hidden = self._hidden(path)
        search = self._variables.get("PATH", "")
        directory = os.path.dirname(path)
        extended = directory not in search.split(":")
        if not hidden and not extended:
            return []
        cause = self._read("execute", hidden or path, clue.line)
        remedy = advice.allow_read(hidden) if hidden else Remedy()
        if extended:
            longer = f"{search}:{directory}" if search else directory
            remedy |= advice.allow_variable("PATH", longer)
        text = (
            cause.text if hidden else f"{path} is in the sandbox, but its directory is not in the PATH of the command"
        )
        return [replace(cause, text=text, remedy=remedy)]

    def _cmake(self, clue: Clue) -> list[Cause]:
        """A package of CMake is found by a variable, which may be missing as well."""
        found = self._found(clue, "read", self._host.cmake_package(clue.name))
        name = "CMAKE_PREFIX_PATH"
        if not found or name in self._variables or not self._host.environment.get(name):
            return found
        remedy = advice.allow_read(found[0].subject) | advice.allow_variable(name)
        return [replace(found[0], remedy=remedy)]

    def _write(self, clue: Clue) -> list[Cause]:
        if not clue.name:
            text = "something was written where nothing may be written: outside of outputs and temps"
            return [Cause("write", "", text, Evidence.MESSAGE, saw=clue.line, rank=_RANKS["write"])]
        path = self._absolute(clue.name)[0]
        access = self._spec.access(path)
        if access == Access.WRITE or (clue.kind == "outside" and access != Access.NONE):
            return []
        return [write_cause(path, self._spec, self._host, saw=clue.line, rank=_RANKS["write"] + 100)]

    def _network(self, clue: Clue) -> list[Cause]:
        if not self._spec.network.is_hermetic:
            return []
        name = clue.name or host_of_url(self._text) or host_of_url(" ".join(self._argv))
        if not name:
            text = "there is no network in the sandbox, and the command wanted one"
            return [Cause("resolve", "", text, Evidence.MESSAGE, saw=clue.line, rank=_RANKS["resolve"])]
        remedy = advice.allow_host(name, self._port(name))
        text = f"{name} cannot be reached: there is no network in the sandbox"
        return [
            Cause(
                "resolve",
                name,
                text,
                Evidence.MESSAGE,
                saw=clue.line,
                remedy=remedy,
                rank=_RANKS["resolve"] + 100,
            )
        ]

    def _port(self, host: str) -> str:
        for scheme, port in (("http", "80"), ("git", "9418"), ("ssh", "22"), ("ftp", "21")):
            if f"{scheme}://{host}" in self._text or any(f"{scheme}://{host}" in word for word in self._argv):
                return port
        return "443"

    def _variable(self, clue: Clue) -> list[Cause]:
        name = clue.name
        if name in self._variables or name not in self._host.environment:
            return []
        remedy = advice.allow_variable(name)
        text = f"perhaps the variable {name} was missed: the caller has it, and it was not passed on"
        return [
            Cause(
                "variable",
                name,
                text,
                Evidence.GUESS,
                saw=clue.line,
                remedy=remedy,
                rank=_RANKS["variable"] + 100,
            )
        ]

    def _setuid(self, clue: Clue) -> Cause:
        text = f"{clue.name} needs the rights of another user, and nothing in a sandbox can gain rights (no_new_privs)"
        return Cause("setuid", clue.name, text, Evidence.MESSAGE, saw=clue.line, rank=_RANKS["setuid"] + 100)


def _normal(path: str) -> str:
    """Two slashes at the beginning are kept by POSIX, and mean one here."""
    return "/" + os.path.normpath(path).lstrip("/")


def write_cause(path: str, spec: SandboxSpec, host: Host, *, saw: str, rank: int) -> Cause:
    """Make the cause of a write that was refused."""
    is_input = spec.access(path) == Access.READ
    directory = os.path.dirname(path)
    while directory != "/" and not host.is_directory(spec.host_path(directory) or directory):
        directory = os.path.dirname(directory)
    system = any(directory == one or directory.startswith(one + "/") for one in _SYSTEM)
    warning = advice.warning_about(directory, host.home)
    remedy = Remedy()
    if system:
        warning = "it belongs to the system: let the command write below an output (DESTDIR=, --prefix, TMPDIR)"
    elif directory not in _ROOTS:
        remedy = advice.allow_write(
            spec.host_path(directory) or directory, overlay=is_input, workspace=host.caller or host.directory
        )
    what = "is in an input, and inputs are read-only" if is_input else "is in no output and no temp"
    return Cause(
        "write",
        path,
        f"{path} cannot be written: it {what}",
        Evidence.MESSAGE,
        saw=saw,
        nearest=advice.nearest(path, spec),
        remedy=remedy,
        warning=warning,
        rank=rank,
    )
