"""What only namespaces can do, refused by name. Pure."""

from __future__ import annotations

from bldr.errors import BackendUnavailableError
from bldr.model.declarations import Role
from bldr.model.receipt import Guarantee
from bldr.sandbox.resolved import EntryKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.sandbox.linux.landlock.surroundings import Surroundings
    from bldr.sandbox.resolved import ResolvedSpec

__all__ = ["refuse_beyond", "refuse_surroundings"]


def refuse_beyond(resolved: ResolvedSpec) -> None:
    """Refuse a spec that asks for what only namespaces can do, whatever is on the host.

    Raises:
        BackendUnavailableError: It names what.
    """
    spec = resolved.spec
    if spec.process.allow_userns:
        raise _beyond("user namespaces inside, for nested sandboxes, need user namespaces", "leave --allow-userns out")
    if spec.limits.tmp_size is not None:
        raise _beyond("temps in memory need a mount namespace", "leave --tmp-size out, so that temps are on disk")
    if spec.hostname != "bldr":
        raise _beyond(f"the host name {spec.hostname!r} needs a uts namespace", "leave --hostname out")
    if not spec.network.is_hermetic and Guarantee.NETWORK_ALLOW_LIST not in spec.allow_degraded:
        raise _beyond("allowed hosts need a network namespace", "fetch what is needed beforehand")
    if spec.uid:
        raise _beyond(f"the user id {spec.uid} needs a user namespace", "leave --uid out: the caller's is kept")

    for one in spec.declarations:
        if one.role == Role.INPUT and one.at == "/":
            raise _beyond(
                "the input '/' needs a mount namespace: without one it holds the temps of every other sandbox as well",
                "declare the directories that are needed, one by one",
            )
        if one.role == Role.OVERLAY:
            raise _beyond(f"the overlay {one.at!r} needs a mount namespace", "copy it, and declare the copy as output")
    for entry in resolved.entries:
        if entry.host not in ("", entry.at) and entry.kind != EntryKind.SKELETON:
            raise _beyond(
                f"showing {entry.host!r} at {entry.at!r} needs a mount namespace",
                f"declare it at its own place: {entry.host!r}",
            )


def refuse_surroundings(around: Surroundings) -> None:
    """Refuse what cannot be done with the files that are on the host.

    Raises:
        BackendUnavailableError: It names the path.
    """
    for at in around.occupied:
        raise _beyond(
            f"the temp {at!r} is there on the host, and only a mount namespace can hide that",
            "name one that does not exist, or leave it out: TMPDIR names a private directory",
        )
    for at in around.homeless:
        raise _beyond(
            f"the temp {at!r} cannot be made on the host: its directory is missing, not writable, or a link",
            "name one in a directory of yours, or leave it out: TMPDIR names a private directory",
        )
    for directory, names in around.listings.items():
        if names is None:
            raise _beyond(
                f"the holes below {directory!r} need a mount namespace, because its entries cannot be listed",
                f"declare the entries of {directory!r} that are needed",
            )


def _beyond(message: str, hint: str) -> BackendUnavailableError:
    return BackendUnavailableError(message, capability="landlock", code="sandbox.beyond-landlock", hint=hint)
