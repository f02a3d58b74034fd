"""One action: from the cache, or in a sandbox, and its outputs put in place."""

from __future__ import annotations

import _thread
import os
import time

from bldr.engine.action import WORKSPACE
from bldr.engine.confining import Key, spec_of_action, toolchains_there
from bldr.engine.depfile import counted, named_paths
from bldr.engine.outcome import Outcome, Status
from bldr.engine.publishing import keep, publish, restore, taken
from bldr.engine.slots import Slots
from bldr.engine.stages import Stages
from bldr.errors import ActionError, BldrError, CacheError, EngineError, NotCacheableError, SandboxError
from bldr.execution.caching import never_cached, receipt_of, sentence_of, why_not_kept
from bldr.execution.executor import HermeticExecutor
from bldr.model.result import ExecutionResult, Termination
from bldr.model.value import replace, value
from bldr.sandbox.select import backend_for
from bldr.store.messages import ActionResult, Metadata

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Protocol

    from bldr.builderfile.workspace import Resolved
    from bldr.engine.action import Action
    from bldr.engine.drafts import Drafts
    from bldr.engine.files import Content, Files
    from bldr.model.spec import SandboxSpec
    from bldr.model.toolchain import Toolchain
    from bldr.sandbox.resolved import ResolvedSpec
    from bldr.store.cache import Cache, Kept

    class Interruptible(Protocol):
        """Something that runs and can be ended."""

        def terminate(self) -> None:
            """Ask it to end."""

        def kill(self) -> None:
            """End it."""


__all__ = ["Made", "Performer", "Running", "unconfined"]

_NANO = 1_000_000_000


class Running:
    """The commands that run, so that all of them can be ended."""

    def __init__(self) -> None:
        self._lock = _thread.allocate_lock()
        self._sessions: list[Interruptible] = []
        self.stopped = 0

    def add(self, session: Interruptible) -> None:
        """Note that a command was started; it is ended at once when all were."""
        with self._lock:
            self._sessions.append(session)
            stopped = self.stopped
        if stopped:
            session.kill()

    def remove(self, session: Interruptible) -> None:
        """Note that a command has ended."""
        with self._lock:
            self._sessions.remove(session)

    def stop(self, count: int) -> None:
        """Ask all commands to end; the second time they are killed."""
        with self._lock:
            self.stopped = count
            sessions = list(self._sessions)
        for session in sessions:
            if count > 1:
                session.kill()
            else:
                session.terminate()


@value
class Made:
    """What an action made, beside its outcome.

    Args:
        outcome: What became of it.
        outputs: What its outputs hold; ``None`` when they are not known to be right.
        reads: The inputs that it has read, where it told; ``None`` when all of them count.
        error: What ends the whole build.
    """

    outcome: Outcome
    outputs: Content | None = None
    reads: frozenset[str] | None = None
    error: BaseException | None = None


class Performer:
    """Carries out actions of one workspace; any thread may use it.

    Args:
        root: The absolute path of the workspace.
        base: A directory for stages, on the same file system.
        cache: The cache.
        files: What the workspace holds.
        toolchain: The identity of the toolchain.
        running: Is told of the commands that run.
        drafts: Makes copies of outputs that belong on another file system.
    """

    def __init__(
        self, root: str, base: str, cache: Cache, files: Files, toolchain: str, running: Running, drafts: Drafts
    ) -> None:
        self._root = root
        self._slots = Slots(base)
        self._drafts = drafts
        self._toolchains = toolchains_there()
        self._cache = cache
        self._files = files
        self._toolchain = toolchain
        self._running = running

    def perform(
        self,
        number: int,
        action: Action,
        target: Resolved,
        optional: tuple[str, ...],
        reason: str,
        inputs: Mapping[str, str],
        *,
        anew: bool = False,
    ) -> Made:
        """Carry out an action.

        Args:
            number: Its number, which no other one has.
            action: The action.
            target: Its target.
            optional: Its outputs that may stay empty.
            reason: Why it is stale.
            inputs: What its inputs hold, as far as the build knows.
            anew: Whether it runs even if its result is in the cache.

        Raises:
            SandboxError: No sandbox can be made here.
        """
        work = _Work(
            self._root, self._cache, self._files, self._running, self._drafts, action, target, optional, reason, inputs,
            self._toolchains,
        )  # fmt: skip
        place = self._slots.take(number)
        stages = Stages(place, self._root, action)
        try:
            return work.perform(stages, self._toolchain, anew=anew)
        except SandboxError:
            raise
        except BldrError as error:
            return work.failed(error.message, error.hint)
        except OSError as error:
            what = f" {error.filename!r}" if error.filename else ""
            return work.failed(f"{error.strerror or error}{what}")
        finally:
            self._slots.give_back(place)


class _Work:
    """One action that is carried out."""

    def __init__(
        self,
        root: str,
        cache: Cache,
        files: Files,
        running: Running,
        drafts: Drafts,
        action: Action,
        target: Resolved,
        optional: tuple[str, ...],
        reason: str,
        inputs: Mapping[str, str],
        toolchains: Mapping[str, Toolchain],
    ) -> None:
        self._root = root
        self._cache = cache
        self._files = files
        self._running = running
        self._action = action
        self._target = target
        self._optional = optional
        self._reason = reason
        self._inputs = inputs
        self._drafts = drafts
        self._toolchains = toolchains
        self._changed = ""
        self._began = time.monotonic()
        self._spec: SandboxSpec | None = None

    def failed(self, problem: str, hint: str = "", result: ExecutionResult | None = None) -> Made:
        """Return that it failed."""
        status = Status.CANCELLED if self._running.stopped else Status.FAILED
        return Made(self._outcome(status, problem=problem, hint=hint, result=result))

    def perform(self, stages: Stages, toolchain: str, *, anew: bool) -> Made:
        """Take its result from the cache, or run it and keep what came of it."""
        timeout = self._target.target.hermetic.timeout
        stages.make()
        self._spec = spec = spec_of_action(self._action, self._target, self._root, stages.places, self._toolchains)
        key = Key(
            self._action,
            spec,
            stages,
            self._root,
            timeout=timeout,
            toolchain=toolchain,
            known=self._cache.known,
            cache=self._cache.directory,
        )
        if not key.saw(self._root, self._inputs):
            self._changed = "an input changed before it ran"
        uncached = never_cached(spec)
        if not uncached and not anew:
            kept = self._cache.look_up(key.digest)
            if kept is not None and (made := self._from_cache(kept, stages)) is not None:
                return made
        stages.copy_inputs()
        result = replace(self._execute(spec, key.resolved, timeout), action=key.digest.hash)
        try:
            result.check()
        except ActionError as error:
            self._keep_reports(stages)
            return self.failed(error.message, error.hint, result)
        named = self._named(stages)
        written = self._taken(stages, result)
        if isinstance(written, Made):
            return written
        if not key.is_unchanged():
            note = self._changed = "an input changed while it ran"
        else:
            note = uncached or why_not_kept(result) or self._keep(key, stages, result, named)
        publish(self._root, stages, written, self._files, self._drafts)
        outcome = self._outcome(Status.BUILT, note=self._changed or note, result=result)
        return Made(outcome, None if self._changed else _flat(written), self._counted(named))

    def _keep_reports(self, stages: Stages) -> None:
        """Put reports in place although the action failed."""
        for path in self._action.reports:
            place, target = stages.place_of(path), os.path.join(self._root, path)
            if os.path.isfile(place) and not os.path.islink(place):
                os.makedirs(os.path.dirname(target), exist_ok=True)
                os.replace(place, target)
            elif os.path.isfile(target):
                os.unlink(target)  # what an earlier run reported is not what this one has to say
        self._files.forget(self._action.reports)

    def _taken(self, stages: Stages, result: ExecutionResult) -> dict[str, Content] | Made:
        try:
            return taken(stages, self._action.outputs, self._optional)
        except EngineError as error:
            return self.failed(error.message, error.hint, result)

    def _from_cache(self, kept: Kept, stages: Stages) -> Made | None:
        """Put the outputs of a result in place; ``None`` where that is not possible, and stages are as before."""
        try:
            digest = kept.result.stdout
            printed = self._cache.blobs.read(digest) if digest is not None else b""
            restore(self._cache.blobs, kept.result, stages)
            written = taken(stages, self._action.outputs, self._optional)
        except (CacheError, EngineError):
            self._cache.doubt(kept.result)
            stages.remove()
            stages.make()
            return None
        publish(self._root, stages, written, self._files, self._drafts)
        self._cache.index.use_result(kept.action)
        result = ExecutionResult(
            argv=self._action.argv,
            exit_code=0,
            stdout=printed,
            receipt=receipt_of(kept),
            action=kept.action.hash,
            cached=True,
        )
        named = kept.about.get("named")
        told = self._counted(map(str, named)) if isinstance(named, list) else None
        outcome = self._outcome(Status.CACHED, note=self._changed, result=result)
        return Made(outcome, None if self._changed else _flat(written), told)

    def _execute(self, spec: SandboxSpec, resolved: ResolvedSpec | None, timeout: float | None) -> ExecutionResult:
        session = HermeticExecutor(backend_for(spec, resolved=resolved)).start(
            self._action.argv,
            WORKSPACE,
            timeout=timeout,
            stdout="capture",
            stderr="stdout",
            list_outputs=False,
        )
        with session:
            self._running.add(session)
            try:
                return session.wait()
            finally:
                self._running.remove(session)

    def _named(self, stages: Stages) -> frozenset[str] | None:
        """Return what the depfile names, if there is one."""
        if not self._action.depfile:
            return None
        try:
            with open(stages.place_of(self._action.depfile), encoding="utf-8", errors="surrogateescape") as file:
                return named_paths(file.read())
        except OSError:
            return None  # it did not write one, so that everything counts

    def _counted(self, named: Iterable[str] | None) -> frozenset[str] | None:
        return None if named is None else counted(named, self._inputs)

    def _keep(self, key: Key, stages: Stages, result: ExecutionResult, named: frozenset[str] | None) -> str:
        """Keep a result; returns why that was not possible, if it was not."""
        blobs = self._cache.blobs
        try:
            self._cache.note_action(key.action, key.messages.values())
            made = keep(blobs, stages, self._action.outputs)
            ended = result.started_at + result.usage.wall_time
            metadata = Metadata(result.receipt.backend, round(result.started_at * _NANO), round(ended * _NANO))
            message = ActionResult(
                made.directories,
                0,
                blobs.put(result.stdout) if result.stdout else None,
                None,
                metadata,
                made.files,
                made.symlinks,
            )
            about = {
                "receipt": result.receipt.to_dict(),
                "usage": result.usage.to_dict(),
                "named": None if named is None else sorted(named),
            }
            self._cache.remember(key.digest, message, about)
        except NotCacheableError as error:
            return error.message
        except (CacheError, OSError) as error:
            return sentence_of(error)
        return ""

    def _outcome(
        self, status: str, *, problem: str = "", hint: str = "", note: str = "", result: ExecutionResult | None = None
    ) -> Outcome:
        return Outcome(
            self._action,
            status,
            self._reason,
            problem,
            hint,
            note,
            result,
            self._spec,
            self._began,
            time.monotonic(),
        )


def _flat(written: Mapping[str, Content]) -> dict[str, str]:
    return {path: text for content in written.values() for path, text in content.items()}


def unconfined(action: Action, target: Resolved, root: str, running: Running, reason: str) -> Outcome:
    """Run an action without a sandbox, in the workspace itself, with the caller's variables.

    Raises:
        OSError: The folders of its outputs cannot be made.
    """
    began, started_at = time.monotonic(), time.time()
    for output in (*action.outputs, action.depfile):
        folder = output if output.endswith("/") else os.path.dirname(output)
        if output:
            os.makedirs(os.path.join(root, folder), exist_ok=True)
    environment = {**os.environ, **dict(action.env), **dict(target.target.hermetic.env.items())}
    group = _Group(action.argv, root, environment)
    problem = group.problem
    if not problem:
        running.add(group)
        try:
            problem = group.finish(target.target.hermetic.timeout)
        finally:
            running.remove(group)
    missing = [path for path in action.outputs if not os.path.lexists(os.path.join(root, path.rstrip("/")))]
    if not problem and missing:
        problem = f"it succeeded and did not make {missing[0]!r}"
    status = Status.BUILT if not problem else Status.CANCELLED if running.stopped else Status.FAILED
    code = group.code
    result = ExecutionResult(
        argv=action.argv,
        exit_code=code,
        termination=Termination.EXITED,
        stdout=group.output,
        started_at=started_at,
        duration=time.monotonic() - began,
    )
    return Outcome(
        action, status, reason, problem, note="not hermetic", result=result, began=began, ended=time.monotonic()
    )


class _Group:
    """A command without a sandbox, in a session of its own, so that everything it started can be signalled."""

    def __init__(self, argv: tuple[str, ...], cwd: str, environment: dict[str, str]) -> None:
        from subprocess import DEVNULL, PIPE, STDOUT, Popen

        self.output = b""
        self.code = 127
        self.problem = ""
        self._process: Popen[bytes] | None = None
        try:
            self._process = Popen(
                argv, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, cwd=cwd, env=environment, start_new_session=True
            )
        except OSError as error:
            self.problem = f"the command {argv[0]!r} cannot be executed: {error.strerror}"

    def finish(self, timeout: float | None) -> str:
        """Wait for the end; returns what is wrong with it."""
        from subprocess import TimeoutExpired

        assert self._process is not None
        try:
            self.output, _ = self._process.communicate(timeout=timeout)
        except TimeoutExpired:
            self.kill()
            self.output, _ = self._process.communicate()
            self.code = 124
            return f"it was ended by its timeout after {timeout:g} s"
        self.code = self._process.returncode
        return f"it ended with status {self.code}" if self.code else ""

    def terminate(self) -> None:
        """Ask the group to end."""
        self._signal(15)

    def kill(self) -> None:
        """End the group."""
        self._signal(9)

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                pass  # it has ended, and is about to be reaped
