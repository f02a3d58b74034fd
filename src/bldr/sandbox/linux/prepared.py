"""A plan ready to be started, and what each start of it needs on disk: temps, layers of overlays, private copies."""

from __future__ import annotations

import os

from _bldr_launcher import scratch
from bldr.errors import GuaranteeUnavailableError, SandboxSetupError
from bldr.model.declarations import Role
from bldr.model.paths import is_within
from bldr.model.receipt import Guarantee
from bldr.sandbox.linux.plan import compile as compile_plan
from bldr.sandbox.linux.requests import encode_plan
from bldr.sandbox.linux.steps import Bind, Kind, MountCopy, MountOverlay, MountScratch
from bldr.sandbox.resolved import EntryKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from bldr.sandbox.linux.plan import Plan
    from bldr.sandbox.resolved import ResolvedSpec

__all__ = [
    "OVERLAYFS",
    "OverlayRefusedError",
    "Prepared",
    "copy_reasons",
    "layer_path",
    "mechanisms",
    "prepare",
    "refused",
]

OVERLAYFS = "overlayfs"


class OverlayRefusedError(SandboxSetupError):
    """Overlayfs cannot be used at one place. It stays within the backend, which makes a copy instead.

    ``at`` is the place, ``reason`` what a receipt says.
    """

    def __init__(self, message: str, *, at: str, reason: str, errno: int = 0) -> None:
        super().__init__(message, step=message, errno=errno, strerror=reason)
        self.at = at
        self.reason = reason


class Prepared:
    """A compiled and encoded plan. It is not changed any more, so that any thread can start from it.

    Args:
        resolved: What is shown.
        copied: The places of overlays that have to be copies, each with the reason.
        layers: A host directory that keeps the layers of overlays; empty when they go with the sandbox.
    """

    def __init__(self, resolved: ResolvedSpec, copied: Mapping[str, str], layers: str) -> None:
        self.copied = dict(copied)
        self.plan: Plan = compile_plan(resolved, self.copied, in_memory=not layers)
        wired = [(step, step.encode()) for step in self.plan.steps]
        self.steps = [step for step, fields in wired if fields]
        self.payload = encode_plan([fields for _, fields in wired if fields])
        self.outputs = {
            number: step.source for number, step in enumerate(self.steps) if isinstance(step, Bind) and step.writable
        }
        self._temps = [step for step in self.steps if isinstance(step, MountScratch)]
        self._overlays = [step for step in self.steps if isinstance(step, MountOverlay) and step.index is not None]
        self._copies = [step for step in self.steps if isinstance(step, MountCopy)]
        self._layers = layers
        places = [one.at for one in resolved.entries] if self._copies else []
        self._without = {
            copy.at: frozenset([at[len(copy.at) + 1 :] for at in places if at != copy.at and is_within(at, copy.at)])
            for copy in self._copies
        }

    def copy_ahead(self, base: str) -> dict[int, str]:
        """Make the private copies of one start, before others have to wait for it.

        Args:
            base: The directory of the launcher, in which everything of its sandboxes lies.

        Returns:
            Where each copy is, by number.

        Raises:
            SandboxSetupError: Something cannot be copied.
        """
        made: dict[int, str] = {}
        try:
            for step in self._copies:
                made[step.index] = f"{base}/copy-{os.urandom(8).hex()}"
                self._copy(step, made[step.index])
        except BaseException:
            self.discard(made)
            raise
        return made

    def discard(self, copies: Mapping[int, str]) -> None:
        """Remove the copies that no sandbox has taken."""
        for path in copies.values():
            scratch.remove_tree(path)

    @property
    def has_copies(self) -> bool:
        """Whether something has to be copied before a start."""
        return bool(self._copies)

    @property
    def is_left_to_the_launcher(self) -> bool:
        """Whether the launcher makes the directory of an execution, ahead if it can; it makes empty temps only."""
        return not self._overlays and not self._copies

    def make(self, place: str, copies: Mapping[int, str]) -> None:
        """Make the directory of one execution, which its status removes, with everything that the steps mount from it.

        Nothing is made when that is left to the launcher.

        Raises:
            SandboxSetupError: It cannot be made.
        """
        if self.is_left_to_the_launcher:
            return
        steps = (*self._temps, *self._overlays, *self._copies)
        try:
            os.mkdir(place, 0o700)
            for temp in self._temps:
                path = f"{place}/{temp.index}"
                os.mkdir(path)
                os.chmod(path, temp.mode)  # mkdir(2) is subject to the umask
            for overlay in self._overlays:
                os.mkdir(self._kept(place, overlay.index or 0, overlay.at), 0o700)
        except OSError as error:
            raise SandboxSetupError(
                f"cannot make a directory for temps: {error.strerror}",
                step=steps[0].describe(),
                errno=error.errno or 0,
                strerror=error.strerror or "",
                hint="free some space, or set TMPDIR to a directory on another disk",
            ) from error
        for step in self._copies:
            target = self._kept(place, step.index, step.at, is_copy=True)
            try:
                os.rename(copies[step.index], target)
            except OSError:  # the launcher was replaced and its directory is gone, or it is on another file system
                self._copy(step, target)

    def _kept(self, place: str, index: int, at: str, *, is_copy: bool = False) -> str:
        """Return where a layer is made: in the directory of the execution, or where it is kept, with a link to it."""
        if not self._layers:
            return f"{place}/{index}"
        path = layer_path(self._layers, at, is_copy=is_copy)
        scratch.remove_tree(path)  # of a start that was refused
        os.symlink(path, f"{place}/{index}")
        return path

    def _copy(self, step: MountCopy, target: str) -> None:
        from bldr.sandbox.linux.duplicate import copy_tree

        try:
            copy_tree(step.source, target, without=self._without[step.at])
        except OSError as error:
            raise SandboxSetupError(
                f"cannot copy {error.filename or step.source!r} for the overlay {step.at!r}: {error.strerror}",
                step=step.describe(),
                errno=error.errno or 0,
                strerror=error.strerror or "",
                code="sandbox.overlay-copy",
                hint=f"it is a copy, because {step.reason}; declare less, or set TMPDIR to a directory with more space",
            ) from error


def layer_path(layers: str, at: str, *, is_copy: bool) -> str:
    """Return where the layer of an overlay is kept: a directory with ``upper`` and ``work``, or the copy itself."""
    from hashlib import sha256

    return f"{layers}/{sha256(os.fsencode(at)).hexdigest()[:32]}{'.copy' if is_copy else ''}"


def prepare(resolved: ResolvedSpec, copied: Mapping[str, str] | None = None, *, layers: str = "") -> Prepared:
    """Compile and encode a plan.

    Args:
        resolved: What is shown.
        copied: The places of overlays that cannot be overlays, with the reasons; looked for by default.
        layers: See :class:`Prepared`.

    Raises:
        GuaranteeUnavailableError: An overlay has to be a copy, and overlayfs is required.
    """
    known = _with_mounts_inside(resolved) if copied is None else copied
    if (Guarantee.OVERLAYS_PRIVATE, OVERLAYFS) in resolved.spec.require:
        files = [one.at for one in resolved.entries if one.role == Role.OVERLAY and one.kind != EntryKind.DIR]
        for at in (*known, *files):
            reason = known.get(at, "it is a file")
            raise GuaranteeUnavailableError(
                f"the overlay {at!r} would be a copy, because {reason}",
                guarantee=Guarantee.OVERLAYS_PRIVATE,
                hint=f"leave the mechanism out: --require {Guarantee.OVERLAYS_PRIVATE}",
            )
    return Prepared(resolved, known, layers)


def _with_mounts_inside(resolved: ResolvedSpec) -> dict[str, str]:
    """Return the overlays in which file systems are mounted: overlayfs would show what they cover instead of them."""
    overlays = [one for one in resolved.entries if one.role == Role.OVERLAY and one.kind == EntryKind.DIR]
    if not overlays:
        return {}
    from _bldr_launcher.mountinfo import mount_points

    with open("/proc/self/mountinfo", "rb") as table:
        mounted = [os.fsdecode(path) for path, _ in mount_points(table.read())]
    found = {}
    for one in overlays:
        covered = [other.host for other in resolved.entries if other.at != one.at and is_within(other.at, one.at)]
        inside = [
            path
            for path in mounted
            if path != one.host and is_within(path, one.host) and not any(is_within(path, host) for host in covered)
        ]
        if inside:
            found[one.at] = f"a file system is mounted in it at {inside[0]}"
    return found


def refused(step: MountOverlay, code: int, text: str) -> OverlayRefusedError:
    """Return the error that makes the backend use a copy at the place of a step."""
    why = os.strerror(code) if text.startswith(("fs", "move_mount")) else text  # no names of system calls for people
    return OverlayRefusedError(step.describe(), at=step.at, reason=f"overlayfs refused it: {why}", errno=code)


def mechanisms(plan: Plan) -> tuple[str, ...]:
    """Return what keeps the overlays of a plan private, strongest first; empty when it has none."""
    found = [OVERLAYFS] if any(isinstance(step, MountOverlay) for step in plan.steps) else []
    return (*found, *(["copy"] if any(isinstance(step, MountCopy) for step in plan.steps) else []))


def copy_reasons(plan: Plan) -> tuple[str, ...]:
    """Return a sentence for each directory that is a copy and not an overlay."""
    copies = [step for step in plan.steps if isinstance(step, MountCopy) and step.kind == Kind.DIR]
    return tuple(f"{step.at}: a copy instead of an overlay, because {step.reason}" for step in copies)
