"""Process 1 of a sandbox: sets it up, starts the command, reaps strangers, reports the command's end.

Messages, all in the format of ``wire``::

    1  launcher → init     request: what to set up and what to run; descriptors: status, stdin, stdout, stderr
                           [, memfd with the request]
       launcher → init     before it, perhaps: a request without a command and descriptors, whose steps are executed at
                           once; the request that follows has no steps
       init → launcher     one byte when they have been
       launcher → init     "trees" marks answer; the detached mounts of the sources, or "failed" errno, text
       init → launcher     one byte where an answer is wanted, which bounds how many descriptors are under way
                           "sockets" last              of the sandbox's network, for the gateway; after the last ones
                                                       init waits for a byte
    2  init → supervisor   "refusals"                                      before the others, where a policy refuses;
                                     descriptor: memory that tells of what was refused (policy.py)
                           "failed"  step, operation, errno, text          the command did not start
                           "absent"  errno, path                           the command cannot be executed
                           "started" Landlock ABI, whether /proc is fresh, steps whose ids are not mapped;
                                     descriptors: pidfd of init [, terminal]
       launcher → init     filter, where calls are traced; answered with "listener", to the tracer (tracer.py)
    3  init → supervisor   "exited"  wait status, user µs, system µs, peak resident KiB (0: perhaps only our own),
                                     blocks read, blocks written, context switches, processes and threads started
                                     (-1: unknown), those that it left

When the command has ended, init kills and reaps whatever it left, reports, and exits.
"""

from __future__ import annotations

import _signal
import errno
import fcntl
import os
import resource
import select
import struct

from _bldr_launcher import channel, seccomp, steps, syscalls, wire
from _bldr_launcher import root as root_
from _bldr_launcher.request import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn, TypeVar

    from _bldr_launcher.kernel import Kernel

    Answer = TypeVar("Answer")

__all__ = [
    "DEFAULTED",
    "FORWARDED",
    "LARGEST_REQUEST",
    "SEARCH_PATH",
    "Request",
    "StepError",
    "await_request",
    "close_all_but",
    "confess",
    "confession",
    "end_report",
    "find_executable",
    "first_path",
    "guarded",
    "main",
    "open_terminal",
    "receive",
    "send",
    "wait_for",
]

LARGEST_REQUEST = 64 * 1024 * 1024  # bytes; about a hundred thousand inputs
TREES_PER_MESSAGE = 64  # SCM_MAX_FD of <net/scm.h> is 253; small, so that both sides work at the same time
FORWARDED = (
    _signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGTERM, _signal.SIGUSR1, _signal.SIGUSR2,
    _signal.SIGWINCH, _signal.SIGCONT, _signal.SIGTSTP,
)  # fmt: skip
DEFAULTED = tuple(number for number in range(1, 65) if number not in (_signal.SIGKILL, _signal.SIGSTOP, 32, 33))
SEARCH_PATH = b"/usr/bin:/bin"  # what execvp(3) falls back on; used when E has no PATH
GRAIN = 256  # KiB; Linux counts resident pages for each CPU apart and adds them up now and then (mm_counter)
GROWTH = 4096  # KiB that a copy of init uses at most before it becomes the command
TIOCGPTN, TIOCSPTLCK = 0x80045430, 0x40045431  # <asm-generic/ioctls.h>


class StepError(Exception):
    """A step failed; the supervisor is told which."""

    def __init__(self, step: int, operation: bytes, error: OSError) -> None:
        super().__init__(step)
        self.report = [
            b"failed",
            str(step).encode(),
            operation,
            str(error.errno or 0).encode(),
            os.fsencode(str(error.args[-1]) if error.args else str(error)),
        ]


def main(
    link: int,
    identity: tuple[int, int, int] | None,
    host_ipc: bytes,
    kernel: Kernel = syscalls,
    *,
    grouped: bool = False,
) -> NoReturn:
    """Live as process 1. Never returns.

    Args:
        link: Descriptor of the socket to the launcher.
        identity: ``(inside id, host uid, host gid)`` when this process writes its own maps, else None: the launcher
            has written them, said so with one byte, and this process takes the id that they give it.
        host_ipc: Text of the launcher's ``/proc/self/ns/ipc``.
        kernel: The system calls; a test puts one that fails in its place.
        grouped: Whether it was born in a cgroup of its own.
    """
    status = -1
    try:
        failure: StepError | None = None
        state: steps.State | None = None
        try:
            state = _prepare(link, identity, host_ipc, kernel)
            if grouped:
                # The namespace that clone3(2) made begins at the launcher's cgroup. From this one on, a nested command
                # with nsdelegate cannot raise its own limits.
                guarded(-1, b"namespaces", kernel.unshare, syscalls.CLONE_NEWCGROUP)
        except StepError as error:
            failure = error
        request, streams, unheard = _await_command(link, state)
        status = streams[0]
        failure = failure or unheard
        if state is not None and failure is None:
            try:
                _set_up(request, state, link)
                guarded(-1, b"chdir", os.chdir, request.cwd)
                if request.is_traced and not request.refused:  # else the command's process does it, see forked.py
                    guarded(-1, b"trace", seccomp.let_trace, first_path(request), link, kernel)
            except StepError as error:
                failure = error
        if failure is not None:
            send(status, failure.report)
        elif state is not None:
            if state.passed_out:
                from _bldr_launcher import network

                network.hand_over(status, state.passed_out)
            _live(request, streams, (status, link), state)
            if grouped:
                channel.receive(status, 1)  # until the supervisor has read the cgroup's numbers, and closes its end
    except BrokenPipeError:
        pass  # the supervisor is gone: nobody is left to be told
    except BaseException as error:  # noqa: BLE001  our own mistake: say so, and end the sandbox
        confess(status, error)
    finally:
        os._exit(0)


def confess(status: int, error: BaseException) -> None:
    """Report a mistake of our own."""
    if status >= 0:
        send(status, confession(error))


def confession(error: BaseException) -> list[bytes]:
    """Return the report of a mistake of our own."""
    text = f"{type(error).__name__}: {error}"
    if error.__traceback__ is not None:
        last = error.__traceback__
        while last.tb_next is not None:
            last = last.tb_next
        text += f" ({os.path.basename(last.tb_frame.f_code.co_filename)}:{last.tb_lineno})"
    return [b"failed", b"-1", b"internal", b"0", os.fsencode(text)]


def guarded(step: int, operation: bytes, call: Callable[..., Answer], *arguments: object, **options: object) -> Answer:
    """Call something whose failure is that of a step.

    Args:
        step: Its number; -1 before the first.
        operation: Its name in reports.
        call: What is called.
        arguments: For it.
        options: For it.

    Raises:
        StepError: It raised OSError.
    """
    try:
        return call(*arguments, **options)
    except OSError as error:
        raise StepError(step, operation, error) from error


def _prepare(link: int, identity: tuple[int, int, int] | None, host_ipc: bytes, kernel: Kernel) -> steps.State:
    """Do everything that does not depend on the request."""
    try:
        guarded(-1, b"start-init", close_all_but, link, kernel=kernel)
    finally:
        if identity is None and os.read(link, 1) != b"m":  # whatever failed, only requests are left to be received
            os._exit(0)
    guarded(-1, b"start-init", kernel.prctl, syscalls.PR_SET_NAME, b"bldr-init")
    if identity is None:
        guarded(-1, b"map-identity", _take_identity)
    else:
        guarded(-1, b"map-identity", root_.map_identity, *identity)
    # After the change of identity, which clears it. The launcher has one thread, so "parent thread died" means it died.
    guarded(-1, b"map-identity", kernel.prctl, syscalls.PR_SET_PDEATHSIG, _signal.SIGKILL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, (*FORWARDED, _signal.SIGCHLD))
    guarded(-1, b"loopback-up", root_.loopback_up)
    guarded(-1, b"private-mounts", root_.private_mounts, kernel)
    new_root = guarded(-1, b"new-root", root_.fresh_root, kernel)
    state = steps.State(new_root, host_ipc, kernel)
    try:
        root_.mount_proc(kernel)
    except OSError as error:
        state.proc_failure = error
        guarded(-1, b"proc", root_.bind_host_proc, kernel)  # used only by a request that allows for it
    guarded(-1, b"devices", root_.make_devices, kernel)
    guarded(-1, b"pivot", root_.leave_host, kernel)
    guarded(-1, b"drop", kernel.drop_bounding_set)
    guarded(-1, b"canary", steps.try_early, state)
    return state


def _take_identity() -> None:
    # setgroups(2) is allowed here: the launcher is root and has emptied the list already.
    inside = int(open("/proc/self/uid_map", "rb").read().split()[0])  # init never runs its destructors late
    os.setresgid(inside, inside, inside)
    os.setresuid(inside, inside, inside)


def close_all_but(*keep: int, kernel: Kernel = syscalls) -> None:
    """Close every descriptor above stderr except some: a leaked directory would be a way out of the sandbox.

    Args:
        keep: Descriptors above 2.
        kernel: The system calls; a test puts one that fails in its place.

    Raises:
        OSError: close_range(2) fails for another reason than that the kernel or a filter lacks it.
    """
    failure: OSError | None = None
    try:
        first = 3
        for fd in sorted(keep):
            if fd > first:
                kernel.close_range(first, fd - 1)
            first = fd + 1
        kernel.close_range(first, 0xFFFFFFFF)
        return
    except OSError as error:
        failure = error
    for name in os.listdir("/proc/self/fd"):  # whatever it was: a copy of the other end would hide that it was closed
        if int(name) > 2 and int(name) not in keep:
            try:
                os.close(int(name))
            except OSError:
                pass  # the descriptor of the listing itself
    if failure.errno not in (errno.ENOSYS, errno.EPERM):
        raise failure


def receive(link: int) -> tuple[Request, list[int]]:
    """Wait for the request. The end of the stream means that this sandbox was never needed."""
    data, fds = channel.receive(link, wire.LARGEST_INLINE)
    if not data:
        os._exit(0)
    if len(fds) == 5:
        data = _read_all(fds.pop())
    return Request.parse(data), fds


def _read_all(memfd: int) -> bytes:
    size = os.fstat(memfd).st_size
    if size > LARGEST_REQUEST:
        raise wire.WireError(f"a request of {size} bytes")
    data = os.pread(memfd, size, 0)
    os.close(memfd)
    return data


def await_request(link: int) -> tuple[Request, list[int], StepError | None]:
    """Wait for the request; see :func:`receive`. The last item is what went wrong with it.

    Whom to tell stands in the message itself, which the kernel keeps when it could not even begin to receive it.
    """
    try:
        return *receive(link), None
    except OSError as error:
        return *receive(link), StepError(-1, b"start-init", error)


def _await_command(link: int, state: steps.State | None) -> tuple[Request, list[int], StepError | None]:
    """Wait for the request with a command, and execute a plan that comes before it.

    When that fails this init ends; who asks is told by another one.
    """
    request, streams, failure = await_request(link)
    while not streams:
        try:
            if state is None:
                os._exit(0)
            _set_up(request, state, link)
            channel.send(link, b"e")
        except (StepError, BrokenPipeError, ConnectionResetError):
            os._exit(0)
        request, streams, failure = await_request(link)
    return request, streams, failure


def _set_up(request: Request, state: steps.State, link: int) -> None:
    if state.proc_failure is not None and b"host-proc" not in request.flags:
        raise StepError(-1, b"proc", state.proc_failure)
    state.next_tree = _Trees(link)
    state.writable = frozenset(step[1] for step in request.steps if step[0] == b"unseal")
    for number, (operation, *arguments) in enumerate(request.steps):
        state.number = number
        try:
            steps.OPERATIONS[operation](state, *arguments)
        except OSError as error:
            raise StepError(number, operation, error) from error


class _Trees:
    """The detached trees of the sources, which the launcher sends while the first steps run already."""

    def __init__(self, link: int) -> None:
        self._link = link
        self._ready: list[tuple[int, bool]] = []

    def __call__(self) -> tuple[int, bool]:
        """Return the descriptor of the next tree and whether its ids are the caller's.

        Raises:
            OSError: What the launcher met when it opened the source.
        """
        while not self._ready:
            data, fds = channel.receive(self._link, wire.LARGEST_INLINE, TREES_PER_MESSAGE)
            if not data:
                os._exit(0)
            kind, *words = wire.unpack(data)
            if kind == b"failed":
                raise OSError(int(words[0]), os.fsdecode(words[1]))
            marks, answer = words
            self._ready = [(fd, mark == ord("1")) for fd, mark in zip(fds, marks, strict=True)]
            self._ready.reverse()
            if answer == b"1":
                channel.send(self._link, b"a")
        return self._ready.pop()


def _live(request: Request, streams: list[int], ends: tuple[int, int], state: steps.State) -> None:
    """Start the command, then wait for signals until it ends. ``ends`` are the sockets to supervisor and tracer."""
    status, link = ends
    if _is_forsaken(status):
        return
    terminal = open_terminal() if b"terminal" in request.flags else None
    try:
        if request.refused:
            from _bldr_launcher import forked

            pid, failure = forked.start(request, (streams, link), terminal, state.kernel)
            if failure:
                channel.send(status, failure)
                return
        else:
            pid = _spawn(request, streams, terminal)
    except StepError as error:
        send(status, error.report)
        return
    except OSError as error:
        send(status, [b"absent", str(error.errno).encode(), os.fsencode(error.filename or b"")])
        return
    for fd in streams[1:]:
        os.close(fd)
    handles = [os.pidfd_open(1)]
    if terminal is not None:
        handles.append(terminal[0])
    report = [b"started", str(state.landlock_abi).encode(), b"1" if state.proc_failure is None else b"0"]
    send(status, report + [str(number).encode() for number in state.unmapped], handles)
    if terminal is not None:
        os.close(terminal[0])
    ended = wait_for(pid, _end_survivors)
    if ended is not None:
        report = end_report(*ended, forked=bool(request.refused), started=_started_since(pid))
        if request.is_traced and not request.refused:
            _end_trace()
        send(status, report)


def _end_trace() -> None:
    """Tell the tracer that nobody is left but us: by an execution of nothing, which the kernel refuses."""
    try:
        os.execve(b"", [b"over"], {})
    except OSError:
        pass


def _started_since(first: int) -> int:
    """How many processes and threads this namespace has had since one was started, that one included; -1 for unknown.

    Numbers are given in a row, and the last one stands in /proc/loadavg (proc(5)), as the reader's namespace counts.
    """
    try:
        with open("/proc/loadavg", "rb") as text:
            last = int(text.read().split()[4])
    except (OSError, IndexError, ValueError):
        return -1
    return last - first + 1 if last >= first else -1  # they began again at the bottom


def end_report(raw: int, left: int, *, forked: bool, started: int = -1) -> list[bytes]:
    """Return the report that the command has ended, with what everybody used who was reaped, orphans too.

    execve(2) counts the memory that a process had before, which is ours, into its peak (exec_mmap() of <fs/exec.c>), so
    a peak that is no larger than ours says nothing of the command.

    Args:
        raw: Its wait status.
        left: How many processes and threads it left.
        forked: Whether a copy of this process became the command, which may have grown before.
        started: How many there have been; -1 for unknown.
    """
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    own_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + (GROWTH if forked else GRAIN)
    numbers = (
        raw,
        int(usage.ru_utime * 1e6),
        int(usage.ru_stime * 1e6),
        usage.ru_maxrss if usage.ru_maxrss > own_peak else 0,
        usage.ru_inblock,
        usage.ru_oublock,
        usage.ru_nvcsw + usage.ru_nivcsw,
        started,
        left,
    )
    return [b"exited", *[str(number).encode() for number in numbers]]


def _is_forsaken(status: int) -> bool:
    """Whether the supervisor has given up meanwhile (a timeout, Ctrl-C): then the command is not started."""
    poller = select.poll()
    poller.register(status, 0)
    return bool(poller.poll(0))


def open_terminal() -> tuple[int, str]:
    """Open a new terminal of the sandbox's own /dev/pts: ``(controlling side, path of the other)``."""
    controller = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    fcntl.ioctl(controller, TIOCSPTLCK, struct.pack("i", 0))
    (number,) = struct.unpack("I", fcntl.ioctl(controller, TIOCGPTN, bytes(4)))
    return controller, f"/dev/pts/{number}"


def _spawn(request: Request, streams: list[int], terminal: tuple[int, str] | None) -> int:
    """posix_spawn(3): no copy of this process is made, and an exec that fails is told apart from a command that does.

    The session is set before the file actions, so a terminal that is opened as stdin becomes the controlling one.
    """
    env = guarded(-1, b"canary", steps.scrubbed, request.variables())
    path = _executable(request)
    _, stdin, stdout, stderr = streams
    actions: list[tuple[object, ...]]
    if terminal is None:
        actions = [(os.POSIX_SPAWN_DUP2, stdin, 0), (os.POSIX_SPAWN_DUP2, stdout, 1), (os.POSIX_SPAWN_DUP2, stderr, 2)]
    else:
        actions = [(os.POSIX_SPAWN_OPEN, 0, terminal[1], os.O_RDWR, 0)]
        actions += [(os.POSIX_SPAWN_DUP2, 0, 1), (os.POSIX_SPAWN_DUP2, 0, 2)]
    try:
        return os.posix_spawn(
            path, request.argv, env, file_actions=actions, setsid=True, setsigmask=(), setsigdef=DEFAULTED
        )
    except FileNotFoundError as error:  # it was there a moment ago; its loader, or what its first line names, is not
        raise OSError(errno.ELIBACC, "no interpreter", os.fsdecode(path)) from error


def _executable(request: Request) -> bytes:
    """Find the command of a request; for the errors see :func:`find_executable`."""
    return find_executable(request.argv[0], request.variables().get(b"PATH", SEARCH_PATH))


def first_path(request: Request) -> bytes:
    """Return what will be executed; the first word where that will fail, which is reported then."""
    try:
        return _executable(request)
    except OSError:
        return request.argv[0]


def find_executable(name: bytes, search_path: bytes, is_shown: Callable[[bytes], bool] = os.path.lexists) -> bytes:
    """Find a command the way execvp(3) does, in the sandbox's own view.

    Args:
        name: The first word of the command; one with a slash is a path.
        search_path: Directories between colons; an empty one is the working directory.
        is_shown: Whether the sandbox has something at a path.

    Returns:
        A path that can be executed now.

    Raises:
        OSError: ENOENT when nothing has the name, EACCES when what has it cannot be executed.
    """
    if b"/" in name:
        candidates = [name]
    else:
        candidates = [(directory or b".") + b"/" + name for directory in search_path.split(b":")]
    found = OSError(errno.ENOENT, "not found", os.fsdecode(name))
    for path in candidates:
        if not is_shown(path):
            continue
        if os.access(path, os.X_OK) and not os.path.isdir(path):
            return path
        number = errno.EISDIR if os.path.isdir(path) else errno.EACCES if os.path.exists(path) else errno.ENOENT
        found = OSError(number, "not executable", os.fsdecode(path))
    raise found


def wait_for(pid: int, end_survivors: Callable[[], int], *, ending: int = 0) -> tuple[int, int] | None:
    """Reap everybody; forward the signals of the host to the command's process group; return when the command ends.

    The signals stay blocked and are taken one by one: process 1 is spared every signal that it has no handler for, but
    a blocked one is queued for it all the same (signal(7), pid_namespaces(7)).

    Args:
        pid: The command.
        end_survivors: Kills and reaps whatever the command left, and says how many that were.
        ending: The signal that asks this process to end everything, where it is not process 1 of a namespace, with
            which the kernel would end everything; 0 where it is.

    Returns:
        Its wait status, and how many processes and threads it left, which are gone now; ``None`` when it was ended by
        ``ending``.
    """
    wanted = (*FORWARDED, _signal.SIGCHLD, *((ending,) if ending else ()))
    while True:
        while True:
            child, raw = os.waitpid(-1, os.WNOHANG)
            if child == pid:
                return raw, end_survivors()
            if child == 0:
                break
        info = _signal.sigwaitinfo(wanted)
        if ending and info.si_signo == ending:
            end_survivors()
            return None
        # 0: sent from outside the namespace
        if info.si_signo != _signal.SIGCHLD and (ending or info.si_pid == 0):
            try:
                os.killpg(pid, info.si_signo)
            except OSError:
                pass  # it is ending right now, and SIGCHLD is on its way


def _end_survivors() -> int:
    """Kill and reap whatever the command left, so that the report means that nothing is left; how many that were.

    kill(-1) from process 1 reaches everybody else in the namespace at once: no fork can slip through.
    """
    try:
        os.kill(-1, 0)
    except ProcessLookupError:
        return 0
    left = _count_others()
    try:
        os.kill(-1, _signal.SIGKILL)
    except ProcessLookupError:
        pass  # they ended while they were counted
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return left


def _count_others() -> int:
    """Processes and threads of this namespace beside this one."""
    count = 0
    for name in os.listdir("/proc"):
        if name.isdigit() and name != "1":
            try:
                count += len(os.listdir(f"/proc/{name}/task"))
            except OSError:
                pass  # it has just ended
    return count


def send(status: int, items: list[bytes], fds: Sequence[int] = ()) -> None:
    channel.send(status, wire.pack(items), fds)
