"""Read-only mounts for kernels before 5.12, which have no mount_setattr(2): one remount for each line of mountinfo."""

from __future__ import annotations

from _bldr_launcher import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _bldr_launcher.kernel import Kernel

__all__ = ["mount_points", "remount"]

# Options of proc(5) mountinfo that a remount has to repeat: one that is locked and left out makes it fail with EPERM.
_FLAGS = {
    b"ro": syscalls.MS_RDONLY,
    b"nosuid": syscalls.MS_NOSUID,
    b"nodev": syscalls.MS_NODEV,
    b"noexec": syscalls.MS_NOEXEC,
    b"noatime": syscalls.MS_NOATIME,
    b"nodiratime": syscalls.MS_NODIRATIME,
    b"relatime": syscalls.MS_RELATIME,
}
_ESCAPES = ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\"))


def mount_points(text: bytes) -> list[tuple[bytes, int]]:
    """Parse mountinfo, see proc(5).

    Args:
        text: The file.

    Returns:
        ``(path, MS_* flags)`` of each mount, parents first as the kernel lists them.
    """
    points = []
    for line in text.splitlines():
        words = line.split(b" ")
        path = words[4]
        for escape, character in _ESCAPES:  # the backslash itself comes last
            path = path.replace(escape, character)
        flags = 0
        for option in words[5].split(b","):
            flags |= _FLAGS.get(option, 0)
        points.append((path, flags))
    return points


def remount(
    beneath: bytes, kernel: Kernel = syscalls, *, set_: int = 0, clear: int = 0, recursive: bool = True
) -> None:
    """Change the flags of the mount at a path, and of those below it.

    Remounting reaches one mount only: what is mounted below stays as it was, so every line of mountinfo is visited. A
    mount that lies under another one of the same path is not reachable, and needs nothing.

    Args:
        beneath: Absolute path of the mount.
        kernel: The system calls; a test puts one that fails in its place.
        set_: ``MS_*`` flags to set.
        clear: ``MS_*`` flags to clear.
        recursive: Whether the mounts below are changed, too.

    Raises:
        OSError: A mount refuses; EPERM when ``clear`` meets a flag that the host has locked.
    """
    with open("/proc/self/mountinfo", "rb") as table:
        points = mount_points(table.read())
    inside = beneath.rstrip(b"/") + b"/"
    for path, flags in points:
        if path == beneath or (recursive and path.startswith(inside)):
            kernel.mount(None, path, None, syscalls.MS_REMOUNT | syscalls.MS_BIND | (flags | set_) & ~clear)
