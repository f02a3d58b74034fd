"""Cgroups (version 2) for sandboxes: find a place for them, make one for each sandbox, remove them again.

The layout below the nearest ancestor of our own cgroup where that is allowed::

    bldr-supervisor/    who has started launchers, where they were in the way
    bldr-RANDOM/        one launcher, which holds an flock(2) on it; without processes of its own
      1/ 2/ …           one sandbox each, never used twice: some kernels kill whoever is cloned into a cgroup that
                        cgroup.kill was written to before (seen on 6.1.176, 6.12.113 and 6.18)

Facts that shaped this, from cgroup-v2.rst of the kernel's documentation and seen on real kernels: a cgroup with
processes of its own cannot hand out ``memory`` (EBUSY), though ``+pids`` and ``+cpu`` alone succeed; a write that names
several controllers is all or nothing; one value a write(2), whose error a Python file object would lose; a process can
be put into a cgroup by who may write cgroup.procs of it and of the nearest common ancestor; a cgroup with zombies only
can be removed.
"""

from __future__ import annotations

import errno
import fcntl
import os

from _bldr_launcher.pseudofile import read, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "CONTROLLERS",
    "Group",
    "Hierarchy",
    "Place",
    "candidates",
    "find_hierarchy",
    "find_place",
    "nowhere",
    "remove",
]

CONTROLLERS = ("memory", "pids", "cpu", "io")  # memory first: it tells whether the place can have controllers at all
PREFIX = "bldr-"
LEAF = f"{PREFIX}supervisor"


class Hierarchy:
    """Where version 2 is mounted and where in it we are."""

    __slots__ = ("delegates", "mount", "own")

    def __init__(self, mount: str, own: str, *, delegates: bool) -> None:
        self.mount = mount
        self.own = own  # directory of our own cgroup
        self.delegates = delegates  # mounted with nsdelegate: a cgroup namespace cannot raise its own limits


class Place:
    """A cgroup below which each sandbox gets one. ``why`` says why there is none when ``path`` is empty."""

    def __init__(self, path: str, lock: int, controllers: tuple[str, ...], *, delegates: bool, why: str = "") -> None:
        self.path = path
        self.lock = lock
        self.controllers = controllers
        self.delegates = delegates
        self.why = why
        self._serial = 0
        self._left: list[Group] = []  # whose processes were killed; the supervisor reads why, and removes them

    def make(self) -> Group:
        """Make the cgroup of one sandbox.

        Raises:
            OSError: It cannot be made.
        """
        self._serial += 1
        path = f"{self.path}/{self._serial}"
        os.mkdir(path)
        try:
            return Group(path, os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        except OSError:
            os.rmdir(path)
            raise

    def give_up(self, group: Group, *, killed: bool) -> None:
        """Remove the cgroup of a sandbox that has ended; if it was killed, its supervisor reads why and removes it."""
        if killed:
            self.has_unread()
            self._left.append(group)
        else:
            group.discard()

    def has_unread(self) -> bool:
        """Whether a cgroup is there that a supervisor has yet to read."""
        self._left = [group for group in self._left if os.path.exists(group.path)]
        return bool(self._left)

    def close(self) -> None:
        """Remove everything, and the lock."""
        if self.path:
            remove(self.path)
            os.close(self.lock)
            self.path = ""


class Group:
    """The cgroup of one sandbox."""

    __slots__ = ("fd", "path")

    def __init__(self, path: str, fd: int) -> None:
        self.path = path
        self.fd = fd  # for clone3(2); -1 when that is over

    def cloned(self) -> None:
        """Close the descriptor, which nobody needs any more."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def limit(self, settings: Sequence[tuple[bytes, bytes, bytes]]) -> list[bytes]:
        """Write limits.

        Args:
            settings: File, value and ``1`` where the execution must not begin without it. A plus sign before the value
                adds the memory that is in use now: that is bldr's own.

        Returns:
            The files that were written.

        Raises:
            OSError: A file that has to be written cannot be.
        """
        written = []
        base = self.memory()
        for name, asked, needed in settings:
            value = b"%d" % (int(asked) + base) if asked.startswith(b"+") else asked
            try:
                write(f"{self.path}/{os.fsdecode(name)}", value)
                written.append(name)
            except OSError as error:
                if needed == b"1":
                    text = f"write {os.fsdecode(value)!r} to {self.path}/{os.fsdecode(name)}: {error.strerror}"
                    raise OSError(error.errno, text) from error
        return written

    def memory(self) -> int:
        """Bytes in use; 0 without the controller."""
        try:
            return int(read(f"{self.path}/memory.current"))
        except OSError:
            return 0

    def discard(self) -> None:
        """Remove it when nobody has used it."""
        self.cloned()
        try:
            os.rmdir(self.path)
        except OSError:
            pass  # removed with its parent at the end


def find_hierarchy(mountinfo: bytes, own: bytes) -> Hierarchy | str:
    """Find where version 2 is mounted and where in it we are.

    Args:
        mountinfo: /proc/self/mountinfo (proc(5)); mounts are told by their type, never by their path.
        own: /proc/self/cgroup (cgroups(7)).

    Returns:
        The answer, or why there is none.
    """
    lines = [line[3:] for line in own.splitlines() if line.startswith(b"0::")]
    if not lines:
        return "this kernel has no cgroup version 2"
    path = os.fsdecode(lines[0])
    if path.startswith("/.."):
        return "our own cgroup lies outside our cgroup namespace"
    for line in mountinfo.splitlines():
        left, _, right = line.partition(b" - ")
        if not right.startswith(b"cgroup2 "):
            continue
        root, mount = [os.fsdecode(word).replace("\\040", " ") for word in left.split(b" ")[3:5]]
        inside = path if root == "/" else path[len(root) :] if (path + "/").startswith(root + "/") else None
        if inside is not None:
            own_directory = (mount + inside).rstrip("/") or "/"
            return Hierarchy(mount, own_directory, delegates=b"nsdelegate" in right)
    return "cgroup version 2 is not mounted here"


def candidates(hierarchy: Hierarchy) -> list[str]:
    """The directories in which a place is looked for: our own cgroup, then each one above it.

    The leaf into which an earlier launcher has moved us is left out: leaves would be made in leaves, and leftovers be
    looked for in the wrong place.
    """
    found = [hierarchy.own]
    if os.path.basename(hierarchy.own) == LEAF and hierarchy.own != hierarchy.mount:
        found = [os.path.dirname(hierarchy.own)]
    while found[-1] != hierarchy.mount and found[-1].startswith(hierarchy.mount + "/"):
        found.append(os.path.dirname(found[-1]))
    return found


def find_place(ours: Sequence[int]) -> Place:
    """Find a place and claim it; leftovers of launchers that were killed are removed from it.

    Args:
        ours: Numbers of processes that may be moved into a leaf of their own, where they alone are in the way.
    """
    with open("/proc/self/mountinfo", "rb") as mounts, open("/proc/self/cgroup", "rb") as own:
        hierarchy = find_hierarchy(mounts.read(), own.read())
    if isinstance(hierarchy, str):
        return nowhere(hierarchy)
    if not _words(f"{hierarchy.mount}/cgroup.controllers"):
        return nowhere("the controllers belong to cgroup version 1 here")
    why = ""
    for parent in candidates(hierarchy):
        try:
            return _claim(parent, hierarchy, ours)
        except OSError as error:
            why = why or f"{error.args[-1]}: {os.strerror(error.errno or 0)}"  # the nearest one says most
    return nowhere(why)


def nowhere(why: str) -> Place:
    """No place, for this reason."""
    return Place("", -1, (), delegates=False, why=why)


def _claim(parent: str, hierarchy: Hierarchy, ours: Sequence[int]) -> Place:
    path = f"{parent}/{PREFIX}{os.urandom(8).hex()}"
    _named(path, os.mkdir, path)
    lock = -1
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _enable(parent, ours if parent == hierarchy.own else ())
        given = _given(path)
        for name in CONTROLLERS:
            if name in given:
                _named(path, write, f"{path}/cgroup.subtree_control", f"+{name}".encode())
    except OSError:
        if lock >= 0:
            os.close(lock)
        os.rmdir(path)
        raise
    _remove_leftovers(parent)
    controllers = tuple([name for name in CONTROLLERS if name in given])
    return Place(path, lock, controllers, delegates=hierarchy.delegates)


def _given(path: str) -> list[str]:
    """The controllers that a cgroup may use.

    Raises:
        OSError: There are none that matter.
    """
    given = _words(f"{path}/cgroup.controllers")
    if "memory" not in given and "pids" not in given:
        raise OSError(errno.ENOENT, f"{os.path.dirname(path)} has neither the memory nor the pids controller")
    return given


def _enable(parent: str, ours: Sequence[int]) -> None:
    """Let a cgroup hand its controllers on, as many as it has."""
    have, wanted = _words(f"{parent}/cgroup.subtree_control"), _words(f"{parent}/cgroup.controllers")
    for name in CONTROLLERS:
        if name in have or name not in wanted:
            continue
        try:
            write(f"{parent}/cgroup.subtree_control", f"+{name}".encode())
        except OSError as error:
            if error.errno != errno.EBUSY or not _make_leaf(parent, ours):
                raise OSError(error.errno, f"{parent}/cgroup.subtree_control") from error
            write(f"{parent}/cgroup.subtree_control", f"+{name}".encode())


def _make_leaf(parent: str, ours: Sequence[int]) -> bool:
    """Move ourselves into a leaf, when nobody but us keeps the cgroup from having controllers for its children."""
    present = {int(word) for word in _words(f"{parent}/cgroup.procs")}
    if not present or not present <= set(ours):
        return False
    leaf = f"{parent}/{LEAF}"
    try:
        os.mkdir(leaf)
    except FileExistsError:
        pass  # of an earlier run in the same scope
    for pid in present:
        write(f"{leaf}/cgroup.procs", b"%d" % pid)
    return True


def _remove_leftovers(parent: str) -> None:
    """Remove the places whose launcher is gone: nobody holds their lock."""
    for name in os.listdir(parent):
        path = f"{parent}/{name}"
        if not name.startswith(PREFIX) or len(name) != len(PREFIX) + 16 or not os.path.isdir(path):
            continue
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove(path)
        except OSError:
            pass  # it is in use, or somebody else's
        finally:
            os.close(fd)


def remove(path: str) -> None:
    """Remove a place and the cgroups in it; nothing happens when it is gone.

    Files in a cgroup cannot be unlinked, they go with rmdir(2), which is refused while a process that has not ended is
    in it. Those that are killed here have lost their launcher, and with it their process 1.
    """
    try:
        names = os.listdir(path)
    except OSError:
        return
    for name in names:
        child = f"{path}/{name}"
        if os.path.isdir(child):
            try:
                os.rmdir(child)
            except OSError:
                _kill(child)
    try:
        os.rmdir(path)
    except OSError:
        pass  # a process is ending just now; the next start finds it


def _kill(path: str) -> None:
    try:
        write(f"{path}/cgroup.kill", b"1")  # Linux 5.14
        os.rmdir(path)
    except OSError:
        pass  # older, or a process is ending just now: the next start finds it


def _words(path: str) -> list[str]:
    return os.fsdecode(read(path)).split()


def _named(path: str, call: object, *arguments: object) -> None:
    """Call, and let a failure say on which directory."""
    try:
        call(*arguments)  # type: ignore[operator]  # a function
    except OSError as error:
        raise OSError(error.errno, path) from error
