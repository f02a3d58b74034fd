"""One command that is watched, from its first run to what suffices for it."""

from __future__ import annotations

import os

from bldr.errors import LearnError
from bldr.explain.host import Host
from bldr.learn.files import DEFAULT_TEMP, Place, learn_files
from bldr.learn.learned import Learned
from bldr.learn.observation import observe
from bldr.learn.proving import prove
from bldr.learn.variables import learn_variables, watched_environment
from bldr.learn.watching import try_in, watching_spec
from bldr.model.limits import LIMITS, ResourceLimits
from bldr.model.paths import is_within, normalize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from bldr.execution.executor import HermeticExecutor
    from bldr.learn.observation import Observation
    from bldr.learn.watching import Watched
    from bldr.model.paths import AnyPath
    from bldr.model.result import ExecutionResult

__all__ = ["Lesson", "learn_spec"]

_LARGEST_TEXT = 256 * 1024  # bytes of a file that is searched for names of variables
_MOST_TEXTS = 2000
_MOST_ROUNDS = 8  # in which a command asks for one more host
_NOBODY = "learn.bldr.invalid:443"  # RFC 6761: it never exists; with it, the hosts that are asked for are named


def learn_spec(
    argv: Sequence[str],
    *,
    cwd: AnyPath | None = None,
    workspaces: Iterable[AnyPath] = (),
    inputs: Iterable[AnyPath] = (),
    temps: Iterable[AnyPath] = (),
    env: Mapping[str, str] | None = None,
    hosts: Iterable[str] = (),
    any_host: bool = False,
    in_tree: bool = False,
    tighten: bool = False,
    limits: ResourceLimits | None = None,
    timeout: float | None = None,
) -> Learned:
    """Watch a command where it can do no harm, and return the smallest spec that suffices for it, as ``bldr learn``.

    Args:
        argv: The command; it runs once or several times.
        cwd: Where it runs; the current directory by default.
        workspaces: Directories in which it may write, in a private layer; ``cwd`` by default.
        inputs: What is shown of what is hidden otherwise: of ``/tmp`` and ``/run``.
        temps: Further temps.
        env: Variables beside the caller's, which become part of the spec.
        hosts: What it may reach, as for ``NetworkPolicy.allow_hosts``.
        any_host: Let it reach whatever it asks for, and run it again for each host.
        in_tree: Declare a directory as output although it holds files that are only read.
        tighten: Take away what is not used, and prove the rest by running in exactly that.
        limits: In place of the usual ones.
        timeout: Seconds for each run.

    Raises:
        LearnError: The command fails, did more than a trace holds, or cannot be proven.
        BldrError: It cannot be run here.
        OSError: A directory is not there.

    Example:
        >>> import bldr
        >>> learned = bldr.learn_spec(["make"], tighten=True)  # doctest: +SKIP
        >>> learned.spec().inputs  # doctest: +SKIP
        PathSet(+'/src/hello')
        >>> print(learned.text("builderfile"))  # doctest: +SKIP
    """
    place = os.path.realpath(os.fsdecode(cwd) if cwd is not None else os.getcwd())

    def real(paths: Iterable[AnyPath]) -> list[str]:
        return [os.path.realpath(os.path.join(place, os.fsdecode(one))) for one in paths]

    def start(executor: HermeticExecutor, directory: str, *, proof: bool) -> ExecutionResult:  # noqa: ARG001
        return executor.execute(list(argv), cwd=directory, timeout=timeout, trace="full", list_outputs=False)

    lesson = Lesson(
        argv,
        place,
        start,
        workspaces=real(workspaces) or [place],
        inputs=real(inputs),
        temps=real(temps),
        env=env or {},
        hosts=hosts,
        any_host=any_host,
        in_tree=in_tree,
        limits=limits or ResourceLimits(),
    )
    watched, seen = lesson.watch()
    if watched.result.exit_code:
        raise LearnError(
            f"nothing is learned of a command that fails: it ended with status {watched.result.exit_code}",
            code="learn.command-failed",
            hint=watched.result.stderr.decode(errors="replace").strip().rpartition("\n")[2],
        )
    learned = lesson.learned(watched, seen)
    return lesson.proven(learned, watched) if tighten else learned


def _silent(_text: str) -> None:
    """Tell nobody."""


class Lesson:
    """One command that is watched. Everything it asks of the host is asked as the caller.

    Args:
        argv: The command.
        cwd: Its directory, without links.
        start: Runs the command, everything traced; ``proof`` says whether only its result is of interest.
        workspaces: As for :func:`learn_spec`, absolute and without links, as inputs and temps are.
        inputs: As there.
        temps: As there.
        env: As there.
        hosts: As there.
        any_host: As there.
        in_tree: As there.
        limits: As there.
        limit_options: The same as options of the command line.
        tell: Is told what happens.
    """

    def __init__(
        self,
        argv: Sequence[str],
        cwd: str,
        start: Callable[..., ExecutionResult],
        *,
        workspaces: Iterable[str],
        inputs: Iterable[str] = (),
        temps: Iterable[str] = (),
        env: Mapping[str, str],
        hosts: Iterable[str] = (),
        any_host: bool = False,
        in_tree: bool = False,
        limits: ResourceLimits,
        limit_options: Iterable[str] = (),
        tell: Callable[[str], None] = _silent,
    ) -> None:
        self.argv = tuple(argv)
        self.cwd = cwd
        self.temps = (DEFAULT_TEMP, *temps)
        self._start = start
        self._workspaces = tuple(sorted({normalize(one) for one in workspaces}))
        self._inputs = tuple(inputs)
        self._given = dict(env)
        self._caller = {**os.environ, **self._given}
        self._hosts = list(hosts)
        self._finds_hosts = any_host
        self._in_tree = in_tree
        self._limits = limits
        self._limit_options = tuple(limit_options) or _options(limits)
        self._tell = tell
        self._host = Host(self._caller, cwd, cwd)
        self._host.home = os.path.realpath(self._host.home) if self._host.home else ""

    def watch(self) -> tuple[Watched, Observation]:
        """Run the command where it can do no harm; where any host may be reached again for each that it asks for."""
        for _ in range(_MOST_ROUNDS if self._finds_hosts else 1):
            hosts = self._hosts or ([_NOBODY] if self._finds_hosts else [])
            spec = watching_spec(
                self._workspaces,
                watched_environment(self._caller),
                hosts=hosts,
                limits=self._limits,
                inputs=self._inputs,
                temps=self.temps[1:],
            )
            watched = try_in(
                spec, lambda executor, cwd: self._start(executor, cwd, proof=False), self.cwd, tell=self._tell
            )
            new = [one for one in _refused_hosts(watched.result) if one not in self._hosts]
            if not (self._finds_hosts and new):
                break
            self._tell(f"it asked for {', '.join(new)}; running it once more with that")
            self._hosts += new
        return watched, observe(watched.trace)

    def learned(self, watched: Watched, seen: Observation) -> Learned:
        """Decide what the spec is."""
        place = Place(self._workspaces, self.temps, watched.directories, self._in_tree)
        files = learn_files(seen, place, self._host)
        texts = self._texts(seen)
        reached = {one.endpoint for one in watched.result.hosts if one.connections}
        return Learned(
            argv=self.argv,
            cwd=self.cwd,
            files=files,
            variables=learn_variables(self._caller, seen, texts, given=self._given, workspaces=self._workspaces),
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
                tell=self._tell,
            )

    def _texts(self, seen: Observation) -> Iterator[bytes]:
        """Yield what may name variables: the command, and the small files of the workspace that were read."""
        yield "\n".join(self.argv).encode("utf-8", "surrogateescape")
        own = [path for path in seen.reads if any(is_within(path, one) for one in self._workspaces)]
        for path in own[:_MOST_TEXTS]:
            try:
                with open(path, "rb") as file:
                    text = file.read(_LARGEST_TEXT)
            except OSError:
                continue  # it has gone meanwhile
            if b"\0" not in text:
                yield text


def _options(limits: ResourceLimits) -> tuple[str, ...]:
    given = [(name, getattr(limits, name)) for name in LIMITS if name in limits.names_set]
    return tuple([f"--{name.replace('_', '-')} {number}" for name, number in given if number is not None])


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
