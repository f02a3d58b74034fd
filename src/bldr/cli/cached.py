"""``bldr run --cache``: take the result from the cache, or run the command and keep what came of it.

The command gets no standard input, and pipes for its output even on a terminal: what it prints is kept, and must not
depend on who looks.
"""

from __future__ import annotations

import os
import select
import stat

from bldr.cli.cachedir import cache_directory
from bldr.cli.messages import OutputClosedError, say
from bldr.cli.run import Interrupts, waited
from bldr.errors import CacheError, NotCacheableError
from bldr.execution.caching import CachedCommand
from bldr.execution.executor import HermeticExecutor
from bldr.model.value import replace
from bldr.store.cache import Cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from bldr.audit.log import AuditLog
    from bldr.cli.options import Parsed
    from bldr.cli.pictures import Pictures
    from bldr.cli.request import Request
    from bldr.model.result import ExecutionResult
    from bldr.model.spec import SandboxSpec
    from bldr.sandbox.linux.launcher import Launcher

__all__ = ["run_cached"]

_FDS = {"stdout": 1, "stderr": 2}


def run_cached(
    parsed: Parsed,
    asked: Request,
    launcher: Launcher | None,
    pictures: Pictures | None,
    audit: AuditLog | None,
    uncached: Callable[[], ExecutionResult],
) -> ExecutionResult:
    """Run a command with the cache.

    Args:
        parsed: The options.
        asked: What they ask for.
        launcher: The fork server to use.
        pictures: The files that show the run.
        audit: Where each violation of a command that runs is written.
        uncached: Runs it without the cache, where no result could be kept.

    Raises:
        CacheError: The cache cannot be used. Nothing ran.
    """
    tell: Callable[[str], None] = (lambda _text: None) if parsed.given("quiet") else say
    with Cache(cache_directory(parsed.last("cache"))) as cache:
        if cache.index.replaced:
            tell(f"the index of the cache could not be read and lies in {cache.index.replaced!r}; a new one was begun")
        try:
            command = CachedCommand(
                cache,
                asked.spec,
                parsed.rest,
                asked.cwd,
                timeout=asked.timeout,
                silence=asked.silence,
                say=tell,
            )
        except NotCacheableError as error:
            tell(f"not cached: {error.message}")
            return uncached()
        if _has_input():
            tell("standard input is not passed on: with --cache it is empty")
        return _Run(parsed, asked, launcher, pictures, audit, tell).with_cache(command)


class _Run:
    """One run with the cache: what was asked for, and how to tell."""

    def __init__(
        self,
        parsed: Parsed,
        asked: Request,
        launcher: Launcher | None,
        pictures: Pictures | None,
        audit: AuditLog | None,
        tell: Callable[[str], None],
    ) -> None:
        self._parsed = parsed
        self._asked = asked
        self._launcher = launcher
        self._pictures = pictures
        self._audit = audit
        self._tell = tell
        self._steps: list[str] = []

    def with_cache(self, command: CachedCommand) -> ExecutionResult:
        """Take the result of the cache, or run the command."""
        result = self._restored(command)
        if result is None:
            result, reason = command.run(self._execute)
            if reason:
                self._tell(f"not cached: {reason}")
        if self._pictures is not None:
            self._pictures.draw(result, self._asked, self._steps)
        return replace(result, stdout=b"", stderr=b"")  # the caller has seen it, as without the cache

    def _restored(self, command: CachedCommand) -> ExecutionResult | None:
        kept = command.look_up()
        if kept is None:
            return None
        try:
            result = command.restore(kept, _emit)
        except CacheError as error:
            if error.code == "cache.output-blocked":
                raise
            self._tell(f"{error.message}; the command runs again")
            return None
        self._tell(f"from the cache: {len(result.output_files)} files in place, action {command.digest.hash[:16]}")
        return result

    def _execute(self, spec: SandboxSpec) -> ExecutionResult:
        with Interrupts() as interrupts:
            executor = HermeticExecutor.create(spec, launcher=self._launcher, audit=self._audit)
            session = executor.start(
                self._parsed.rest,
                cwd=self._asked.cwd,
                timeout=self._asked.timeout,
                silence=self._asked.silence,
                stdin=None,
                stdout="capture",
                stderr="capture",
                list_outputs=False,
                timeline=self._pictures is not None,
            )
            with session:
                session.wake_by(interrupts.fd)
                interrupts.reach(session)
                for name, chunk in session.stream():
                    _emit(name, chunk)
                result = waited(session)
        self._steps = [step.describe() for step in executor.plan().steps]
        return result


def _has_input() -> bool:
    """Whether something waits on standard input that somebody may expect the command to read."""
    try:
        about = os.fstat(0)
        if stat.S_ISREG(about.st_mode):
            return about.st_size > os.lseek(0, 0, os.SEEK_CUR)
        if not (stat.S_ISFIFO(about.st_mode) or stat.S_ISSOCK(about.st_mode)):
            return False
    except OSError:
        return False
    poller = select.poll()
    poller.register(0, select.POLLIN)
    return any(events & select.POLLIN for _, events in poller.poll(0))


def _emit(name: str, content: bytes) -> None:
    """Pass output on.

    Raises:
        OutputClosedError: Nobody reads it any more.
    """
    try:
        while content:
            content = content[os.write(_FDS[name], content) :]
    except BrokenPipeError as error:
        raise OutputClosedError from error
