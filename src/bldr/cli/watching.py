"""``--watch``: build, and build again whenever something has changed that the build depends on."""

from __future__ import annotations

import _signal
import gc
import os
import time

from bldr.cli.account import Account
from bldr.cli.build import INTERRUPTED
from bldr.cli.diagnostics import complain_of
from bldr.cli.messages import complain, say
from bldr.cli.options import UsageError
from bldr.cli.request import caller_directory
from bldr.engine.watch import Watch, sentence_of
from bldr.errors import BldrError, BuilderfileError, UnknownTargetError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Self

    from bldr.cli.build import Prepared, Work
    from bldr.cli.options import Parsed

__all__ = ["Wait", "settled", "watch"]

_OFTEN = 0.2  # seconds between two looks, at least
_SHARE = 20  # looking takes no more than one in so many seconds
_SETTLE = 0.1  # seconds in which nothing changes any more
_MOST = 20  # looks until it is built in any case: something may never stop changing


def watch(parsed: Parsed, work: Work) -> int:
    """Build again and again, until somebody asks for the end; returns the exit status.

    Raises:
        UsageError: Options do not fit together.
        BldrError: The first build could not even begin.
    """
    for name in ("dry-run", "no-hermetic"):
        if parsed.given(name):
            raise UsageError(f"--watch and --{name} contradict each other", hint="leave one of them out")
    parsed.values.setdefault("wait", [""])  # somebody else may build meanwhile
    gc.enable()  # this process lives long
    try:
        return _Watcher(parsed, work).run()
    except BuilderfileError as error:
        return complain_of(error)


class _Watcher:
    """Builds of one workspace, one after the other."""

    def __init__(self, parsed: Parsed, work: Work) -> None:
        self._parsed = parsed
        self._work = work
        self._directory = caller_directory()
        self._before: Prepared | None = None
        self._count = 0
        self._is_told = False

    def run(self) -> int:
        """Build, wait, and so on; returns the exit status."""
        changes: list[str] = []
        while True:
            status, watching = self._build(changes)
            if status == INTERRUPTED:
                return INTERRUPTED
            self._say_what(watching)
            with Wait() as wait:
                changes = settled(watching, wait)
                if wait.asked:
                    return INTERRUPTED

    def _build(self, changes: list[str]) -> tuple[int, Watch]:
        since = time.time_ns()
        try:
            prepared = self._work.prepare(self._parsed)
        except BuilderfileError as error:
            if self._count == 0 and isinstance(error, UnknownTargetError):
                raise
            self._announce(changes)
            self._count += 1
            self._before = None
            watching = self._watch_of_mistake(error, since)
            with Account(self._parsed, self._work.verb, more=self._count > 1) as account:
                account.fail(error)
            return complain_of(error), watching
        except (BldrError, UsageError) as error:
            if self._count == 0:
                raise
            self._announce(changes)
            watching = self._watch_of_mistake(error, since)
            complain(error)
            return 1, watching
        watching = Watch.of_build(prepared.asked.workspace, prepared.graph, since)
        if not prepared.asked.options.hermetic:
            raise UsageError(
                f"--watch needs sandboxes, and there are none: {prepared.asked.hermetic_origin}",
                hint="without them nobody knows what a build depends on",
            )
        if self._is_same(prepared, changes):
            return 0, watching
        self._announce(changes)
        self._before = prepared
        return self._perform(prepared), watching

    def _perform(self, prepared: Prepared) -> int:
        self._count += 1
        try:
            with Account(self._parsed, self._work.verb, more=self._count > 1) as account:
                return self._work.perform(self._parsed, prepared, account)
        except (BldrError, OSError) as error:
            if self._count == 1:
                raise
            if isinstance(error, BldrError):
                complain(error)
            else:
                say(f"{error.strerror or error}{f' {error.filename!r}' if error.filename else ''}")
            return 1

    def _is_same(self, prepared: Prepared, changes: list[str]) -> bool:
        """Whether only names came or went that mean nothing to the build."""
        before = self._before
        if before is None or any(change.endswith(" changed") for change in changes):
            return False
        return prepared.graph.actions == before.graph.actions

    def _watch_of_mistake(self, error: BldrError | UsageError, since: int) -> Watch:
        from bldr.builderfile.tree import find_root

        try:
            return Watch.of_builderfiles(find_root(self._directory), since)
        except BuilderfileError:
            raise error from None  # there is nothing left to watch

    def _announce(self, changes: list[str]) -> None:
        if changes and not self._parsed.given("quiet"):
            say(sentence_of(changes))

    def _say_what(self, watching: Watch) -> None:
        if not self._is_told and not self._parsed.given("quiet"):
            self._is_told = True
            files, folders = watching.counts
            say(f"watching {files} file{'s' * (files != 1)} and {folders} folder{'s' * (folders != 1)}; Ctrl-C ends it")


def settled(watching: Watch, wait: Wait) -> list[str]:
    """Wait until something has changed, and has not changed any more for a moment.

    Returns:
        What changed; nothing when somebody asked for the end.
    """
    pause = _OFTEN
    while not wait(pause):
        began = time.monotonic()
        changes = watching.changes()
        pause = max(_OFTEN, _SHARE * (time.monotonic() - began))
        for _ in range(_MOST):
            if not changes:
                break
            if wait(_SETTLE):
                return []
            again = watching.changes()
            if again == changes:
                return list(changes)
            changes = again
        if changes:
            return list(changes)
    return []


class Wait:
    """Waits for a while, or until SIGINT, SIGTERM or SIGHUP asks for the end.

    A signal makes a descriptor readable, which ends the wait whichever thread it came to.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: list[tuple[int, object]] = []
        self._fd = self._wakes = self._wakes_before = -1

    def __enter__(self) -> Self:
        self._fd, self._wakes = os.pipe()
        os.set_blocking(self._wakes, False)
        self._wakes_before = _signal.set_wakeup_fd(self._wakes, warn_on_full_buffer=False)
        for signum in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP):
            if (before := _signal.getsignal(signum)) != _signal.SIG_IGN:
                self._before.append((signum, before))
                _signal.signal(signum, self._arrived)
        return self

    def __exit__(self, *_error: object) -> None:
        for signum, before in self._before:
            _signal.signal(signum, before)  # type: ignore[arg-type]  # it came from getsignal
        _signal.set_wakeup_fd(self._wakes_before)
        os.close(self._wakes)
        os.close(self._fd)

    def __call__(self, seconds: float) -> bool:
        """Wait; says whether somebody asked for the end."""
        from select import select

        end = time.monotonic() + seconds
        while not self.asked:
            left = end - time.monotonic()
            if left <= 0 or not select([self._fd], [], [], left)[0]:
                break
            os.read(self._fd, 4096)  # a signal came; whether it is one of these, its handler knows
        return self.asked

    def _arrived(self, _signum: int, _frame: FrameType | None) -> None:
        self.asked = True
