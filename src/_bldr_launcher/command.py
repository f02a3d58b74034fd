"""Start the command of a sandbox, from init: find it, and give it its streams or a terminal."""

from __future__ import annotations

import _signal
import _struct as struct
import errno
import fcntl
import os

from _bldr_launcher import steps
from _bldr_launcher.report import guarded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from _bldr_launcher.request import Request

__all__ = ["DEFAULTED", "SEARCH_PATH", "executable", "find_executable", "first_path", "open_terminal", "spawn"]

DEFAULTED = tuple(number for number in range(1, 65) if number not in (_signal.SIGKILL, _signal.SIGSTOP, 32, 33))
SEARCH_PATH = b"/usr/bin:/bin"  # what execvp(3) falls back on; used when E has no PATH
TIOCGPTN, TIOCSPTLCK = 0x80045430, 0x40045431  # <asm-generic/ioctls.h>


def open_terminal() -> tuple[int, str]:
    """Open a new terminal of the sandbox's own /dev/pts: ``(controlling side, path of the other)``."""
    controller = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    fcntl.ioctl(controller, TIOCSPTLCK, struct.pack("i", 0))
    (number,) = struct.unpack("I", fcntl.ioctl(controller, TIOCGPTN, bytes(4)))
    return controller, f"/dev/pts/{number}"


def spawn(request: Request, streams: list[int], terminal: tuple[int, str] | None) -> int:
    """posix_spawn(3): no copy of this process is made, and an exec that fails is told apart from a command that does.

    The session is set before the file actions, so a terminal that is opened as stdin becomes the controlling one.
    """
    env = guarded(-1, b"canary", steps.scrubbed, request.variables())
    path = executable(request)
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


def executable(request: Request) -> bytes:
    """Find the command of a request; for the errors see :func:`find_executable`."""
    return find_executable(request.argv[0], request.variables().get(b"PATH", SEARCH_PATH))


def first_path(request: Request) -> bytes:
    """Return what will be executed; the first word where that will fail, which is reported then."""
    try:
        return executable(request)
    except OSError:  # execve(2) will meet it again, and that is reported
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
