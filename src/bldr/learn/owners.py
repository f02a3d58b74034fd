"""What a file outside of the workspace belongs to: a package, a prefix, a directory, or nothing but itself. Pure."""

from __future__ import annotations

import os

from bldr.explain.advice import holds_secrets
from bldr.model.paths import components, is_within, parent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from bldr.explain.host import Host

__all__ = ["collapsed", "may_be_shown", "outermost"]

# What is directly below one of these is a package of its own, when it is a directory.
_SHELVES = (
    "/usr/local/lib", "/usr/local/lib64", "/usr/local/libexec", "/usr/local/share", "/usr/local/include",
    "/usr/local/src", "/usr/local", "/opt", "/nix/store", "/gnu/store", "/snap", "/var/lib",
)  # fmt: skip
_HOME_SHELVES = (".local/lib", ".local/share", ".local/opt")
# Directories of many owners, which are never shown as a whole.
_SHARED = (
    "bin", "sbin", "lib", "lib64", "libexec", "share", "include", "src", "etc", "games", "man", "var",
)  # fmt: skip
_BROAD = frozenset(["/", "/usr/local", "/etc", "/var", "/home", "/root", "/srv", "/mnt", "/media", "/opt", "/tmp"])
_MANY = 3  # neighbours that are taken together


def collapsed(files: Iterable[str], host: Host) -> tuple[str, ...]:
    """Return the fewest sensible paths that hold some files; never one that holds secrets beside them.

    A file of a package means the package, a file of a prefix (a virtual environment, an unpacked toolchain) the
    prefix. Two files or more of another directory mean the directory, three such directories their parent.

    Args:
        files: Paths of the host, none of them in a toolchain.
        host: What is there, and whose home is whose.
    """
    shelves = (*_SHELVES, *[f"{host.home}/{one}" for one in _HOME_SHELVES if host.home])
    found: set[str] = set()
    loose: set[str] = set()
    for path in sorted(set(files)):
        owner = _owner(path, shelves, host)
        (found if owner else loose).add(owner or path)
    loose = {path for path in loose if not any(is_within(path, one) for one in found)}
    loose = _taken_together(loose, host, least=2)
    while True:
        fewer = _taken_together(loose, host, least=_MANY)
        if fewer == loose:
            break
        loose = fewer
    return outermost(found | loose)


def outermost(paths: Iterable[str]) -> tuple[str, ...]:
    """Return those paths that lie in no other one, sorted.

    Example:
        >>> outermost(["/a/b", "/a", "/ab"])
        ('/a', '/ab')
    """
    kept: list[str] = []
    for path in sorted(set(paths), key=components):
        if not kept or not is_within(path, kept[-1]):
            kept.append(path)
    return tuple(kept)


def _owner(path: str, shelves: Iterable[str], host: Host) -> str:
    """Return the package or prefix of a file; empty when it has none."""
    for shelf in shelves:
        if path.startswith(shelf + "/"):
            first = path[len(shelf) + 1 :].partition("/")[0]
            package = f"{shelf}/{first}"
            if package == path or (shelf == "/usr/local" and first in _SHARED):
                return ""
            return package if may_be_shown(package, host) else ""
    names = components(path)
    for length in range(2, len(names)):
        prefix = "/" + "/".join(names[:length])
        is_package = names[length - 1] == "node_modules" or names[length - 2] in ("site-packages", "dist-packages")
        if (is_package or _is_prefix(prefix, host)) and may_be_shown(prefix, host):
            return prefix
    return ""


def _is_prefix(directory: str, host: Host) -> bool:
    if directory == f"{host.home}/.local":
        return False
    if host.has(f"{directory}/pyvenv.cfg"):
        return True
    return host.is_directory(f"{directory}/bin") and any(
        host.is_directory(f"{directory}/{one}") for one in ("lib", "lib64", "libexec")
    )


def _taken_together(paths: set[str], host: Host, *, least: int) -> set[str]:
    """Replace neighbours by their directory, where there are enough and it may be shown."""
    beside: dict[str, int] = {}
    for path in paths:
        beside[parent(path)] = beside.get(parent(path), 0) + 1
    shown = {one for one, count in beside.items() if count >= least and may_be_shown(one, host)}
    return set(outermost({parent(path) if parent(path) in shown else path for path in paths}))


def may_be_shown(directory: str, host: Host) -> bool:
    """Whether a directory is narrow enough, and holds no secrets."""
    if directory in _BROAD or is_within(directory, "/etc"):
        return False
    if parent(directory) in ("/usr/local", f"{host.home}/.local") and os.path.basename(directory) in _SHARED:
        return False
    if len(components(directory)) < 2 or (host.home and is_within(host.home, directory)):
        return False
    return not holds_secrets(directory, host)
