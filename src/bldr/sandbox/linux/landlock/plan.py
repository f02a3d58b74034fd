"""The plan without namespaces: from a resolved spec and what is around it to ordered steps. Pure."""

from __future__ import annotations

from bldr.model.declarations import Role
from bldr.model.paths import components, is_within, join
from bldr.model.receipt import Guarantee
from bldr.sandbox.host import PathKind
from bldr.sandbox.linux.landlock import steps
from bldr.sandbox.linux.landlock.refusals import refuse_surroundings
from bldr.sandbox.linux.landlock.steps import Rule
from bldr.sandbox.linux.landlock.surroundings import DEVICES, own_temps, readable
from bldr.sandbox.linux.plan import Plan, first_input, limit_steps, refusal_steps
from bldr.sandbox.linux.steps import Canary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from bldr.sandbox.linux.landlock.surroundings import Surroundings
    from bldr.sandbox.resolved import ResolvedSpec

__all__ = ["compile_rules", "moved_temps"]


def compile_rules(resolved: ResolvedSpec, around: Surroundings) -> Plan:
    """Return the steps that let a command read and write what was resolved, each file at its own place.

    Raises:
        BackendUnavailableError: The spec asks for something that only namespaces can do; it names what.
    """
    refuse_surroundings(around)
    given = first_input(resolved)
    return Plan(
        (
            steps.ShareHost(),
            steps.AdoptProcesses(),
            *[steps.MoveTemp(index, at) for index, at in enumerate(moved_temps(resolved))],
            *[steps.MakeTemp(at) for at in own_temps(resolved)],
            *limit_steps(resolved.spec, own_users=False),
            *_rules(resolved, around),
            steps.DropPrivileges(),
            steps.Confine(),
            *refusal_steps(resolved.spec),
            steps.FilterSystemCalls(),
            Canary(Guarantee.READS_CONFINED, "own-file"),
            Canary(Guarantee.WRITES_CONFINED, "own-file"),
            *([Canary(Guarantee.INPUTS_READ_ONLY, "readonly", given)] if given else []),
            Canary(Guarantee.NO_NETWORK, "no-socket"),
            Canary(Guarantee.IPC_ISOLATED, "no-shared-memory"),
            Canary(Guarantee.NO_NEW_PRIVILEGES, "capless"),
            Canary(Guarantee.SYSCALLS_FILTERED, "filtered"),
            Canary(Guarantee.ENVIRONMENT_SCRUBBED, "unset"),
        )
    )


def moved_temps(resolved: ResolvedSpec) -> tuple[str, ...]:
    """Return the places of the temps that nobody asked for, which are made elsewhere."""
    places = [one.at for one in resolved.entries if one.role == Role.TEMP and one.origin == "default"]
    return tuple([at for at in places if not any(is_within(at, other) for other in places if other != at)])


def _rules(resolved: ResolvedSpec, around: Surroundings) -> Iterable[steps.Allow]:
    yield from [
        steps.Allow(path, Rule.DEVICE, PathKind.FILE) for path in DEVICES if around.kinds[path] == PathKind.DEVICE
    ]
    yield steps.Allow("/proc", Rule.READ, PathKind.DIR)
    temps = frozenset(own_temps(resolved))
    writable = frozenset([one.at for one in resolved.entries if one.role == Role.OUTPUT])
    marks = dict(readable(resolved).marks())
    for path, inside in marks.items():
        if inside and path not in writable and path not in temps:
            yield from _reading(path, marks, around)
    for path in sorted(writable, key=components):
        yield steps.Allow(path, Rule.WRITE, PathKind.DIR)


def _reading(path: str, marks: dict[str, bool], around: Surroundings) -> Iterable[steps.Allow]:
    """Allow reading a path without its holes: where it has some, each of its entries that holds none."""
    if path not in around.listings:
        found = _reading_whole(path, around.kinds[path])
        if found is not None:
            yield found
        return
    yield steps.Allow(path, Rule.LIST, PathKind.DIR)
    todo = [path]
    while todo:
        directory = todo.pop()
        for name in around.listings[directory] or ():
            entry = join(directory, name)
            if entry in marks:
                continue  # a hole, or a path with rules of its own
            if entry in around.listings:
                todo.append(entry)
            elif (found := _reading_whole(entry, around.kinds[entry])) is not None:
                yield found


def _reading_whole(path: str, kind: str) -> steps.Allow | None:
    if kind == PathKind.DIR:
        return steps.Allow(path, Rule.READ, PathKind.DIR)
    if kind == PathKind.DEVICE and is_within(path, "/dev"):
        return steps.Allow(path, Rule.DEVICE, PathKind.FILE)
    if kind in (PathKind.FILE, PathKind.DEVICE):
        return steps.Allow(path, Rule.READ, PathKind.FILE)
    return None  # a link: what counts is where it leads
