"""Choose the backend, once and in one place."""

from __future__ import annotations

import sys

from bldr.errors import BackendUnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.model.spec import SandboxSpec
    from bldr.sandbox.linux.backend import LinuxBackend
    from bldr.sandbox.linux.launcher import Launcher

__all__ = ["backend_for", "begin_single"]


def backend_for(spec: SandboxSpec, launcher: Launcher | None = None) -> LinuxBackend:
    """Make a spec ready for this platform.

    Raises:
        BackendUnavailableError: Nothing here can confine commands on this platform.
    """
    if sys.platform == "linux":
        from bldr.sandbox.linux.backend import LinuxBackend

        return LinuxBackend(spec, launcher)
    else:  # type checkers follow sys.platform in an if with an else only
        raise BackendUnavailableError(
            f"there is no sandbox for {sys.platform} in this version", capability="backend", hint="use Linux"
        )


def begin_single() -> Launcher | None:
    """Begin to make one sandbox for a process with one thread that will run one command; ``None`` where that is moot.

    The launcher is a fork: it makes the sandbox while this process still reads its options. Whatever goes wrong is
    reported when the sandbox is asked for.
    """
    if sys.platform == "linux":
        from bldr.sandbox.linux.launcher import Launcher

        launcher = Launcher(forked=True)
        launcher.begin()
        return launcher
    else:
        return None
