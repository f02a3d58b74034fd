"""The plan: from a resolved spec to the ordered steps that make the sandbox. Pure: nothing here looks at the host."""

from __future__ import annotations

from bldr.model.declarations import Role
from bldr.model.paths import parent
from bldr.model.receipt import Guarantee
from bldr.model.value import value
from bldr.sandbox.layout import depth_first
from bldr.sandbox.linux import steps
from bldr.sandbox.linux.etc import content_of
from bldr.sandbox.linux.steps import Kind, Step, Where
from bldr.sandbox.resolved import Entry, EntryKind, EntryRole, Graft

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bldr.model.spec import SandboxSpec
    from bldr.sandbox.resolved import ResolvedSpec

__all__ = ["Plan", "compile", "first_input", "limit_steps", "refusal_steps"]

_OWN_DEVICES = tuple([f"/dev/{name}" for name in ("full", "null", "random", "tty", "urandom", "zero")])
_OWN_DIRECTORIES = ("/", "/dev", "/proc")
_ALWAYS_WRITABLE = ("/proc", "/dev/pts", "/dev/shm")
_SHARED = ("/tmp", "/var/tmp")
"""Temps that programs expect to be writable for everybody, with the sticky bit."""

_NO_COPIES: Mapping[str, str] = {}
_STACK = 8 * 1024 * 1024  # bytes; what most distributions set
_OPEN_FILES = (4096, 65536)
_CPU_GRACE = 2  # seconds between SIGXCPU and SIGKILL


@value
class Plan:
    """The steps in their order. A plan depends on nothing but the resolved spec, and executing it decides nothing."""

    steps: tuple[Step, ...]

    def describe(self) -> tuple[str, ...]:
        """Return one line for each step."""
        return tuple([step.describe() for step in self.steps])

    def requests(self) -> tuple[tuple[bytes, ...], ...]:
        """Return what the launcher is asked for, in order: the name of an operation and its arguments."""
        return tuple([request for step in self.steps if (request := step.encode())])


def compile(  # noqa: A001 -- what the design calls it; never used bare
    resolved: ResolvedSpec, copied: Mapping[str, str] = _NO_COPIES, *, in_memory: bool = True
) -> Plan:
    """Return the steps that make a sandbox which shows what was resolved, and nothing else.

    Args:
        resolved: What to show.
        copied: The places of overlays that have to be copies, each with the reason.
        in_memory: Whether the layers of overlays are in memory where temps are.
    """
    spec = resolved.spec
    tree = _Tree(spec, copied, in_memory=in_memory)
    for node in _nodes(resolved):
        tree.add(node)
    return Plan(
        (
            steps.EnterNamespaces(),
            steps.MapIdentity(spec.uid),
            steps.LoopbackUp(),
            steps.NewRoot(),
            steps.MountProc(),
            steps.MakeDevices(),
            steps.SetHostname(spec.hostname),
            *_network(spec),
            *tree.steps,
            steps.Seal(),
            *[steps.Unseal(at) for at in _ALWAYS_WRITABLE],
            *tree.unseal,
            steps.Pivot(),
            *_restrictions(spec, tuple([step.at for step in tree.unseal])),
            *_canaries(resolved),
        )
    )


def _network(spec: SandboxSpec) -> Iterable[Step]:
    """Yield what stands for the allowed hosts, if there are any."""
    if spec.network.is_hermetic:
        return
    from bldr.sandbox.linux import standins

    places = standins.stand_ins(spec.network)
    literals = tuple(dict.fromkeys([one.address for one in places if one.address == one.host]))
    yield steps.AnswerNames(standins.NAME_SERVER, literals)
    for one in places:
        yield steps.StandInFor(one.host, one.address, one.port, one.protocol)
    if more := standins.wildcard_places(spec.network):
        yield steps.StandInForMore(standins.POOL, standins.POOL_SIZE, more)
    yield steps.SeeRefused(literals)


def _nodes(resolved: ResolvedSpec) -> Iterable[Entry | Graft]:
    """Return everything that has a place, each directory right before what it holds."""
    if not resolved.grafts:
        return resolved.entries
    nodes: dict[str, Entry | Graft] = {entry.at: entry for entry in resolved.entries}
    for graft in resolved.grafts:
        nodes[graft.at] = graft
        nodes.update((child.at, child) for child in graft.children)
    return [nodes[at] for at in depth_first(nodes)]


class _Tree:
    """Collects the steps that fill the root, from nodes that arrive in depth-first order."""

    def __init__(self, spec: SandboxSpec, copied: Mapping[str, str], *, in_memory: bool) -> None:
        self.steps: list[Step] = []
        self._layer_size = spec.limits.tmp_size if in_memory else None
        self._copied = copied
        self.unseal: list[steps.Unseal] = []
        self._spec = spec
        self._temps = 0
        self._made = set(_OWN_DIRECTORIES)
        # Who owns the directories around the next node: the innermost entry that holds it decides.
        self._around: list[tuple[str, str]] = [("/", Where.SKELETON)]

    def add(self, node: Entry | Graft) -> None:
        """Add the steps for one node, and for the directories of our own around it."""
        at = node.at
        if isinstance(node, Entry) and node.role == EntryRole.HOLE and node.kind == EntryKind.MISSING:
            self.steps.append(steps.Absent(at))
            return
        around = self._around
        while at[: len(around[-1][0])] != around[-1][0]:
            around.pop()
        where = around[-1][1]
        if at in _OWN_DEVICES and where == Where.SKELETON:
            where = Where.INSIDE
        if where not in (Where.INSIDE, Where.OVERLAY):
            above = at[: at.rfind("/")] or "/"
            if above not in self._made:
                self._make(above, where)
        step, holds = self._entry(node, where) if isinstance(node, Entry) else self._graft(node, where)
        self.steps.append(step)
        if holds:
            self._made.add(at)
            around.append((at + "/" if at != "/" else at, holds))

    def _make(self, directory: str, where: str) -> None:
        missing = []
        while directory not in self._made:
            self._made.add(directory)
            missing.append(directory)
            directory = parent(directory)
        self.steps += [steps.MakeDirectory(path, 0o755, where) for path in reversed(missing)]

    def _graft(self, graft: Graft, where: str) -> tuple[Step, str]:
        holds = Where.SKELETON if graft.at == "/" else Where.GRAFT
        return steps.MakeSkeleton(graft.at, 0o755, where, of_input=True), holds

    def _entry(self, entry: Entry, where: str) -> tuple[Step, str]:
        """Return the step for an entry, and who owns the directories in it; empty if it can hold nothing."""
        at, kind = entry.at, entry.kind
        if kind == EntryKind.LINK:
            return (
                steps.ShowLink(at, entry.target)
                if where in (Where.INSIDE, Where.OVERLAY)
                else steps.MakeLink(at, entry.target, where)
            ), ""
        if entry.role == EntryRole.HOLE:
            return self._hole(entry, where)
        if entry.role == EntryRole.MADE:
            return steps.WriteFile(at, 0o644, content_of(at[at.rfind("/") + 1 :], self._spec), where), ""
        if entry.role == Role.TEMP:
            return self._temp(at, where), Where.TEMP
        if entry.role == Role.OVERLAY:
            return self._overlay(entry, where)
        writable = entry.role == Role.OUTPUT
        if writable:
            self.unseal.append(steps.Unseal(at, deep=True))
        if kind == EntryKind.DIR:
            return steps.Bind(entry.host, at, Kind.DIR, where, writable=writable), Where.INSIDE
        return steps.Bind(entry.host, at, Kind.FILE, where, writable=writable), ""

    def _hole(self, entry: Entry, where: str) -> tuple[Step, str]:
        if entry.kind == EntryKind.SKELETON:
            return steps.MakeSkeleton(entry.at, 0o755, where), Where.GRAFT
        return steps.Mask(entry.at, Kind.DIR if entry.kind == EntryKind.DIR else Kind.FILE, where), ""

    def _overlay(self, entry: Entry, where: str) -> tuple[Step, str]:
        at, size = entry.at, self._layer_size
        self.unseal.append(steps.Unseal(at))
        if entry.kind == EntryKind.DIR and at not in self._copied and size is not None:
            return steps.MountOverlay(entry.host, at, None, size, where), Where.OVERLAY
        index = self._temps
        self._temps += 1
        if entry.kind != EntryKind.DIR:
            return steps.MountCopy(index, entry.host, at, Kind.FILE, where, "it is a file"), ""
        if at in self._copied:
            return steps.MountCopy(index, entry.host, at, Kind.DIR, where, self._copied[at]), Where.OVERLAY
        return steps.MountOverlay(entry.host, at, index, None, where), Where.OVERLAY

    def _temp(self, at: str, where: str) -> Step:
        self.unseal.append(steps.Unseal(at))
        mode = 0o1777 if at in _SHARED else 0o755
        size = self._spec.limits.tmp_size
        if size is not None:
            return steps.MountTmpfs(at, size, mode, where)
        self._temps += 1
        return steps.MountScratch(self._temps - 1, at, mode, where)


def _restrictions(spec: SandboxSpec, writable: tuple[str, ...]) -> Iterable[Step]:
    """Yield what is taken from the command once its files are in place."""
    if not spec.process.allow_userns:
        yield steps.ForbidUserNamespaces()
    yield from limit_steps(spec)
    if not spec.process.allow_userns:
        # Landlock forbids every mount from then on, so a nested sandbox could not be made under it.
        yield steps.Landlock(("/dev", "/proc", *writable))
    yield steps.DropPrivileges(nested=spec.process.allow_userns)
    yield steps.FilterSystemCalls(chown=spec.uid == 0, mounts=spec.process.allow_userns)
    yield from refusal_steps(spec)


def refusal_steps(spec: SandboxSpec) -> Iterable[Step]:
    """Yield what the policy takes from the command when it is executed."""
    policy = spec.process
    if not (policy.allow_fork and policy.allow_exec):
        yield steps.Refuse(fork=not policy.allow_fork, exec=not policy.allow_exec)


def limit_steps(spec: SandboxSpec, *, own_users: bool = True) -> Iterable[Step]:
    """Yield the limits that the kernel keeps for each process. Without them the host's would show in builds.

    Args:
        spec: The limits.
        own_users: Whether the sandbox has a user namespace, so that its processes can be counted by user.
    """
    limits = spec.limits
    core = limits.core_size or 0
    yield steps.SetLimit("core", core, core)
    if limits.open_files is not None:
        yield steps.SetLimit("nofile", limits.open_files, limits.open_files)
    else:
        yield steps.SetLimit("nofile", *_OPEN_FILES)
    yield steps.SetLimit("stack", _STACK, None)
    if limits.file_size is not None:
        yield steps.SetLimit("fsize", limits.file_size, limits.file_size)
    if spec.process_ceiling is not None and own_users:
        # One more for init, and one more so that it is seen when somebody goes beyond; the kernel refuses the next.
        most = spec.process_ceiling + 2
        yield steps.SetLimit("nproc", most, most)
    if limits.cpu_time is not None and "cpu_time" in limits.explicit:
        # In case that bldr is stopped. It counts ticks, and on a busy machine a sixth more than was used: bldr, which
        # is told exactly, has to come first.
        seconds = int(limits.cpu_time * 1.5) + _CPU_GRACE
        yield steps.SetLimit("cpu", seconds, seconds + _CPU_GRACE)


def _canaries(resolved: ResolvedSpec) -> Iterable[Step]:
    if resolved.canary:
        yield steps.Canary(Guarantee.READS_CONFINED, "absent", resolved.canary)
    yield steps.Canary(Guarantee.WRITES_CONFINED, "readonly", "/")
    given = first_input(resolved)
    if given:
        yield steps.Canary(Guarantee.INPUTS_READ_ONLY, "readonly", given)
    if resolved.spec.network.is_hermetic:
        yield steps.Canary(Guarantee.NO_NETWORK, "unreachable")
    else:
        yield steps.Canary(Guarantee.NETWORK_ALLOW_LIST, "unlisted", _unlisted(resolved.spec))
    yield steps.Canary(Guarantee.PROCESSES_ISOLATED, "pid1")
    yield steps.Canary(Guarantee.IPC_ISOLATED, "ipc")
    yield steps.Canary(Guarantee.HOST_IDENTITY_HIDDEN, "hostname", resolved.spec.hostname)
    yield steps.Canary(Guarantee.NO_NEW_PRIVILEGES, "capless")
    yield steps.Canary(Guarantee.SYSCALLS_FILTERED, "filtered")
    yield steps.Canary(Guarantee.ENVIRONMENT_SCRUBBED, "unset")


def _unlisted(spec: SandboxSpec) -> str:
    """Return an address that is not allowed, of those that are for documentation (RFC 5737)."""
    listed = {one.host for one in spec.network.endpoints}
    return next(one for number in range(1, 255) if (one := f"192.0.2.{number}") not in listed)


def first_input(resolved: ResolvedSpec) -> str:
    """Return the place of a bound input: best a directory of the caller, whose files no permission protects."""
    rebuilt = {graft.at for graft in resolved.grafts}
    best, rank = "", 0
    for entry in (*resolved.entries, *[child for graft in resolved.grafts for child in graft.children]):
        if entry.role == Role.INPUT and entry.host and entry.kind != EntryKind.DEVICE and entry.at not in rebuilt:
            found = 1 + (entry.kind == EntryKind.DIR) + 2 * (not entry.origin)
            if found > rank:
                best, rank = entry.at, found
                if rank == 4:
                    break
    return best
