"""The supervisor's side of the launcher: start it, hand it requests, receive what init reports.

The supervisor may have threads, event loops and open channels, so it never forks: the launcher is another interpreter
(posix_spawn(3)), and from then on a message over a socket is all that a sandbox costs here. ``bldr run`` has one
thread and nothing else to do, so its launcher is a plain fork that skips the second interpreter's start.
"""

from __future__ import annotations

import _signal
import _thread
import atexit
import os
import select
import time

from _bldr_launcher import channel, scratch, wire
from bldr.errors import SandboxLostError, SandboxSetupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bldr.sandbox.command import Streams

__all__ = ["Groups", "Launcher", "Status", "shared_landlock_launcher", "shared_launcher"]

_STEP = "start the launcher"
LARGEST_REPORT, _MOST_FDS = 65536, 64  # bytes; what init says is short, and it is not trusted to be
PATIENCE = 120.0  # seconds for an answer; ten thousand inputs take half a second, a file server that wakes up many
_LAST_WORDS = 10.0  # seconds for the end of who has been told to end; then it is killed, and its temps removed here


class Status:
    """The socket on which one init reports. Owned by the execution; dropping it ends the sandbox.

    Args:
        fd: Descriptor of the socket.
        patience: Seconds to wait for the first report.
    """

    fd = -1  # until the constructor has come that far
    place = ""
    _process: _Process | None = None

    def __init__(self, fd: int, patience: float, ending: int = _signal.SIGKILL, temps: Sequence[str] = ()) -> None:
        self.place = ""  # host directory of the temps, which goes with it
        self.temps = temps  # temps elsewhere on the host, likewise
        self.ending = ending  # the signal that ends init and everything in the sandbox
        self.patience = patience
        self._process: _Process | None = None
        self._give_up: Callable[[_Process, str], None] | None = None
        self.owner = os.getpid()
        self.fd = fd

    def rest_on(self, process: _Process, place: str, give_up: Callable[[_Process, str], None]) -> None:
        """Say who makes the sandbox, where its temps are, and whom to tell when nobody reacts."""
        if self._process is not None:
            self._process.places.discard(self.place)
        process.places.add(place)
        self._process, self.place, self._give_up = process, place, give_up

    def await_report(self, until: float | None) -> bool:
        """Wait for the first report; when time is over, see to it that a launcher that hangs goes, and return False.

        Args:
            until: Monotonic time until which it may come, if that is before the patience ends.
        """
        seconds = self.patience if until is None else min(self.patience, until - time.monotonic())
        if self._process is None or self._give_up is None:
            return False
        if seconds > 0 and await_ready(self.fd, select.POLLIN, seconds):
            self._process.answered = time.monotonic()
            return True
        if time.monotonic() >= self._process.answered + min(self.patience, _LAST_WORDS):
            self._give_up(self._process, self.place)
        return False

    def receive(self) -> tuple[list[bytes], list[int]]:
        """Return the next report and its descriptors; an empty report when init is gone.

        Raises:
            SandboxLostError: What arrived is not a report.
        """
        try:
            data, fds = channel.receive(self.fd, LARGEST_REPORT, _MOST_FDS)
            return (wire.unpack(data) if data else []), fds
        except wire.WireError as error:
            raise SandboxLostError(f"init broke the protocol: {error}") from error

    def abandon(self) -> None:
        """Close the socket, and end the sandbox however far it has come; harmless when it is closed already.

        Init gives up when it cannot report. When it has reported the start already, that report holds its pidfd.
        """
        if self.fd >= 0 and self.owner == os.getpid():  # a fork holds copies, and lets its parent's sandbox live
            channel.refuse(self.fd)
            try:
                while (report := self.receive())[0]:
                    for number, fd in enumerate(report[1]):
                        if number == 0 and report[0][0] == b"started":
                            end_process(fd, self.ending)
                        os.close(fd)
            except SandboxLostError:
                pass  # not a report: nothing to be ended by it
        self.close()

    def close(self) -> None:
        """Close the socket and remove the temps, which nobody uses any more; harmless the second time.

        In a fork of its owner only the copy of the descriptor is closed.
        """
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)
        if self.place and self.owner == os.getpid():
            self.remove_temps()
            scratch.remove_temps(self.place)
        if self._process is not None:
            self._process.places.discard(self.place)
        self.place = ""

    def remove_temps(self) -> None:
        """Remove the temps that lie elsewhere than in the scratch directory."""
        for path in self.temps:
            scratch.remove_tree(path)

    def __del__(self) -> None:
        """An exception in the wrong moment (Ctrl-C) may have left it to nobody."""
        self.abandon()


def await_ready(fd: int, events: int, seconds: float) -> bool:
    """Wait until a descriptor is ready; False when the time is over first."""
    poller = select.poll()
    poller.register(fd, events)
    return bool(poller.poll(seconds * 1000))


def end_process(pidfd: int, ending: int) -> None:
    """End an init and wait until it is gone: its pidfd is readable when everything in its sandbox is."""
    try:
        _signal.pidfd_send_signal(pidfd, ending)
    except ProcessLookupError:
        pass  # it has ended
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    poller.poll()


class Groups:
    """Where the launcher makes a cgroup for each sandbox; ``why`` says why it makes none when ``path`` is empty."""

    __slots__ = ("controllers", "delegates", "path", "why")

    def __init__(self, path: str = "", controllers: frozenset[str] = frozenset(), why: str = "") -> None:
        self.path = path
        self.controllers = controllers
        self.delegates = False
        self.why = why

    @staticmethod
    def parse(words: Sequence[bytes]) -> Groups:
        """Read what the launcher says when it is ready."""
        path, controllers, delegates, why = [os.fsdecode(word) for word in words]
        groups = Groups(path, frozenset(controllers.split()), why)
        groups.delegates = delegates == "1"
        return groups


class _Process:
    """One launcher process, seen from the supervisor that owns it."""

    __slots__ = (
        "answered", "base", "control", "groups", "has_asked", "has_served", "mode", "mounts", "owner", "patience",
        "pid", "pidfd", "places",
    )  # fmt: skip

    def __init__(self, control: int, patience: float) -> None:
        self.control = control
        self.patience = patience
        self.answered = 0.0  # monotonic time of the last sign of life
        self.places: set[str] = set()  # of executions that have not been closed
        self.pid = 0  # until it has been started
        self.pidfd = -1
        self.mounts = -1  # /proc/self/mounts, which signals a change of the mount table; -1 without
        self.owner = os.getpid()
        self.mode = ""
        self.base = ""
        self.groups = Groups()
        self.has_asked = False  # systemd for a scope
        self.has_served = False  # whether a request was sent to it

    def look_again(self) -> Groups:
        """Let it look for a place for cgroups once more.

        Raises:
            SandboxLostError: It does not answer.
        """
        self.send(b"place", [])
        if not await_ready(self.control, select.POLLIN, self.patience):
            from bldr.sandbox.linux.failures import no_answer

            raise no_answer(self.patience)
        data = channel.receive(self.control, LARGEST_REPORT)[0]
        return Groups.parse(wire.unpack(data)[1:] if data else (b"", b"", b"", b"the launcher has ended"))

    def greet(self) -> None:
        """Wait until it is ready.

        Raises:
            BackendUnavailableError: This host refuses what every sandbox needs.
            SandboxLostError: It ended without a word.
        """
        if self.mode:
            return
        if not await_ready(self.control, select.POLLIN, self.patience):
            from bldr.sandbox.linux.failures import no_answer

            raise no_answer(self.patience)
        try:
            data, _ = channel.receive(self.control, LARGEST_REPORT)
            kind, *words = wire.unpack(data) if data else (b"",)
            if kind == b"ready" and len(words) == 6:
                self.groups = Groups.parse(words[2:])
                self.base, self.mode = os.fsdecode(words[1]), words[0].decode()
                self.answered = time.monotonic()
                return
            if kind == b"failed" and len(words) == 4:
                from bldr.sandbox.linux.failures import unavailable

                raise unavailable(words[1].decode(), int(words[2]), os.fsdecode(words[3]))
        except ValueError as error:  # WireError, undecodable text, no number
            raise SandboxLostError(f"cannot start the launcher: it broke the protocol: {error}", step=_STEP) from error
        raise SandboxLostError(
            "cannot start the launcher: it ended before it was ready", step=_STEP, hint="try again; then bldr doctor"
        )

    def send(self, data: bytes, fds: list[int]) -> None:
        """Send a request.

        Raises:
            SandboxLostError: It takes no more of them.
        """
        try:
            channel.send(self.control, data, fds, wait=False)
        except BlockingIOError:
            if not await_ready(self.control, select.POLLOUT, self.patience):
                from bldr.sandbox.linux.failures import no_answer

                raise no_answer(self.patience) from None
            channel.send(self.control, data, fds)

    def hung_up(self) -> bool:
        """Whether it has ended.

        The control socket alone does not tell: a sandbox that was just being cloned holds a copy of its other end.
        """
        if self.control < 0:
            return True
        poller = select.poll()
        poller.register(self.control, 0)
        if self.pidfd >= 0:
            poller.register(self.pidfd, select.POLLIN)
        return bool(poller.poll(0))

    def is_out_of_date(self) -> bool:
        """Whether the host's mounts have changed since it copied them: what was mounted later it may not see.

        As real root it lives among the host's mounts and copies nothing.
        """
        if self.mounts < 0 or self.mode != "user":
            return False
        poller = select.poll()
        poller.register(self.mounts, select.POLLPRI)  # proc(5): a change raises POLLERR and POLLPRI, once
        return bool(poller.poll(0))

    def has_parted(self) -> bool:
        """Wait until a launcher of one sandbox has hung up, which it does when that is gone; False when it does not.

        It ends then, and has nothing left to do that anybody could notice but the removal of its base.
        """
        if self.groups.path or self.owner != os.getpid() or not await_ready(self.control, 0, _LAST_WORDS):
            return False
        if self.base:
            scratch.remove_tree(self.base)
        return True

    def end(self, patience: float = _LAST_WORDS) -> None:
        """End it and everything that it has started; returns when all are gone. In a fork of its owner: forget it.

        Args:
            patience: Seconds that it may take to end by itself; then it is killed.
        """
        if self.control >= 0:
            os.close(self.control)
        own = self.owner == os.getpid() and bool(self.pid)
        if own and self.pidfd >= 0 and not await_ready(self.pidfd, select.POLLIN, min(patience, self.patience)):
            end_process(self.pidfd, _signal.SIGKILL)
        for fd in (self.mounts, self.pidfd):
            if fd >= 0:
                os.close(fd)
        self.control = self.mounts = self.pidfd = -1
        if not own:
            return
        try:
            os.waitpid(self.pid, 0)
        except ChildProcessError:
            pass  # reaped by somebody who waits for every child
        if self.base:
            scratch.remove_tree(self.base)  # nothing is left unless the launcher was killed
        if self.groups.path and os.path.isdir(self.groups.path):  # as above
            from _bldr_launcher import cgroup

            cgroup.remove(self.groups.path)


class Launcher:
    """The fork server of a process: started when it is first needed, replaced when it is gone or out of date.

    Args:
        forked: Fork this process instead of starting another interpreter. Only for a process with one thread.
        entry: The launcher's program, as arguments for the interpreter; a test gives one that fails on purpose.
        scratch_parent: Host directory for temps; ``TMPDIR``, else ``/var/tmp``, else ``/tmp`` by default.
        ready: How many sandboxes are made ahead; a fork makes one, for its one command.
        landlock: Whether its sandboxes are made without namespaces.
        patience: Seconds that the launcher may take to answer, and a sandbox to be made.
    """

    def __init__(
        self,
        *,
        forked: bool = False,
        entry: Sequence[str] = (),
        scratch_parent: str = "",
        ready: int = 4,
        landlock: bool = False,
        patience: float = PATIENCE,
    ) -> None:
        self._landlock = landlock
        self._forked = forked
        self._entry = tuple(entry)
        self._scratch_parent = scratch_parent
        self._ready = ready
        self._patience = patience
        self._lock = _thread.allocate_lock()
        self._lock_owner = os.getpid()
        self._current: _Process | None = None
        self._retired: list[_Process] = []
        self.wants_groups = False  # ask systemd for a place for cgroups where there is none
        self._serial = 0

    @property
    def pid(self) -> int:
        """The process number of the launcher; 0 when none runs."""
        return self._current.pid if self._current is not None else 0

    @property
    def mode(self) -> str:
        """``root`` when it is root of the host and maps ids, ``user`` otherwise; empty before it is ready."""
        return self._current.mode if self._current is not None else ""

    @property
    def base(self) -> str:
        """The host directory that holds the temps of running sandboxes; empty when no launcher runs."""
        return self._current.base if self._current is not None else ""

    @property
    def groups(self) -> Groups:
        """Where cgroups are made; of no meaning before the launcher is ready."""
        return self._current.groups if self._current is not None else Groups(why="the launcher does not run")

    def without_namespaces(self) -> Launcher:
        """Return another one of the same kind whose sandboxes are made without namespaces; it is not started yet."""
        if self is _shared:
            return _shared_landlock
        return Launcher(forked=self._forked, scratch_parent=self._scratch_parent, ready=self._ready, landlock=True)

    def start(self, streams: Streams, payload: Callable[[str], bytes], *, temps: Sequence[str] = ()) -> Status:
        """Ask for a sandbox.

        Args:
            streams: They become the command's.
            payload: Builds the request from this execution's scratch directory, and makes that where it is needed.
            temps: Host directories beside it that are removed at the end; ``payload`` may add to them.

        Returns:
            The status socket, which owns the scratch directory as well.

        Raises:
            BackendUnavailableError: This host refuses what every sandbox needs.
            SandboxLostError: No launcher can be started, or each ends at once.
        """
        ours, theirs = channel.pair()
        status = Status(ours, self._patience, wire.ENDING if self._landlock else _signal.SIGKILL, temps)
        try:
            with self._guard():  # one message; what takes long happens in the launcher
                for attempt in ("first", "second"):
                    process = self._running()
                    self._serial += 1
                    status.rest_on(process, f"{process.base}/{self._serial}", self._give_up)
                    try:
                        _send(process, payload(status.place), [theirs, streams.stdin, streams.stdout, streams.stderr])
                        process.has_served = True
                        break
                    except (BrokenPipeError, ConnectionResetError) as error:  # it died since _running looked
                        if attempt == "second":
                            raise SandboxLostError(
                                "cannot start the launcher: it ends as soon as it is ready", step=_STEP
                            ) from error
                    except SandboxSetupError:
                        if attempt == "second" or os.path.isdir(process.base):
                            raise
                        self._current = None  # a launcher that ends removes its base first, and is seen alive still
                        process.end()
                    status.remove_temps()
        except BaseException:
            status.abandon()
            raise
        finally:
            os.close(theirs)
        return status

    def begin(self) -> None:
        """Start the launcher without waiting until it is ready, so that it prepares a sandbox meanwhile.

        Raises:
            SandboxLostError: No process can be started.
        """
        with self._guard():
            if self._current is None:
                self._current = self._start()

    def adopt(self, pid: int, control: int) -> None:
        """Use a launcher that was forked before this object was made.

        Args:
            pid: Its process number.
            control: Descriptor of the socket to it.

        Raises:
            SandboxLostError: There is no place for temps.
        """
        process = _Process(control, self._patience)
        process.pid = pid
        if not scratch.find_parent(os.environ):
            process.end()
            self.begin()  # which says why there is none
            return
        self._current = process
        self._watch(process)

    def ensure(self) -> None:
        """Start the launcher when none runs, and wait until it is ready.

        Raises:
            BackendUnavailableError: This host refuses what every sandbox needs.
        """
        with self._guard():
            self._running()

    def stop(self) -> None:
        """End the launcher, every sandbox that it has started, and remove what they left; returns when it is gone."""
        with self._guard():
            for process in (*self._retired, self._current):
                if process is not None:
                    process.end()
            self._retired, self._current = [], None
            atexit.unregister(self.part)

    def part(self) -> None:
        """Do what `stop` does at the end of this process, and spare it the end of a launcher that is about to end."""
        process = self._current
        if self._forked and process is not None and process.has_served and process.has_parted():
            self._current = None
        self.stop()

    def _guard(self) -> _thread.LockType:
        """The lock; another one in a fork, for which nobody would release the copy of a lock that was held."""
        if self._lock_owner != os.getpid():
            self._lock = _thread.allocate_lock()
            self._lock_owner = os.getpid()
        return self._lock

    def _running(self) -> _Process:
        process = self._current
        # A fork makes one sandbox: it may be seen alive when its base is gone already, in which copies are made ahead.
        is_used_up = process is not None and self._forked and process.has_served
        if process is not None and (is_used_up or process.owner != os.getpid() or (process.mode and process.hung_up())):
            process.end()
            process = None
        elif process is not None and process.is_out_of_date():
            self._retire(process)
            process = None
        if process is None:
            process = self._start()
        self._current = process
        try:
            process.greet()
        except BaseException:  # it cannot be used; or Ctrl-C, and whether it has greeted is unknown
            self._current = None
            process.end()
            raise
        if self.wants_groups and not process.groups.path and not process.has_asked and process.mode == "user":
            from bldr.sandbox.linux.scope import settled

            process.has_asked = True
            process.groups = settled(process.pid, process.groups, process.look_again)
        return process

    def _retire(self, process: _Process) -> None:
        """Ask for no more sandboxes; it ends by itself when those that run have ended."""
        for old in [item for item in self._retired if item.owner != os.getpid() or item.hung_up()]:
            old.end()
            self._retired.remove(old)
        try:
            channel.send(process.control, b"retire", wait=False)
        except (BrokenPipeError, ConnectionResetError):
            process.end()
            return
        except BlockingIOError:
            pass  # it hangs; stop() ends it
        self._retired.append(process)

    def _give_up(self, process: _Process, place: str) -> None:
        """Kill a launcher that hangs, or whose init does.

        Where other executions live on it, it is only replaced; it ends with the last of them, or is killed by ``stop``.
        """
        with self._guard():
            if process is self._current:
                self._retire(process)
                self._current = None
            if process in self._retired and not process.places - {place}:
                self._retired.remove(process)
                process.end(patience=0)

    def _start(self) -> _Process:
        from bldr.sandbox.linux.spawning import scratch_parent

        parent = self._scratch_parent or scratch_parent()
        ours, theirs = channel.pair()
        process = _Process(ours, self._patience)
        try:
            if self._forked:
                from _bldr_launcher import child

                process.pid = child.fork(theirs, parent, landlock=self._landlock)
            else:
                from bldr.sandbox.linux.spawning import open_mounts, spawn

                kind = "landlock" if self._landlock else ""
                process.mounts = open_mounts()
                process.pid = spawn(theirs, self._entry, (parent, str(self._ready), kind))
            self._watch(process)
            return process
        except OSError as error:
            process.end()
            from bldr.sandbox.linux.failures import not_started

            raise not_started(error) from error
        except BaseException:
            process.end()
            raise
        finally:
            os.close(theirs)

    def _watch(self, process: _Process) -> None:
        """Let the end of this process be that of a new one, whose own end will be noticed."""
        atexit.register(self.part)
        process.pidfd = os.pidfd_open(process.pid)


def _send(process: _Process, request: bytes, fds: list[int]) -> None:
    if len(request) <= wire.LARGEST_INLINE:
        process.send(request, fds)
        return
    from bldr.sandbox.linux.requests import in_memory

    memfd = in_memory(request)
    try:
        process.send(b"memfd", [*fds, memfd])
    finally:
        os.close(memfd)


def shared_launcher() -> Launcher:
    """Return the launcher of this process; every executor that is not given another one uses it."""
    return _shared


def shared_landlock_launcher() -> Launcher:
    """Return the launcher of this process for sandboxes without namespaces."""
    return _shared_landlock


_shared = Launcher()
_shared_landlock = Launcher(landlock=True)
