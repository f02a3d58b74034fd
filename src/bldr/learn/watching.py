"""Run a command where it can do no harm, and note what it does: the part of learning that acts."""

from __future__ import annotations

import os

from bldr.errors import LearnError
from bldr.execution.executor import HermeticExecutor
from bldr.execution.trial import Trial
from bldr.learn.files import MADE
from bldr.model.limits import ResourceLimits
from bldr.model.network import NetworkPolicy
from bldr.model.paths import join
from bldr.model.spec import SandboxSpecBuilder
from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from bldr.execution.changes import Change
    from bldr.model.result import ExecutionResult
    from bldr.model.spec import SandboxSpec
    from bldr.model.trace import Trace

    Start = Callable[[HermeticExecutor, str], ExecutionResult]

__all__ = ["Watched", "links_what_was_there", "try_in", "watching_spec"]

# Never shown: what every sandbox has for itself; temps; and the sockets of daemons, which would do as they are told.
_HIDDEN = frozenset(["proc", "sys", "dev", "tmp", "run", "lost+found"])


@value
class Watched:
    """A traced execution.

    Args:
        result: What is known of it.
        trace: Its trace.
        files: The files that were added or changed and are still there: paths of the host, sorted.
        directories: The directories that were added and are still there.
    """

    result: ExecutionResult
    trace: Trace
    files: tuple[str, ...] = ()
    directories: frozenset[str] = frozenset()


def watching_spec(
    workspaces: Sequence[str],
    variables: Mapping[str, str],
    *,
    hosts: Iterable[str] = (),
    limits: ResourceLimits | None = None,
    inputs: Iterable[str] = (),
    temps: Iterable[str] = (),
) -> SandboxSpec:
    """Return a spec that shows the whole host, lets nothing of it be written, and keeps what is written for itself.

    Accounts, resolver and time zone are those of every sandbox, so that a command does not come to depend on the
    host's. The sockets of daemons are not shown.

    Args:
        workspaces: Directories that can be changed, in a private layer.
        variables: The environment.
        hosts: What can be reached.
        limits: In place of the usual ones.
        inputs: What is shown of what is hidden otherwise: of ``/tmp`` and ``/run``.
        temps: Further temps.
    """
    builder = SandboxSpecBuilder.create().carve()
    for path in dict.fromkeys((*_shown(), *inputs)):
        builder.input(path)
    for path in temps:
        builder.temp(path)
    for path in workspaces:
        builder.overlay(path)
    for name, content in variables.items():
        builder.env(name, content)
    if hosts:
        builder.with_network(NetworkPolicy.allow_hosts(hosts))
    return builder.default_home().with_limits(ResourceLimits.hermetic().merge(limits or ResourceLimits())).build()


def _shown() -> Iterator[str]:
    """Yield what of the host is shown; not ``/etc`` as a whole, because sandboxes make some files in it themselves."""
    for name in sorted(os.listdir("/")):
        if name == "etc":
            names = [join("/etc", one) for one in sorted(os.listdir("/etc"))]
            yield from [one for one in names if one not in MADE and _is_usable(one)]
        elif name not in _HIDDEN and _is_usable(join("/", name)):
            yield join("/", name)


def _is_usable(path: str) -> bool:
    if os.path.isdir(path):
        return os.access(path, os.R_OK | os.X_OK)
    return os.path.isfile(path) and os.access(path, os.R_OK)


def try_in(
    spec: SandboxSpec,
    start: Start,
    cwd: str,
    *,
    trees: Mapping[str, str] | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Watched:
    """Run a command in a sandbox whose overlays are dropped.

    Args:
        spec: The sandbox.
        start: Runs the command in a directory.
        cwd: That directory.
        trees: Outputs of which the directory of the host is another one than inside: from inside to host.
        tell: Is told that the command is run a second time.

    Raises:
        LearnError: The trace is not whole.
        BldrError: It cannot be run here.
    """
    changes: tuple[Change, ...] = ()
    if not spec.overlays:
        result = start(HermeticExecutor.create(spec), cwd)
    else:
        with Trial(spec) as trial:
            result = start(trial.executor, cwd)
            if result.exit_code and result.trace is not None and links_what_was_there(result.trace, spec):
                # Overlayfs gives a file that gets a second name another number, which git takes for an attack.
                tell("it gave files of the workspace further names, and failed; running it once more on a copy of them")
                trial.copy_overlays("the command fails where a file that gets another name becomes another file")
                result = start(trial.executor, cwd)
            changes = trial.changes()
    if result.trace is None or result.trace.dropped:
        raise LearnError(
            "the command did more than a trace holds",
            code="learn.incomplete",
            hint="learn a part of it: one target, one step",
        )
    files, directories = _kept(changes)
    for inside, host in (trees or {}).items():
        for above, names, leaves in os.walk(host):
            place = join(inside, os.path.relpath(above, host)) if above != host else inside
            files += [join(place, name) for name in leaves]
            directories += [join(place, name) for name in names]
    return Watched(result, result.trace, tuple(sorted(files)), frozenset(directories))


def links_what_was_there(trace: Trace, spec: SandboxSpec) -> bool:
    """Whether a command gave a further name to a file of an overlay that it had not made itself."""
    links = [event for event in trace.events if event.kind == "link" and not event.errno and not event.own]
    return any(spec.overlays.contains(event.subject) for event in links)


def _kept(changes: Iterable[Change]) -> tuple[list[str], list[str]]:
    found = [one for one in changes if one.kind in ("added", "changed")]
    return [one.path for one in found if one.type != "dir"], [one.path for one in found if one.type == "dir"]
