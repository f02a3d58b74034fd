"""``--report FILE`` of a build: one page, as that of an execution; see :mod:`bldr.report.html`."""

from __future__ import annotations

from time import localtime, strftime

from bldr.engine.outcome import Status
from bldr.report.build_sections import (
    actions,
    critical_path,
    failures,
    figures,
    messages,
    receipts,
    tests,
)
from bldr.report.build_timeline import timeline
from bldr.report.html import document
from bldr.report.markup import text
from bldr.report.units import count_text, time_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bldr.engine.result import BuildResult

__all__ = ["render"]

_TARGETS = 600  # characters of what was asked for


def render(build: BuildResult, advice: Mapping[str, Sequence[str]], *, version: str) -> str:
    """Return the page. The same build gives the same page; at most a few megabytes, however large it was.

    Args:
        build: What came of it.
        advice: What was said of the causes of failures, by the name of the action.
        version: That of bldr.
    """
    picture, data = timeline(build)
    body = [
        _head(build),
        figures(build),
        failures(build, advice),
        tests(build),
        picture,
        critical_path(build),
        actions(build),
        messages(build),
        receipts(build),
        f"<footer>Written by bldr {text(version)}. Times count from the start of the build.</footer>",
    ]
    return document(_asked(build), "\n".join(filter(None, body)), data)


def verdict(build: BuildResult) -> str:
    """How it ended, in a few words."""
    failed = build.count(Status.FAILED)
    if build.is_stopped:
        return "interrupted"
    if failed:
        return f"{failed} action{'s' * (failed != 1)} failed"
    return "failed" if build.exit_status else "succeeded"


def _head(build: BuildResult) -> str:
    good = build.status == "succeeded"
    started = strftime("%Y-%m-%d %H:%M:%S %z", localtime(build.started_at))
    ran = any(outcome.result is not None for outcome in build.outcomes)
    hermetic = "" if not ran else ", hermetic" if build.is_hermetic else ", not hermetic"
    count = len(build.targets)
    targets = f", {count_text(count)} target{'s' * (count != 1)}"
    return (
        "<header>\n"
        f'<p class="kicker">{text(started)}, in {text(build.root, 400)}{targets}</p>\n'
        f"<h1>{text(_asked(build), _TARGETS)}</h1>\n"
        f'<p class="verdict{"" if good else " bad"}"><strong>{text(verdict(build))}</strong> after '
        f"{text(time_text(build.duration))}{text(hermetic)}</p>\n</header>"
    )


def _asked(build: BuildResult) -> str:
    from shlex import join

    return join(("bldr", build.verb, *build.asked))
