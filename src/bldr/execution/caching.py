"""Run a command, or take its result from the cache.

The key is the digest of an ``Action`` of the Remote Execution API: the command, the variables and what the command
sees as a Merkle tree whose root is the sandbox's ``/``. What REAPI has no field for, but the result may depend on
(the policy of the sandbox, the limits, the identity of the toolchain), is in the action's salt, as lines of text.
"""

from __future__ import annotations

import os
import posixpath
import time

from bldr.errors import BlobNotFoundError, CacheError, DigestMismatchError, NotCacheableError
from bldr.execution.staging import Staging
from bldr.model.declarations import Role
from bldr.model.limits import LIMITS
from bldr.model.paths import is_within, parent
from bldr.model.process import ProcessPolicy
from bldr.model.receipt import Guarantee, GuaranteeRecord, Receipt
from bldr.model.result import ExecutionResult, Termination
from bldr.model.toolchain import named
from bldr.model.value import replace, value
from bldr.sandbox.resolve import resolve
from bldr.sandbox.resolved import EntryKind, EntryRole
from bldr.store.inputroot import InputRoot, Shown
from bldr.store.messages import Action, ActionResult, Command, Digest, Metadata
from bldr.store.outputs import already_there, keep_directory, restore_directory
from bldr.store.toolchains import identity_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bldr.model.spec import SandboxSpec
    from bldr.sandbox.resolved import ResolvedSpec
    from bldr.store.cache import Cache, Kept

__all__ = [
    "CachedCommand",
    "never_cached",
    "platform_of_host",
    "receipt_of",
    "salt",
    "sentence_of",
    "shown_by",
    "toolchain_identity",
    "why_not_kept",
]

KEY_VERSION = 1
"""Part of every salt: raised when the same action would run differently in this version of bldr."""

_BACKEND = "linux-namespaces"
_NANO = 1_000_000_000
_MACHINES = {"x86_64": "x86-64", "aarch64": "arm-a64", "i686": "x86-32", "armv7l": "arm-a32"}  # REAPI's lexicon


@value
class _Request:
    argv: tuple[str, ...]
    cwd: str
    timeout: float | None
    silence: float | None


def never_cached(spec: SandboxSpec) -> str:
    """Say why no run of a spec can be kept; empty when there is no such reason."""
    if not spec.network.is_hermetic:
        return "it may reach the network, so its result may depend on more than its inputs"
    weak = [name for name in Guarantee.PROFILE if name in spec.allow_degraded]
    if weak:
        return f"it may run without the guarantee {weak[0]!r}"
    return ""


def why_not_kept(result: ExecutionResult) -> str:
    """Say why the result of a run must not be kept; empty when it may."""
    if result.termination != Termination.EXITED:
        return f"the command did not end by itself ({result.termination})"
    if result.exit_code:
        return f"the command ended with status {result.exit_code}"
    if result.violations:
        return result.violations[0].message
    if result.receipt.missing:
        return f"the guarantee {result.receipt.missing[0]!r} was not enforced"
    unenforced = [record.name for record in result.guarantees if record.asked and not record.enforced]
    if unenforced:
        return f"the guarantee {unenforced[0]!r} was not enforced"
    if result.stdout_dropped or result.stderr_dropped:
        return "it printed more than is kept"
    return ""


def salt(spec: SandboxSpec, toolchain: str, silence: float | None) -> bytes:
    """Return what else has to be the same, one ``NAME=VALUE`` a line.

    Args:
        spec: The policy.
        toolchain: The identity of its toolchain.
        silence: Seconds; ``None`` for no such limit.
    """
    told: dict[str, object] = {
        "bldr-action": KEY_VERSION,
        "hostname": spec.hostname,
        "sandbox": _BACKEND,
        "silence": silence,
        "toolchain": f"{spec.toolchain} {toolchain}",
        "uid": spec.uid,
        **{f"limit.{name}": getattr(spec.limits, name) for name in LIMITS},
    }
    if spec.overlays:
        told["overlays"] = " ".join(spec.overlays.roots())
    usual = ProcessPolicy.hermetic()
    for name in ProcessPolicy.__match_args__:  # what is as usual is left out, so that a new field changes no key
        if getattr(spec.process, name) != getattr(usual, name):
            told[f"process.{name}"] = getattr(spec.process, name)
    return os.fsencode("".join([f"{name}={told[name]}\n" for name in sorted(told) if told[name] is not None]))


def toolchain_identity(cache: Cache, spec: SandboxSpec, say: Callable[[str], None]) -> str:
    """Return the identity of a spec's toolchain; ``say`` is called with a sentence before it takes seconds."""
    return identity_of(named(spec.toolchain), cache.index, say)


class CachedCommand:
    """A command whose result is looked for in the cache, and kept there.

    Args:
        cache: The cache.
        spec: What the command may see and do.
        argv: The command.
        cwd: Inside directory.
        timeout: Seconds; part of the key.
        silence: Seconds; part of the key.
        say: Called with a sentence before something that takes seconds.
        toolchain: The identity of the toolchain, from `toolchain_identity`, where the caller has just taken it; it is
            taken here otherwise.

    Raises:
        NotCacheableError: No result of it can be kept.
        SpecError: The spec does not fit this host's files.
        CacheError: The cache cannot be used.
    """

    def __init__(
        self,
        cache: Cache,
        spec: SandboxSpec,
        argv: Sequence[str],
        cwd: str,
        *,
        timeout: float | None,
        silence: float | None,
        say: Callable[[str], None],
        toolchain: str = "",
    ) -> None:
        if reason := never_cached(spec):
            raise NotCacheableError(reason)
        self._cache = cache
        self._request = _Request(tuple(argv), cwd, timeout, silence)
        self._resolved = resolve(spec)
        self._outputs = _outputs_of(self._resolved)
        self._root = InputRoot(shown_by(self._resolved, cache.directory, cwd))
        messages: dict[Digest, bytes] = {}
        root_digest = self._root.digest(cache.known, keep=messages)
        platform = platform_of_host()
        command = Command(
            self._request.argv,
            spec.environment.items(),
            tuple([_relative(at, cwd) for at, _ in self._outputs]),
            platform,
            cwd.lstrip("/"),
        ).encode()
        messages[Digest.of(command)] = command
        self._toolchain = toolchain or toolchain_identity(cache, spec, say)
        lines = salt(spec, self._toolchain, silence)
        self._action = Action(Digest.of(command), root_digest, timeout, salt=lines, platform=platform)
        self._messages = messages
        self.digest = Digest.of(self._action.encode())

    def look_up(self) -> Kept | None:
        """Return the result that is in the cache.

        Raises:
            CacheError: The cache cannot be read.
        """
        return self._cache.look_up(self.digest)

    def restore(self, kept: Kept, emit: Callable[[str, bytes], None]) -> ExecutionResult:
        """Put the outputs of a result in place and return it.

        Args:
            kept: From `look_up`.
            emit: Called with ``"stdout"`` or ``"stderr"`` and what the command had printed there.

        Raises:
            CacheError: A blob is missing or was changed. Nothing was put in place and nothing emitted.
            OSError: The outputs cannot be written.
        """
        began, started_at = time.monotonic(), time.time()
        streams = {"stdout": kept.result.stdout, "stderr": kept.result.stderr}
        try:
            printed = {name: self._cache.blobs.read(digest) for name, digest in streams.items() if digest is not None}
            self._restore_outputs(kept)
        except (BlobNotFoundError, DigestMismatchError):
            self._cache.doubt(kept.result)
            raise
        for name in ("stdout", "stderr"):
            if name in printed:
                emit(name, printed[name])
        self._cache.index.use_result(self.digest)
        return ExecutionResult(
            argv=self._request.argv,
            exit_code=0,
            stdout=printed.get("stdout", b""),
            stderr=printed.get("stderr", b""),
            receipt=receipt_of(kept),
            output_files=self._files(),
            started_at=started_at,
            duration=time.monotonic() - began,
            action=self.digest.hash,
            cached=True,
        )

    def _restore_outputs(self, kept: Kept) -> None:
        """Put in place what is not there already; what is there and equal stays untouched, with its times."""
        hosts = {_relative(at, self._request.cwd): host for at, host in self._outputs}
        equal: dict[str, frozenset[str] | None] = {}
        for output in kept.result.directories:
            if output.path not in hosts:
                raise CacheError(f"a result names the output {output.path!r}, which the action does not have")
            equal[output.path] = already_there(self._cache.blobs, output, hosts[output.path], self._cache.known)
        if all(found is None for found in equal.values()):
            return
        with self._staging() as staging:
            places = self._places(staging)
            for output in kept.result.directories:
                found = equal[output.path]
                if found is not None:
                    restore_directory(self._cache.blobs, output, places[output.path], but=found)
            staging.publish()

    def run(self, execute: Callable[[SandboxSpec], ExecutionResult]) -> tuple[ExecutionResult, str]:
        """Run the command with empty outputs, keep the result if it may be kept, and put the outputs in place.

        Args:
            execute: Runs the command in a sandbox of the given spec and captures what it prints.

        Returns:
            The result, and why it was not kept; empty when it was.
        """
        reason = self._note()
        with self._staging() as staging:
            staged = dict(zip([at for at, _ in self._outputs], staging.places, strict=True))
            self._make_cwd(staged)
            result = execute(self._staged_spec(staged))
            reason = why_not_kept(result) or reason
            reason = reason or self._what_changed() or self._keep(result, staging)
            staging.publish()
        return replace(result, action=self.digest.hash, output_files=self._files()), reason

    def _note(self) -> str:
        """Write down what the action consists of; returns why the cache cannot be written, if it cannot."""
        try:
            self._cache.note_action(self._action, self._messages.values())
        except (CacheError, OSError) as error:
            return sentence_of(error)
        return ""

    def _what_changed(self) -> str:
        """Say what is not as it was before the command ran; empty when everything is."""
        if not self._root.is_unchanged(self._cache.known):
            return "an input changed while the command ran"
        if toolchain_identity(self._cache, self._resolved.spec, lambda _text: None) != self._toolchain:
            return "the toolchain changed while the command ran"
        return ""

    def _keep(self, result: ExecutionResult, staging: Staging) -> str:
        """Keep a result; returns why that was not possible, if it was not."""
        blobs = self._cache.blobs
        try:
            kept = []
            place_of = {_relative(at, self._request.cwd): at for at, _ in self._outputs}
            for path, place in self._places(staging).items():
                output = keep_directory(blobs, path, place)
                if output is None:
                    return f"the output {place_of[path]!r} stayed empty"
                kept.append(output)
            ended = result.started_at + result.usage.wall_time
            message = ActionResult(
                tuple(kept),
                result.exit_code,
                blobs.put(result.stdout) if result.stdout else None,
                blobs.put(result.stderr) if result.stderr else None,
                Metadata(result.receipt.backend, round(result.started_at * _NANO), round(ended * _NANO)),
            )
            about = {"receipt": result.receipt.to_dict(), "usage": result.usage.to_dict()}
            self._cache.remember(self.digest, message, about)
        except (CacheError, OSError) as error:
            return sentence_of(error)
        return ""

    def _staging(self) -> Staging:
        return Staging(f"{self._cache.directory}/staging", [host for _, host in self._outputs])

    def _places(self, staging: Staging) -> dict[str, str]:
        """Return the staged directory of each output path of the command."""
        paths = [_relative(at, self._request.cwd) for at, _ in self._outputs]
        return dict(zip(paths, staging.places, strict=True))

    def _staged_spec(self, staged: dict[str, str]) -> SandboxSpec:
        """Return the spec with staged directories in place of its outputs."""
        spec = self._resolved.spec
        declarations = [
            replace(one, host=staged[one.at]) if one.role == Role.OUTPUT else one for one in spec.declarations
        ]
        return replace(spec, declarations=tuple(declarations))

    def _make_cwd(self, staged: dict[str, str]) -> None:
        """Make the working directory where it lies in an output, because that begins empty."""
        cwd = self._request.cwd
        for at, place in staged.items():
            if is_within(cwd, at):
                os.makedirs(posixpath.join(place, posixpath.relpath(cwd, at)), exist_ok=True)

    def _files(self) -> tuple[str, ...]:
        found: list[str] = []
        for _, host in self._outputs:
            for directory, names, files in os.walk(host):
                links = [name for name in names if os.path.islink(os.path.join(directory, name))]
                found += [os.path.join(directory, name) for name in (*files, *links)]
        return tuple(sorted(found))


def _outputs_of(resolved: ResolvedSpec) -> list[tuple[str, str]]:
    """Return place and host directory of each output, sorted by place."""
    found = sorted((entry.at, entry.host) for entry in resolved.entries if entry.role == Role.OUTPUT)
    declared = sorted(one.at for one in resolved.spec.declarations if one.role == Role.OUTPUT)
    for at in declared:
        inner = [other for other in declared if other != at and is_within(other, at)]
        if inner:
            raise NotCacheableError(f"the output {inner[0]!r} lies in the output {at!r}")
    if [at for at, _ in found] != declared:
        raise NotCacheableError("an output is reached through a link; name the directory itself")
    return found


def shown_by(resolved: ResolvedSpec, directory: str, cwd: str) -> list[Shown]:
    """Return what the command sees, without what the identity of the toolchain stands for."""
    store = os.path.realpath(directory)
    above_store, above_cwd = _with_ancestors(store), _with_ancestors(cwd)
    shown = []
    for entry in resolved.entries:
        if entry.origin.startswith("toolchain"):
            continue
        if entry.role in (EntryRole.HOLE, EntryRole.MADE):
            shown.append(Shown(entry.at, hidden=entry.kind != EntryKind.SKELETON))
        elif entry.role in (Role.OUTPUT, Role.TEMP):
            shown.append(Shown(entry.at))
        elif entry.kind == EntryKind.LINK:
            shown.append(Shown(entry.at, target=entry.target))
        elif entry.at == "/":
            raise NotCacheableError("the whole host is an input")
        elif entry.host in above_store:
            raise CacheError(
                f"the cache {store!r} lies in the input {entry.host!r}, which would change with each run",
                code="cache.inside-input",
                hint="name a directory elsewhere: --cache=DIR",
            )
        else:
            shown.append(Shown(entry.at, host=entry.host))
    if cwd != "/" and not any(one.at in above_cwd for one in shown if one.host):
        shown.append(Shown(cwd))
    return shown


def _with_ancestors(path: str) -> frozenset[str]:
    found = [path]
    while path != "/":
        path = parent(path)
        found.append(path)
    return frozenset(found)


def _relative(at: str, cwd: str) -> str:
    """Return an output path as the command names it: relative to its directory, which itself has an empty path."""
    path = posixpath.relpath(at, cwd)
    return "" if path == "." else path


def platform_of_host() -> tuple[tuple[str, str], ...]:
    """Return what an action says of the machine that it needs, in REAPI's words."""
    machine = os.uname().machine
    return (("ISA", _MACHINES.get(machine, machine)), ("OSFamily", "linux"))


def sentence_of(error: CacheError | OSError) -> str:
    """Say why the cache could not be written."""
    if isinstance(error, CacheError):
        return error.message
    return f"the cache cannot be written: {error.strerror}"


def receipt_of(kept: Kept) -> Receipt:
    """Return the receipt of the run that made a result, with a note that it was not this one."""
    about = kept.about.get("receipt")
    told: dict[str, object] = about if isinstance(about, dict) else {}
    records, notes = told.get("guarantees"), told.get("notes")
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(kept.stored))
    return Receipt(
        tuple([_record_of(one) for one in records if isinstance(one, dict)]) if isinstance(records, list) else (),
        str(told.get("backend", "")),
        (
            f"from the cache: this was enforced when the command ran, on {when}",
            *([str(note) for note in notes] if isinstance(notes, list) else []),
        ),
    )


def _record_of(told: dict[str, object]) -> GuaranteeRecord:
    by = told.get("enforced_by")
    return GuaranteeRecord(
        str(told.get("guarantee", "")),
        bool(told.get("asked")),
        tuple(map(str, by)) if isinstance(by, list) else (),
        bool(told.get("verified")),
        str(told.get("detail", "")),
    )
