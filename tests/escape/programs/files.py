"""Attempts on files: to see what was not declared, to change what is an input, to write outside the outputs.

Places: ``world`` (directory of all that follows), ``undeclared`` (a directory), ``source`` (an input), ``out`` (an
output), ``temp``.
"""

from __future__ import annotations

import fcntl
import os
import struct

from tests.escape.programs.calls import MS_BIND, MS_REMOUNT, as_host_root, buffer, call, with_capabilities

FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_NODUMP_FL = 0x80086601, 0x40086602, 0x40  # <linux/fs.h>


def _read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def _write(path, text="changed\n", flags=0):
    fd = os.open(path, os.O_WRONLY | flags, 0o644)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def read_undeclared(at):
    return _read(f"{at.undeclared}/secret")


def stat_undeclared(at):
    return os.stat(f"{at.undeclared}/secret").st_size


def list_undeclared(at):
    return os.listdir(at.undeclared)


def list_world(at):
    return sorted(os.listdir(at.world))


def read_by_dot_dot(at):
    return _read(f"{at.source}/sub/../../undeclared/secret")


def read_above_the_root(at):
    return _read("/.." * 30 + f"{at.undeclared}/secret")


def read_by_changing_directory_upwards(at):
    os.chdir(f"{at.source}/sub")
    os.chdir("../..")
    return _read("undeclared/secret")


def read_by_own_root(at):
    return _read(f"/proc/self/root{at.undeclared}/secret")


def read_by_own_directory(at):
    os.chdir(at.source)
    return _read("/proc/self/cwd/../undeclared/secret")


def read_by_link_in_input(at):
    return _read(f"{at.source}/link-to-secret")


def read_by_link_in_output(at):
    return _read(f"{at.out}/way-out/secret")


def read_by_new_link_in_output(at):
    os.symlink(f"{at.undeclared}/secret", f"{at.out}/new-link")
    return _read(f"{at.out}/new-link")


def write_by_link_in_output(at):
    _write(f"{at.out}/way-out/secret", flags=os.O_TRUNC)


def create_by_link_in_output(at):
    _write(f"{at.out}/way-out/planted", flags=os.O_CREAT)


def read_hole(at):
    return _read(f"{at.source}/private/key")


def list_hole(at):
    if not os.listdir(f"{at.source}/private"):
        raise LookupError("nothing is shown there")


def read_hole_that_is_a_file(at):
    return _read(f"{at.source}/password")


def write_hole(at):
    _write(f"{at.source}/private/new", flags=os.O_CREAT)


def open_input_for_writing(at):
    _write(f"{at.source}/opened")


def append_to_input(at):
    _write(f"{at.source}/appended", flags=os.O_APPEND)


def truncate_input_on_open(at):
    os.close(os.open(f"{at.source}/truncated-on-open", os.O_RDONLY | os.O_TRUNC))


def truncate_input(at):
    os.truncate(f"{at.source}/truncated", 0)


def create_in_input(at):
    _write(f"{at.source}/created", flags=os.O_CREAT)


def create_unnamed_in_input(at):
    os.close(os.open(at.source, os.O_WRONLY | os.O_TMPFILE, 0o600))


def make_directory_in_input(at):
    os.mkdir(f"{at.source}/directory")


def make_link_in_input(at):
    os.symlink("anywhere", f"{at.source}/link")


def make_pipe_in_input(at):
    os.mkfifo(f"{at.source}/pipe")


def remove_input(at):
    os.unlink(f"{at.source}/removed")


def remove_directory_of_input(at):
    os.rmdir(f"{at.source}/empty")


def rename_input(at):
    os.rename(f"{at.source}/renamed", f"{at.source}/renamed.new")


def rename_output_over_input(at):
    _write(f"{at.out}/replacement", flags=os.O_CREAT)
    os.rename(f"{at.out}/replacement", f"{at.source}/replaced")


def move_input_to_output(at):
    os.rename(f"{at.source}/moved", f"{at.out}/moved")


def rename_whole_input(at):
    os.rename(at.source, f"{at.source}.moved")
    os.rename(f"{at.source}.moved", at.source)


def change_mode_of_input(at):
    os.chmod(f"{at.source}/mode", 0o777)


def change_times_of_input(at):
    os.utime(f"{at.source}/times", (1, 1))


def change_owner_of_input(at):
    os.chown(f"{at.source}/owner", os.getuid(), os.getgid())


def change_attributes_of_input(at):
    fd = os.open(f"{at.source}/flags", os.O_RDONLY)
    flags = struct.unpack("l", fcntl.ioctl(fd, FS_IOC_GETFLAGS, bytes(8)))[0]
    fcntl.ioctl(fd, FS_IOC_SETFLAGS, struct.pack("l", flags ^ FS_NODUMP_FL))


def set_extended_attribute_of_input(at):
    os.setxattr(f"{at.source}/xattr", "user.bldr", b"changed")


def write_input_by_link_in_output(at):
    os.symlink(f"{at.source}/by-link", f"{at.out}/link-to-input")
    _write(f"{at.out}/link-to-input", flags=os.O_TRUNC)


def link_input_into_output(at):
    os.link(f"{at.source}/hard", f"{at.out}/hard")
    _write(f"{at.out}/hard", flags=os.O_TRUNC)


def reopen_input_for_writing(at):
    fd = os.open(f"{at.source}/reopened", os.O_RDONLY)
    _write(f"/proc/self/fd/{fd}")


def replace_loader_configuration(at):
    """What a later execution would read; the control is the same act on a directory of the world."""
    place = "/etc" if at.inside else at.source
    _write(f"{place}/ld.so.preload", flags=os.O_CREAT)


def create_beside_input(at):
    _write(f"{at.world}/created", flags=os.O_CREAT)


def create_above(at):
    _write(f"{at.above}/{at.unique}", flags=os.O_CREAT)
    os.unlink(f"{at.above}/{at.unique}")


def create_in_the_root(at):
    place = "" if at.inside else at.out
    _write(f"{place}/created", flags=os.O_CREAT)


def create_in_devices(at):
    place = "/dev" if at.inside else at.out
    _write(f"{place}/created-as-device", flags=os.O_CREAT)


def create_in_programs(at):
    place = "/usr/bin" if at.inside else at.out
    _write(f"{place}/created-as-program", flags=os.O_CREAT)


def overwrite_synthesised_file(at):
    place = "/etc/passwd" if at.inside else f"{at.source}/passwd"
    _write(place, flags=os.O_TRUNC)


def write_undeclared(at):
    _write(f"{at.undeclared}/written", flags=os.O_CREAT)


def write_output(at):
    _write(f"{at.out}/result", "result\n", flags=os.O_CREAT)
    return _read(f"{at.out}/result")


def write_temp(at):
    _write(f"{at.temp}/{at.unique}", "scratch\n", flags=os.O_CREAT)
    return _read(f"{at.temp}/{at.unique}")


def read_file_that_only_the_caller_can_read(at):
    return _read(f"{at.source}/mode-0600")


@with_capabilities
def remount_input_writable(at):
    if not at.inside:
        call("mount", at.source.encode(), at.source.encode(), 0, MS_BIND, 0)  # something to be remounted
    status = os.statvfs(at.source).f_flag
    kept = status & (os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC)  # these are locked, in a mount of somebody else
    call("mount", 0, at.source.encode(), 0, MS_BIND | MS_REMOUNT | kept, 0)


@with_capabilities
def unmount_input(at):
    if not at.inside:
        call("mount", at.source.encode(), at.source.encode(), 0, MS_BIND, 0)
    call("umount2", at.source.encode(), 2)  # MNT_DETACH


@with_capabilities
def uncover_hole(at):
    hole = f"{at.source}/private".encode()
    if not at.inside:
        call("mount", b"tmpfs", hole, b"tmpfs", 0, 0)
    call("umount2", hole, 2)


@with_capabilities
def change_attributes_of_the_mount(at):
    place = at.source.encode()
    if not at.inside:
        call("mount", place, place, 0, MS_BIND, 0)
    attributes = buffer(struct.pack("=QQQQ", 0, 1, 0, 0))  # clear MOUNT_ATTR_RDONLY of <linux/mount.h>
    call("mount_setattr", -100, place, 0, attributes, len(attributes))


@as_host_root
def open_by_handle(at):
    """The escape of early containers: a handle is resolved on the whole file system, whatever is mounted where."""
    handle = buffer(struct.pack("Ii", 128, 0) + bytes(128))
    mount_id = buffer(bytes(4))
    call("name_to_handle_at", -100, f"{at.source}/opened".encode(), handle, mount_id, 0)
    directory = os.open(at.source, os.O_RDONLY)
    os.close(call("open_by_handle_at", directory, handle, os.O_RDONLY))


@as_host_root
def make_device(at):
    os.mknod(f"{at.out}/null", 0o20666, os.makedev(1, 3))


@as_host_root
def read_private_file_of_another_user(at):
    return _read(f"{at.source}/somebody-elses")


@as_host_root
def read_device_in_input(at):
    """The raw disk of the host would be one such device; this one is /dev/zero by another name."""
    fd = os.open(f"{at.source}/device", os.O_RDONLY)
    return len(os.read(fd, 4))


@as_host_root
def read_device_in_output(at):
    os.close(os.open(f"{at.out}/device", os.O_RDONLY))
