"""The account of a build: what is shown while it goes on, and the files that options name."""

from __future__ import annotations

from bldr.cli.options import UsageError
from bldr.cli.progress_of_builds import progress_of
from bldr.engine.outcome import Observers
from bldr.errors import BldrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from bldr.cli.events import EventFile
    from bldr.cli.options import Parsed
    from bldr.cli.progress_of_builds import Progress
    from bldr.cli.resultfile import ResultFile, WholeFile
    from bldr.engine.graph import Graph
    from bldr.engine.outcome import Observer
    from bldr.engine.result import BuildResult
    from bldr.engine.scheduler import Stop

__all__ = ["Account"]

_AFTERWARDS = ("events", "profile", "report")  # what a build that does nothing has nothing to say for


class Account:
    """The files that were asked for: opened before anything is built, and written after its end.

    Args:
        parsed: The options.
        verb: ``build`` or ``test``.
        more: Whether events are added to those of an earlier build.
    """

    def __init__(self, parsed: Parsed, verb: str, *, more: bool = False) -> None:
        self._parsed = parsed
        self.verb = verb
        if parsed.given("dry-run"):
            for name in _AFTERWARDS:
                if parsed.given(name):
                    raise UsageError(f"--{name} and --dry-run contradict each other", hint="leave one of them out")
        self._json = self._result_file()
        self._profile = self._whole_file("profile")
        self._report = self._whole_file("report")
        self._events = self._event_file(more=more)
        self._progress: Progress | None = None
        self._is_settled = False

    def _result_file(self) -> ResultFile | None:
        path = self._parsed.last("json")
        if path is None:
            return None
        from bldr.cli.resultfile import ResultFile

        return ResultFile(path)

    def _whole_file(self, name: str) -> WholeFile | None:
        path = self._parsed.last(name)
        if path is None:
            return None
        from bldr.cli.resultfile import WholeFile

        return WholeFile(path, f"--{name}", f"the {name}")

    def _event_file(self, *, more: bool) -> EventFile | None:
        path = self._parsed.last("events")
        if path is None:
            return None
        from bldr.cli.events import EventFile

        return EventFile(path, more=more)

    def __enter__(self) -> Self:
        entered: list[WholeFile | EventFile] = []
        try:
            for file in self._files():
                file.__enter__()
                entered.append(file)
        except BaseException:
            for file in entered:
                file.__exit__()
            raise
        return self

    def __exit__(self, _kind: object, error: object, _traceback: object) -> None:
        if isinstance(error, BldrError):
            self.fail(error)
        for file in self._files():
            file.__exit__()

    def _files(self) -> list[WholeFile | EventFile]:
        files = (self._json, self._profile, self._report, self._events)
        return [file for file in files if file is not None]

    def begin(
        self, graph: Graph, root: str, targets: tuple[str, ...], stop: Stop, *, hermetic: bool
    ) -> tuple[Progress, Observer]:
        """Return what speaks, and who is to be told of the build.

        Args:
            graph: The graph of the build.
            root: The absolute path of the workspace.
            targets: The labels that were asked for.
            stop: Says how often somebody asked for the end.
            hermetic: Whether there are sandboxes.
        """
        self._progress = progress = progress_of(self._parsed, graph, root, stop)
        if self._events is None:
            return progress, progress
        self._events.prepare(root, self.verb, targets, hermetic=hermetic, say=progress.say)
        return progress, Observers((self._events, progress))

    def settle(self, result: BuildResult) -> None:
        """Write what was asked for."""
        self._is_settled = True
        if self._events is not None:
            self._events.ended(result)
        if self._json is not None:
            self._json.write(result.to_dict())
        from bldr import __version__

        if self._profile is not None:
            from bldr.report import build_trace

            self._profile.write_text(build_trace.render(result, version=__version__))
        if self._report is not None:
            from bldr.report.build_page import render

            advice = {} if self._progress is None else self._progress.advice
            self._report.write_text(render(result, advice, version=__version__))

    def fail(self, error: BldrError) -> None:
        """Write why nothing was built."""
        if self._json is not None and not self._is_settled:
            self._is_settled = True
            self._json.write_error(error)

    def plan(self, planned: list[dict[str, object]]) -> None:
        """Write what would be done."""
        if self._json is not None:
            self._json.write({"schema": 1, "planned": planned})
