"""Start the command by fork and exec, where something has to be done between the two.

::

    child → init   "listener"; descriptor: that of a filter which init has to answer for
                   or a report as of init.py, when it cannot become the command
                   end of the stream: it has become the command, or has died
"""

from __future__ import annotations

import _signal
import _thread
import errno
import os

from _bldr_launcher import attributes, channel, command, policy, seccomp, steps, wire
from _bldr_launcher.report import StepError, confession, guarded, send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

    from _bldr_launcher.kernel import Kernel
    from _bldr_launcher.request import Request

__all__ = ["become", "run_child", "start", "take_streams", "watch"]


def start(
    request: Request, ends: tuple[list[int], int], terminal: tuple[int, str] | None, kernel: Kernel
) -> tuple[int, bytes]:
    """Start the command of a sandbox with namespaces, and refuse what its policy refuses.

    Args:
        request: The command, and what is refused to it.
        ends: Status and the three streams; the socket to the tracer.
        terminal: Controlling side and path of a terminal to use instead of the streams.
        kernel: The system calls.

    Returns:
        Its number, and a report when it could not be started, else nothing.
    """
    streams, tracer = ends
    ours, theirs = channel.pair()
    referee = policy.Referee(request.refused)
    pid = os.fork()  # noqa: TID251  init has one thread
    if pid == 0:
        os.close(ours)

        def listen() -> None:
            if request.is_traced:
                seccomp.let_trace(command.first_path(request), tracer, kernel, referee.record)
            elif (listener := policy.install(request.refused, kernel)) >= 0:
                channel.send(theirs, b"listener", [listener])
                os.close(listener)

        run_child(theirs, lambda: _become_refused(request, streams, terminal, listen))
    os.close(theirs)
    send(streams[0], [b"refusals"], [referee.record])
    return pid, watch(ours, (), referee)


def _become_refused(
    request: Request,
    streams: list[int],
    terminal: tuple[int, str] | None,
    listen: Callable[[], None],
) -> NoReturn:
    os.setsid()
    take_streams(streams, terminal)
    if request.is_traced:
        guarded(-1, b"trace", listen)
    try:
        if not request.is_traced:
            listen()
        policy.try_refused(request.refused)
    except OSError as error:
        raise StepError(-1, b"refuse", error) from error
    become(request)


def run_child(link: int, become_command: Callable[[], NoReturn]) -> NoReturn:
    """Become the command, or report what went wrong to init. Never returns.

    Args:
        link: Descriptor of the socket to init.
        become_command: Does it; raises ``StepError``, or ``OSError`` when the command cannot be executed.
    """
    report: list[bytes]
    try:
        become_command()
    except StepError as error:
        report = error.report
    except OSError as error:
        report = [b"absent", str(error.errno).encode(), os.fsencode(error.filename or b"")]
    except BaseException as error:  # noqa: BLE001  our own mistake, which init passes on
        report = confession(error)
    channel.send(link, wire.pack(report))
    os._exit(1)


def take_streams(streams: list[int], terminal: tuple[int, str] | None) -> None:
    """Make the standard streams; a terminal that is opened first becomes the controlling one."""
    if terminal is None:
        _, *sources = streams
    else:
        sources = [os.open(terminal[1], os.O_RDWR)] * 3
    for target, source in enumerate(sources):
        os.dup2(source, target)


def become(
    request: Request, is_shown: Callable[[bytes], bool] = os.path.lexists, *, hides_interpreters: bool = False
) -> NoReturn:
    """Execute the command, with the signals as a new program expects them.

    Args:
        request: The command.
        is_shown: Whether the sandbox has something at a path.
        hides_interpreters: Whether an interpreter that was not declared is there and cannot be executed.

    Raises:
        StepError: A canary was possible.
        OSError: It is not there or cannot be executed; ELIBACC when that is true of its interpreter or loader.
    """
    for signum in command.DEFAULTED:
        _signal.signal(signum, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
    env = guarded(-1, b"canary", steps.scrubbed, request.variables())
    path = command.find_executable(request.argv[0], env.get(b"PATH", command.SEARCH_PATH), is_shown)
    try:
        os.execve(path, request.argv, env)
    except OSError as error:  # itself it is there, and may be executed
        absent = error.errno == errno.ENOENT or (hides_interpreters and isinstance(error, PermissionError))
        if absent:
            raise OSError(errno.ELIBACC, "no interpreter", os.fsdecode(path)) from error
        raise OSError(error.errno, error.strerror, os.fsdecode(path)) from error


def watch(link: int, writable: Sequence[bytes], referee: policy.Referee) -> bytes:
    """Wait until the child has become the command, which closes its end; return what it reports if it has not.

    Args:
        link: Descriptor of the socket to it, which is closed.
        writable: Directories beneath which it may change attributes, where that is for init to decide.
        referee: Decides on what its policy refuses.
    """
    report = b""
    while True:
        data, fds = channel.receive(link, wire.LARGEST_INLINE)
        if not data:
            os.close(link)
            return report
        if fds:
            _thread.start_new_thread(attributes.serve, (fds[0], writable, referee))
        else:
            report = data
