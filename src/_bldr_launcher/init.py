"""Process 1 of a sandbox: sets it up, starts the command, reaps strangers, reports the command's end.

Messages, all in the format of ``wire``::

    1  launcher → init     request: what to set up and what to run; descriptors: status, stdin, stdout, stderr
                           [, memfd with the request]
       launcher → init     before it, perhaps: a request without a command and descriptors, whose steps are executed at
                           once; the request that follows has no steps
       init → launcher     "executed" path, device, inode of each mount that lies in a tree of the host; descriptor: its
                           root
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
import os
import select

from _bldr_launcher import channel, command, reaper, seccomp, steps, syscalls, wire
from _bldr_launcher import root as root_
from _bldr_launcher.report import StepError, confess, guarded, send
from _bldr_launcher.request import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn, TypeVar

    from _bldr_launcher.kernel import Kernel

    Answer = TypeVar("Answer")

__all__ = [
    "LARGEST_REQUEST",
    "Request",
    "await_request",
    "close_all_but",
    "main",
    "receive",
]

LARGEST_REQUEST = 64 * 1024 * 1024  # bytes; about a hundred thousand inputs
TREES_PER_MESSAGE = 64  # SCM_MAX_FD of <net/scm.h> is 253; small, so that both sides work at the same time


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
                    guarded(-1, b"trace", seccomp.let_trace, command.first_path(request), link, kernel)
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
    _signal.pthread_sigmask(_signal.SIG_SETMASK, (*reaper.FORWARDED, _signal.SIGCHLD))
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
            _show(link, state)
        except (StepError, BrokenPipeError, ConnectionResetError):
            os._exit(0)
        request, streams, failure = await_request(link)
    return request, streams, failure


def _show(link: int, state: steps.State) -> None:
    """Tell the launcher that a plan has been executed, and let it look whether everything stays in its place."""
    root = os.open("/", os.O_PATH | os.O_CLOEXEC)
    words = [word for at, *numbers in state.covers for word in (at, *[b"%d" % number for number in numbers])]
    channel.send(link, wire.pack([b"executed", *words]), [root])
    os.close(root)


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
    terminal = command.open_terminal() if b"terminal" in request.flags else None
    try:
        if request.refused:
            from _bldr_launcher import forked

            pid, failure = forked.start(request, (streams, link), terminal, state.kernel)
            if failure:
                channel.send(status, failure)
                return
        else:
            pid = command.spawn(request, streams, terminal)
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
    ended = reaper.wait_for(pid, reaper.end_survivors)
    if ended is not None:
        report = reaper.end_report(*ended, forked=bool(request.refused), started=reaper.started_since(pid))
        if request.is_traced and not request.refused:
            _end_trace()
        send(status, report)


def _end_trace() -> None:
    """Tell the tracer that nobody is left but us: by an execution of nothing, which the kernel refuses."""
    try:
        os.execve(b"", [b"over"], {})
    except OSError:
        pass


def _is_forsaken(status: int) -> bool:
    """Whether the supervisor has given up meanwhile (a timeout, Ctrl-C): then the command is not started."""
    poller = select.poll()
    poller.register(status, 0)
    return bool(poller.poll(0))
