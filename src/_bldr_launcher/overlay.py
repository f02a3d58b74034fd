"""Overlays: a directory of the host whose writes land in a private layer, by overlayfs in the user namespace.

The kernel wants its layers as paths, so both trees are attached to the new root for a moment; the overlay keeps copies
of these mounts. ``userxattr`` lets a user namespace mark whiteouts and opaque directories, in attributes named
``user.overlay.*``; with it redirects are neither made nor followed, so that a tree cannot lead out of itself, and the
rename of a directory of the host is EXDEV, which programs answer with a copy.
"""

from __future__ import annotations

import errno
import os
import stat

from _bldr_launcher import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _bldr_launcher.kernel import Kernel

__all__ = ["UPPER", "WORK", "Source", "mount", "sources_of"]

UPPER, WORK = b"upper", b"work"
_LOWER_AT, _LAYER_AT = b".bldr-lower", b".bldr-layer"
_PROBE = b"user.bldr"


class Source:
    """A tree that the launcher opens for a step.

    Args:
        path: Host path.
        at: Where it is shown, if it is a bind that may be an output.
        is_temp: Whether it is in the scratch directory of the execution.
        is_tree: Whether it is a directory.
    """

    __slots__ = ("at", "is_temp", "is_tree", "path")

    def __init__(self, path: bytes, *, at: bytes = b"", is_temp: bool = False, is_tree: bool = True) -> None:
        self.path = path
        self.at = at
        self.is_temp = is_temp
        self.is_tree = is_tree


def sources_of(operation: bytes, arguments: list[bytes], scratch: bytes, *, alone: bool) -> tuple[Source, ...]:
    """Return the trees that a step needs, in the order in which init attaches them.

    Args:
        operation: Its name.
        arguments: Its arguments.
        scratch: The scratch directory of the execution.
        alone: Whether that is itself the only temp, in place of a directory in it.
    """
    if operation == b"bind":
        return (Source(arguments[0], at=arguments[1], is_tree=arguments[2] == b"dir"),)
    if operation == b"temp":
        return (Source(scratch if alone else scratch + b"/" + arguments[0], is_temp=True),)
    if operation == b"copy":
        return (Source(scratch + b"/" + arguments[0], is_temp=True, is_tree=arguments[2] == b"dir"),)
    if operation == b"overlay":
        lower = Source(arguments[0])
        return (lower, Source(scratch + b"/" + arguments[2], is_temp=True)) if arguments[2] else (lower,)
    return ()


def mount(lower: int, layer: int, kernel: Kernel = syscalls) -> int:
    """Make an overlay of two detached trees, whose descriptors are closed.

    Args:
        lower: The directory of the host.
        layer: An empty directory for what is written.
        kernel: The system calls; a test puts one that fails in its place.

    Returns:
        The descriptor of the overlay, detached.

    Raises:
        OSError: This kernel, or one of the two file systems, cannot do it; EOPNOTSUPP where the layer's has no extended
            attributes.
    """
    _attach(lower, _LOWER_AT, kernel)
    _attach(layer, _LAYER_AT, kernel)
    upper, work = _LAYER_AT + b"/" + UPPER, _LAYER_AT + b"/" + WORK
    os.mkdir(upper, 0o700)
    os.mkdir(work, 0o700)
    _require_attributes(upper)
    tree = _overlay(_LOWER_AT, upper, work, kernel)
    _look_like(_LOWER_AT, upper)
    for place in (_LOWER_AT, _LAYER_AT):
        kernel.umount2(place, syscalls.MNT_DETACH)
        os.rmdir(place)
    return tree


def _attach(tree: int, place: bytes, kernel: Kernel) -> None:
    os.mkdir(place, 0o700)
    kernel.move_mount(tree, b"", syscalls.AT_FDCWD, place, syscalls.MOVE_MOUNT_F_EMPTY_PATH)
    os.close(tree)


def _require_attributes(directory: bytes) -> None:
    """Without them overlayfs can be mounted, but a directory that was removed cannot be made again."""
    try:
        os.setxattr(directory, _PROBE, b"1")
        os.removexattr(directory, _PROBE)
    except OSError as error:
        raise OSError(errno.EOPNOTSUPP, "the file system of the layer has no extended attributes") from error


def _overlay(lower: bytes, upper: bytes, work: bytes, kernel: Kernel) -> int:
    context = kernel.fsopen(b"overlay")
    try:
        for key, text in ((b"source", b"bldr"), (b"lowerdir", lower), (b"upperdir", upper), (b"workdir", work)):
            kernel.fsconfig(context, syscalls.FSCONFIG_SET_STRING, key, text)
        # An index would tie the layer to this very tree; redirects and metacopy are off with userxattr.
        kernel.fsconfig(context, syscalls.FSCONFIG_SET_STRING, b"index", b"off")
        kernel.fsconfig(context, syscalls.FSCONFIG_SET_FLAG, b"userxattr", None)
        kernel.fsconfig(context, syscalls.FSCONFIG_CMD_CREATE, None, None)
        return kernel.fsmount(context, syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV)
    finally:
        os.close(context)


def _look_like(lower: bytes, upper: bytes) -> None:
    """Give the top of the layer, which is what the overlay shows as its own top, the mode and times of the host's."""
    status = os.stat(lower)
    os.chmod(upper, stat.S_IMODE(status.st_mode))
    os.utime(upper, ns=(status.st_atime_ns, status.st_mtime_ns))
