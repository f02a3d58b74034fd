"""Tries one thing with the kernel and exits with 0, or says on standard error what refused. Run as a program.

It asks the kernel directly and shares no code with bldr, so that a fault in bldr cannot turn into a skipped test.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
import tempfile

CLONE_NEWNS = 0x00020000  # <linux/sched.h>
CLONE_NEWUSER = 0x10000000  # <linux/sched.h>
CLONE_NEWPID = 0x20000000  # <linux/sched.h>
CLONE_NEWNET = 0x40000000  # <linux/sched.h>
CLONE_NEWIPC = 0x08000000  # <linux/sched.h>
CLONE_NEWUTS = 0x04000000  # <linux/sched.h>
MS_REC = 0x4000  # <linux/mount.h>
MS_PRIVATE = 1 << 18  # <linux/mount.h>
OPEN_TREE_CLONE = 1  # <linux/mount.h>
AT_EMPTY_PATH = 0x1000  # <linux/fcntl.h>
MOUNT_ATTR_IDMAP = 0x00100000  # <linux/mount.h>
PR_SET_NO_NEW_PRIVS = 38  # <linux/prctl.h>
LANDLOCK_CREATE_RULESET_VERSION = 1  # <linux/landlock.h>
LANDLOCK_ACCESS_FS_WRITE_FILE = 1 << 1  # <linux/landlock.h>
LANDLOCK_ACCESS_FS_TRUNCATE = 1 << 14  # <linux/landlock.h>
LANDLOCK_SCOPE_SIGNAL = 1 << 1  # <linux/landlock.h>

# One number for every architecture, as all calls of Linux 5.1 and later (<asm-generic/unistd.h>).
NR_OPEN_TREE = 428
NR_MOUNT_SETATTR = 442
NR_LANDLOCK_CREATE_RULESET = 444
NR_LANDLOCK_RESTRICT_SELF = 446

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def call(name, *arguments):
    answer = libc.syscall(*arguments) if name.startswith("NR_") else getattr(libc, name)(*arguments)
    if answer < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name.removeprefix('NR_').lower()}: {os.strerror(error)}")
    return answer


def long(number):
    return ctypes.c_long(number)


def mount(source, target, fstype, flags=0, data=None):
    call("mount", source, target, fstype, ctypes.c_ulong(flags), data)


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def enter_user_namespace(more=0):
    uid, gid = os.geteuid(), os.getegid()
    call("unshare", CLONE_NEWUSER | CLONE_NEWNS | more)
    write("/proc/self/setgroups", "deny")
    write("/proc/self/uid_map", f"0 {uid} 1")
    write("/proc/self/gid_map", f"0 {gid} 1")
    mount(b"none", b"/", None, MS_REC | MS_PRIVATE)


def user_namespaces(directory):
    """Unsharing succeeds under some policies that take the capabilities away later, so something has to be mounted."""
    enter_user_namespace(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)
    mount(b"tmpfs", os.fsencode(directory), b"tmpfs")
    write(os.path.join(directory, "file"), "there")
    call("sethostname", b"elsewhere", 9)


def proc_mount(directory):
    """A fresh /proc is refused ("mount too revealing") where the host's own is covered in parts."""
    enter_user_namespace(CLONE_NEWPID)
    pid = os.fork()
    if pid == 0:
        try:
            mount(b"proc", os.fsencode(directory), b"proc")
        except OSError as error:
            print(error.strerror, file=sys.stderr)
            os._exit(1)
        os._exit(0)
    if os.waitpid(pid, 0)[1]:
        sys.exit(1)


def overlay_in_userns(directory):
    enter_user_namespace()
    mount(b"tmpfs", os.fsencode(directory), b"tmpfs")
    for name in ("lower", "upper", "work", "merged"):
        os.mkdir(os.path.join(directory, name))
    options = f"lowerdir={directory}/lower,upperdir={directory}/upper,workdir={directory}/work,userxattr"
    mount(b"overlay", os.fsencode(f"{directory}/merged"), b"overlay", 0, options.encode())
    write(f"{directory}/merged/file", "there")


def overlay_in_memory(directory):
    """Overlayfs notes what it needs in attributes of the layer; a tmpfs keeps those of users since Linux 6.6."""
    overlay_in_userns(directory)
    os.setxattr(f"{directory}/upper", "user.bldr", b"y")


def without_overlay_in_userns(directory):
    """Linux 5.11 was the first one to let users mount overlays."""
    try:
        overlay_in_userns(directory)
    except PermissionError:
        return
    raise OSError(0, "the kernel lets users mount overlays")


def without_mount_setattr(directory):
    try:
        call("NR_MOUNT_SETATTR", long(NR_MOUNT_SETATTR), long(-1), b"", long(0), None, long(0))
    except OSError as error:
        if error.errno == errno.ENOSYS:
            return
    raise OSError(0, "the kernel has mount_setattr")


def without_landlock(directory):
    try:
        landlock_abi()
    except OSError:
        return
    raise OSError(0, "the kernel has Landlock")


def landlock_abi():
    number = long(NR_LANDLOCK_CREATE_RULESET)
    return call("NR_LANDLOCK_CREATE_RULESET", number, None, long(0), long(LANDLOCK_CREATE_RULESET_VERSION))


def landlock_of(version):
    """Make the trial of whether Landlock is of a version or a later one; rules for TCP came with the fourth."""

    def trial(directory):
        if landlock_abi() < version:
            raise OSError(0, f"Landlock here is of version {landlock_abi()}")

    return trial


def idmapped_mounts(directory):
    """Maps the ids of a directory for one mount; needs rights in the user namespace that owns the file system."""
    ready, report = os.pipe()
    finish, closer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(closer)
        call("unshare", CLONE_NEWUSER)
        os.write(report, b".")
        os.read(finish, 1)
        os._exit(0)
    os.close(finish)
    try:
        os.close(report)
        if not os.read(ready, 1):
            raise OSError(0, "unshare: the child could not make a user namespace")
        write(f"/proc/{pid}/uid_map", "0 1234 1")
        write(f"/proc/{pid}/gid_map", "0 1234 1")
        userns = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY)
        tree = call("NR_OPEN_TREE", long(NR_OPEN_TREE), long(-100), os.fsencode(directory), long(OPEN_TREE_CLONE))
        attributes = ctypes.create_string_buffer(struct.pack("=QQQQ", MOUNT_ATTR_IDMAP, 0, 0, userns), 32)
        call(
            "NR_MOUNT_SETATTR",
            *(long(NR_MOUNT_SETATTR), long(tree), b"", long(AT_EMPTY_PATH), attributes, long(len(attributes))),
        )
    finally:
        os.close(closer)
        os.waitpid(pid, 0)


def landlock(directory):
    number = long(NR_LANDLOCK_CREATE_RULESET)
    call("NR_LANDLOCK_CREATE_RULESET", number, None, long(0), long(LANDLOCK_CREATE_RULESET_VERSION))
    landlock_refuses(LANDLOCK_ACCESS_FS_WRITE_FILE, directory, lambda path: write(path, "after"))


def landlock_truncate(directory):
    """What a sandbox without namespaces needs: the right to truncate is known since Linux 6.2."""
    landlock_refuses(LANDLOCK_ACCESS_FS_TRUNCATE, directory, lambda path: os.truncate(path, 0))


def landlock_refuses(right, directory, attempt):
    path = os.path.join(directory, "file")
    write(path, "before")
    handled = ctypes.create_string_buffer(struct.pack("=Q", right), 8)
    restrict(handled, 8)
    try:
        attempt(path)
    except PermissionError:
        return
    raise OSError(0, "landlock: a change got through")


def restrict(attributes, size):
    ruleset = call("NR_LANDLOCK_CREATE_RULESET", long(NR_LANDLOCK_CREATE_RULESET), attributes, long(size), long(0))
    call("prctl", PR_SET_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0)))
    call("NR_LANDLOCK_RESTRICT_SELF", long(NR_LANDLOCK_RESTRICT_SELF), long(ruleset), long(0))


def landlock_scopes(directory):
    """Processes outside of a domain cannot be signalled from it, since Linux 6.12."""
    restrict(ctypes.create_string_buffer(struct.pack("=QQQ", 0, 0, LANDLOCK_SCOPE_SIGNAL), 24), 24)
    try:
        os.kill(os.getppid(), 0)
    except PermissionError:
        return
    raise OSError(0, "landlock: a signal got through")


def main():
    trial = {
        "idmapped-mounts": idmapped_mounts,
        "landlock": landlock,
        "landlock-scopes": landlock_scopes,
        "landlock-truncate": landlock_truncate,
        **{f"landlock-abi-{version}": landlock_of(version) for version in range(3, 8)},
        "landlock-network": landlock_of(4),
        "overlay-in-memory": overlay_in_memory,
        "overlay-in-userns": overlay_in_userns,
        "proc-mount": proc_mount,
        "user-namespaces": user_namespaces,
        "without-landlock": without_landlock,
        "without-mount-setattr": without_mount_setattr,
        "without-overlay-in-userns": without_overlay_in_userns,
    }[sys.argv[1]]
    with tempfile.TemporaryDirectory(prefix="bldr-probe.") as directory:
        # The trial has a process of its own: what it changes ends with it, and the directory can be removed here.
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                trial(directory)
                status = 0
            except OSError as error:
                print(error.strerror or error, file=sys.stderr)
            except SystemExit:
                pass
            os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    sys.exit(1 if status else 0)


if __name__ == "__main__":
    main()
