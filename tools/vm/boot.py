"""Boot a machine, pass on what its command says, and end it."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tools.vm.confine import become_guest
from tools.vm.fetch import INTERPRETER_LINK
from tools.vm.kernels import Kernel, RefusalError
from tools.vm.machines import Machine, Streams, qemu_command, uml_command, virtiofsd_command

__all__ = ["DIED", "TIMED_OUT", "Order", "boot", "interpreter", "shown_paths"]

TIMED_OUT = 124
DIED = 125
_INTERRUPTED = 130
_LAST_WORDS = 3  # seconds for what the command said to arrive, after its status has
_LAST_LOG = 3000  # characters
_KILLED = 5  # seconds for the streams of a killed guest to end
_OWN_PACE = 0.3  # seconds for user-mode Linux to power off by itself
_VIRTIOFSD = ("/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd")
_HIDDEN = ("/tmp", "/var/tmp", "/run")  # fresh in a guest
_CHECKOUT = str(Path(__file__).resolve().parents[2])
_START = "import sys\nsys.path.insert(0, {checkout!r})\nfrom tools.vm.guest import main\nmain(sys.argv[1])\n"


@dataclass(frozen=True)
class Order:
    """What is to be run, and on what. The options of the command line have the same names."""

    kernel: Kernel
    command: tuple[str, ...]
    uid: int = 0
    gid: int = 0
    cgroup: str = "v2"
    root: str = "overlay"
    writable: tuple[str, ...] = ()
    shown: tuple[tuple[str, str], ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    parameters: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    cwd: str = ""
    disk: int = 0
    memory: int = 1024
    cpus: int = 2
    timeout: float = 600
    verbose: int = 0
    keep: bool = False


def interpreter() -> str:
    """Return the Python of the guests: Debian's, which everybody can start."""
    return next(
        (path for path in ("/usr/bin/python3", os.path.realpath(sys.executable)) if os.access(path, os.X_OK)), ""
    )


def say(text: str) -> None:
    """A line of vmrun's own."""
    print(f"vmrun: {text}", file=sys.stderr, flush=True)


def shown_paths(order: Order, cwd: str) -> list[tuple[str, str, bool]]:
    """Return what has to be mounted into the guest's root, parents first: path of the host, place, whether writable.

    The directory that vmrun was started in is shown by itself where it would be hidden.
    """
    paths = {place: (source, False) for source, place in order.shown}
    if cwd.startswith(tuple(f"{hidden}/" for hidden in _HIDDEN)) and not any(_is_within(cwd, place) for place in paths):
        paths[cwd] = (cwd, False)
    paths |= {path: (path, True) for path in order.writable}
    return [
        (source, place, writable) for place, (source, writable) in sorted(paths.items(), key=lambda item: len(item[0]))
    ]


def _is_within(path: str, directory: str) -> bool:
    return f"{path}/".startswith(f"{directory.rstrip('/')}/")


def boot(order: Order, directory: Path) -> int:
    """Run the command of an order on a kernel that is ready in ``directory``; return the exit status for the shell."""
    run = Path(tempfile.mkdtemp(prefix="vmrun-"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        if any(character.isspace() for character in f"{run}{directory}"):
            raise RefusalError(
                f"a kernel cannot be given paths with spaces ({run}, {directory}); set TMPDIR or VMRUN_CACHE"
            )
        return _boot(order, directory, run)
    finally:
        if order.keep:
            say(f"kept {run}")
        else:
            shutil.rmtree(run, ignore_errors=True)


def _boot(order: Order, directory: Path, run: Path) -> int:
    machine = Machine(
        kernel=directory,
        run=run,
        interpreter=interpreter(),
        memory=order.memory,
        cpus=order.cpus,
        disk=bool(order.disk),
        compressed=not (directory / "vmlinux").exists(),
        ramdisk=(directory / "initrd").exists(),
        parameters=order.parameters,
    )
    _write_orders(order, machine)
    if order.disk:
        _make_disk(run / "disk.img", order.disk)
    started = time.monotonic()

    def trace(text: str) -> None:
        if order.verbose:
            say(f"{time.monotonic() - started:.2f} s: {text}")

    with contextlib.ExitStack() as stack:
        console = stack.enter_context((run / "console.log").open("wb"))
        pipes = {name: os.pipe() for name in ("out", "err", "status")}
        streams = Streams(pipes["out"][1], pipes["err"][1], pipes["status"][1], console.fileno())
        start = _start_uml if order.kernel.kind == "uml" else _start_qemu
        try:
            guest = stack.enter_context(start(order, machine, streams, trace))
        finally:
            for _, end in pipes.values():
                os.close(end)
        answer = _Conversation({name: reader for name, (reader, _) in pipes.items()}, guest, trace).hold(order.timeout)
    trace("the guest has ended")
    log = (run / "console.log").read_text(encoding="utf-8", errors="replace")
    if answer is None:
        # A kernel of user-mode Linux that dies repeats everything it ever said; what it said last is before that.
        say("the guest died; this is what its kernel said last:")
        sys.stderr.write(log.partition("kmsg_dump:")[0][-_LAST_LOG:])
    elif order.verbose > 1:
        sys.stderr.write(log)
    return DIED if answer is None else answer


def _write_orders(order: Order, machine: Machine) -> None:
    modules = json.loads((machine.kernel / "modules.json").read_text(encoding="utf-8"))
    cwd = order.cwd or os.getcwd()
    orders = {
        "kind": order.kernel.kind,
        "modules": [f"{machine.kernel}/modules/{name}" for name in modules],
        "command": order.command,
        "uid": order.uid,
        "gid": order.gid,
        "cgroup": order.cgroup,
        "root": "ro" if order.kernel.root_only_ro else order.root,
        "shown": shown_paths(order, cwd),
        "sysctls": order.sysctls,
        "environment": order.environment,
        "cwd": cwd,
        "cwd_given": bool(order.cwd),
        "disk": bool(order.disk),
        "verbose": order.verbose,
    }
    (machine.run / "orders.json").write_text(json.dumps(orders), encoding="utf-8")
    (machine.run / "start").write_text(_START.format(checkout=_CHECKOUT), encoding="utf-8")


def _make_disk(image: Path, size: int) -> None:
    with image.open("wb") as file:
        file.truncate(size << 20)
    options = ["-q", "-t", "ext4", "-F", "-E", "lazy_itable_init=1,nodiscard"]
    environment = dict(os.environ, PATH=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    try:
        done = subprocess.run(["mke2fs", *options, image], check=False, capture_output=True, text=True, env=environment)
    except FileNotFoundError as error:
        raise RefusalError("a disk needs mke2fs; install the package e2fsprogs") from error
    if done.returncode:
        raise RefusalError(f"mke2fs could not make a disk of {size} MiB: {done.stderr.strip()}")


def _start(
    argv: Sequence[str], streams: Streams, *, confined: Sequence[str] | None, **options: object
) -> subprocess.Popen[bytes]:
    """Start a part of a machine; ``confined`` names what stays writable for it, if it sees files at all."""

    def before() -> None:
        if confined is None:
            os.setsid()
        else:
            become_guest(confined)

    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
        argv,
        stdin=subprocess.DEVNULL,
        stdout=streams.console,
        stderr=streams.console,
        preexec_fn=before,  # noqa: PLW1509  vmrun has one thread
        **options,
    )


@contextlib.contextmanager
def _start_uml(
    order: Order, machine: Machine, streams: Streams, trace: Callable[[str], None]
) -> Iterator[subprocess.Popen[bytes]]:
    environment = dict(os.environ, TMPDIR=_room_for_memory(order.memory))
    libraries = machine.kernel / "lib"
    if libraries.is_dir():
        _link_interpreter(INTERPRETER_LINK.format(name=order.kernel.name), libraries / "ld-linux-x86-64.so.2")
        environment["LD_LIBRARY_PATH"] = str(libraries)
    argv = uml_command(machine, streams)
    trace(shlex.join(argv))
    confined = [str(machine.run), *order.writable]
    guest = _start(argv, streams, confined=confined, pass_fds=streams.all(), env=environment)
    try:
        yield guest
        with contextlib.suppress(subprocess.TimeoutExpired):
            guest.wait(_OWN_PACE)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(guest.pid, signal.SIGKILL)  # processes of the guest are processes of this session
        guest.wait()


def _room_for_memory(memory: int) -> str:
    """User-mode Linux keeps the guest's memory in a file that it maps and executes; without room it dies of SIGBUS."""
    for place in ("/dev/shm", "/tmp", "/var/tmp"):
        if os.path.isdir(place) and os.access(place, os.W_OK):
            room = os.statvfs(place)
            if room.f_bavail * room.f_frsize > memory << 20 and not room.f_flag & os.ST_NOEXEC:
                return place
    raise RefusalError(
        f"neither /dev/shm, /tmp nor /var/tmp has {memory} MiB for a guest's memory (noexec counts as none); try --mem"
    )


def _link_interpreter(link: str, target: Path) -> None:
    if os.path.realpath(link) != str(target):
        fresh = f"{link}{os.getpid()}"
        os.symlink(target, fresh)
        os.replace(fresh, link)


@contextlib.contextmanager
def _start_qemu(
    order: Order, machine: Machine, streams: Streams, trace: Callable[[str], None]
) -> Iterator[subprocess.Popen[bytes]]:
    program = next((path for path in _VIRTIOFSD if os.path.exists(path)), None)
    if program is None or not shutil.which("qemu-system-x86_64"):
        raise RefusalError(f"{order.kernel.name} needs QEMU and virtiofsd; install the package qemu-system-x86")
    if os.getuid() != 0:
        raise RefusalError(
            f"{order.kernel.name} needs root, because virtiofsd does; a kernel that starts with uml- does not"
        )
    # The socket is there before either side is, so that nobody has to wait for the other.
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{machine.run}/vfs")
        listener.listen(1)
        argv = virtiofsd_command(program, listener.fileno())
        trace(shlex.join(argv))
        confined = [str(machine.run), *order.writable]
        server = _start(argv, streams, confined=confined, pass_fds=(listener.fileno(),))
    try:
        argv = qemu_command(machine, streams)
        trace(shlex.join(argv))
        guest = _start(argv, streams, confined=None, pass_fds=streams.all())
        try:
            yield guest
        finally:
            guest.kill()
            guest.wait()
    finally:
        server.kill()
        server.wait()


class _Conversation:
    """Copies what the command says, and listens for its status."""

    def __init__(self, readers: dict[str, int], guest: subprocess.Popen[bytes], trace: Callable[[str], None]) -> None:
        self._guest = guest
        self._trace = trace
        self._selector = selectors.DefaultSelector()
        self._outputs = {"out": 1, "err": 2}
        self._told = b""
        self._boots = 0
        self._status: int | None = None
        for name, fd in readers.items():
            self._selector.register(fd, selectors.EVENT_READ, name)

    def hold(self, timeout: float) -> int | None:
        """Listen until the guest has ended; return the status for the shell, or nothing when there was none."""
        deadline = time.monotonic() + timeout
        timed_out = False
        try:
            while self._selector.get_map():
                left = deadline - time.monotonic()
                if left <= 0 and (timed_out or self._status is not None):
                    break
                if left <= 0:
                    timed_out = True
                    say(f"the command did not end in {timeout:g} s; the guest is killed")
                    self._guest.kill()
                    deadline = time.monotonic() + _KILLED
                    continue
                ready = self._selector.select(min(left, 0.2))
                known = self._status is not None
                for key, _ in ready:
                    self._read(key.fd, key.data)
                if self._status is not None and not known:
                    deadline = min(deadline, time.monotonic() + _LAST_WORDS)
                if not ready and self._guest.poll() is not None:
                    break
        except KeyboardInterrupt:
            return _INTERRUPTED
        finally:
            for key in list(self._selector.get_map().values()):
                os.close(key.fd)
            self._selector.close()
        if self._status is not None:
            return self._status
        return TIMED_OUT if timed_out else None

    def _read(self, fd: int, name: str) -> None:
        part = os.read(fd, 65536)
        if not part:
            self._selector.unregister(fd)
            os.close(fd)
        elif name == "status":
            self._told += part
            *lines, self._told = self._told.split(b"\n")
            for line in lines:
                self._trace(f"the guest says {line.decode(errors='replace')}")
                told = json.loads(line)
                if "boot" in told:
                    self._boots += 1
                if self._boots > 1:  # user-mode Linux would go on for ever
                    self._guest.kill()
                if "done" in told:
                    self._status = told["done"]
        else:
            self._copy(name, part)

    def _copy(self, name: str, part: bytes) -> None:
        try:
            while part:
                part = part[os.write(self._outputs[name], part) :]
        except BrokenPipeError:  # for example: vmrun ... | head
            self._outputs[name] = os.open(os.devnull, os.O_WRONLY)
