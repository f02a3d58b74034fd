"""Init of a sandbox without namespaces: adopts every descendant of the command, and ends them all.

It speaks as the init of namespaces does (see ``init``), without the trees of a mount namespace. It stays outside of the
Landlock domain, which the command's process enters between fork and exec: a process in a domain can neither trace nor,
from ABI 6 on, signal it.

The kernel ends nothing with it. It is asked to by ``wire.ENDING``, a signal that it waits for: the supervisor sends it,
and the kernel does when the launcher dies (PR_SET_PDEATHSIG). When init itself is killed, its descendants become the
launcher's, which ends them.
"""

from __future__ import annotations

import _signal
import os

from _bldr_launcher import channel, command, descendants, forked, init, policy, reaper, scratch, syscalls, wire
from _bldr_launcher.landlock_steps import OPERATIONS, Confinement
from _bldr_launcher.report import StepError, confess, guarded, send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from _bldr_launcher.kernel import Kernel

__all__ = ["main"]


def main(link: int, launcher: int, kernel: Kernel = syscalls) -> NoReturn:
    """Live as init. Never returns.

    Args:
        link: Descriptor of the socket to the launcher.
        launcher: Process number of the launcher.
        kernel: The system calls; a test puts one that fails in its place.
    """
    status = -1
    temps: list[bytes] = []
    try:
        failure: StepError | None = None
        try:
            guarded(-1, b"start-init", _prepare, link, kernel)
        except StepError as error:
            failure = error
        if os.getppid() != launcher:  # it died before it was said what happens then
            os._exit(0)
        request, streams, unheard = init.await_request(link)
        status = streams[0]
        failure = failure or unheard
        if failure is not None:
            send(status, failure.report)
        else:
            temps = [step[1] for step in request.steps if step[0] == b"temp-at"]
            _live(request, streams, temps, kernel)
    except BrokenPipeError:
        pass  # the supervisor is gone: nobody is left to be told
    except BaseException as error:  # noqa: BLE001  our own mistake: say so, and end the sandbox
        confess(status, error)
    finally:
        _end_survivors(temps)
        os._exit(0)


def _prepare(link: int, kernel: Kernel) -> None:
    init.close_all_but(link, kernel=kernel)  # first: a copy of the other end would hide that it was closed
    kernel.prctl(syscalls.PR_SET_NAME, b"bldr-init")
    _signal.pthread_sigmask(_signal.SIG_SETMASK, (*reaper.FORWARDED, _signal.SIGCHLD, wire.ENDING))
    kernel.empty_capability_sets()
    kernel.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
    kernel.prctl(syscalls.PR_SET_PDEATHSIG, wire.ENDING)


def _end_survivors(temps: list[bytes]) -> int:
    """End whatever the command left, and remove the temps that are not in the scratch directory, once; how many."""
    count = descendants.end_all()
    while temps:  # somebody else may make one of the same name as soon as it is gone
        scratch.remove_tree(os.fsdecode(temps.pop()))
    return count


def _live(request: init.Request, streams: list[int], temps: list[bytes], kernel: Kernel) -> None:
    """Start the command, then wait for signals until it ends."""
    status = streams[0]
    terminal = command.open_terminal() if b"terminal" in request.flags else None
    ours, theirs = channel.pair()
    abi = kernel.landlock_version()
    parent = os.getpid()
    pid = os.fork()  # noqa: TID251  init has one thread
    if pid == 0:
        os.close(ours)
        ties = (parent, theirs, abi)
        forked.run_child(theirs, lambda: _become_command(request, streams, terminal, ties, kernel))
    os.close(theirs)
    for fd in streams[1:]:
        os.close(fd)
    referee = policy.Referee(request.refused, sees_host=True)
    if request.refused:
        send(status, [b"refusals"], [referee.record])
    if failure := forked.watch(ours, _writable(request), referee):
        channel.send(status, failure)
        return
    handles = [os.pidfd_open(parent)]
    if terminal is not None:
        handles.append(terminal[0])
    send(status, [b"started", str(abi).encode(), b"0"], handles)
    if terminal is not None:
        os.close(terminal[0])
    ended = reaper.wait_for(pid, lambda: _end_survivors(temps), ending=wire.ENDING)
    if ended is not None:
        send(status, reaper.end_report(*ended, forked=True))


def _writable(request: init.Request) -> list[bytes]:
    """Return the directories beneath which the command may change attributes."""
    found = [
        step[1] for step in request.steps if step[0] == b"temp-at" or (step[0] == b"allow" and step[2] == b"write")
    ]
    found += [request.scratch + b"/" + step[1] for step in request.steps if step[0] == b"temp"]
    return [os.path.realpath(path) for path in found]


def _become_command(
    request: init.Request,
    streams: list[int],
    terminal: tuple[int, str] | None,
    ties: tuple[int, int, int],
    kernel: Kernel,
) -> NoReturn:
    """Confine this process and execute the command. Never returns.

    ``ties`` are the process number of init, the descriptor of the socket to it, and the Landlock ABI.
    """
    parent, link, abi = ties
    kernel.prctl(syscalls.PR_SET_PDEATHSIG, _signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    os.setsid()
    forked.take_streams(streams, terminal)

    def give_listener(listener: int) -> None:
        channel.send(link, b"listener", [listener])

    state = Confinement(request.scratch, abi, give_listener, kernel)
    for number, (operation, *arguments) in enumerate(request.steps):
        try:
            OPERATIONS[operation](state, *arguments)
        except OSError as error:
            raise StepError(number, operation, error) from error
    try:
        os.chdir(request.cwd)
    except OSError as error:
        raise StepError(-1, b"chdir", error) from error
    try:
        policy.try_refused(request.refused)
    except OSError as error:
        raise StepError(-1, b"refuse", error) from error
    forked.become(request, _is_shown, hides_interpreters=True)


def _is_shown(path: bytes) -> bool:
    """Whether something is there and a rule allows it: its name shows also what none does."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except PermissionError:
        return not os.access(path, os.R_OK)  # its own mode forbids reading, which says nothing about executing
    except OSError:
        return os.path.lexists(path)
    return True
