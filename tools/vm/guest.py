"""The first process of a guest: makes a root, cgroups and a user's identity, runs the command, powers off.

It is started as ``python3 -I -S RUN/start RUN`` with the host's root as ``/``, read-only, and reads its orders from
``RUN/orders.json``. It answers on the stream of status, one JSON object a line: ``{"done": STATUS}`` is the last.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
import stat
import struct
import termios
import time
import traceback
from typing import Any

from tools.vm import calls
from tools.vm.layouts import cgroup_steps, starting_cgroup

__all__ = ["main"]

Orders = dict[str, Any]

_SCRATCH = "/mnt"  # an empty directory that every Debian system has
_NO_PROGRAMS = calls.MS_NOSUID | calls.MS_NODEV | calls.MS_NOEXEC
_PATIENCE = 5  # seconds for devices to appear
_SIOCSIFFLAGS, _IFF_UP_RUNNING = 0x8914, 0x49  # <linux/sockios.h>, <linux/if.h>
_DELEGABLE = "/sys/kernel/cgroup/delegate"
_SURROUNDINGS = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "TMPDIR": "/tmp",
    "LANG": "C.UTF-8",
    "VMRUN": "1",
}


def main(run: str) -> None:
    """Do everything; never returns."""
    calls.mount("proc", "/proc", "proc", _NO_PROGRAMS)
    calls.mount("sysfs", "/sys", "sysfs", _NO_PROGRAMS)
    _attempt("dev", "/dev", "devtmpfs", calls.MS_NOSUID)  # there already, if the kernel mounts it
    with open(f"{run}/orders.json", encoding="utf-8") as file:
        orders: Orders = json.load(file)
    for path in orders["modules"]:
        calls.load_module(path)
    streams = _streams(orders["kind"])
    status = 125
    try:
        _say(streams["status"], boot=_uptime())
        _make_root(orders)
        _settle(orders)
        status = _run_command(orders, streams)
    except BaseException as error:  # noqa: BLE001  whoever waits is told, whatever it was
        text = f"vmrun: the guest could not be set up: {error}\n{traceback.format_exc() if orders['verbose'] else ''}"
        os.write(streams["err"], text.encode())
    os.sync()
    for name in ("out", "err"):
        _drain(streams[name])
    _say(streams["status"], done=status)
    _drain(streams["status"])
    calls.power_off()
    time.sleep(_PATIENCE)


def _say(fd: int, **told: object) -> None:
    os.write(fd, (json.dumps(told) + "\n").encode())


def _uptime() -> str:
    with open("/proc/uptime", encoding="ascii") as file:
        return file.read().split()[0]


def _drain(fd: int) -> None:
    if os.isatty(fd):
        termios.tcdrain(fd)


def _attempt(source: str, target: str, fstype: str, flags: int = 0, options: str | None = None) -> bool:
    """Mount what not every kernel has."""
    try:
        calls.mount(source, target, fstype, flags, options)
    except OSError:
        return False
    return True


def _streams(kind: str) -> dict[str, int]:
    names = {"out": "/dev/tty0", "err": "/dev/tty1", "status": "/dev/tty2"} if kind == "uml" else _ports()
    streams = {name: os.open(device, os.O_WRONLY | os.O_NOCTTY) for name, device in names.items()}
    for fd in streams.values():
        if os.isatty(fd):
            attributes = termios.tcgetattr(fd)
            attributes[1] &= ~termios.OPOST
            attributes[3] &= ~(termios.ECHO | termios.ICANON | termios.ISIG)
            termios.tcsetattr(fd, termios.TCSANOW, attributes)
    return streams


def _ports() -> dict[str, str]:
    """The ports of a virtual serial device have names."""
    deadline = time.monotonic() + _PATIENCE
    ports: dict[str, str] = {}
    while len(ports) < 3 and time.monotonic() < deadline:
        if os.path.isdir("/sys/class/virtio-ports"):
            for device in os.listdir("/sys/class/virtio-ports"):
                with open(f"/sys/class/virtio-ports/{device}/name", encoding="ascii") as file:
                    ports[file.read().strip()] = f"/dev/{device}"
        time.sleep(0.01)
    return ports


# --------------------------------------------------------------------------------------------------------- the root


def _make_root(orders: Orders) -> None:
    """Enter a root with pivot_root: in a chroot nobody may make a user namespace."""
    root = f"{_SCRATCH}/root"
    calls.mount("none", "/", flags=calls.MS_REC | calls.MS_PRIVATE)
    calls.mount("scratch", _SCRATCH, "tmpfs", 0, "mode=755,size=75%")
    for name in ("upper", "work", "root"):
        os.mkdir(f"{_SCRATCH}/{name}")
    if orders["root"] == "overlay":
        options = f"lowerdir=/,upperdir={_SCRATCH}/upper,workdir={_SCRATCH}/work"
        calls.mount("root", root, "overlay", 0, options)
    else:
        calls.mount("/", root, flags=calls.MS_BIND)
    for place in ("/proc", "/sys", "/dev"):
        calls.mount(place, root + place, flags=calls.MS_MOVE)
    for place, mode in (("/tmp", "1777"), ("/var/tmp", "1777"), ("/run", "755")):
        calls.mount("tmpfs", root + place, "tmpfs", calls.MS_NOSUID | calls.MS_NODEV, f"mode={mode},size=75%")
    _fill_dev(f"{root}/dev")
    for source, place, writable in orders["shown"]:
        _show(source, root + place, writable=writable, kind=orders["kind"])
    os.chdir(root)
    calls.pivot_root(".", ".")
    calls.unmount(".", calls.MNT_DETACH)
    os.chdir("/")
    _attempt("securityfs", "/sys/kernel/security", "securityfs")


def _fill_dev(dev: str) -> None:
    for name in ("pts", "shm", "mqueue"):
        os.makedirs(f"{dev}/{name}", exist_ok=True)
    _attempt("devpts", f"{dev}/pts", "devpts", calls.MS_NOSUID | calls.MS_NOEXEC, "mode=620,ptmxmode=666")
    _attempt("shm", f"{dev}/shm", "tmpfs", calls.MS_NOSUID | calls.MS_NODEV, "mode=1777")
    _attempt("mqueue", f"{dev}/mqueue", "mqueue")
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        if not os.path.lexists(f"{dev}/{name}"):
            os.symlink(target, f"{dev}/{name}")
    for name in ("null", "zero", "full", "random", "urandom", "tty", "ptmx"):
        if os.path.exists(f"{dev}/{name}"):
            os.chmod(f"{dev}/{name}", 0o666)


def _show(source: str, target: str, *, writable: bool, kind: str) -> None:
    """Let a path of the host be seen."""
    directory = stat.S_ISDIR(os.stat(source).st_mode)
    if not os.path.exists(target):
        os.makedirs(target if directory else os.path.dirname(target), exist_ok=True)
        if not directory:
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    if writable and kind == "uml" and directory:
        calls.mount("none", target, "hostfs", 0, source)  # a second superblock; that of the root stays read-only
        return
    calls.mount(source, target, flags=calls.MS_BIND)
    if writable:
        calls.mount(None, target, flags=calls.MS_REMOUNT)  # the superblock; other mounts of it stay read-only


def _settle(orders: Orders) -> None:
    """Host name, loopback, disk and settings of the kernel."""
    socket.sethostname("vm")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP_RUNNING))
    if orders["disk"]:
        os.makedirs("/tmp/disk", exist_ok=True)
        calls.mount(_disk(), "/tmp/disk", "ext4")
        os.chmod("/tmp/disk", 0o1777)
    for name, setting in orders["sysctls"]:
        _write(f"/proc/sys/{name.replace('.', '/')}", setting)


def _disk() -> str:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        for device in ("/dev/vda", "/dev/ubda"):
            if os.path.exists(device):
                return device
        time.sleep(0.01)
    raise FileNotFoundError(errno.ENOENT, "no disk appeared")


def _write(path: str, text: str) -> None:
    """One write: a file object would lose an error that comes when it is closed."""
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


# ------------------------------------------------------------------------------------------------------- the cgroups


def _carry_out(step: tuple[str, ...]) -> None:
    name, place, *rest = step
    match name:
        case "mount":
            calls.mount(rest[0], place, rest[0], 0, rest[1])
        case "try-mount":
            if not _attempt(rest[0], place, rest[0], 0, rest[1]):
                os.rmdir(place)
        case "mount-v2":
            if not _attempt("cgroup2", place, "cgroup2", _NO_PROGRAMS, rest[0]):
                calls.mount("cgroup2", place, "cgroup2", _NO_PROGRAMS, rest[1])
        case "mkdir":
            os.mkdir(place)
        case "enable":
            _enable(place, rest)
        case "own":
            if os.path.exists(place):
                os.chown(place, int(rest[0]), int(rest[1]))
        case "read-only":
            calls.mount(None, place, flags=calls.MS_REMOUNT | calls.MS_BIND | calls.MS_RDONLY | _NO_PROGRAMS)
        case _:
            raise ValueError(f"no step is called {name!r}")


def _enable(place: str, controllers: list[str]) -> None:
    with open(f"{place}/cgroup.controllers", encoding="ascii") as file:
        there = file.read().split()
    for name in controllers or there:
        if name in there:
            try:
                _write(f"{place}/cgroup.subtree_control", f"+{name}")
            except OSError:
                continue  # some controllers cannot be handed down (hugetlb without pages, misc); the others count


def _delegable() -> tuple[str, ...]:
    with open(_DELEGABLE, encoding="ascii") as file:
        return tuple(file.read().split())


# ------------------------------------------------------------------------------------------------------- the command


def _run_command(orders: Orders, streams: dict[str, int]) -> int:
    layout, uid, gid = orders["cgroup"], orders["uid"], orders["gid"]
    for step in cgroup_steps(layout, uid, gid, _delegable()):
        _carry_out(step)
    _say(streams["status"], start=_uptime())
    leader = os.fork()
    if leader == 0:
        try:
            _become_command(orders, streams)
        except OSError as error:
            where = orders["cwd"] if error.filename == orders["cwd"] else orders["command"][0]
            os.write(2, f"vmrun: {where}: {error.strerror}\n".encode())
            os._exit(127 if isinstance(error, FileNotFoundError) else 126)
    while True:
        pid, status = os.wait()  # orphans, too
        if pid == leader:
            break
    try:
        os.kill(-1, signal.SIGKILL)
    except ProcessLookupError:
        pass  # nobody is left
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def _become_command(orders: Orders, streams: dict[str, int]) -> None:
    uid, gid, command = orders["uid"], orders["gid"], orders["command"]
    os.setsid()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    if cgroup := starting_cgroup(orders["cgroup"], uid):
        _write(f"{cgroup}/cgroup.procs", "0")
    for number, fd in enumerate((os.open(os.devnull, os.O_RDONLY), streams["out"], streams["err"])):
        os.dup2(fd, number)
    os.closerange(3, 64)
    if uid or gid:
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    _enter(orders["cwd"], given=orders["cwd_given"])
    home = "/tmp" if uid else "/root"
    os.execvpe(
        command[0], command, _SURROUNDINGS | {"HOME": home, "VMRUN_CGROUP": orders["cgroup"]} | orders["environment"]
    )


def _enter(directory: str, *, given: bool) -> None:
    """The directory that vmrun was started in may be closed to the command's user, which is then in ``/tmp``."""
    try:
        os.chdir(directory)
    except OSError:
        if given:
            raise
        os.chdir("/tmp")
