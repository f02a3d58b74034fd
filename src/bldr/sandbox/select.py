"""Choose the backend, once and in one place."""

from __future__ import annotations

import sys

from bldr.errors import BackendUnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.model.spec import SandboxSpec
    from bldr.sandbox.linux.backend import LinuxBackend
    from bldr.sandbox.linux.launcher import Launcher
    from bldr.sandbox.protocol import Backend
    from bldr.sandbox.resolved import ResolvedSpec

__all__ = [
    "backend_for",
    "begin_single",
    "layered_backend_for",
    "lower_backend_for",
    "refuse_without_backend",
    "weaker_guarantees",
]


def refuse_without_backend() -> None:
    """Say so where nothing can confine commands, before anything is read that only such platforms have.

    Raises:
        BackendUnavailableError: Nothing here can confine commands on this platform.
    """
    if sys.platform != "linux":
        raise _no_backend()


def backend_for(
    spec: SandboxSpec, launcher: Launcher | None = None, *, resolved: ResolvedSpec | None = None
) -> Backend:
    """Make a spec ready for this platform.

    Args:
        spec: What is asked for.
        launcher: The fork server to use; the one of this process by default.
        resolved: What the spec was resolved to, where the caller has just done that.

    Raises:
        BackendUnavailableError: Nothing here can confine commands on this platform.
    """
    if sys.platform == "linux":
        from bldr.sandbox.linux.backend import LinuxBackend

        backend = LinuxBackend(spec, launcher, resolved=resolved)
        if spec.allow_degraded:
            from bldr.sandbox.linux.ladder import Ladder, accepts_landlock

            if accepts_landlock(spec):
                return Ladder(backend)
        return backend
    else:  # type checkers follow sys.platform in an if with an else only
        raise _no_backend()


def layered_backend_for(spec: SandboxSpec, launcher: Launcher | None, layers: str) -> LinuxBackend:
    """Make a spec ready whose overlays leave their layers in a directory.

    Raises:
        BackendUnavailableError: Nothing here has overlays.
    """
    if sys.platform == "linux":
        from bldr.sandbox.linux.backend import LinuxBackend

        return LinuxBackend(spec, launcher, layers)
    else:
        raise _no_backend()


def lower_backend_for(spec: SandboxSpec) -> Backend:
    """Make a spec ready for the backend that is used where the first one is missing, whatever the spec accepts.

    Raises:
        BackendUnavailableError: There is none here.
    """
    if sys.platform == "linux":
        from bldr.sandbox.linux.landlock.backend import LandlockBackend

        return LandlockBackend(spec)
    else:
        raise BackendUnavailableError(f"there is no other sandbox for {sys.platform}", capability="backend")


def weaker_guarantees() -> tuple[str, ...]:
    """Return the guarantees that have to be named before that backend is used."""
    if sys.platform == "linux":
        from bldr.sandbox.linux.landlock.offer import landlock_abi
        from bldr.sandbox.linux.landlock.offer import weaker_guarantees as weaker

        return weaker(landlock_abi())
    else:
        return ()


def begin_single(begun: tuple[int, int] | None = None) -> Launcher | None:
    """Begin to make one sandbox for a process with one thread that will run one command; ``None`` where that is moot.

    The launcher is a fork: it makes the sandbox while this process still reads its options. Whatever goes wrong is
    reported when the sandbox is asked for.

    Args:
        begun: The number of a launcher that was forked already, and the descriptor of the socket to it.

    Raises:
        BackendUnavailableError: This platform has neither a sandbox nor what a run without one needs.
    """
    if sys.platform == "linux":
        from bldr.sandbox.linux.launcher import Launcher

        launcher = Launcher(forked=True)
        if begun is None:
            launcher.begin()
        else:
            launcher.adopt(*begun)
        return launcher
    elif sys.platform == "win32":
        raise _no_backend()
    else:
        return None


def _no_backend() -> BackendUnavailableError:
    return BackendUnavailableError(
        f"there is no sandbox for {sys.platform} in this version", capability="backend", hint="use Linux"
    )
