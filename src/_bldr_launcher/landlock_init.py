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
import _thread
import errno
import os

from _bldr_launcher import attributes, channel, descendants, init, scratch, syscalls, wire
from _bldr_launcher.landlock_steps import OPERATIONS, Confinement

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
        kernel.prctl(syscalls.PR_SET_NAME, b"bldr-init")
        init.close_all_but(link, kernel)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, (*init.FORWARDED, _signal.SIGCHLD, wire.ENDING))
        kernel.empty_capability_sets()
        kernel.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
        kernel.prctl(syscalls.PR_SET_PDEATHSIG, wire.ENDING)
        if os.getppid() != launcher:  # it died before the line above
            os._exit(0)
        request, streams = init.receive(link)
        status = streams[0]
        temps = [step[1] for step in request.steps if step[0] == b"temp-at"]
        _live(request, streams, temps, kernel)
    except BrokenPipeError:
        pass  # the supervisor is gone: nobody is left to be told
    except BaseException as error:  # noqa: BLE001  our own mistake: say so, and end the sandbox
        init.confess(status, error)
    finally:
        _end_survivors(temps)
        os._exit(0)


def _end_survivors(temps: list[bytes]) -> int:
    """End whatever the command left, and remove the temps that are not in the scratch directory, once; how many."""
    count = descendants.end_all()
    while temps:  # somebody else may make one of the same name as soon as it is gone
        scratch.remove_tree(os.fsdecode(temps.pop()))
    return count


def _live(request: init.Request, streams: list[int], temps: list[bytes], kernel: Kernel) -> None:
    """Start the command, then wait for signals until it ends."""
    status = streams[0]
    terminal = init.open_terminal() if b"terminal" in request.flags else None
    ours, theirs = channel.pair()
    abi = kernel.landlock_version()
    parent = os.getpid()
    pid = os.fork()  # noqa: TID251  init has one thread
    if pid == 0:
        os.close(ours)
        _become_command(request, streams, terminal, (parent, theirs, abi), kernel)
    os.close(theirs)
    for fd in streams[1:]:
        os.close(fd)
    if failure := _watch_start(ours, _writable(request)):
        channel.send(status, failure)
        return
    handles = [os.pidfd_open(parent)]
    if terminal is not None:
        handles.append(terminal[0])
    init.send(status, [b"started", str(abi).encode(), b"0"], handles)
    if terminal is not None:
        os.close(terminal[0])
    ended = init.wait_for(pid, lambda: _end_survivors(temps), ending=wire.ENDING)
    if ended is not None:
        init.send(status, init.end_report(*ended))


def _writable(request: init.Request) -> list[bytes]:
    """Return the directories beneath which the command may change attributes."""
    found = [
        step[1] for step in request.steps if step[0] == b"temp-at" or (step[0] == b"allow" and step[2] == b"write")
    ]
    found += [request.scratch + b"/" + step[1] for step in request.steps if step[0] == b"temp"]
    return [os.path.realpath(path) for path in found]


def _watch_start(link: int, writable: list[bytes]) -> bytes:
    """Wait until the child has become the command, which closes its end; return what it reports if it has not."""
    report = b""
    while True:
        data, fds = channel.receive(link, wire.LARGEST_INLINE)
        if not data:
            os.close(link)
            return report
        if fds:
            _thread.start_new_thread(attributes.serve, (fds[0], writable))
        else:
            report = data


def _become_command(
    request: init.Request,
    streams: list[int],
    terminal: tuple[int, str] | None,
    ties: tuple[int, int, int],
    kernel: Kernel,
) -> NoReturn:
    """Confine this process and execute the command, or report what went wrong to init. Never returns.

    ``ties`` are the process number of init, the descriptor of the socket to it, and the Landlock ABI.
    """
    parent, link, abi = ties
    report: list[bytes]
    try:
        kernel.prctl(syscalls.PR_SET_PDEATHSIG, _signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        os.setsid()
        _take_streams(streams, terminal)

        def give_listener(listener: int) -> None:
            channel.send(link, b"listener", [listener])

        state = Confinement(request.scratch, abi, give_listener, kernel)
        for number, (operation, *arguments) in enumerate(request.steps):
            try:
                OPERATIONS[operation](state, *arguments)
            except OSError as error:
                raise init.StepError(number, operation, error) from error
        try:
            os.chdir(request.cwd)
        except OSError as error:
            raise init.StepError(-1, b"chdir", error) from error
        for signum in init.DEFAULTED:
            _signal.signal(signum, _signal.SIG_DFL)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
        _execute(request)
    except init.StepError as error:
        report = error.report
    except OSError as error:
        report = [b"absent", str(error.errno).encode(), os.fsencode(error.filename or b"")]
    except BaseException as error:  # noqa: BLE001  our own mistake, which init passes on
        report = init.confession(error)
    channel.send(link, wire.pack(report))
    os._exit(1)


def _take_streams(streams: list[int], terminal: tuple[int, str] | None) -> None:
    """Make the standard streams; a terminal that is opened first becomes the controlling one."""
    if terminal is None:
        _, *sources = streams
    else:
        sources = [os.open(terminal[1], os.O_RDWR)] * 3
    for target, source in enumerate(sources):
        os.dup2(source, target)


def _execute(request: init.Request) -> NoReturn:
    """Become the command.

    Raises:
        OSError: It is not there or cannot be executed; ELIBACC when that is true of its interpreter or loader.
    """
    env = dict(item.split(b"=", 1) for item in request.env)
    path = init.find_executable(request.argv[0], env.get(b"PATH", init.SEARCH_PATH), _is_shown)
    try:
        os.execve(path, request.argv, env)
    except (FileNotFoundError, PermissionError) as error:  # itself it is there, and may be executed
        raise OSError(errno.ELIBACC, "no interpreter", os.fsdecode(path)) from error
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fsdecode(path)) from error


def _is_shown(path: bytes) -> bool:
    """Whether something is there and a rule allows it: its name shows also what none does."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except PermissionError:
        return not os.access(path, os.R_OK)  # its own mode forbids reading, which says nothing about executing
    except OSError:
        return os.path.lexists(path)
    return True
