"""``--report FILE``: one execution as a page that needs nothing but a browser.

The page holds its own style, script and data; its policy forbids every other source, and so every connection. Whatever
the command could choose (arguments, names, messages) is text in it and never markup.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from time import localtime, strftime

from bldr.model.result import Termination
from bldr.model.value import value
from bldr.report.markup import text
from bldr.report.sections import (
    declared,
    environment,
    figures,
    guarantees,
    limits,
    post_mortem,
    processes,
    seen,
    steps,
    violations,
)
from bldr.report.timeline import timeline
from bldr.report.units import time_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.model.result import ExecutionResult
    from bldr.model.spec import SandboxSpec

__all__ = ["Run", "document", "render"]

_NOTHING_ELSE = "base-uri 'none'; form-action 'none'"  # what default-src does not speak of (CSP level 3)
_COMMAND = 4000  # characters of the command that are shown


@value
class Run:
    """What a page shows.

    Args:
        result: What came of it.
        spec: What was asked for; ``None`` where there was no sandbox.
        cwd: The directory inside; empty when it is not known.
        timeout: Seconds.
        silence: Seconds.
        steps: How the sandbox was made.
        version: That of bldr.
    """

    result: ExecutionResult
    spec: SandboxSpec | None = None
    cwd: str = ""
    timeout: float | None = None
    silence: float | None = None
    steps: tuple[str, ...] = ()
    version: str = ""


def render(run: Run) -> str:
    """Return the page. The same run gives the same page; at most a few megabytes, whatever the run was like."""
    result = run.result
    command = _shell_words(result.argv)
    picture, data = timeline(result, run.spec)
    body = [
        _head(run, command),
        figures(result),
        violations(result),
        picture,
        post_mortem(result),
        limits(result, run.spec, run.timeout, run.silence),
        guarantees(result),
        seen(result),
        declared(run.spec),
        environment(run.spec),
        steps(run.steps),
        processes(result),
        f"<footer>Written by bldr {text(run.version)}. Times count from the start of the command.</footer>",
    ]
    return document(command, "\n".join(filter(None, body)), data)


def document(title: str, content: str, data: str) -> str:
    """Return a page that needs nothing else.

    Args:
        title: What it is of, as text.
        content: Its body, as markup.
        data: JSON for its script.
    """
    style, script = _own("page.css"), _own("page.js")
    policy = f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; {_NOTHING_ELSE}"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{text(title, 80)} — bldr</title>\n<style>{style}</style>\n</head>\n<body>\n{content}\n"
        f'<script type="application/json" id="data">{data}</script>\n<script>{script}</script>\n</body>\n</html>\n'
    )


def verdict(result: ExecutionResult) -> tuple[str, bool]:
    """How it ended, in a few words, and whether it is as it should be."""
    if result.termination == Termination.EXITED:
        return ("succeeded", True) if result.exit_code == 0 else (f"failed with status {result.exit_code}", False)
    if result.termination == Termination.SIGNALED:
        return f"ended by signal {result.signal}", False
    if result.termination == Termination.LIMIT_REACHED:
        kind = result.violations[0].kind.replace("_", " ") if result.violations else "a"
        return f"ended by bldr: {kind} limit reached", False
    return ("ended by bldr: timed out" if result.termination == Termination.TIMED_OUT else "cancelled"), False


def _head(run: Run, command: str) -> str:
    result = run.result
    ending, good = verdict(result)
    wall = time_text(result.usage.wall_time)
    receipt = result.receipt
    hermetic = "hermetic" if result.hermetic else "not hermetic"
    lacks = f", lacks {', '.join(receipt.missing)}" if receipt.missing and receipt.records else ""
    started = (
        strftime("%Y-%m-%d %H:%M:%S %z", localtime(result.started_at)) if result.started_at else "at an unknown time"
    )
    return (
        "<header>\n"
        f'<p class="kicker">bldr run, {text(started)}{text(f", in {run.cwd}" if run.cwd else "", 400)}</p>\n'
        f"<h1>{text(command, _COMMAND)}</h1>\n"
        f'<p class="verdict{"" if good else " bad"}"><strong>{text(ending)}</strong> after {text(wall)}, '
        f"{text(hermetic + lacks)}</p>\n</header>"
    )


def _shell_words(argv: tuple[str, ...]) -> str:
    from shlex import join

    return join(argv)


def _own(name: str) -> str:
    return files("bldr.report").joinpath(name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    return "sha256-" + b64encode(sha256(content.encode()).digest()).decode()
