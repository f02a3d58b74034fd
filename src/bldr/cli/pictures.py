"""``--report FILE`` and ``--profile FILE``: pictures of a run, which appear whole or not at all."""

from __future__ import annotations

from bldr.cli.resultfile import WholeFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from bldr.cli.options import Parsed
    from bldr.cli.request import Request
    from bldr.model.result import ExecutionResult

__all__ = ["Pictures"]


class Pictures:
    """The files that were asked for. They are opened before anything runs, and written after its end."""

    def __init__(self, parsed: Parsed) -> None:
        self._report = self._file(parsed, "report")
        self._profile = self._file(parsed, "profile")

    @staticmethod
    def _file(parsed: Parsed, name: str) -> WholeFile | None:
        path = parsed.last(name)
        return None if path is None else WholeFile(path, f"--{name}", f"the {name}")

    def __enter__(self) -> Self:
        entered = []
        try:
            for file in filter(None, (self._report, self._profile)):
                file.__enter__()
                entered.append(file)
        except BaseException:
            for file in entered:
                file.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        for file in filter(None, (self._report, self._profile)):
            file.__exit__(*error)

    def draw(self, result: ExecutionResult, asked: Request | None = None, steps: Sequence[str] = ()) -> None:
        """Write what was asked for.

        Args:
            result: What came of the run.
            asked: What it was to be; ``None`` when it had no sandbox.
            steps: How its sandbox was made.
        """
        from bldr import __version__

        if self._report is not None:
            from bldr.report.html import Run, render

            run = Run(result, version=__version__)
            if asked is not None:
                run = Run(result, asked.spec, asked.cwd, asked.timeout, asked.silence, tuple(steps), __version__)
            self._report.write_text(render(run))
        if self._profile is not None:
            from bldr.report import trace

            self._profile.write_text(trace.render(result, version=__version__))
