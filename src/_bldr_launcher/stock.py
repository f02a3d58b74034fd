"""What the launcher makes before it is asked for: inits that wait for a request, and empty directories for temps.

A plain init serves every plan. One that was equipped has executed the steps of the plan that is asked for again and
again, so that only the command is missing. It may be used as long as a new sandbox would show the same:

* the plan and the flags are the same bytes, and the id inside is the usual one;
* each source still is what its path leads to (see `Waiting.is_fresh`);
* no mount of the host has changed since (proc(5)): trees were copied with the mounts in them;
* every mount point lies in a directory of the sandbox's own, or the mount is found there still. One in a tree of the
  host's goes with the file that it covers when somebody outside replaces that (rename(2), unlink(2)), and nobody would
  be told;
* nothing but steps and flags of which all this is known is in the plan.

What lies in the sources, its permissions and links included, is the host's own and cannot grow old.
"""

from __future__ import annotations

import os
import select

from _bldr_launcher import channel, init, request, scratch, steps, syscalls, wire

__all__ = ["Plan", "Stock", "Temps", "Waiting"]

EXECUTABLE = frozenset({
    b"bind", b"canary", b"dir", b"drop", b"file", b"hostname", b"landlock", b"link", b"mask", b"no-userns", b"pivot",
    b"rlimit", b"seal", b"seccomp", b"skeleton", b"temp", b"tmpfs", b"unseal",
})  # fmt: skip
FLAGS = frozenset({b"host-proc", b"temps", b"terminal"})
ELSEWHERE = (b"graft", b"overlay")  # mount points around which there may be others, which nobody looks at
SHARED_MODE = 0o1777  # what /tmp has, which nearly every sandbox gets


class Plan:
    """A plan as the launcher looks at it; one object for as long as the same is asked for.

    Args:
        uid: The id inside.
        flags: Those of the request; ``temps`` says that the launcher makes the temps.
        packed: The steps on the wire.
        steps: The same, decoded; none where the launcher does not understand them.
    """

    def __init__(self, uid: bytes, flags: bytes, packed: bytes, steps: list[list[bytes]]) -> None:
        self.key = (uid, flags, packed)
        self.steps = steps
        temps = [step for step in steps if step[0] == b"temp"] if b"temps" in flags.split() else []
        self.modes = tuple([int(step[3], 8) for step in temps])  # in the order of their indexes
        self.unsealed = frozenset([step[1] for step in steps if step[0] == b"unseal"])
        self.nests = not any(step[0] == b"no-userns" for step in steps)  # whether sandboxes can be made in the sandbox
        self.repeats = False  # whether it was asked for twice, and may be executed ahead
        self.can_wait = (
            bool(steps)
            and uid == b"0"
            and FLAGS.issuperset(flags.split())
            and all(step[0] in EXECUTABLE and step[-1] not in ELSEWHERE for step in steps)
            and sum(step[0] in (b"bind", b"temp") for step in steps) <= init.TREES_PER_MESSAGE
            and len(packed) + len(flags) < wire.LARGEST_INLINE // 2
        )


class Waiting:
    """An init without a request.

    Args:
        pid: Its process number.
        link: Descriptor of the socket to it.
    """

    __slots__ = ("_covers", "_root", "link", "pid", "plan", "sources", "temps")

    def __init__(self, pid: int, link: int) -> None:
        self.pid = pid
        self.link = link
        self.plan: Plan | None = None  # what it was equipped with
        self.sources: list[tuple[bytes, int]] = []  # host paths, and descriptors of the trees that it shows of them
        self.temps = ""  # the directory with what it shows as temps
        self._root = -1  # descriptor of its root, when it has executed the plan
        self._covers: list[bytes] = []  # path, device, inode of each mount in a tree of the host's

    def has_executed(self) -> bool:
        """Whether it has executed its plan, and said so."""
        if self._root < 0:
            poller = select.poll()
            poller.register(self.link, select.POLLIN)
            data, fds = channel.receive(self.link, wire.LARGEST_INLINE) if poller.poll(0) else (b"", [])
            if data and len(fds) == 1:  # else it has died, and will be reaped
                (self._root,) = fds
                self._covers = wire.unpack(data)[1:]
        return self._root >= 0

    def is_fresh(self) -> bool:
        """Whether it shows what a new one would: each source is what its path leads to, each mount is in its place."""
        try:
            return self._has_sources() and self._has_covers()
        except OSError:  # something on the way is gone: a new one will say what
            return False

    def _has_sources(self) -> bool:
        """Whether each path still leads to the very file or directory that the sandbox shows.

        The tree is held, so nothing new can have its inode number. Some file systems give the same number to several
        files (hard links below overlayfs), so whatever tells two of them apart is compared as well; the owner is not,
        because the tree shows mapped ids.
        """
        return all(_identity(os.stat(path)) == _identity(os.fstat(fd)) for path, fd in self.sources)

    def _has_covers(self) -> bool:
        """Whether what is mounted in trees of the host's is found at its path, as it was mounted.

        Beneath an output of an input lies the very directory that it shows, and only one of both can be written to.
        """
        assert self.plan is not None
        for at, device, inode in zip(self._covers[::3], self._covers[1::3], self._covers[2::3], strict=True):
            fd = syscalls.openat2(self._root, at[1:], os.O_PATH, steps.WALK)
            try:
                status = os.fstat(fd)
                is_sealed = bool(os.statvfs(fd).f_flag & os.ST_RDONLY)
            finally:
                os.close(fd)
            if is_sealed == (at in self.plan.unsealed) or [status.st_dev, status.st_ino] != [int(device), int(inode)]:
                return False
        return True

    def let_go(self) -> None:
        """Close the descriptors of the trees and of the root; they stay where init has put them."""
        while self.sources:
            os.close(self.sources.pop()[1])
        if self._root >= 0:
            os.close(self._root)
            self._root = -1


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return (
        status.st_dev, status.st_ino, status.st_mode, status.st_nlink, status.st_size, status.st_mtime_ns,
        status.st_ctime_ns,
    )  # fmt: skip


class Stock:
    """The inits and the temps that were made ahead.

    Args:
        base: Host directory that holds temps.

    Raises:
        OSError: There is no /proc.
    """

    def __init__(self, base: str) -> None:
        self.inits: list[Waiting] = []
        self.temps = Temps(base)
        self.plan: Plan | None = None  # that was asked for last
        # It signals a change of the mounts. A user's own namespace, that of gain_mounts, follows the host's, this one.
        self.mounts = os.open("/proc/self/mounts", os.O_RDONLY | os.O_CLOEXEC)
        self._mounts_poller = select.poll()
        self._mounts_poller.register(self.mounts, select.POLLPRI)

    def remember(self, uid: bytes, flags: bytes, packed: bytes, *, mounts: bool) -> Plan:
        """Return the plan of a request, and remember it.

        Args:
            uid: As in the request.
            flags: As in the request.
            packed: As in the request.
            mounts: Whether its steps make mounts; else they are init's own affair.
        """
        plan = self.plan
        if plan is not None and plan.key == (uid, flags, packed):
            plan.repeats = plan.can_wait
        else:
            plan = self.plan = Plan(uid, flags, packed, request.steps_of(packed) if mounts else [])
            self.temps.expect(plan.modes)
        return plan

    def take_plain(self) -> Waiting | None:
        """Return the plain init that waits longest, which is the caller's now."""
        for waiting in self.inits:
            if waiting.plan is None:
                self.inits.remove(waiting)
                return waiting
        return None

    def take_equipped(self, plan: Plan) -> Waiting | None:
        """Return an init that has executed a plan and shows what a new one would; it is the caller's now."""
        if not plan.repeats:
            return None
        for waiting in [item for item in self.inits if item.plan not in (None, plan)]:
            self.dismiss(waiting)  # a plan that is asked for no more
        if self.mounts_have_changed():  # here again: a request may have come with the change
            self.dismiss_equipped()
        for waiting in [item for item in self.inits if item.plan is plan and item.has_executed()]:
            if waiting.is_fresh():
                self.inits.remove(waiting)
                waiting.let_go()
                return waiting
            self.dismiss(waiting)
        return None

    def mounts_have_changed(self) -> bool:
        """Whether mounts of the host have changed since this was asked the last time."""
        return bool(self._mounts_poller.poll(0))

    def next_to_equip(self) -> Waiting | None:
        """Return an init that shall be equipped; one always stays plain, for a request with another plan."""
        if self.plan is None or not self.plan.repeats:
            return None
        plain = [item for item in self.inits if item.plan is None]
        return plain[0] if len(plain) > 1 else None

    def has_equipped(self) -> bool:
        """Whether somebody holds on to sources."""
        return any(item.plan is not None for item in self.inits)

    def dismiss(self, waiting: Waiting) -> None:
        """Let an init go: it sees the end of its stream."""
        self.inits.remove(waiting)
        os.close(waiting.link)
        waiting.let_go()
        self.temps.remove(waiting.temps)

    def dismiss_equipped(self) -> None:
        """Let those go that hold on to sources, and equip no more of them until the plan is asked for again."""
        if self.plan is not None:
            self.plan.repeats = False
        for waiting in [item for item in self.inits if item.plan is not None]:
            self.dismiss(waiting)

    def dismiss_all(self) -> None:
        """Let everybody go."""
        while self.inits:
            self.dismiss(self.inits[0])

    def bury(self, pid: int) -> None:
        """Forget an init that has ended. One that could not be equipped ends, and the next one would as well."""
        for waiting in [item for item in self.inits if item.pid == pid]:
            if waiting.plan is not None:
                waiting.plan.repeats = False
            self.dismiss(waiting)


class Temps:
    """Directories below the base that hold, or are, the temps of one execution each, made before it is known which.

    The supervisor of an execution knows it by another name, which it gets when it is given away, and removes it then.

    Args:
        base: Host directory that holds them.
    """

    def __init__(self, base: str) -> None:
        self._base = base
        self._serial = 0
        self._modes: tuple[int, ...] = (SHARED_MODE,)  # that the last plan asked for
        self._ahead = ""  # one that nobody has yet

    def expect(self, modes: tuple[int, ...]) -> None:
        """Say what the next request will probably ask for."""
        if modes != self._modes:
            self.remove_ahead()
            self._modes = modes

    def are_lacking(self) -> bool:
        """Whether one is to be made ahead."""
        return bool(self._modes) and not self._ahead

    def make_ahead(self) -> None:
        """Make one.

        Raises:
            OSError: There is no room.
        """
        self._ahead = self.reserve(self._modes)

    def remove_ahead(self) -> None:
        """Remove the one that nobody has."""
        self.remove(self._ahead)
        self._ahead = ""

    def make(self, modes: tuple[int, ...], place: str) -> None:
        """Make the temps of an execution.

        Args:
            modes: One for each; nothing is made without one.
            place: Host path from the request.

        Raises:
            OSError: There is no room.
        """
        if self._ahead and modes == self._modes:
            path, self._ahead = self._ahead, ""
            try:
                os.rename(path, place)
            except FileNotFoundError:
                pass  # somebody has removed it
            else:
                return
        if modes:
            _make_directories(place, modes)

    def reserve(self, modes: tuple[int, ...]) -> str:
        """Make temps that the caller gives to an execution or removes; empty when there is none to be made.

        Raises:
            OSError: There is no room.
        """
        if not modes:
            return ""
        self._serial += 1
        path = f"{self._base}/ahead-{self._serial}"
        _make_directories(path, modes)
        return path

    def give(self, path: str, place: str) -> None:
        """Give them the name by which the supervisor removes them.

        Args:
            path: As `reserve` has returned it.
            place: Host path from the request.

        Raises:
            OSError: Somebody else has removed them.
        """
        if path:
            os.rename(path, place)

    def remove(self, path: str) -> None:
        """Remove those that were not given."""
        if path:
            scratch.remove_tree(path)


def _make_directories(path: str, modes: tuple[int, ...]) -> None:
    """Make one directory for each mode, in one directory; a single one stands for itself, for it takes half as long."""
    try:
        os.mkdir(path, 0o700)
        if len(modes) == 1:
            os.chmod(path, modes[0])  # nobody else comes here: the base is its owner's alone
            return
        for index, mode in enumerate(modes):
            os.mkdir(f"{path}/{index}")
            os.chmod(f"{path}/{index}", mode)  # mkdir(2) is subject to the umask
    except OSError:
        scratch.remove_tree(path)
        raise
