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
import sys

from _bldr_launcher import channel, scratch, wire
from bldr.errors import BackendUnavailableError, SandboxLostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Launcher", "Status", "encode_command", "encode_plan", "encode_request", "shared_launcher", "unavailable"]

CONTROL_FD = 3
LARGEST_REPORT = 65536  # bytes; what init says is short, and it is not trusted to be


class Status:
    """The socket on which one init reports. Owned by the execution; closing it ends a sandbox that has not started."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def receive(self) -> tuple[list[bytes], list[int]]:
        """Return the next report and its descriptors; an empty report when init is gone.

        Raises:
            SandboxLostError: What arrived is not a report.
        """
        try:
            data, fds = channel.receive(self.fd, LARGEST_REPORT)
            return (wire.unpack(data) if data else []), fds
        except wire.WireError as error:
            raise SandboxLostError(f"init broke the protocol: {error}") from error

    def close(self) -> None:
        """Close the socket; harmless when it is closed already."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class _Process:
    """One launcher process, seen from the supervisor that owns it."""

    __slots__ = ("base", "control", "mode", "mounts", "owner", "pid")

    def __init__(self, control: int, pid: int, mounts: int) -> None:
        self.control = control
        self.pid = pid
        self.mounts = mounts  # /proc/self/mounts, which signals a change of the mount table; -1 without
        self.owner = os.getpid()
        self.mode = ""
        self.base = ""

    def greet(self) -> None:
        """Wait until it is ready.

        Raises:
            BackendUnavailableError: This host refuses what every sandbox needs.
            SandboxLostError: It ended without a word.
        """
        if self.mode:
            return
        data, _ = channel.receive(self.control, LARGEST_REPORT)
        kind, *words = wire.unpack(data) if data else (b"",)
        if kind == b"ready" and len(words) == 2:
            self.mode, self.base = words[0].decode(), os.fsdecode(words[1])
            return
        self.end()
        if kind != b"failed" or len(words) != 4:
            raise SandboxLostError("the launcher ended before it was ready", hint="try again; then bldr doctor")
        raise unavailable(words[1].decode(), int(words[2]), os.fsdecode(words[3]))

    def hung_up(self) -> bool:
        """Whether it has ended."""
        poller = select.poll()
        poller.register(self.control, 0)
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

    def end(self) -> None:
        """End it and everything that it has started; returns when all are gone. In a fork of its owner: forget it."""
        for fd in (self.control, self.mounts):
            if fd >= 0:
                os.close(fd)
        self.control = self.mounts = -1
        if self.owner != os.getpid():
            return
        try:
            os.waitpid(self.pid, 0)
        except ChildProcessError:
            pass  # reaped by somebody who waits for every child
        if self.base:
            scratch.remove_tree(self.base)  # nothing is left unless the launcher was killed


class Launcher:
    """The fork server of a process: started when it is first needed, replaced when it is gone or out of date.

    Args:
        forked: Fork this process instead of starting another interpreter. Only for a process with one thread.
        entry: The launcher's program, as arguments for the interpreter; a test gives one that fails on purpose.
        scratch_parent: Host directory for temps; ``TMPDIR``, else ``/var/tmp``, else ``/tmp`` by default.
        ready: How many sandboxes are made ahead; a fork makes one, for its one command.
    """

    def __init__(
        self, *, forked: bool = False, entry: Sequence[str] = (), scratch_parent: str = "", ready: int = 4
    ) -> None:
        self._forked = forked
        self._entry = tuple(entry)
        self._scratch_parent = scratch_parent
        self._ready = ready
        self._lock = _thread.allocate_lock()
        self._current: _Process | None = None
        self._retired: list[_Process] = []
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

    def start(self, streams: tuple[int, int, int], payload: Callable[[str], bytes]) -> tuple[Status, str]:
        """Ask for a sandbox.

        Args:
            streams: Descriptors that become the command's standard streams.
            payload: Builds the request from this execution's scratch directory, and makes that where it is needed.

        Returns:
            The status socket, and the scratch directory, which the caller removes.

        Raises:
            BackendUnavailableError: This host refuses what every sandbox needs.
            SandboxLostError: No launcher can be started, or each ends at once.
        """
        ours, theirs = channel.pair()
        try:
            with self._lock:  # one message; what takes long happens in the launcher
                for attempt in ("first", "second"):
                    process = self._running()
                    self._serial += 1
                    place = f"{process.base}/{self._serial}"
                    try:
                        _send(process.control, payload(place), [theirs, *streams])
                        break
                    except (BrokenPipeError, ConnectionResetError) as error:  # it died since _running looked
                        if attempt == "second":
                            raise SandboxLostError("the launcher ends as soon as it is started") from error
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        return Status(ours), place

    def begin(self) -> None:
        """Start the launcher without waiting until it is ready, so that it prepares a sandbox meanwhile.

        Raises:
            SandboxLostError: No process can be started.
        """
        with self._lock:
            if self._current is None:
                self._current = self._start()

    def ensure(self) -> None:
        """Start the launcher when none runs, and wait until it is ready.

        Raises:
            BackendUnavailableError: This host refuses what every sandbox needs.
        """
        with self._lock:
            self._running()

    def stop(self) -> None:
        """End the launcher, every sandbox that it has started, and remove what they left; returns when it is gone."""
        with self._lock:
            for process in (*self._retired, self._current):
                if process is not None:
                    process.end()
            self._retired, self._current = [], None
            atexit.unregister(self.stop)

    def _running(self) -> _Process:
        process = self._current
        if process is not None and (process.owner != os.getpid() or (process.mode and process.hung_up())):
            process.end()
            process = None
        elif process is not None and process.is_out_of_date():
            self._retire(process)
            process = None
        if process is None:
            process = self._start()
        self._current = None  # greet() ends a process that cannot be used
        process.greet()
        self._current = process
        return process

    def _retire(self, process: _Process) -> None:
        """Ask for no more sandboxes; it ends by itself when those that run have ended."""
        for old in [item for item in self._retired if item.owner != os.getpid() or item.hung_up()]:
            old.end()
            self._retired.remove(old)
        try:
            channel.send(process.control, b"retire")
        except (BrokenPipeError, ConnectionResetError):
            process.end()
        else:
            self._retired.append(process)

    def _start(self) -> _Process:
        ours, theirs = channel.pair()
        parent = self._scratch_parent or scratch_parent()
        mounts = -1
        try:
            if self._forked:
                pid = _fork(theirs, parent)
            else:
                mounts = _open_mounts()
                pid = self._spawn(theirs, parent)
        except OSError as error:
            os.close(ours)
            raise SandboxLostError(f"cannot start the launcher: {error.strerror}") from error
        finally:
            os.close(theirs)
        atexit.register(self.stop)
        return _Process(ours, pid, mounts)

    def _spawn(self, theirs: int, parent: str) -> int:
        entry = self._entry or (os.path.dirname(scratch.__file__),)
        argv = [sys.executable, "-I", "-S", *entry, str(CONTROL_FD), parent, str(self._ready)]
        with open(os.devnull, "r+b", buffering=0) as null:
            actions = [(os.POSIX_SPAWN_DUP2, null.fileno(), number) for number in (0, 1, 2)]
            actions.append((os.POSIX_SPAWN_DUP2, theirs, CONTROL_FD))
            return os.posix_spawn(
                sys.executable, argv, {}, file_actions=actions, setsigmask=(), setsigdef=(_signal.SIGCHLD,)
            )


def _send(control: int, request: bytes, fds: list[int]) -> None:
    if len(request) <= wire.LARGEST_INLINE:
        channel.send(control, request, fds)
        return
    memfd = os.memfd_create("bldr-request", os.MFD_CLOEXEC)
    try:
        _write_all(memfd, request)
        channel.send(control, b"memfd", [*fds, memfd])
    finally:
        os.close(memfd)


def _open_mounts() -> int:
    try:
        return os.open("/proc/self/mounts", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1  # no /proc: the launcher will say so


def _fork(theirs: int, parent: str) -> int:
    pid = os.fork()  # noqa: TID251  the caller has one thread, see Launcher
    if pid == 0:
        _become_launcher(theirs, parent)
    return pid


def unavailable(stage: str, number: int, text: str) -> BackendUnavailableError:
    """Make the error of a stage that this host refuses for every sandbox, with the remedy for this host."""
    from bldr.sandbox.linux.facts import read_facts
    from bldr.sandbox.linux.remedies import explain_failure

    cause, hint, code = explain_failure(stage, number, read_facts())
    return BackendUnavailableError(f"{cause} ({text})", capability=stage, code=code, hint=hint)


def _become_launcher(control_fd: int, parent: str) -> None:
    """Turn a fork of ``bldr run`` into its launcher; never returns."""
    from _bldr_launcher import init, server

    try:
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        init.close_all_but(control_fd)
        os.setsid()
        os.chdir("/")
        server.serve(control_fd, parent, ready=1, once=True)
    finally:
        os._exit(1)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def scratch_parent() -> str:
    """The host directory below which temps are made: on disk where there is a choice.

    Raises:
        SandboxLostError: ``TMPDIR`` names something that is no directory one can write to, or there is none at all.
    """
    named = os.environ.get("TMPDIR", "")
    for path in [named] if named else ["/var/tmp", "/tmp"]:  # a private directory is made below it
        if os.path.isabs(path) and os.path.isdir(path) and os.access(path, os.W_OK | os.X_OK):
            return path
    raise SandboxLostError(
        f"no directory for temps: {named or '/var/tmp'!r} is not a directory that can be written to",
        code="sandbox.no-scratch",
        hint="set TMPDIR to a directory on a disk with room",
    )


def encode_request(*, uid: int, flags: Sequence[bytes], place: str, plan: bytes, command: bytes) -> bytes:
    """Encode a request; ``plan`` and ``command`` are encoded already."""
    packed: bytes = wire.pack([wire.VERSION, b"%d" % uid, b" ".join(flags), os.fsencode(place), plan, command])
    return packed


def shared_launcher() -> Launcher:
    """Return the launcher of this process; every executor that is not given another one uses it."""
    return _shared


def encode_plan(steps: Sequence[tuple[bytes, ...]]) -> bytes:
    """Encode the steps of a plan: each one its number of words, then the words."""
    fields: list[bytes] = []
    for step in steps:
        fields.append(b"%d" % len(step))
        fields.extend(step)
    packed: bytes = wire.pack(fields)
    return packed


def encode_command(cwd: bytes, argv: Sequence[bytes], env: Sequence[bytes]) -> bytes:
    """Encode what to execute, and where."""
    packed: bytes = wire.pack([b"%d" % len(argv), cwd, *argv, *env])
    return packed


_shared = Launcher()
