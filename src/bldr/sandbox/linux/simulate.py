"""A mount table that executes a plan without a kernel: what could a command do with a path?

It exists to be compared. For every spec and host, with ``resolved = resolve(spec)``, and for every inside path ::

    simulate(compile(resolved)).access(path) == resolved.effective().access(follow_links(path, resolved.links()))

where `ResolvedSpec.effective` are the declared sets themselves as long as no link and no missing optional input is
involved: then both equal ``spec.access(path)``. The same table is compared with the kernel.

The rules are those of the kernel, as far as a plan uses them: a later mount hides what an earlier one showed at and
below its mountpoint; sealing makes every mount that exists read-only, and unsealing one (or, with its submounts of the
host, an output) writable again. What is in a bound directory is not known, so a path in it has the access of its mount.

What the sandbox itself consists of is in none of I, O and T and reads as ``NONE``: directories and synthesised files of
the skeleton, masks, ``/proc`` and ``/dev``. In a rebuilt directory of an input, which stands for that input, the
directories and files of our own count as what they replace, and so they do in a temp.
"""

from __future__ import annotations

from bldr.model.paths import is_within, join, parent
from bldr.model.spec import Access
from bldr.sandbox.linux import steps
from bldr.sandbox.linux.steps import Kind, Where
from bldr.sandbox.resolved import follow_links

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.sandbox.linux.plan import Plan
    from bldr.sandbox.linux.steps import Step

__all__ = ["MountTable", "PlanError", "simulate"]


class PlanError(AssertionError):
    """A step that the kernel would refuse, or that would change something of the host: a fault of the compiler."""


class _Mount:
    """One mount: who owns the directories in it, whether it belongs to I, O or T, and whether it can be written."""

    __slots__ = ("is_directory", "is_shown", "is_writable", "source", "where")

    def __init__(self, where: str, *, is_shown: bool, is_directory: bool = True, source: str = "") -> None:
        self.where = where
        self.source = source
        self.is_shown = is_shown
        self.is_directory = is_directory
        self.is_writable = True


def simulate(plan: Plan) -> MountTable:
    """Return the mount table after all steps of a plan.

    Raises:
        PlanError: The plan is not one that could be executed.
    """
    table = MountTable()
    for step in plan.steps:
        table.execute(step)
    if not table.is_complete:
        raise PlanError("the plan does not change to its new root")
    return table


class MountTable:
    """The mounts of one sandbox, the directories and links of our own, and the order in which steps may come."""

    def __init__(self) -> None:
        self.is_complete = False
        self._is_sealed = False
        self._mounts: dict[str, _Mount] = {}
        self._own: dict[str, str] = {}  # what we made, other than mounts: "dir", "file" or "link"
        self._links: dict[str, str] = {}

    def access(self, path: str) -> str:
        """Return what a command can do with an inside path: one of the constants of `bldr.model.spec.Access`."""
        mount = self._mounts[self._mount_of(follow_links(path, self._links))]
        if not mount.is_shown:
            return Access.NONE
        return Access.WRITE if mount.is_writable else Access.READ

    def host_path(self, path: str) -> str:
        """Return the host path that is shown at an inside path, empty where nothing of the host is."""
        place = follow_links(path, self._links)
        at = self._mount_of(place)
        source = self._mounts[at].source
        return join(source, place[len(at) :].lstrip("/")) if source else ""

    def execute(self, step: Step) -> None:
        """Do what a step does.

        Raises:
            PlanError: The kernel would refuse it, or it comes too early or too late.
        """
        if self.is_complete and not isinstance(step, _AFTER_PIVOT):
            raise PlanError(f"{step.describe()}: the host is out of reach by now")
        match step:
            case steps.NewRoot():
                self._mounts["/"] = _Mount(Where.SKELETON, is_shown=False)
            case steps.MountProc():
                self._own["/proc"] = Kind.DIR
                self._mounts["/proc"] = _Mount(Where.INSIDE, is_shown=False)
            case steps.MakeDevices():
                self._make_devices()
            case steps.MakeDirectory() | steps.WriteFile() | steps.MakeLink():
                self._make(step)
            case steps.ShowLink():
                self._show_link(step)
            case steps.Bind():
                self._bind(step)
            case steps.MountOverlay() | steps.MountCopy() | steps.MountScratch() | steps.MountTmpfs():
                self._mount(step, step.at, step.where, _private(step))
            case steps.MakeSkeleton():
                self._skeleton(step)
            case steps.Mask():
                self._mask(step)
            case steps.Absent():
                # Nothing is there, so nothing can be done with it, and nothing be mounted on it.
                self._mounts[step.at] = _Mount(Where.INSIDE, is_shown=False, is_directory=False)
            case steps.Seal():
                self._seal()
            case steps.Unseal():
                self._unseal(step)
            case steps.Pivot():
                if not self._is_sealed:
                    raise PlanError(f"{step.describe()}: the root is still writable")
                self.is_complete = True
            case _:
                pass  # it changes no path

    def _make_devices(self) -> None:
        self._own["/dev"] = Kind.DIR
        self._mounts["/dev"] = _Mount(Where.SKELETON, is_shown=False)
        for name in ("full", "null", "random", "tty", "urandom", "zero"):
            self._own[f"/dev/{name}"] = Kind.FILE
            self._mounts[f"/dev/{name}"] = _Mount(Where.INSIDE, is_shown=False, is_directory=False)
        for name in ("pts", "shm"):
            self._own[f"/dev/{name}"] = Kind.DIR
            self._mounts[f"/dev/{name}"] = _Mount(Where.INSIDE, is_shown=False)

    def _make(self, step: steps.MakeDirectory | steps.WriteFile | steps.MakeLink) -> None:
        self._create(step, step.at, step.where)
        if isinstance(step, steps.MakeLink):
            self._own[step.at] = "link"
            self._links[step.at] = step.target
        else:
            self._own[step.at] = Kind.DIR if isinstance(step, steps.MakeDirectory) else Kind.FILE

    def _show_link(self, step: steps.ShowLink) -> None:
        around = self._mounts[self._mount_of(step.at)]
        if around.where not in (Where.INSIDE, Where.OVERLAY) or not around.is_shown or step.at in self._own:
            raise PlanError(f"{step.describe()}: nothing of the host is there")
        self._links[step.at] = step.target

    def _bind(self, step: steps.Bind) -> None:
        is_directory = step.kind == Kind.DIR
        mount = _Mount(Where.INSIDE, is_shown=True, is_directory=is_directory, source=step.source)
        self._mount(step, step.at, step.where, mount)

    def _skeleton(self, step: steps.MakeSkeleton) -> None:
        if step.at == "/":
            self._mounts["/"].is_shown = step.of_input
            return
        self._mount(step, step.at, step.where, _Mount(Where.GRAFT, is_shown=step.of_input))

    def _mask(self, step: steps.Mask) -> None:
        if step.where != Where.INSIDE:
            raise PlanError(f"{step.describe()}: there is nothing to hide in a directory of our own")
        mask = _Mount(Where.INSIDE, is_shown=False, is_directory=step.kind == Kind.DIR)
        self._mount(step, step.at, step.where, mask)

    def _seal(self) -> None:
        self._is_sealed = True
        for mount in self._mounts.values():
            mount.is_writable = False

    def _unseal(self, step: steps.Unseal) -> None:
        if not self._is_sealed or step.at not in self._mounts:
            raise PlanError(f"{step.describe()}: it is not a sealed mount")
        for at, mount in self._mounts.items():
            if at == step.at or (step.deep and is_within(at, step.at)):
                mount.is_writable = True

    def _mount_of(self, path: str) -> str:
        """Return the mountpoint of the mount that shows a canonical path."""
        while path not in self._mounts:
            if path == "/":
                raise PlanError("there is no root yet")
            path = parent(path)
        return path

    def _mount(self, step: Step, at: str, where: str, mount: _Mount) -> None:
        if self._is_sealed:
            raise PlanError(f"{step.describe()}: it would stay writable")
        if where == Where.INSIDE:
            self._require_inside(step, at)
            for other in (*self._mounts, *self._own, *self._links):
                if other != at and is_within(other, at):
                    raise PlanError(f"{step.describe()}: it hides what was made at {other!r}")
        elif where == Where.OVERLAY:
            if self._mounts[self._mount_of(at)].where != where:
                raise PlanError(f"{step.describe()}: {at!r} does not belong to an overlay")
            self._require_no_link(step, at)
        else:
            self._create(step, at, where)
            self._own[at] = Kind.DIR if mount.is_directory else Kind.FILE
        self._mounts[at] = mount

    def _require_inside(self, step: Step, at: str) -> None:
        """Check that the host can have the mountpoint: it lies in a bound directory, or is one of our own devices."""
        if at in self._own:
            if self._own[at] == Kind.FILE and is_within(at, "/dev"):
                return
            raise PlanError(f"{step.describe()}: {at!r} is of our own making")
        around = self._mounts[self._mount_of(at)]
        if around.where != Where.INSIDE or not around.is_directory or not around.is_shown:
            raise PlanError(f"{step.describe()}: nothing of the host is shown there")
        self._require_no_link(step, at)

    def _create(self, step: Step, at: str, where: str) -> None:
        """Check that an entry can be made: the directory around it is ours, as ``where`` says, and lacks it."""
        above = parent(at)
        around = self._mount_of(above)
        if self._mounts[around].where != where or where == Where.INSIDE:
            raise PlanError(f"{step.describe()}: {above!r} does not belong to a {where}")
        if above != around and self._own.get(above) != Kind.DIR:
            raise PlanError(f"{step.describe()}: directory {above!r} was not made")
        if at in self._own or at in self._links or at in self._mounts:
            raise PlanError(f"{step.describe()}: {at!r} is there already")
        self._require_no_link(step, at)

    def _require_no_link(self, step: Step, at: str) -> None:
        if follow_links(at, self._links) != at:
            raise PlanError(f"{step.describe()}: a link is on the way")


def _private(step: steps.MountOverlay | steps.MountCopy | steps.MountScratch | steps.MountTmpfs) -> _Mount:
    """Return the mount of a temp, or of an overlay."""
    match step:
        case steps.MountOverlay():
            return _Mount(Where.OVERLAY, is_shown=True, source=step.source)
        case steps.MountCopy():
            is_directory = step.kind == Kind.DIR
            where = Where.OVERLAY if is_directory else Where.INSIDE
            return _Mount(where, is_shown=True, is_directory=is_directory, source=step.source)
        case _:
            return _Mount(Where.TEMP, is_shown=True)


_AFTER_PIVOT = (
    steps.ForbidUserNamespaces,
    steps.SetLimit,
    steps.Landlock,
    steps.DropPrivileges,
    steps.FilterSystemCalls,
    steps.Canary,
)
