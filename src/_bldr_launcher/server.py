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
nobody needs one it sees the end of its own stream and ends too. When the same plan is asked for again and again, they
execute it ahead as well; see ``stock``.
"""

from __future__ import annotations

import _signal
import errno
import os
import resource
import select

from _bldr_launcher import channel, init, places, request, root, scratch, seccomp, steps, stock, syscalls, trees, wire
from _bldr_launcher.wire import SANDBOX_ID

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from _bldr_launcher import cgroup, tracers
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
NO_STEPS = wire.pack([])
NO_COMMAND = wire.pack([b"0", b"/"])
QUIET = 3  # milliseconds without an event, after which things are made ahead: making them slows down a command's start
READING = 10  # milliseconds between looks whether a supervisor has removed the cgroup of who was killed
LINGER = 1000  # milliseconds without one, after which nobody is expected to ask for the same plan again


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
        once: Make no further one after the first request, and end with the sandbox that it was for.
        kernel: The system calls; a test puts one that fails in its place.
        kind: What makes the sandboxes; :class:`Launcher` by default.
    """
    step, base = b"scratch", ""
    try:
        base, lock = scratch.create_base(scratch_parent)
        step = b"launcher"
        steps.plant()
        place = places.find()
        launcher = (kind or Launcher)(control_fd, base, lock, ready=ready, once=once, kernel=kernel, place=place)
        step = b"namespaces"
        launcher.gain_mounts()
        step = b"seccomp"
        launcher.confine_itself()
        step = b"namespaces"
        launcher.prove_namespaces()
    except OSError as error:
        report = [b"failed", b"-1", step, str(error.errno or 0).encode(), os.fsencode(str(error.args[-1]))]
        if base:
            scratch.remove_tree(base)
        channel.send(control_fd, wire.pack(report))
        os._exit(1)
    try:
        channel.send(control_fd, wire.pack([b"ready", launcher.mode, os.fsencode(base), *places.described(place)]))
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
        once: Make no further one after the first request, and end with the sandbox that it was for.
        kernel: The system calls.
        place: Where cgroups are made; None where there is no such place.
    """

    makes_mounts = True  # else plans are nothing that the launcher understands

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
        self.stock = stock.Stock(base)
        self.children: set[int] = set()
        self.tracers: tracers.Tracers | None = None
        self.place = place
        self.groups: dict[int, cgroup.Group] = {}  # of the inits that live in one
        self.host_ipc = os.readlink(b"/proc/self/ns/ipc")
        self.euid, self.egid = os.geteuid(), os.getegid()
        self.mode = b"root" if root.is_host_root() else b"user"
        self.trees = trees.Trees(kernel, maps=self.mode == b"root")
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
            if not self.once:
                self.trees.make_map()
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

    def prove_namespaces(self) -> None:
        """Make the one sandbox that will be asked for, where nothing has shown yet that there are namespaces.

        Raises:
            OSError: There are none.
        """
        if self.once and self.mode == b"root":
            self.stock.inits.append(self.clone(0))

    def loop(self) -> None:
        """Serve until the supervisor closes its end."""
        poller = select.poll()
        poller.register(self.control, select.POLLIN)
        poller.register(self.wake, select.POLLIN)
        poller.register(self.stock.mounts, select.POLLPRI)
        if self.supervisor >= 0:
            poller.register(self.supervisor, select.POLLIN)
        while True:
            events = [fd for fd, _ in poller.poll(self.patience())] or [-1]
            if self.stock.mounts in events:  # said once; so before a request that came after the change
                self.stock.dismiss_equipped()
            for fd in events:
                if fd == self.wake:
                    os.read(self.wake, 4096)
                    self.reap()
                elif fd == self.supervisor:
                    return
                elif fd == -1:
                    self.prepare_ahead()
                elif fd == self.control and not self.serve_one():
                    return
            in_use = self.children or self.tracers or self.has_unread()
            if self.retired and not in_use and not self.has_more():
                return

    def has_unread(self) -> bool:
        """Whether a cgroup, which ends with its place, has yet to tell the supervisor why its processes were killed."""
        return self.place is not None and self.place.has_unread()

    def has_more(self) -> bool:
        """Whether a request has come that has to be served before the end; none can come from now on."""
        if self.once:
            channel.refuse(self.control)
        poller = select.poll()
        poller.register(self.control, select.POLLIN)
        return bool(poller.poll(0)) and self.serve_one()

    def patience(self) -> int | None:
        """Milliseconds to wait for an event before something is made ahead; None when nothing has to be.

        A stock that is running out is filled at once: otherwise each request of a busy supervisor would wait for it.
        """
        missing = 0 if self.paused else self.ready - len(self.stock.inits)
        if 2 * missing > self.ready:
            return 0
        if missing > 0 or self.lacks_temps() or not self.leftovers_removed or self.next_to_equip():
            return 0 if self.once else QUIET  # nothing runs yet that could be slowed down
        if self.retired and not self.children and self.has_unread():
            return READING
        return LINGER if self.stock.has_equipped() or self.tracers else None

    def lacks_temps(self) -> bool:
        """Whether temps are to be made ahead."""
        return self.ready > 0 and not self.paused and self.makes_mounts and self.stock.temps.are_lacking()

    def next_to_equip(self) -> stock.Waiting | None:
        """Return an init that shall be equipped."""
        return None if self.paused else self.stock.next_to_equip()

    def prepare_ahead(self) -> None:
        """Use a moment without requests: make one thing."""
        if len(self.stock.inits) < self.ready and not self.paused:
            try:
                self.stock.inits.append(self.clone(0))
            except OSError:
                self.paused = True  # the request that needs one meets the same error and reports it, or it has passed
        elif self.lacks_temps():
            try:
                self.stock.temps.make_ahead()
            except OSError:
                self.paused = True
        elif waiting := self.next_to_equip():
            self.equip(waiting)
        elif not self.leftovers_removed:
            self.leftovers_removed = True
            try:
                scratch.remove_leftovers(os.path.dirname(self.base))
            except OSError:
                pass  # a leftover that cannot be removed must not stop a build
        else:
            self.stock.dismiss_equipped()
            if self.tracers:
                self.tracers.dismiss()

    def equip(self, waiting: stock.Waiting) -> None:
        """Let an init execute the plan that was asked for last. Where that fails, the next request will say so."""
        plan = waiting.plan = self.stock.plan
        assert plan is not None
        uid, flags, packed = plan.key
        sources = None
        try:
            waiting.temps = self.stock.temps.reserve(plan.modes)
            channel.send(waiting.link, request.join(uid, flags, b"", NO_STEPS, packed, NO_COMMAND))
            sources = self.trees.send_ahead(waiting.link, plan, os.fsencode(waiting.temps))
        except OSError:
            pass  # a plain init meets the same with the request, and reports it
        if sources is None:
            plan.repeats = plan.can_wait = False
            self.stock.dismiss(waiting)
        else:
            waiting.sources = sources

    def serve_one(self) -> bool:
        """Take one request; False at the end of the stream."""
        failure: OSError | None = None
        try:
            data, fds = channel.receive(self.control, wire.LARGEST_INLINE)
        except OSError as error:  # whom to tell stands in the message itself
            failure = error
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
        link = None
        self.stage = b"start-init"
        try:
            if failure is not None:
                raise failure
            if self.mode == b"root":
                _give_pipes(fds[1:4])
            link = self.hand_over(data, fds)
        except OSError as error:
            self.report(fds[0], self.stage, error)
        finally:
            trees.close_all(fds)
            if link is not None:
                os.close(link)
            if self.once:
                self.retire()
        return True

    def settle(self) -> None:
        """Look for a place again, and send home who waits: they were made in the cgroup of before."""
        self.stock.dismiss_all()
        self.place = places.find()
        channel.send(self.control, wire.pack([b"place", *places.described(self.place)]))

    def retire(self) -> None:
        """Make nothing ahead any more, send home who waits, and end when the sandboxes that run have ended."""
        self.retired = self.leftovers_removed = True
        self.ready = 0
        self.stock.dismiss_all()
        if self.tracers:
            self.tracers.dismiss_all()

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
        uid, flags, place, limits, packed, command = request.split(whole)
        plan = self.stock.remember(uid, request.without_trace(flags), packed, mounts=self.makes_mounts)
        short = request.join(uid, flags, place, limits, NO_STEPS, command)
        while len(fds) == 4 and (waiting := self.take_equipped(plan, place)):
            if self.is_refused(fds[0], plan, place):
                os.close(waiting.link)
                return None
            if not self.limit(waiting, limits, fds[0]):
                return None
            if self.offer(waiting.link, short, fds):
                if b"trace-" in flags:
                    self.trace(waiting, fds[0], request.Request.parse(short), plan)
                return waiting.link
            self.remove_temps(plan, place)
        self.make_temps(plan, place)
        if self.is_refused(fds[0], plan, place):
            return None
        needs_new = request.load_for(plan.steps or request.steps_of(packed)) or uid != b"0"
        while waiting := None if needs_new else self.stock.take_plain():
            if not self.limit(waiting, limits, fds[0]):
                return None
            if self.offer(waiting.link, data, fds):
                break
        else:
            waiting = self.clone(int(uid))
            if not self.limit(waiting, limits, fds[0]):
                return None
            self.pass_on(waiting.link, data, fds)
        try:
            self.trees.send(waiting.link, plan, place)
        except BaseException:
            os.close(waiting.link)
            raise
        if b"trace-" in flags:
            self.trace(waiting, fds[0], request.Request.parse(whole), plan)
        return waiting.link

    def trace(self, waiting: stock.Waiting, status: int, asked: request.Request, plan: stock.Plan) -> None:
        """Let a tracer watch the command; init ends when there is none to be had."""
        self.stage = b"trace"
        from _bldr_launcher import tracers

        if self.tracers is None:
            self.tracers = tracers.Tracers()
        try:
            self.tracers.trace(waiting.link, status, waiting.pid, asked, nests=plan.nests)
        except BaseException:
            os.close(waiting.link)
            raise

    def take_equipped(self, plan: stock.Plan, place: bytes) -> stock.Waiting | None:
        """Return an init that has executed a plan, with its temps at their place; None when a plain one is needed."""
        while waiting := self.stock.take_equipped(plan):
            try:
                self.stock.temps.give(waiting.temps, os.fsdecode(place))
            except OSError:
                os.close(waiting.link)  # somebody has removed them
            else:
                return waiting
        return None

    def make_temps(self, plan: stock.Plan, place: bytes) -> None:
        """Make the temps of a request. Those that were made ahead must not be the reason that there is no room.

        Raises:
            OSError: There is none.
        """
        self.stage = b"scratch"
        try:
            self.stock.temps.make(plan.modes, os.fsdecode(place))
        except OSError:
            self.stock.dismiss_equipped()
            self.stock.temps.remove_ahead()
            self.stock.temps.make(plan.modes, os.fsdecode(place))
        self.stage = b"start-init"

    def is_refused(self, status: int, plan: stock.Plan, place: bytes) -> bool:
        """Whether the supervisor has given up, and so does not know of the temps that were made for it since.

        Who gives up closes the socket first and removes the temps then: one of both sees them.
        """
        poller = select.poll()
        poller.register(status, 0)
        if not poller.poll(0):
            return False
        self.remove_temps(plan, place)
        return True

    def remove_temps(self, plan: stock.Plan, place: bytes) -> None:
        """Remove the temps of a request that comes to nothing."""
        if plan.modes:
            scratch.remove_tree(os.fsdecode(place))

    def limit(self, waiting: stock.Waiting, packed: bytes, status: int) -> bool:
        """Write a request's limits into the cgroup of its init; False, and nothing is started, when that fails."""
        group = self.groups.get(waiting.pid)
        try:
            if group is None:
                return packed == NO_STEPS or self.refuse_limits(waiting.link, status)
            base = group.memory()
            written = group.limit(request.limits_of(packed))
            channel.send(status, wire.pack([b"cgroup", os.fsencode(group.path), b"%d" % base, *written]))
        except BrokenPipeError:
            return True  # the supervisor has lost interest, and init will notice
        except OSError as error:
            os.close(waiting.link)  # it ends without having been needed
            self.report(status, b"limit", error)
            return False
        return True

    def refuse_limits(self, link: int, status: int) -> bool:
        """The supervisor was told of a place for cgroups, and meanwhile none can be made there."""
        os.close(link)
        self.report(status, b"limit", OSError(errno.ENOENT, "the sandbox has no cgroup"))
        return False

    def offer(self, link: int, data: bytes, fds: list[int]) -> bool:
        """Give the request to an init that waits; False when it has died meanwhile."""
        try:
            self.pass_on(link, data, fds)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def pass_on(self, link: int, data: bytes, fds: list[int]) -> None:
        """Send the request; the socket is closed when that fails, so that the init ends."""
        try:
            channel.send(link, data, fds)
        except BaseException:
            os.close(link)
            raise

    def clone(self, uid: int) -> stock.Waiting:
        """Start an init in new namespaces.

        Args:
            uid: The id inside.

        Returns:
            It, with the socket to it.

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
                if uid == 0:
                    self.trees.map_as(pid)
                channel.send(ours, b"m")
        except BaseException:
            os.close(ours)
            if group is not None and group.fd >= 0:
                group.discard()
            raise
        finally:
            os.close(theirs)
        self.stage = b"start-init"
        return stock.Waiting(pid, ours)

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
        traced = self.tracers.bury(pid, status) if self.tracers else None
        if traced is not None:
            if traced in self.children:
                os.kill(traced, _signal.SIGKILL)  # ours and not reaped yet, so the number is still its own
            return
        self.children.discard(pid)
        group = self.groups.pop(pid, None)
        if group is not None and self.place is not None:
            self.place.give_up(group, killed=not os.WIFEXITED(status))
        self.stock.bury(pid)

    def end_everything(self) -> None:
        """Kill every sandbox and wait for the last process of each."""
        for pid in self.children:
            os.kill(pid, _signal.SIGKILL)  # ours and not reaped yet, so the number is still theirs
        for pid in self.children:
            os.waitpid(pid, 0)
        self.children = set()


def _give_pipes(fds: list[int]) -> None:
    """Let inside-root own the pipes of its standard streams.

    Opening /dev/stderr opens the pipe anew, with the permission check of a file that its maker owns (pipe(7)).
    """
    for fd in fds:
        if os.readlink(f"/proc/self/fd/{fd}").startswith("pipe:"):
            os.fchown(fd, SANDBOX_ID, SANDBOX_ID)
