"""``bldr learn``: watch a command, and write the smallest spec that suffices for it."""

from __future__ import annotations

import os

from bldr.cli.messages import page, say
from bldr.cli.options import UsageError, parse
from bldr.cli.quantities import duration, limit
from bldr.cli.request import caller_directory, split_mapping
from bldr.cli.run import Interrupts, standard_input, waited
from bldr.cli.verbs import LEARN
from bldr.errors import LearnError
from bldr.learn.lesson import Lesson
from bldr.learn.spelling import FORMATS
from bldr.model.limits import LIMITS, ResourceLimits
from bldr.model.paths import is_within, normalize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bldr.cli.options import Parsed
    from bldr.execution.executor import HermeticExecutor
    from bldr.learn.learned import Learned
    from bldr.learn.observation import Observation
    from bldr.model.result import ExecutionResult

__all__ = ["main"]

_STDERR = 2
_DEFAULT = "command-line"
_MOST_TOLD = 5


def main(arguments: Sequence[str]) -> int:
    """``bldr learn``; returns 0, or the status of the command when it fails."""
    parsed = parse(LEARN, arguments)
    if not parsed.rest:
        raise UsageError("learn needs a command", hint="bldr learn -- make")
    form = parsed.last("format") or _DEFAULT
    if form not in FORMATS:
        raise UsageError(f"--format {form}: there is no such format", hint=", ".join(FORMATS))
    target = parsed.last("write")
    if target is not None and os.path.lexists(target) and not parsed.given("force"):
        raise LearnError(
            f"{target!r} is there already", code="learn.file-exists", hint="--force overwrites it; or write another"
        )
    from bldr.sandbox.select import refuse_without_backend

    refuse_without_backend()
    watching = _Watching(parsed)
    lesson = watching.lesson
    watched, seen = lesson.watch()
    if watched.result.exit_code:
        say(f"nothing is learned of a command that fails: it ended with status {watched.result.exit_code}")
        watching.tell_refusals(seen)
        return watched.result.exit_code
    learned = lesson.learned(watched, seen)
    if parsed.given("tighten"):
        learned = lesson.proven(learned, watched)
    watching.tell(learned, seen)
    text = learned.text(form)
    if target is None:
        page(text)
    else:
        _write(target, text, force=parsed.given("force"))
    return 0


class _Watching:
    """How ``bldr learn`` runs a command, and what it says."""

    def __init__(self, parsed: Parsed) -> None:
        self._parsed = parsed
        self._quiet = parsed.given("quiet")
        given = parsed.last("timeout")
        self._timeout = None if given is None else duration(given, "--timeout")
        cwd = os.path.realpath(_directory())
        limits, limit_options = _limits(parsed)
        self.lesson = Lesson(
            parsed.rest,
            cwd,
            self._start,
            workspaces=_workspaces(parsed, cwd),
            inputs=_paths(parsed, "input", cwd),
            temps=_paths(parsed, "temp", cwd),
            env=dict(_given(parsed, os.environ)),
            hosts=parsed.all("allow-host"),
            any_host=parsed.given("any-host"),
            in_tree=parsed.given("in-tree"),
            limits=limits,
            limit_options=limit_options,
            tell=lambda text: None if self._quiet else say(text),
        )

    def _start(self, executor: HermeticExecutor, cwd: str, *, proof: bool) -> ExecutionResult:
        """Run the command. Its output goes to standard error: what is learned goes to standard output."""
        with Interrupts() as interrupts:
            session = executor.start(
                self._parsed.rest,
                cwd=cwd,
                timeout=self._timeout,
                stdin=None if proof else standard_input(),
                stdout="discard" if proof else _STDERR,
                stderr="capture" if proof else _STDERR,
                list_outputs=False,
                trace="full",
            )
            with session:
                session.wake_by(interrupts.fd)
                interrupts.reach(session)
                return waited(session)

    def tell(self, learned: Learned, seen: Observation) -> None:
        """Say what a person has to know of the result."""
        for path, why in learned.files.warnings:
            say(f"beware of {path}: {why}")
        if self._quiet:
            return
        for path in learned.files.overlays:
            made = next((one for one in learned.files.remade if is_within(one, path)), "")
            if made:
                say(f"{made} is made by the command itself, so changes of {path} are kept (bldr try --commit)")
                continue
            say(f"{path} is an overlay: what is written there, beside what is read, is not kept (--in-tree keeps it)")
        guessed = [f"{one.name} ({one.why})" for one in learned.variables if one.why != "it was asked for"]
        if guessed:
            say(f"variables are a guess: {', '.join(guessed)}")
        if any(one.secret for one in learned.variables):
            say("variables that look like secrets are passed through by name, their values are not written down")
        self.tell_refusals(seen)
        if learned.proven:
            say("proven: in exactly this sandbox it does what it did when it was watched")

    def tell_refusals(self, seen: Observation) -> None:
        """Say what the command wanted to write, and was not let."""
        if self._quiet:
            return
        refused = [path for path in seen.refused if not any(is_within(path, one) for one in self.lesson.temps)]
        for path in refused[:_MOST_TOLD]:
            say(f"it was not let write {path}: --workspace {os.path.dirname(path)} lets it, in a private layer")
        if len(refused) > _MOST_TOLD:
            say(f"and {len(refused) - _MOST_TOLD} more")


def _paths(parsed: Parsed, option: str, cwd: str) -> list[str]:
    found = []
    for text in parsed.all(option):
        path, at = split_mapping(text) if option == "input" else (text, None)
        if at is not None:
            raise UsageError(f"-i {text}: what is watched is shown at its own place", hint=f"-i {path}")
        found.append(os.path.realpath(os.path.join(cwd, path)))
    return found


def _directory() -> str:
    directory = caller_directory()
    if not directory:
        raise UsageError("the current directory was deleted", hint="cd to a directory that exists")
    return directory


def _workspaces(parsed: Parsed, cwd: str) -> tuple[str, ...]:
    found = [os.path.realpath(os.path.join(cwd, one)) for one in parsed.all("workspace")] or [cwd]
    for path in found:
        if not os.path.isdir(path):
            raise UsageError(f"--workspace {path}: it is no directory")
        if path == "/":
            raise UsageError("the whole host cannot be a workspace", hint="cd to the project, or --workspace DIR")
    return tuple(sorted({normalize(one) for one in found}))


def _given(parsed: Parsed, environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for text in parsed.all("env"):
        name, equals, content = text.partition("=")
        if not equals and name not in environment:
            raise UsageError(
                f"-e {name}: the caller has no variable {name!r}", hint=f"give it a value: -e {name}=VALUE"
            )
        yield name, content if equals else environment[name]


def _limits(parsed: Parsed) -> tuple[ResourceLimits, tuple[str, ...]]:
    from shlex import quote

    limits, options = ResourceLimits(), []
    for name in LIMITS:
        option = name.replace("_", "-")
        if (text := parsed.last(option)) is not None:
            limits = limits.merge(limit(name, text, f"--{option}"))
            options.append(f"--{option} {quote(text)}")
    return limits, tuple(options)


def _write(path: str, text: str, *, force: bool) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if force else os.O_EXCL), 0o666)
        with open(fd, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
    except OSError as error:
        raise LearnError(
            f"{path!r} cannot be written: {error.strerror}", code="learn.file-unwritable", hint="write another file"
        ) from error
