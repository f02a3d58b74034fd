"""The tracer: a process of its own, outside of the sandbox, that is told of calls, looks, and lets them go on.

::

    1  tracer → init         the filter, which init puts on itself; init lives among files that have no such module
       init → tracer         "listener"  path of what is executed first; descriptors: the filter's, the sandbox's root
    2  kernel → tracer       one notification a call (seccomp_unotify(2)); the answer is always CONTINUE
    3  init → tracer         "over", when nobody but init is left; or the end of the stream
    4  tracer → supervisor   "traced" calls, records that were dropped; descriptor: memfd with the records

The launcher forks it for one sandbox, and kills the sandbox when it dies: whoever makes a traced call without it gets
ENOSYS. It decides nothing: mounts, namespaces and the other filters do, and a thread that changes a path behind its
back fools the record only.

A record is its length (32-bit, little-endian) and a list in the format of ``wire``::

    process  µs  pid  parent                                                        the first time that it is seen
    nested   µs  pid                                                it has another root; its paths are not followed
    execute  µs  pid  call  path  place  errno  count of interpreters  interpreters…  arguments…
    path     µs  pid  call  action  path  place  errno  kind of what was there before
    pair     µs  pid  call  action  from  to  errno
    net      µs  pid  call  action  family  address  port
    name     µs  pid  name  server, where it is known
"""

from __future__ import annotations

import _signal
import errno
import fcntl
import os
import select
import struct
import time

from _bldr_launcher import channel, init, syscalls, trace_calls, wire
from _bldr_launcher.trace_paths import Found, View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from _bldr_launcher.trace_calls import Call

__all__ = ["LARGEST_RECORDING", "main", "start"]

# <linux/seccomp.h>
NOTIF_RECV, NOTIF_SEND, NOTIF_ID_VALID, NOTIF_SET_FLAGS = 0xC0502100, 0xC0182101, 0x40082102, 0x40082104
FLAG_CONTINUE, FD_SYNC_WAKE_UP = 1, 1
NOTIFICATION = struct.Struct("<QI4xi12x6Q")  # of struct seccomp_notif with its struct seccomp_data: id, pid, nr, args
RESPONSE = struct.Struct("<QqiI")
MESSAGE_HEADER = struct.Struct("<16xQQ32x")  # of struct mmsghdr of <bits/socket.h>: msg_iov, msg_iovlen
AF_UNIX, AF_INET, AF_INET6 = 1, 2, 10  # <bits/socket.h>
NAMES_PORT = 53
AT_FDCWD, AT_SYMLINK_NOFOLLOW = -100, 0x100  # <fcntl.h>
LARGEST_RECORDING = 256 * 1024 * 1024  # bytes; a build of a hundred thousand files is a tenth of it
_SLASH = 0x2F
_MOST_MESSAGES = 4  # of one call that are read
_MOST_WORDS = 64  # of an argument vector that are kept
_MOST_ARGV = 4096  # bytes of it
_MOST_THREADS = 4096  # that are known at a time; fewer than there are numbers (pid_max of proc(5))
_BUFFERED = 65536  # bytes that are collected before they are written


def start(link: int, status: int, init_pid: int, request: init.Request) -> int:
    """Fork the tracer of one init; returns its number. For the arguments see :func:`main`."""
    pid = os.fork()  # noqa: TID251  the launcher has one thread
    if pid == 0:
        main(link, status, init_pid, request)
    return pid


def main(link: int, status: int, init_pid: int, request: init.Request) -> NoReturn:
    """Live as the tracer of one sandbox; runs in a fork of the launcher. Never returns.

    Args:
        link: Descriptor of the socket to init, which nobody else holds from now on.
        status: Descriptor of the socket to the supervisor.
        init_pid: The number of init, whose own calls are not recorded.
        request: What the sandbox is asked for.
    """
    code = 1
    try:
        parent = os.getppid()
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, _signal.SIGKILL)
        syscalls.prctl(syscalls.PR_SET_NAME, b"bldr-tracer")
        _signal.set_wakeup_fd(-1)
        _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
        if parent == os.getppid():
            init.close_all_but(link, status)
            channel.send(link, trace_calls.trace_filter(full=b"trace-full" in request.flags))
            data, fds = channel.receive(link, wire.LARGEST_INLINE)
            if fds:  # else the set-up has failed
                path = wire.unpack(data)[1]
                path = path if path.startswith(b"/") else request.cwd.rstrip(b"/") + b"/" + path
                _trace(link, status, fds, (path, shortened(request.argv)), init_pid)
            code = 0
    except (BrokenPipeError, ConnectionResetError):
        code = 0  # init has given up
    finally:
        os._exit(code)


def _trace(link: int, status: int, fds: list[int], first: tuple[bytes, list[bytes]], init_pid: int) -> None:
    listener, root = fds
    recording = Recording(os.memfd_create("bldr-trace", os.MFD_CLOEXEC))
    calls = serve(link, listener, Observer(listener, root, first, init_pid, recording))
    recording.flush()
    report = wire.pack([b"traced", b"%d" % calls, b"%d" % recording.dropped])
    try:
        channel.send(status, report, [recording.fd])
    except (BrokenPipeError, ConnectionResetError):
        pass  # the supervisor has lost interest


def shortened(argv: Sequence[bytes]) -> list[bytes]:
    """Cut an argument vector after some words or bytes; until its first execution nobody may read the command's own."""
    words: list[bytes] = []
    left = _MOST_ARGV
    for word in argv[:_MOST_WORDS]:
        words.append(word[:left])
        left -= len(words[-1])
    return words


def serve(link: int, listener: int, observer: Observer) -> int:
    """Observe calls until init says that nobody is left; returns how many there were."""
    try:
        fcntl.ioctl(listener, NOTIF_SET_FLAGS, FD_SYNC_WAKE_UP)
    except OSError:
        pass  # before Linux 6.6; it only saves time
    poller = select.poll()
    poller.register(listener, select.POLLIN)
    poller.register(link, select.POLLIN)
    calls = trace_calls.calls_of()
    empty = bytes(NOTIFICATION.size)
    count = 0
    # Builds stand still meanwhile, fifty thousand times: this loop and Observer.take are written for speed.
    ioctl, poll, unpack, pack, take = fcntl.ioctl, poller.poll, NOTIFICATION.unpack, RESPONSE.pack, observer.take
    while True:
        for fd, event in poll():
            if fd == link or not event & select.POLLIN:  # "over"; or nobody has the filter any more
                return count
            try:
                number, tid, call, *arguments = unpack(ioctl(listener, NOTIF_RECV, empty))
            except OSError as error:
                if error.errno in (errno.EINTR, errno.ENOENT):  # ENOENT: who asked has been killed
                    continue
                raise
            count += 1
            try:
                take(number, tid, calls[call], arguments)
            except OSError:
                pass  # it has been killed meanwhile, or asks about memory that is not there
            try:
                ioctl(listener, NOTIF_SEND, pack(number, 0, 0, FLAG_CONTINUE))
            except OSError:
                pass  # who asked has been killed, or has been interrupted and asks again


class Recording:
    """What is written down, in a memfd.

    Args:
        fd: Descriptor of the memfd.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.dropped = 0
        self._size = 0
        self._waiting: list[bytes] = []
        self._bytes = 0
        self._begun = time.monotonic_ns()

    def add(self, kind: bytes, pid: int, *words: bytes) -> None:
        """Write a record."""
        if self._size > LARGEST_RECORDING:
            self.dropped += 1
            return
        microseconds = (time.monotonic_ns() - self._begun) // 1000
        data = wire.pack([kind, b"%d" % microseconds, b"%d" % pid, *words])
        self._waiting.append(struct.pack("<I", len(data)) + data)
        self._bytes += len(data) + 4
        if self._bytes > _BUFFERED:
            self.flush()

    def flush(self) -> None:
        """Write what has been collected."""
        data = memoryview(b"".join(self._waiting))
        self._size += len(data)
        self._waiting, self._bytes = [], 0
        while data:
            data = data[os.write(self.fd, data) :]


class Observer:
    """Turns notifications into records; each fact is recorded once.

    Args:
        listener: Descriptor of the filter.
        root: Descriptor of the sandbox's root.
        first: Path and arguments of the first execution.
        init_pid: The process that is left out.
        recording: Where records go.
    """

    def __init__(
        self, listener: int, root: int, first: tuple[bytes, list[bytes]], init_pid: int, recording: Recording
    ) -> None:
        about = os.fstat(root)
        self._listener = listener
        self._root = about.st_dev, about.st_ino
        self._view = View(root)
        self._first: tuple[bytes, list[bytes]] | None = first
        self._init = init_pid
        self._recording = recording
        self._memory = syscalls.Memory()
        self._text = self._memory.text
        self._known_calls: set[tuple[bytes, str, int]] = set()  # that lead to nothing new: path, call, flags
        self._seen: set[tuple[bytes, ...]] = set()
        self._processes: dict[int, int] = {}  # of a thread: its process, or 0 when its paths are not followed
        self._directories: dict[int, bytes] = {}  # of a thread: where it works
        self._known: set[int] = set()  # processes that have been recorded

    def take(self, number: int, tid: int, call: Call, arguments: Sequence[int]) -> None:
        """Look at one call.

        Raises:
            OSError: It was given up meanwhile.
        """
        if tid == self._init:
            return
        if call.path >= 0:
            path = self._absolute(tid, call.directory, arguments[call.path], arguments)
            flags = arguments[call.flags] if call.flags >= 0 else 0
            if path is not None and (path, call.name, flags) not in self._known_calls:
                self._path(number, tid, call, path, flags, arguments)
            if call.moves:
                self._directories.clear()  # threads may share the one that changes
            return
        action = call.action
        if action == "execute":
            self._execute(number, tid, call, arguments)
        elif action in ("rename", "link"):
            self._pair(number, tid, call, arguments)
        elif action == "chdir":
            self._directories.clear()
        elif action == "ask":
            self._messages(number, tid, arguments)
        else:
            self._network(number, tid, call, arguments)

    def _valid(self, number: int) -> None:
        """Check that who asked still waits, so that what was read was read of nobody else.

        Raises:
            OSError: It does not.
        """
        fcntl.ioctl(self._listener, NOTIF_ID_VALID, struct.pack("<Q", number))

    def _process(self, tid: int) -> int:
        """Return the process of a thread; 0 when its paths are not followed."""
        known = self._processes.get(tid)
        return self._meet(tid) if known is None else known

    def _meet(self, tid: int) -> int:
        """Look at a thread for the first time, or again when it executes something."""
        pid, parent = _parents(tid)
        root = self._root
        try:
            about = os.stat(b"/proc/%d/root" % tid)
            root = about.st_dev, about.st_ino
        except PermissionError:
            pass  # a program that is not readable, or the command before its first execution
        if len(self._processes) > _MOST_THREADS:  # numbers may be given a second time
            self._processes.clear()
            self._directories.clear()
        self._directories.pop(tid, None)
        if pid not in self._known:
            self._known.add(pid)
            self._recording.add(b"process", pid, b"%d" % parent)
        if root != self._root:
            self._once(pid, b"nested", b"%d" % pid)
            pid = 0
        self._processes[tid] = pid
        return pid

    def _once(self, pid: int, kind: bytes, *words: bytes) -> None:
        key = (kind, *words)
        if key not in self._seen:
            self._seen.add(key)
            self._recording.add(kind, pid, *words)

    def _absolute(self, tid: int, directory: int, address: int, arguments: Sequence[int]) -> bytes | None:
        """Read a path; None when there is none, or it is one of /proc, which tells of the process itself.

        Args:
            tid: Whose.
            directory: The argument with the descriptor that a relative path begins at; -1 for the working directory.
            address: Where the path is.
            arguments: Of the call.
        """
        path = self._text(tid, address) if address else None
        if not path:
            return None
        if path[0] != _SLASH:
            number = AT_FDCWD if directory < 0 else _signed(arguments[directory])
            if number != AT_FDCWD:
                base = os.readlink(b"/proc/%d/fd/%d" % (tid, number))
            elif tid in self._directories:
                base = self._directories[tid]
            else:
                self._process(tid)
                base = self._directories[tid] = os.readlink(b"/proc/%d/cwd" % tid)
            path = base + b"/" + path if base != b"/" else base + path
        return None if path.startswith(b"/proc/") or path[0] != _SLASH else path

    def _path(self, number: int, tid: int, call: Call, path: bytes, flags: int, arguments: Sequence[int]) -> None:
        pid = self._process(tid)
        if not pid:
            return
        action, follow, creates = self._intent(tid, call, flags, arguments)
        key = (action, path, b"1" if follow else b"0")
        self._valid(number)
        if call.name != "openat2":  # its flags are in memory
            self._known_calls.add((path, call.name, flags))
        if key in self._seen:
            return
        self._seen.add(key)
        found = self._view.find(path, follow=follow)
        if action == b"read" and found.kind == b"d":
            action = b"list"
        self._record(pid, call, action, path, found, _outcome(found, action, call.action, creates=creates))

    def _record(self, pid: int, call: Call, action: bytes, path: bytes, found: Found, error: int) -> None:
        words = (call.name.encode(), action, path, found.path, b"%d" % error, found.kind)
        self._recording.add(b"path", pid, *words)

    def _intent(self, tid: int, call: Call, flags: int, arguments: Sequence[int]) -> tuple[bytes, bool, bool]:
        """Return what is going to be done, whether a link at the end is followed, and whether a file may be made."""
        action = call.action
        if action != "open":
            name = {"look": b"look", "remove": b"delete"}.get(action, b"write")
            return name, call.follow and not flags & AT_SYMLINK_NOFOLLOW, action == "make"
        if call.name == "creat":
            return b"write", True, True
        if call.name == "openat2":
            words = self._memory.read(tid, arguments[2], 8)
            flags = struct.unpack("<Q", words)[0] if len(words) == 8 else 0
        follow = not flags & os.O_NOFOLLOW
        if flags & os.O_PATH:
            return b"look", follow, False
        if flags & (os.O_ACCMODE | os.O_CREAT | os.O_TRUNC):
            creates = bool(flags & os.O_CREAT) or flags & os.O_TMPFILE == os.O_TMPFILE
            return b"write", follow and not flags & os.O_EXCL, creates
        return b"read", follow, False

    def _pair(self, number: int, tid: int, call: Call, arguments: Sequence[int]) -> None:
        old, new = [self._absolute(tid, directory, arguments[place], arguments) for directory, place in call.pair]
        self._directories.clear()  # one of them may be what is renamed
        if old is None or new is None:
            return
        pid = self._process(tid)
        if not pid:
            return
        self._valid(number)
        here, there = self._view.find(old, follow=False), self._view.find(new, follow=False)
        error = here.error
        if not error and not there.has_parent:
            error = there.error
        if not error and (there.fixed or (here.fixed and call.action == "rename")):
            error = errno.EROFS
        self._once(pid, b"pair", call.name.encode(), call.action.encode(), here.path, there.path, b"%d" % error)

    def _execute(self, number: int, tid: int, call: Call, arguments: Sequence[int]) -> None:
        directory, place = (0, 1) if call.name == "execveat" else (-1, 0)
        pid = self._meet(tid)
        if self._first is not None:
            path, argv = self._first
            self._first = None
        else:
            path = self._absolute(tid, directory, arguments[place], arguments) or b""  # a descriptor, or of /proc
            argv = self._words(tid, arguments[place + 1])
        self._valid(number)
        if not pid:
            self._recording.add(b"execute", _parents(tid)[0], call.name.encode(), path, path, b"0", b"0", *argv)
            return
        found = self._view.find(path, follow=True) if path else Found(b"", b"f", mode=0o111)
        error = found.error
        if not error and (found.kind != b"f" or not found.mode & 0o111):
            error = errno.EACCES
        interpreters = [] if error else self._view.interpreters(found.path)
        for one in interpreters:
            if one.error:
                error = errno.ENOENT
                self._record(pid, call, b"execute", one.path, one, one.error)
        names = [one.path for one in interpreters if not one.error]
        words = (call.name.encode(), path, found.path, b"%d" % error, b"%d" % len(names), *names, *argv)
        if error:
            self._once(pid, b"execute", *words[:5])
        else:
            self._recording.add(b"execute", pid, *words)

    def _words(self, tid: int, address: int) -> list[bytes]:
        """Read an argument vector."""
        table = self._memory.read(tid, address, 8 * _MOST_WORDS) if address else b""
        words: list[bytes] = []
        left = _MOST_ARGV
        for (pointer,) in struct.iter_unpack("<Q", table[: len(table) // 8 * 8]):
            word = self._memory.text(tid, pointer) if pointer else None
            if word is None or left < 0:
                break
            words.append(word[:left])
            left -= len(word)
        return words

    def _network(self, number: int, tid: int, call: Call, arguments: Sequence[int]) -> None:
        place = 4 if call.action == "send" else 1
        data = self._memory.read(tid, arguments[place], min(arguments[place + 1] & 0xFFFFFFFF, 128))
        if len(data) < 3:
            return
        (family,) = struct.unpack_from("<H", data)
        pid = self._process(tid) or _parents(tid)[0]
        if family == AF_UNIX:
            self._socket(number, pid, tid, call, data[2:])
        elif family in (AF_INET, AF_INET6) and len(data) >= (8 if family == AF_INET else 24):
            address, port = _address(family, data), struct.unpack_from(">H", data, 2)[0]
            self._valid(number)
            words = (call.name.encode(), call.action.encode(), b"inet" if family == AF_INET else b"inet6")
            self._once(pid, b"net", *words, address, b"%d" % port)
            if call.action == "send" and port == NAMES_PORT:
                size = min(arguments[2], 512)
                if name := _asked_name(self._memory.read(tid, arguments[1], size)):
                    self._once(pid, b"name", name, address)

    def _messages(self, number: int, tid: int, arguments: Sequence[int]) -> None:
        """Read the names that several messages ask for at once: glibc asks for both families of addresses like this."""
        count = min(arguments[2] & 0xFFFFFFFF, _MOST_MESSAGES)
        headers = self._memory.read(tid, arguments[1], MESSAGE_HEADER.size * count)
        for vector, parts in MESSAGE_HEADER.iter_unpack(headers[: len(headers) // MESSAGE_HEADER.size * 64]):
            part = self._memory.read(tid, vector, 16) if parts == 1 else b""
            if len(part) == 16:
                address, size = struct.unpack("<QQ", part)
                if name := _asked_name(self._memory.read(tid, address, min(size, 512))):
                    self._valid(number)
                    self._once(self._process(tid) or _parents(tid)[0], b"name", name, b"")

    def _socket(self, number: int, pid: int, tid: int, call: Call, name: bytes) -> None:
        """A socket of the file system is found by its path; an abstract one belongs to the network namespace."""
        if name[:1] == b"\0":
            self._valid(number)
            self._once(pid, b"net", call.name.encode(), call.action.encode(), b"abstract", name[1:].rstrip(b"\0"), b"0")
            return
        path = name.split(b"\0", 1)[0]
        if not path.startswith(b"/"):
            path = os.readlink(b"/proc/%d/cwd" % tid).rstrip(b"/") + b"/" + path
        self._valid(number)
        key = (call.action.encode(), path)
        if key in self._seen or not self._processes.get(tid):
            return
        self._seen.add(key)
        found = self._view.find(path, follow=True)
        action = b"connect" if call.action != "bind" else b"write"
        self._record(
            pid, call, action, path, found, _outcome(found, action, call.action, creates=call.action == "bind")
        )


def _outcome(found: Found, action: bytes, call: str, *, creates: bool) -> int:
    """Predict the errno of a call from what its path leads to."""
    if found.error:
        if not creates or not found.has_parent:
            return found.error
        return errno.EROFS if found.fixed else 0
    if call in ("make", "bind"):
        return errno.EEXIST if call == "make" else errno.EADDRINUSE
    if action in (b"write", b"delete"):
        if found.fixed and (found.kind in (b"f", b"d", b"l") or action == b"delete"):
            return errno.EROFS
    elif action == b"read" and not found.mode & 0o777 and found.kind == b"f":
        return errno.EACCES  # a hole, which nobody can read
    return 0


def _signed(word: int) -> int:
    number = word & 0xFFFFFFFF
    return number - (1 << 32) if number & 0x80000000 else number


def _parents(tid: int) -> tuple[int, int]:
    """Return the process of a thread, and its parent."""
    fd = os.open(b"/proc/%d/status" % tid, os.O_RDONLY | os.O_CLOEXEC)
    try:
        text = os.read(fd, 1024)
    finally:
        os.close(fd)
    return int(text.split(b"\nTgid:", 1)[1].split(None, 1)[0]), int(text.split(b"\nPPid:", 1)[1].split(None, 1)[0])


def _address(family: int, data: bytes) -> bytes:
    from _socket import inet_ntop

    return inet_ntop(family, data[4:8] if family == AF_INET else data[8:24]).encode()


def _asked_name(message: bytes) -> bytes:
    """Return the name that a DNS query (RFC 1035) asks for; nothing when it is no query."""
    if len(message) < 17 or message[2] & 0xF8 or message[4:6] != b"\0\1":
        return b""
    labels = []
    place = 12
    while place < len(message) and message[place]:
        size = message[place]
        if size > 63 or place + 1 + size >= len(message):
            return b""
        labels.append(message[place + 1 : place + 1 + size])
        place += 1 + size
    return b".".join(labels)
