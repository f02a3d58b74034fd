"""``bldr try``: run a command on a tree without touching it, show what it changed, then commit or drop that."""

from __future__ import annotations

import os

from bldr.cli.messages import complain, report, say, visible
from bldr.cli.options import UsageError, parse
from bldr.cli.request import caller_directory, request
from bldr.cli.run import Interrupts, audit_log, noting_refusals, standard_input, waited
from bldr.cli.settings import load
from bldr.cli.verbs import TRY
from bldr.errors import BldrError, CommitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from bldr.cli.options import Parsed
    from bldr.cli.resultfile import ResultFile
    from bldr.execution.changes import Change
    from bldr.execution.trial import Trial
    from bldr.model.result import ExecutionResult

__all__ = ["main", "render"]

_STDIN, _STDERR = 0, 2
_FAILED = 125
_LETTERS = {"added": "A", "changed": "C", "deleted": "D", "mode": "M", "times": "T"}


def main(arguments: Sequence[str]) -> int:
    """``bldr try``; returns the status of the command."""
    parsed = parse(TRY, arguments)
    if not parsed.rest:
        raise UsageError("try needs a command", hint="bldr try -- make install")
    if parsed.given("commit") and parsed.given("drop"):
        raise UsageError("--commit and --drop contradict each other", hint="give one of them")
    json_file = parsed.last("json")
    if json_file is None:
        return _try(parsed, None)
    from bldr.cli.resultfile import ResultFile

    with ResultFile(json_file) as file:
        try:
            return _try(parsed, file)
        except BldrError as error:
            file.write_error(error)
            raise


def _try(parsed: Parsed, file: ResultFile | None) -> int:
    from bldr.sandbox.select import refuse_without_backend

    refuse_without_backend()
    directory = caller_directory()
    settings = load(os.environ, directory)
    if not settings.hermetic:
        raise UsageError(
            f"without a sandbox nothing can be tried: {settings.hermetic_origin} is set to false",
            hint="unset it",
        )
    if not parsed.given("overlay"):
        if not directory:
            raise UsageError("the current directory was deleted", hint="--overlay DIR names what may be changed")
        parsed.values["overlay"] = [_escaped(directory)]
    with noting_refusals(parsed, settings):
        asked = request(parsed, settings, directory, os.environ)
    if parsed.given("fetch"):
        from bldr.cli.fetch import obtain_all

        obtain_all(parsed, os.environ)
    from bldr.execution.trial import Trial

    with Interrupts() as interrupts, Trial(asked.spec, audit=audit_log(parsed, settings)) as trial:
        for note in trial.notes:
            say(note)
        session = trial.executor.start(
            parsed.rest,
            cwd=asked.cwd,
            timeout=asked.timeout,
            silence=asked.silence,
            stdin=standard_input(),
            stdout="inherit" if asked.silence is None else "relay",
            stderr="inherit" if asked.silence is None else "relay",
            list_outputs=file is not None,
        )
        with session:
            session.wake_by(interrupts.fd)
            interrupts.reach(session)
            result = waited(session)
        _tell(parsed, result)
        changes = trial.changes()
        return _conclude(parsed, trial, result, changes, file)


def _escaped(directory: str) -> str:
    r"""A path as the value of an option, where ``\\`` and ``:`` mean something."""
    return directory.replace("\\", "\\\\").replace(":", "\\:")


def _tell(parsed: Parsed, result: ExecutionResult) -> None:
    for violation in result.violations:
        say(violation.message)
    if parsed.given("verbose"):
        from bldr.cli.receipt import show

        show(result)


def _conclude(
    parsed: Parsed, trial: Trial, result: ExecutionResult, changes: tuple[Change, ...], file: ResultFile | None
) -> int:
    """Show the changes, and do with them what was asked for."""
    if not parsed.given("quiet"):
        report("".join(f"{visible(line)}\n" for line in render(changes, times=parsed.given("verbose"))))
    outcome, status = "dropped", result.exit_code
    failure: CommitError | None = None
    if changes and _is_wanted(parsed, result, len(changes)):
        try:
            trial.commit()
            outcome = "committed"
            if not parsed.given("quiet"):
                say("the changes were taken over")
        except CommitError as error:
            complain(error)
            outcome, status, failure = "refused", _FAILED, error
    elif not parsed.given("quiet"):
        say("nothing was changed" if not changes else "the changes were dropped")
    if file is not None:
        found = result.to_dict() | {"changes": [one.to_dict() for one in changes], "outcome": outcome}
        if failure is not None:
            found["error"] = {"code": failure.code, "message": failure.message, "hint": failure.hint}
        file.write(found)
    return status


def _is_wanted(parsed: Parsed, result: ExecutionResult, count: int) -> bool:
    if parsed.given("drop"):
        return False
    if parsed.given("commit"):
        if not result.success:
            say("the command failed, so its changes are not taken over")
        return result.success
    if not (os.isatty(_STDIN) and os.isatty(_STDERR)):
        return False
    os.write(_STDERR, f"bldr: take over {count} change{'' if count == 1 else 's'}? [y/N] ".encode())
    return os.read(_STDIN, 1024).strip().lower() in (b"y", b"yes")


def render(changes: Sequence[Change], *, times: bool) -> list[str]:
    """Return a line for each change: a letter (added, changed, deleted, mode, times), the path, and what is worth it.

    Args:
        changes: The changes.
        times: Whether those are shown of which nothing but the time is new.
    """
    shown = [one for one in changes if times or one.kind != "times"]
    return [f"{_LETTERS[one.kind]} {one.path}{'/' if one.type == 'dir' else ''}{_details(one)}" for one in shown]


def _details(one: Change) -> str:
    found = []
    if one.kind == "mode" or (one.kind == "changed" and one.old_mode != one.new_mode):
        found.append(f"mode {one.old_mode or 0:04o} -> {one.new_mode or 0:04o}")
    if one.kind == "changed" and one.old_size != one.new_size:
        found.append(f"{one.old_size} -> {one.new_size} bytes")
    if one.kind == "added" and one.type == "file":
        found.append(f"{one.new_size} bytes")
        if (one.new_mode or 0) & 0o7000:
            found.append(f"mode {one.new_mode or 0:04o}")
    if one.kind == "deleted" and one.entries:
        found.append(f"{one.entries} entr{'y' if one.entries == 1 else 'ies'}")
    if one.same_as:
        found.append(f"one more name of {one.same_as}")
    text = f"  ({', '.join(found)})" if found else ""
    return f" -> {one.target}{text}" if one.target else text
