"""The errors of a resolution, each with what mends it."""

from __future__ import annotations

import errno

from bldr.errors import InvalidPathError, OverlappingPathsError
from bldr.model.declarations import Declaration, Role, overlap_between
from bldr.model.paths import components, join, parent
from bldr.sandbox.host import PathKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.sandbox.host import Followed, HostPaths

__all__ = [
    "clashing",
    "in_a_file",
    "lookup_failed",
    "missing",
    "missing_in_output",
    "refuse_reserved",
    "refuse_unusable",
]

_PRIVATE_DEVICES = ("fd", "ptmx", "pts", "shm", "stderr", "stdin", "stdout")


def missing(one: Declaration, found: Followed, paths: HostPaths) -> InvalidPathError:
    """Return the error for a declared host path at which nothing is."""
    if found.kind == PathKind.LOOP:
        return InvalidPathError(
            f"the {one.role} {one.host!r} leads to no end: link {found.hops[-1][0]!r} -> {found.hops[-1][1]!r}",
            path=one.host,
            code="spec.path-loop",
            hint=f"ls -l {_quoted(found.hops[0][0])}",
        )
    code = "spec.output-missing" if one.role == Role.OUTPUT else "spec.path-missing"
    if found.hops:
        link, target = found.hops[-1]
        return InvalidPathError(
            f"the {one.role} {one.host!r} leads nowhere: the link {link!r} -> {target!r} misses {found.real!r}",
            path=one.host,
            code=code,
            hint=f"create {found.real!r}, or change the link",
        )
    return InvalidPathError(
        f"the {one.role} {one.host!r} does not exist",
        path=one.host,
        code=code,
        hint=f"mkdir -p {_quoted(one.host)}" if one.role == Role.OUTPUT else _nearest(found.real, paths),
    )


def _nearest(path: str, paths: HostPaths) -> str:
    """Say what there is instead: a similar name, or else the directory in which the name is missing."""
    from difflib import get_close_matches

    directory = parent(path)
    name = components(path)[-1]
    try:
        similar = get_close_matches(name, paths.host.listdir(directory), n=1)
    except OSError:
        similar = []
    if similar:
        return f"did you mean {join(directory, similar[0])!r}?"
    return f"there is no {name!r} in {directory!r}"


def refuse_unusable(one: Declaration, found: Followed, paths: HostPaths) -> None:
    """Check that the caller can do with a path what it was declared for.

    Raises:
        InvalidPathError: An output is not a directory or not writable, an overlay is a device, or an input is not
            readable.
    """
    if one.role == Role.OUTPUT:
        if found.kind != PathKind.DIR:
            raise InvalidPathError(
                f"the output {one.host!r} is not a directory",
                path=one.host,
                code="spec.output-not-directory",
                hint=f"declare the directory that holds it: {_quoted(parent(one.host))}",
            )
        if not paths.host.access(found.real, write=True):
            raise InvalidPathError(
                f"the output {one.host!r} is not writable",
                path=one.host,
                code="spec.output-not-writable",
                hint=f"chmod u+wx {_quoted(found.real)}",
            )
    elif one.role == Role.OVERLAY and found.kind == PathKind.DEVICE:
        raise InvalidPathError(
            f"the overlay {one.host!r} is a device",
            path=one.host,
            code="spec.overlay-device",
            hint="declare it as an input: a device keeps nothing that a private layer could hold",
        )
    elif not paths.host.access(found.real, write=False):
        raise InvalidPathError(
            f"the input {one.host!r} is not readable",
            path=one.host,
            code="spec.path-unreadable",
            hint=f"chmod u+r {_quoted(found.real)}",
        )


def refuse_reserved(one: Declaration, path: str) -> None:
    """Check that a place is not one that every sandbox has for itself.

    Args:
        one: The declaration.
        path: Its place, or the place where its links lead.

    Raises:
        InvalidPathError: It is.
    """
    names = components(path)
    top = names[0] if names else ""
    if not names and one.role != Role.INPUT:
        why, hint = "the root can only be an input", "declare a directory below it"
    elif top == "proc":
        why, hint = "every sandbox has a /proc of its own", "leave it out: /proc shows the processes of the sandbox"
    elif top == "dev" and one.role != Role.INPUT:
        why, hint = "every sandbox has a /dev of its own", "/dev/shm can be written to without being declared"
    elif top == "dev" and len(names) == 1:
        why, hint = "every sandbox has a /dev of its own", "declare the devices that are needed, such as /dev/kvm"
    elif top == "dev" and names[1] in _PRIVATE_DEVICES:
        why, hint = f"every sandbox has a /dev/{names[1]} of its own", "leave it out"
    elif top == "sys" and one.role in (Role.OUTPUT, Role.OVERLAY):
        why, hint = "/sys controls the host and what limits the sandbox", "declare it as input"
    else:
        return
    leads = "" if path in (one.at, one.host) else f" leads to {path!r} and"
    raise InvalidPathError(
        f"the {one.role} {one.at!r}{leads} cannot be declared: {why}",
        path=one.at,
        code="spec.path-reserved",
        hint=hint,
    )


def clashing(first: Declaration, first_at: str, second: Declaration, second_at: str) -> OverlappingPathsError:
    """Return the error for two declarations that overlap at the places where their links lead."""
    ways = [f"{one.at!r} leads to {at!r}" for one, at in ((first, first_at), (second, second_at)) if one.at != at]
    if not ways:
        return overlap_between(first, second)
    how = "become the same path" if first_at == second_at else "overlap"
    return OverlappingPathsError(
        f"{first} and {second} {how}: {' and '.join(ways)}",
        first=first.at,
        second=second.at,
        hint="declare the paths to which the links lead",
    )


def in_a_file(inner: Declaration, outer: Declaration) -> OverlappingPathsError:
    """Return the error for something that shall be shown inside of what is a file."""
    return OverlappingPathsError(
        f"{inner} lies inside {outer}, which is a file",
        first=inner.at,
        second=outer.at,
        hint="show one of them at another place",
    )


def missing_in_output(role: str, at: str, output: str, host: str) -> InvalidPathError:
    """Return the error for something that shall be shown in an output, where nothing is made for it."""
    return InvalidPathError(
        f"the {role} {at!r} lies inside the output {output!r}, but {host!r} is not there",
        path=at,
        code="spec.output-missing",
        hint=f"mkdir -p {_quoted(host)}",
    )


def lookup_failed(error: OSError) -> InvalidPathError:
    """Return the error for a path of the host that cannot be looked at."""
    path = str(error.filename or "")
    invalid = error.errno in (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)
    return InvalidPathError(
        f"cannot look at {path!r}: {error.strerror or error}",
        path=path,
        code="spec.path-invalid" if invalid else "spec.path-unreadable",
        hint="shorten it"
        if error.errno == errno.ENAMETOOLONG
        else f"namei -l {_quoted(parent(path) if path else '/')}",
    )


def _quoted(path: str) -> str:
    """Return a path as a word for a shell."""
    from shlex import quote

    return quote(path)
