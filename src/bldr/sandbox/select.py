"""Choose the backend, once and in one place."""

from __future__ import annotations

import sys

from bldr.errors import BackendUnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.model.spec import SandboxSpec
    from bldr.sandbox.linux.backend import LinuxBackend
    from bldr.sandbox.linux.launcher import Launcher

__all__ = ["backend_for", "begin_single", "refuse_without_backend"]


def refuse_without_backend() -> None:
    """Say so where nothing can confine commands, before anything is read that only such platforms have.

    Raises:
        BackendUnavailableError: Nothing here can confine commands on this platform.
    """
    if sys.platform != "linux":
        raise _no_backend()


def backend_for(spec: SandboxSpec, launcher: Launcher | None = None) -> LinuxBackend:
    """Make a spec ready for this platform.

    Raises:
        BackendUnavailableError: Nothing here can confine commands on this platform.
    """
    if sys.platform == "linux":
        from bldr.sandbox.linux.backend import LinuxBackend

        return LinuxBackend(spec, launcher)
    else:  # type checkers follow sys.platform in an if with an else only
        raise _no_backend()


def begin_single() -> Launcher | None:
    """Begin to make one sandbox for a process with one thread that will run one command; ``None`` where that is moot.

    The launcher is a fork: it makes the sandbox while this process still reads its options. Whatever goes wrong is
    reported when the sandbox is asked for.

    Raises:
        BackendUnavailableError: This platform has neither a sandbox nor what a run without one needs.
    """
    if sys.platform == "linux":
        from bldr.sandbox.linux.launcher import Launcher

        launcher = Launcher(forked=True)
        launcher.begin()
        return launcher
    elif sys.platform == "win32":
        raise _no_backend()
    else:
        return None


def _no_backend() -> BackendUnavailableError:
    return BackendUnavailableError(
        f"there is no sandbox for {sys.platform} in this version", capability="backend", hint="use Linux"
    )
