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
from bldr.explain.host import Host
from bldr.learn.files import DEFAULT_TEMP, Place, learn_files
from bldr.learn.learned import Learned
from bldr.learn.observation import observe
from bldr.learn.proving import prove
from bldr.learn.spelling import FORMATS, spelled
from bldr.learn.variables import learn_variables, watched_environment
from bldr.learn.watching import try_in, watching_spec
from bldr.model.limits import LIMITS, ResourceLimits
from bldr.model.paths import is_within, normalize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bldr.cli.options import Parsed
    from bldr.execution.executor import HermeticExecutor
    from bldr.learn.observation import Observation
    from bldr.learn.watching import Watched
    from bldr.model.result import ExecutionResult

__all__ = ["main"]

_STDERR = 2
_DEFAULT = "command-line"
_LARGEST_TEXT = 256 * 1024  # bytes of a file that is searched for names of variables
_MOST_TEXTS = 2000
_MOST_ROUNDS = 8  # in which a command asks for one more host
_NOBODY = "learn.bldr.invalid:443"  # RFC 6761: it never exists; with it, the hosts that are asked for are named
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
    lesson = _Lesson(parsed)
    watched, seen = lesson.watch()
    if watched.result.exit_code:
        say(f"nothing is learned of a command that fails: it ended with status {watched.result.exit_code}")
        lesson.tell_refusals(seen)
        return watched.result.exit_code
    learned = lesson.learned(watched, seen)
    if parsed.given("tighten"):
        learned = lesson.proven(learned, watched)
    lesson.tell(learned, seen)
    text = spelled(learned, form)
    if target is None:
        page(text)
    else:
        _write(target, text, force=parsed.given("force"))
    return 0


class _Lesson:
    """One command that is watched. Everything it asks of the host is asked as the caller."""

    def __init__(self, parsed: Parsed) -> None:
        self._parsed = parsed
        self._cwd = os.path.realpath(_directory())
        self._caller = {**os.environ, **dict(_given(parsed, os.environ))}
        self._workspaces = _workspaces(parsed, self._cwd)
        self._host = Host(self._caller, self._cwd, self._cwd)
        self._host.home = os.path.realpath(self._host.home) if self._host.home else ""
        self._temps = (DEFAULT_TEMP, *self._paths("temp"))
        self._hosts = list(parsed.all("allow-host"))
        self._limits, self._limit_options = _limits(parsed)
        given = parsed.last("timeout")
        self._timeout = None if given is None else duration(given, "--timeout")
        self._quiet = parsed.given("quiet")

    def _paths(self, option: str) -> list[str]:
        found = []
        for text in self._parsed.all(option):
            path, at = split_mapping(text) if option == "input" else (text, None)
            if at is not None:
                raise UsageError(f"-i {text}: what is watched is shown at its own place", hint=f"-i {path}")
            found.append(os.path.realpath(os.path.join(self._cwd, path)))
        return found

    def watch(self) -> tuple[Watched, Observation]:
        """Run the command where it can do no harm; with --any-host again for each host that it asks for."""
        finds = self._parsed.given("any-host")
        for _ in range(_MOST_ROUNDS if finds else 1):
            hosts = self._hosts or ([_NOBODY] if finds else [])
            spec = watching_spec(
                self._workspaces,
                watched_environment(self._caller),
                hosts=hosts,
                limits=self._limits,
                inputs=self._paths("input"),
                temps=self._paths("temp"),
            )
            watched = try_in(spec, lambda executor, cwd: self._start(executor, cwd, proof=False), self._cwd)
            asked = _refused_hosts(watched.result)
            new = [one for one in asked if one not in self._hosts]
            if not (finds and new):
                break
            if not self._quiet:
                say(f"it asked for {', '.join(new)}; running it once more with that")
            self._hosts += new
        return watched, observe(watched.trace)

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

    def learned(self, watched: Watched, seen: Observation) -> Learned:
        """Decide what the spec is."""
        place = Place(tuple(self._workspaces), self._temps, watched.directories, self._parsed.given("in-tree"))
        files = learn_files(seen, place, self._host)
        named = [one.partition("=")[0] for one in self._parsed.all("env")]
        texts = self._texts(seen)
        reached = {one.endpoint for one in watched.result.hosts if one.connections}
        return Learned(
            argv=tuple(self._parsed.rest),
            cwd=self._cwd,
            files=files,
            variables=learn_variables(self._caller, seen, texts, given=named, workspaces=self._workspaces),
            hosts=tuple(sorted(reached)),
            limits=self._limits,
            limit_options=self._limit_options,
        )

    def proven(self, learned: Learned, watched: Watched) -> Learned:
        """Prove it, and take away what is not used."""
        from tempfile import TemporaryDirectory

        with TemporaryDirectory(prefix="bldr-learn-", dir=os.environ.get("TMPDIR") or "/var/tmp") as scratch:
            return prove(
                learned,
                watched,
                lambda executor, cwd: self._start(executor, cwd, proof=True),
                self._host,
                workspaces=self._workspaces,
                scratch=scratch,
                tell=lambda text: None if self._quiet else say(text),
            )

    def tell(self, learned: Learned, seen: Observation) -> None:
        """Say what a person has to know of the result."""
        for path, why in learned.files.warnings:
            say(f"beware of {path}: {why}")
        if self._quiet:
            return
        for path in learned.files.overlays:
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
        refused = [path for path in seen.refused if not any(is_within(path, one) for one in self._temps)]
        for path in refused[:_MOST_TOLD]:
            say(f"it was not let write {path}: --workspace {os.path.dirname(path)} lets it, in a private layer")
        if len(refused) > _MOST_TOLD:
            say(f"and {len(refused) - _MOST_TOLD} more")

    def _texts(self, seen: Observation) -> Iterator[bytes]:
        """Yield what may name variables: the command, and the small files of the workspace that were read."""
        yield "\n".join(self._parsed.rest).encode("utf-8", "surrogateescape")
        own = [path for path in seen.reads if any(is_within(path, one) for one in self._workspaces)]
        for path in own[:_MOST_TEXTS]:
            try:
                with open(path, "rb") as file:
                    text = file.read(_LARGEST_TEXT)
            except OSError:
                continue  # it has gone meanwhile
            if b"\0" not in text:
                yield text


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


def _refused_hosts(result: ExecutionResult) -> list[str]:
    from bldr.errors import SpecError
    from bldr.model.network import Endpoint

    found = []
    for one in result.denials:
        if one.kind in ("connect", "resolve") and one.subject and not one.subject.startswith(("/", "@")):
            try:
                found.append(str(Endpoint.parse(one.subject)))
            except SpecError:
                continue  # the loopback, or what is no host
    return list(dict.fromkeys(found))


def _write(path: str, text: str, *, force: bool) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if force else os.O_EXCL), 0o666)
        with open(fd, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
    except OSError as error:
        raise LearnError(
            f"{path!r} cannot be written: {error.strerror}", code="learn.file-unwritable", hint="write another file"
        ) from error
