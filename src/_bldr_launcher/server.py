"""The fork server: one single-threaded loop that clones sandboxes for a supervisor.

::

    1  launcher → supervisor   "ready"   mode, scratch base, place of cgroups, controllers, whether it delegates, why
                                         there is no place    or  "failed"  step, operation, errno, text
    2  supervisor → launcher   request (see init.py); the launcher hands it to an init that waits, or to a new one;
                               when that lives in a cgroup, it says so on the status socket: "cgroup" directory,
                               bytes in use before the request, files that were written
       supervisor → launcher   "place": it has been moved to another cgroup and shall look for a place again
       launcher → supervisor   "place" and what "ready" says of it
    3  supervisor → launcher   "retire": no more requests will come; it ends when its last sandbox does
    4  end of the stream       every sandbox is killed, the scratch base removed, the launcher ends

Inits are made before they are asked for: namespaces, the root and /dev take longer than what a request adds. When
nobody needs one it sees the end of its own stream and ends too.
"""

from __future__ import annotations

import _signal
import errno
import os
import resource
import select

from _bldr_launcher import channel, init, overlay, root, scratch, seccomp, syscalls, wire
from _bldr_launcher.wire import SANDBOX_ID

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from _bldr_launcher import cgroup
    from _bldr_launcher.kernel import Kernel

__all__ = ["Launcher", "serve"]

NAMESPACES = (
    syscalls.CLONE_NEWUSER
    | syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWPID
    | syscalls.CLONE_NEWNET
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWUTS
    | syscalls.CLONE_NEWCGROUP
)
MESSAGES_UNDER_WAY = 4  # times 64 trees; the kernel bounds a user's descriptors under way by RLIMIT_NOFILE (unix(7))


def serve(
    control_fd: int,
    scratch_parent: str,
    *,
    ready: int = 4,
    once: bool = False,
    kernel: Kernel = syscalls,
    kind: type[Launcher] | None = None,
) -> NoReturn:
    """Run the launcher until the supervisor is gone. Never returns.

    Args:
        control_fd: Descriptor of the SOCK_SEQPACKET socket to the supervisor.
        scratch_parent: Host directory below which temps are made.
        ready: How many inits wait for a request.
        once: Make no further one after the first request.
        kernel: The system calls; a test puts one that fails in its place.
        kind: What makes the sandboxes; :class:`Launcher` by default.
    """
    step, base = b"scratch", ""
    try:
        base, lock = scratch.create_base(scratch_parent)
        step = b"launcher"
        place = find_place()
        launcher = (kind or Launcher)(control_fd, base, lock, ready=ready, once=once, kernel=kernel, place=place)
        step = b"namespaces"
        launcher.gain_mounts()
        step = b"seccomp"
        launcher.confine_itself()
    except OSError as error:
        report = [b"failed", b"-1", step, str(error.errno or 0).encode(), os.fsencode(str(error.args[-1]))]
        if base:
            scratch.remove_tree(base)
        channel.send(control_fd, wire.pack(report))
        os._exit(1)
    try:
        channel.send(control_fd, wire.pack([b"ready", launcher.mode, os.fsencode(base), *described(place)]))
        launcher.loop()
    finally:
        launcher.end_everything()
        if launcher.place is not None:
            launcher.place.close()
        scratch.remove_tree(base)
        os._exit(0)


class Launcher:
    """The state of the fork server.

    Args:
        control: Descriptor of the socket to the supervisor.
        base: Host directory for the scratch directories.
        lock: Descriptor that holds the lock on it.
        ready: How many inits wait for a request.
        once: Make no further one after the first request.
        kernel: The system calls.
        place: Where cgroups are made; None where there is no such place.
    """

    def __init__(
        self,
        control: int,
        base: str,
        lock: int,
        *,
        ready: int,
        once: bool,
        kernel: Kernel,
        place: cgroup.Place | None = None,
    ) -> None:
        self.control = control
        self.base = base
        self.lock = lock
        self.ready = ready
        self.once = once
        self.kernel = kernel
        self.waiting: list[tuple[int, int]] = []  # (pid, descriptor of the socket) of inits without a request
        self.children: set[int] = set()
        self.tracers: dict[int, int] = {}  # of an init
        self.place = place
        self.groups: dict[int, cgroup.Group] = {}  # of the inits that live in one
        self.host_ipc = os.readlink(b"/proc/self/ns/ipc")
        self.euid, self.egid = os.geteuid(), os.getegid()
        self.mode = b"root" if root.is_host_root() else b"user"
        self.idmap = -1
        self.paused = False  # none could be made ahead; tried again after the next request
        self.leftovers_removed = False
        self.retired = False
        self.stage = b"start-init"  # of the request that is being served, for a report
        # Its end is seen even where a fork of it holds a copy of the socket.
        parent = os.getppid()  # 0 when it is in another process namespace
        self.supervisor = os.pidfd_open(parent) if parent else -1
        self.wake, wake_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        _signal.signal(_signal.SIGCHLD, lambda *_: None)
        _signal.set_wakeup_fd(wake_end, warn_on_full_buffer=False)
        for number in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP, _signal.SIGQUIT, _signal.SIGTSTP):
            _signal.signal(number, _signal.SIG_IGN)  # the supervisor decides what they mean

    def gain_mounts(self) -> None:
        """Get the right to copy mounts: as real root it is there, a user has it in a user namespace of its own.

        The namespace keeps receiving the host's mounts (MS_SLAVE); nothing is ever mounted in it.
        """
        if self.mode == b"root":
            self.idmap = root.identity_namespace(SANDBOX_ID, self.kernel)
            return
        self.kernel.unshare(syscalls.CLONE_NEWUSER)
        root.map_identity(self.euid, self.euid, self.egid, gid=self.egid)
        self.kernel.unshare(syscalls.CLONE_NEWNS)
        self.kernel.mount(None, b"/", None, syscalls.MS_REC | syscalls.MS_SLAVE)

    def confine_itself(self) -> None:
        """Take the base filter, no_new_privs and a keyring of its own; every sandbox inherits them."""
        try:
            self.kernel.join_new_session_keyring()
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.EPERM, errno.EDQUOT):  # kernel or container without keyrings
                raise
        self.kernel.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        self.kernel.install_filter(seccomp.base_filter())
        os.umask(0o022)
        self.kernel.personality(0)  # PER_LINUX of <sys/personality.h>: setarch -R of a caller must not reach builds
        if self.mode == b"root":
            os.setgroups([])
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        for mounts in (False, True):
            for chown_succeeds in (False, True):
                seccomp.sandbox_filter(mounts=mounts, chown_succeeds=chown_succeeds)

    def loop(self) -> None:
        """Serve until the supervisor closes its end."""
        poller = select.poll()
        poller.register(self.control, select.POLLIN)
        poller.register(self.wake, select.POLLIN)
        if self.supervisor >= 0:
            poller.register(self.supervisor, select.POLLIN)
        while True:
            idle = (self.paused or len(self.waiting) >= self.ready) and self.leftovers_removed
            for fd, _events in poller.poll(None if idle else 0) or ((-1, 0),):
                if fd == self.wake:
                    os.read(self.wake, 4096)
                    self.reap()
                elif fd == self.supervisor:
                    return
                elif fd == -1:
                    self.prepare_ahead()
                elif not self.serve_one():
                    return
            if self.retired and not self.children and not self.tracers:
                return

    def prepare_ahead(self) -> None:
        """Use a moment without requests."""
        if len(self.waiting) < self.ready and not self.paused:
            try:
                self.waiting.append(self.clone(0))
            except OSError:
                self.paused = True  # the request that needs one meets the same error and reports it, or it has passed
        elif not self.leftovers_removed:
            self.leftovers_removed = True
            try:
                scratch.remove_leftovers(os.path.dirname(self.base))
            except OSError:
                pass  # a leftover that cannot be removed must not stop a build

    def serve_one(self) -> bool:
        """Take one request; False at the end of the stream."""
        data, fds = channel.receive(self.control, wire.LARGEST_INLINE)
        if not data:
            return False
        if not fds:
            if data == b"place":
                self.settle()
            else:  # "retire": the supervisor has started another launcher
                self.retire()
            return True
        self.paused = False
        if self.once:
            self.ready, self.leftovers_removed = 0, True
        link = None
        self.stage = b"start-init"
        try:
            if self.mode == b"root":
                _give_pipes(fds[1:4])
            link = self.hand_over(data, fds)
        except OSError as error:
            self.report(fds[0], self.stage, error)
        finally:
            _close_all(fds)
            if link is not None:
                os.close(link)
        return True

    def settle(self) -> None:
        """Look for a place again, and send home who waits: they were made in the cgroup of before."""
        while self.waiting:
            os.close(self.waiting.pop()[1])
        self.place = find_place()
        channel.send(self.control, wire.pack([b"place", *described(self.place)]))

    def retire(self) -> None:
        """Make nothing ahead any more, send home who waits, and end when the sandboxes that run have ended."""
        self.retired = self.leftovers_removed = True
        self.ready = 0
        while self.waiting:
            os.close(self.waiting.pop()[1])

    def hand_over(self, data: bytes, fds: list[int]) -> int | None:
        """Pass the request on to an init, and the trees that it needs.

        Args:
            data: The request, or anything when a fifth descriptor holds it.
            fds: Status, the three streams [, memfd with the request]; they stay the caller's to close.

        Returns:
            The socket to the init, for the caller to close; None when a limit could not be set, which was reported.

        Raises:
            OSError: No init can be started, or it cannot be reached.
        """
        whole = os.pread(fds[4], os.fstat(fds[4]).st_size, 0) if len(fds) == 5 else data
        uid = int(wire.unpack(whole)[1])
        request = init.Request.parse(whole)
        link: int | None = None
        fresh = request.load() or uid != 0
        while self.waiting and not fresh and link is None:
            pid, link = self.waiting.pop(0)
            link = self.offer(link, data, fds) if self.limit(pid, link, request, fds[0]) else -1
        if link is None:
            pid, link = self.clone(uid)
            if self.limit(pid, link, request, fds[0]):
                self.pass_on(link, data, fds)
            else:
                link = -1
        if link < 0:
            return None
        try:
            self.send_trees(link, request)
            if request.is_traced:
                self.stage = b"trace"
                from _bldr_launcher import tracer

                self.tracers[tracer.start(link, fds[0], pid, request)] = pid
        except BaseException:
            os.close(link)
            raise
        return link

    def limit(self, pid: int, link: int, request: init.Request, status: int) -> bool:
        """Write a request's limits into the cgroup of its init; False, and nothing is started, when that fails."""
        group = self.groups.get(pid)
        try:
            if group is None:
                return not request.limits or self.refuse_limits(link, status)
            base = group.memory()
            written = group.limit(request.limits)
            channel.send(status, wire.pack([b"cgroup", os.fsencode(group.path), b"%d" % base, *written]))
        except BrokenPipeError:
            return True  # the supervisor has lost interest, and init will notice
        except OSError as error:
            os.close(link)  # it ends without having been needed
            self.report(status, b"limit", error)
            return False
        return True

    def refuse_limits(self, link: int, status: int) -> bool:
        """The supervisor was told of a place for cgroups, and meanwhile none can be made there."""
        os.close(link)
        self.report(status, b"limit", OSError(errno.ENOENT, "the sandbox has no cgroup"))
        return False

    def offer(self, link: int, data: bytes, fds: list[int]) -> int | None:
        """Give the request to an init that waits; None when it has died meanwhile."""
        try:
            self.pass_on(link, data, fds)
        except (BrokenPipeError, ConnectionResetError):
            return None
        return link

    def pass_on(self, link: int, data: bytes, fds: list[int]) -> None:
        """Send the request; the socket is closed when that fails, so that the init ends."""
        try:
            channel.send(link, data, fds)
        except BaseException:
            os.close(link)
            raise

    def clone(self, uid: int) -> tuple[int, int]:
        """Start an init in new namespaces.

        Args:
            uid: The id inside.

        Returns:
            Its process number, and the socket to it.

        Raises:
            OSError: The host refuses the process, a namespace or the maps.
        """
        ours, theirs = channel.pair()
        group = self.new_group()
        try:
            self.stage = b"namespaces"
            pid = self.start_init(theirs, uid, group)
            self.children.add(pid)
            if group is not None:
                group.cloned()
                self.groups[pid] = group
            self.stage = b"map-identity"
            if self.mode == b"root":
                root.map_identity(uid, SANDBOX_ID, SANDBOX_ID, pid)
                channel.send(ours, b"m")
        except BaseException:
            os.close(ours)
            if group is not None and group.fd >= 0:
                group.discard()
            raise
        finally:
            os.close(theirs)
        self.stage = b"start-init"
        return pid, ours

    def start_init(self, link: int, uid: int, group: cgroup.Group | None) -> int:
        """Clone an init, into its cgroup if it has one; it reads its request from ``link``. Returns its number."""
        if group is None:
            pid = self.kernel.clone3(NAMESPACES, _signal.SIGCHLD)
        else:
            pid = self.kernel.clone3(NAMESPACES, _signal.SIGCHLD, group.fd)
        if pid == 0:
            identity = None if self.mode == b"root" else (uid, self.euid, self.egid)
            init.main(link, identity, self.host_ipc, self.kernel, grouped=group is not None)
        return pid

    def new_group(self) -> cgroup.Group | None:
        """Make a cgroup for the next init; None where there is no place for it."""
        return None if self.place is None or not self.place.path else self.place.make()

    def send_trees(self, link: int, request: init.Request) -> None:
        """Open every source here and send the detached trees after the request, as fast as init attaches them.

        The sandbox has left the host's files behind already; and as real root it could neither reach nor own them.
        """
        sources = [one for step in request.steps for one in overlay.sources_of(step[0], step[1:], request.scratch)]
        size = init.TREES_PER_MESSAGE
        parts = [sources[start : start + size] for start in range(0, len(sources), size)]
        answers = 0  # that have been asked for and not been read
        try:
            for index, part in enumerate(parts):
                if answers == MESSAGES_UNDER_WAY:
                    os.read(link, 1)
                    answers -= 1
                # No answer may be left unread: closing the socket would then reset it, and what was sent be lost.
                answer = index + MESSAGES_UNDER_WAY < len(parts)
                complete = self.send_part(link, request, part, answer=answer)
                answers += answer
                if not complete:
                    break
            while answers:
                os.read(link, 1)
                answers -= 1
        except (BrokenPipeError, ConnectionResetError):
            pass  # init met a failure of its own and has reported it

    def send_part(self, link: int, request: init.Request, part: list[overlay.Source], *, answer: bool) -> bool:
        """Send some trees; False when one could not be opened, which init is told in its place."""
        fds: list[int] = []
        marks = b""
        failure: list[bytes] = []
        try:
            for one in part:
                try:
                    fd, mapped = self.open_source(one.path, is_temp=one.is_temp, is_tree=one.is_tree)
                    fds.append(fd)
                    if not mapped and [b"unseal", one.at] in [step[:2] for step in request.steps]:
                        self.give_output(one.path)
                except OSError as error:
                    failure = [b"failed", str(error.errno).encode(), os.fsencode(str(error.args[-1]))]
                    break
                marks += b"1" if mapped else b"0"
            if fds:
                channel.send(link, wire.pack([b"trees", marks, b"1" if answer else b"0"]), fds)
            elif answer:
                channel.send(link, wire.pack([b"trees", b"", b"1"]))
            if failure:
                channel.send(link, wire.pack(failure))
        finally:
            _close_all(fds)
        return not failure

    def open_source(self, source: bytes, *, is_temp: bool, is_tree: bool) -> tuple[int, bool]:
        """Copy the mounts at a path, detached.

        As real root the copy shows the caller's files as inside-root's, through an id map; for a user nothing has to
        be mapped.

        Args:
            source: Host path.
            is_temp: Whether it is in a scratch directory; it is given away where it cannot be mapped.
            is_tree: Whether it is a directory.

        Returns:
            The descriptor, and whether the ids are the caller's.

        Raises:
            OSError: The path cannot be opened.
        """
        flags = syscalls.OPEN_TREE_CLONE | syscalls.AT_RECURSIVE | os.O_CLOEXEC
        fd = self.kernel.open_tree(syscalls.AT_FDCWD, source, flags)
        if is_tree:
            try:
                self.isolate(fd, devices=source == b"/dev" or source.startswith(b"/dev/"))
            except OSError:
                os.close(fd)
                raise
        if self.mode == b"user":
            return fd, True
        # A mount below that cannot be mapped must not keep the top one from it.
        for reach in (syscalls.AT_EMPTY_PATH | syscalls.AT_RECURSIVE, syscalls.AT_EMPTY_PATH):
            try:
                self.kernel.mount_setattr(fd, b"", reach, set_=syscalls.MOUNT_ATTR_IDMAP, userns_fd=self.idmap)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP):
                    os.close(fd)
                    raise
            else:
                return fd, True
        if is_temp and is_tree:
            from _bldr_launcher import ownership

            ownership.hand_over(source, self.euid, (SANDBOX_ID, SANDBOX_ID), linked=True)
        elif is_temp:
            os.chown(source, SANDBOX_ID, SANDBOX_ID)
        return fd, False

    def give_output(self, source: bytes) -> None:
        """Let inside-root own an output that cannot be mapped; the supervisor gives it back to the caller.

        Raises:
            OSError: The file system refuses it.
        """
        from _bldr_launcher import ownership

        ownership.hand_over(source, self.euid, (SANDBOX_ID, SANDBOX_ID), linked=False)

    def isolate(self, fd: int, *, devices: bool) -> None:
        """Cut a copied tree off from the mounts it was copied from, and make set-id bits and device nodes in it dead.

        A copy of a shared mount is a peer of the host's own: what is mounted in it appears on the host, and the other
        way round. A device node works in spite of a read-only mount, and as real root the id map makes the command its
        owner; only what was declared below /dev is meant to be a device.
        """
        attributes = syscalls.MOUNT_ATTR_NOSUID | (0 if devices else syscalls.MOUNT_ATTR_NODEV)
        reach = syscalls.AT_EMPTY_PATH | syscalls.AT_RECURSIVE
        try:
            self.kernel.mount_setattr(fd, b"", reach, set_=attributes, propagation=syscalls.MS_PRIVATE)
        except OSError as error:
            if error.errno != errno.ENOSYS:  # before Linux 5.12, where the seal cuts it off
                raise

    def report(self, status: int, operation: bytes, error: OSError) -> None:
        """Tell the supervisor that its sandbox was not started."""
        items = [b"failed", b"-1", operation, str(error.errno or 0).encode(), os.fsencode(str(error.args[-1]))]
        try:
            channel.send(status, wire.pack(items))
        except OSError:
            pass  # the supervisor has lost interest

    def reap(self) -> None:
        """Collect the inits that have ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.bury(pid, status)

    def bury(self, pid: int, status: int) -> None:
        """Forget an init that has ended; or a tracer, without which its sandbox must not live."""
        if pid in self.tracers:
            traced = self.tracers.pop(pid)
            if status and traced in self.children:
                os.kill(traced, _signal.SIGKILL)  # ours and not reaped yet, so the number is still its own
            return
        self.children.discard(pid)
        group = self.groups.pop(pid, None)
        # Who was killed may leave a supervisor that still wants to read why; it removes the cgroup then.
        if group is not None and os.WIFEXITED(status):
            group.discard()
        self.waiting = [item for item in self.waiting if item[0] != pid]

    def end_everything(self) -> None:
        """Kill every sandbox and wait for the last process of each."""
        for pid in self.children:
            os.kill(pid, _signal.SIGKILL)  # ours and not reaped yet, so the number is still theirs
        for pid in self.children:
            os.waitpid(pid, 0)
        self.children = set()


def find_place() -> cgroup.Place | None:
    """Find where cgroups can be made; None where the kernel has them, but none of their controllers.

    A look at one short file spares most containers the search: controllers that serve version 1 serve no other.
    """
    with open("/proc/self/cgroup", "rb") as own:
        if b":memory:" in own.read():
            return None
    from _bldr_launcher import cgroup

    try:
        return cgroup.find_place((os.getpid(), os.getppid()))
    except OSError as error:
        return cgroup.nowhere(str(error))


def described(place: cgroup.Place | None) -> list[bytes]:
    """What the supervisor is told of the place."""
    if place is None:
        return [b"", b"", b"0", b"the controllers belong to cgroup version 1 here"]
    words = (place.path, " ".join(place.controllers), "1" if place.delegates else "0", place.why)
    return [os.fsencode(word) for word in words]


def _give_pipes(fds: list[int]) -> None:
    """Let inside-root own the pipes of its standard streams.

    Opening /dev/stderr opens the pipe anew, with the permission check of a file that its maker owns (pipe(7)).
    """
    for fd in fds:
        if os.readlink(f"/proc/self/fd/{fd}").startswith("pipe:"):
            os.fchown(fd, SANDBOX_ID, SANDBOX_ID)


def _close_all(fds: list[int]) -> None:
    while fds:
        os.close(fds.pop())
