"""What a tracer makes of the calls it is told of: it reads their arguments, and each fact is recorded once."""

from __future__ import annotations

import errno
import fcntl
import os
import struct

from _bldr_launcher import syscalls
from _bldr_launcher.trace_paths import Found, View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from _bldr_launcher.trace_calls import Call
    from _bldr_launcher.tracer import Recording

__all__ = ["Observer", "shortened"]

MESSAGE_HEADER = struct.Struct("<16xQQ32x")  # of struct mmsghdr of <bits/socket.h>: msg_iov, msg_iovlen
AF_UNIX, AF_INET, AF_INET6 = 1, 2, 10  # <bits/socket.h>
NAMES_PORT = 53
AT_FDCWD, AT_SYMLINK_NOFOLLOW = -100, 0x100  # <fcntl.h>
PIDFD_GET_INFO = 0xC040FF0B  # <linux/pidfd.h>; of the first size that the structure had
WANTED = bytes(64)  # of struct pidfd_info: nothing but what it always tells
PROCESS = struct.Struct("<16x4I")  # of it: pid, tgid, ppid, ruid
_SLASH = 0x2F
_MOST_MESSAGES = 4  # of one call that are read
_MOST_WORDS = 64  # of an argument vector that are kept
_MOST_ARGV = 4096  # bytes of it
_MOST_THREADS = 4096  # that are known at a time; fewer than there are numbers (pid_max of proc(5))
_MOST_MEMORIES = 64  # that are open at a time
_USUAL_PATH = 256  # bytes that are read first


def shortened(argv: Sequence[bytes]) -> list[bytes]:
    """Cut an argument vector after some words or bytes; until its first execution nobody may read the command's own."""
    words: list[bytes] = []
    left = _MOST_ARGV
    for word in argv[:_MOST_WORDS]:
        words.append(word[:left])
        left -= len(words[-1])
    return words


class Observer:
    """Turns calls into records.

    Whoever calls waits until it is answered. What was read meanwhile is only known to be its own when the answer has
    reached it, so records are `pending` until then; and to write them takes no time from it.

    Args:
        root: Descriptor of the sandbox's root.
        init_pid: The number of init.
        recording: Where records go.
        nests: Whether processes can get roots of their own.
    """

    def __init__(self, root: int, init_pid: int, recording: Recording, *, nests: bool) -> None:
        about = os.fstat(root)
        self.machine = os.uname().machine
        self.pending: list[tuple[tuple[object, ...], bytes, int, tuple[bytes, ...]]] = []  # key, kind, process, words
        self._root = about.st_dev, about.st_ino
        self._view = View(root)
        self._init = init_pid
        self._nests = nests
        self._recording = recording
        self._memory = syscalls.Memory()
        self._begun = False  # whether the command has been executed
        self._first: tuple[bytes, list[bytes]] = (b"", [])
        self._seen: set[tuple[object, ...]] = set()
        self._memories: dict[int, int] = {}  # of a thread: a descriptor of its memory
        self._processes: dict[int, int] = {}  # of a thread: its process, or 0 when its paths are not followed
        self._directories: dict[int, bytes] = {}  # of a thread: where it works
        self._askers: set[tuple[int, int]] = set()  # processes, and sockets of theirs to a server of names

    def close(self) -> None:
        """Let go of everybody."""
        self._view.close()
        self._forget_memories()

    def expect(self, path: bytes, argv: list[bytes]) -> None:
        """Say what is executed first. Until then nothing is recorded: init, and who becomes the command, run."""
        self._first = path, argv
        self._view.program(path)  # while the command's process is still made

    def look(self, tid: int, call: Call, arguments: Sequence[int], refusal: int = 0) -> None:
        """Look at one call.

        Args:
            tid: Who calls.
            call: What is called.
            arguments: As they are in registers.
            refusal: The errno that it will be answered, where a policy refuses it.

        Raises:
            OSError: Who called is not there any more.
        """
        place = call.path
        if place >= 0:
            if not self._begun:
                return
            path = self._absolute(tid, call.directory, arguments[place], arguments)
            flags = arguments[call.flags] if call.flags >= 0 else 0
            if path is not None and (path, call.name, flags) not in self._seen:
                self._path(tid, call, path, flags, arguments)
            if call.moves:
                self._directories.clear()  # threads may share the one that changes
            return
        action = call.action
        if action == "execute":
            self._execute(tid, call, arguments, refusal)
        elif not self._begun:
            return
        elif action in ("rename", "link"):
            self._pair(tid, call, arguments)
        elif action == "chdir":
            self._directories.clear()
        elif action == "ask":
            self._messages(tid, arguments)
        else:
            self._network(tid, call, arguments)

    def write(self) -> None:
        """Write what was found about a call, which has been answered."""
        for key, kind, pid, words in self.pending:
            self._seen.add(key)
            if kind:
                self._recording.add(kind, pid, *words)
        self.pending.clear()

    def forget(self, tid: int) -> None:
        """Forget what was found about a call, whose answer has reached nobody."""
        self.pending.clear()
        self._processes.pop(tid, None)
        self._directories.pop(tid, None)
        self._forget_memories()

    def _once(self, pid: int, kind: bytes, *words: bytes) -> None:
        key = (kind, *words)
        if key not in self._seen:
            self.pending.append((key, kind, pid, words))

    def _process(self, tid: int) -> int:
        """Return the process of a thread; 0 when its paths are not followed."""
        known = self._processes.get(tid)
        return self._meet(tid) if known is None else known

    def _meet(self, tid: int) -> int:
        """Look at a thread for the first time, or again when it executes something."""
        pid, parent = _parents(tid) if self._begun else (tid, self._init)
        root = self._root
        if self._begun and self._nests:
            try:
                about = os.stat(b"/proc/%d/root" % tid)
                root = about.st_dev, about.st_ino
            except PermissionError:
                pass  # a program that is not readable
        if len(self._processes) > _MOST_THREADS:  # numbers may be given a second time
            self._processes.clear()
            self._directories.clear()
        self._directories.pop(tid, None)
        if ("process", pid) not in self._seen:
            self.pending.append((("process", pid), b"process", pid, (b"%d" % parent,)))
        if root != self._root:
            self._once(pid, b"nested", b"%d" % pid)
            pid = 0
        self._processes[tid] = pid
        return pid

    def _text(self, tid: int, address: int) -> bytes | None:
        """Read a text from the memory of a thread; None when there is none.

        It goes through a descriptor, which is quicker than process_vm_readv(2) from the third time on.
        """
        memory = self._memories.get(tid, -1)
        if memory < 0:
            memory = self._open_memory(tid)
        try:
            text, end, _ = os.pread(memory, _USUAL_PATH, address).partition(b"\0")
        except (OSError, OverflowError):  # no such memory: the call itself will fail with EFAULT
            return None
        if end:
            return text
        if not text:  # whose memory it was has executed something, or has ended and its number is somebody else's now
            self._forget_memories()
        return self._memory.text(tid, address)

    def _open_memory(self, tid: int) -> int:
        if len(self._memories) >= _MOST_MEMORIES:
            self._forget_memories()
        memory = self._memories[tid] = os.open(b"/proc/%d/mem" % tid, os.O_RDONLY | os.O_CLOEXEC)
        return memory

    def _forget_memories(self) -> None:
        while self._memories:
            os.close(self._memories.popitem()[1])

    def _forget_memory(self, tid: int) -> None:
        """Forget the memory of a process that executes something: it gets another one."""
        for number in (tid, self._processes.get(tid, 0)):
            if number in self._memories:
                os.close(self._memories.pop(number))

    def _absolute(
        self, tid: int, directory: int, address: int, arguments: Sequence[int], *, brief: bool = False
    ) -> bytes | None:
        """Read a path; None when there is none, or it is one of /proc, which tells of the process itself.

        Args:
            tid: Whose.
            directory: The argument with the descriptor that a relative path begins at; -1 for the working directory.
            address: Where the path is.
            arguments: Of the call.
            brief: Whether its memory is not read again.
        """
        if not address:
            return None
        path = self._memory.text(tid, address) if brief else self._text(tid, address)
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

    def _path(self, tid: int, call: Call, path: bytes, flags: int, arguments: Sequence[int]) -> None:
        pid = self._process(tid)
        if not pid:
            return
        action, follow, creates = self._intent(tid, call, flags, arguments)
        key = (action, path, follow)
        if call.name != "openat2":  # its flags are in memory
            self.pending.append(((path, call.name, flags), b"", 0, ()))
        if key in self._seen:
            return
        lookup = self._view.look if action in (b"look", b"read") else self._view.find
        found = lookup(path, follow=follow)
        if action == b"read" and found.kind == b"d":
            action = b"list"
        self._record(key, pid, call, action, path, found, _outcome(found, action, call.action, creates=creates))

    def _record(
        self, key: tuple[object, ...], pid: int, call: Call, action: bytes, path: bytes, found: Found, error: int
    ) -> None:
        words = (call.name.encode(), action, path, found.path, b"%d" % error, found.kind)
        self.pending.append((key, b"path", pid, words))

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

    def _pair(self, tid: int, call: Call, arguments: Sequence[int]) -> None:
        old, new = [self._absolute(tid, directory, arguments[place], arguments) for directory, place in call.pair]
        self._directories.clear()  # one of them may be what is renamed
        if old is None or new is None:
            return
        pid = self._process(tid)
        if not pid:
            return
        here, there = self._view.find(old, follow=False), self._view.find(new, follow=False)
        error = here.error
        if not error and not there.has_parent:
            error = there.error
        if not error and (there.fixed or (here.fixed and call.action == "rename")):
            error = errno.EROFS
        self._once(pid, b"pair", call.name.encode(), call.action.encode(), here.path, there.path, b"%d" % error)

    def _execute(self, tid: int, call: Call, arguments: Sequence[int], refusal: int) -> None:
        if not self._begun:
            if refusal:
                return  # an attempt that has to fail
            pid = self._meet(tid)
            path, argv = self._first
            self._begun = True
        else:
            directory, place = (0, 1) if call.name == "execveat" else (-1, 0)
            pid = self._meet(tid)
            # It has none when it is executed by a descriptor, or one of /proc.
            path = self._absolute(tid, directory, arguments[place], arguments, brief=True) or b""
            argv = self._words(tid, arguments[place + 1])
            self._forget_memory(tid)
        if not pid:
            words = (call.name.encode(), path, path, b"%d" % refusal, b"0", *argv)
            self.pending.append(((), b"execute", _parents(tid)[0], words))
            return
        found, interpreters = self._view.program(path) if path else (Found(b"", b"f", mode=0o111), ())
        error = refusal or found.error
        if not error and (found.kind != b"f" or not found.mode & 0o111):
            error = errno.EACCES
        names = []
        for one in () if error else interpreters:
            if one.error:
                error = errno.ENOENT
                self._record((), pid, call, b"execute", one.path, one, one.error)
            else:
                names.append(one.path)
        words = (call.name.encode(), path, found.path, b"%d" % error, b"%d" % len(names), *names, *argv)
        if error:
            self._once(pid, b"execute", *words[:5])
        else:
            self.pending.append(((), b"execute", pid, words))

    def _words(self, tid: int, address: int) -> list[bytes]:
        """Read an argument vector. Its words mostly lie one behind the other, and are read together."""
        table = self._memory.read(tid, address, 8 * _MOST_WORDS) if address else b""
        words: list[bytes] = []
        left = _MOST_ARGV
        start, block = 0, b""
        for (pointer,) in struct.iter_unpack("<Q", table[: len(table) // 8 * 8]):
            if not pointer or left < 0:
                break
            begin = pointer - start
            end = block.find(0, begin) if 0 <= begin < len(block) else -1
            if end < 0:
                start, begin = pointer, 0
                block = self._memory.read(tid, pointer, _MOST_ARGV)
                end = block.find(0)
            if end < 0:
                break
            words.append(block[begin:end][:left])
            left -= end - begin
        return words

    def _network(self, tid: int, call: Call, arguments: Sequence[int]) -> None:
        place = 4 if call.action == "send" else 1
        if not arguments[place]:
            self._question(tid, arguments)
            return
        data = self._memory.read(tid, arguments[place], min(arguments[place + 1] & 0xFFFFFFFF, 128))
        if len(data) < 3:
            return
        (family,) = struct.unpack_from("<H", data)
        pid = self._process(tid) or _parents(tid)[0]
        if family == AF_UNIX:
            self._socket(pid, tid, call, data[2:])
        elif family in (AF_INET, AF_INET6) and len(data) >= (8 if family == AF_INET else 24):
            address, port = _address(family, data), struct.unpack_from(">H", data, 2)[0]
            words = (call.name.encode(), call.action.encode(), b"inet" if family == AF_INET else b"inet6")
            self._once(pid, b"net", *words, address, b"%d" % port)
            if port != NAMES_PORT:
                self._askers.discard((pid, arguments[0]))
            elif call.action == "connect":
                self._askers.add((pid, arguments[0]))
            elif call.action == "send":
                self._name(pid, tid, arguments, address)

    def _question(self, tid: int, arguments: Sequence[int]) -> None:
        """A message over a connection: it asks for a name where that leads to a server of names."""
        pid = self._process(tid) or _parents(tid)[0]
        if (pid, arguments[0]) in self._askers:
            self._name(pid, tid, arguments, b"")

    def _name(self, pid: int, tid: int, arguments: Sequence[int], server: bytes) -> None:
        if name := _asked_name(self._memory.read(tid, arguments[1], min(arguments[2], 512))):
            self._once(pid, b"name", name, server)

    def _messages(self, tid: int, arguments: Sequence[int]) -> None:
        """Read the names that several messages ask for at once: glibc asks for both families of addresses like this."""
        count = min(arguments[2] & 0xFFFFFFFF, _MOST_MESSAGES)
        headers = self._memory.read(tid, arguments[1], MESSAGE_HEADER.size * count)
        for vector, parts in MESSAGE_HEADER.iter_unpack(headers[: len(headers) // MESSAGE_HEADER.size * 64]):
            part = self._memory.read(tid, vector, 16) if parts == 1 else b""
            if len(part) == 16:
                address, size = struct.unpack("<QQ", part)
                if name := _asked_name(self._memory.read(tid, address, min(size, 512))):
                    self._once(self._process(tid) or _parents(tid)[0], b"name", name, b"")

    def _socket(self, pid: int, tid: int, call: Call, name: bytes) -> None:
        """A socket of the file system is found by its path; an abstract one belongs to the network namespace."""
        if name[:1] == b"\0":
            words = (call.name.encode(), call.action.encode(), b"abstract", name[1:].rstrip(b"\0"), b"0")
            self._once(pid, b"net", *words)
            return
        path = name.split(b"\0", 1)[0]
        if not path.startswith(b"/"):
            path = os.readlink(b"/proc/%d/cwd" % tid).rstrip(b"/") + b"/" + path
        key = (call.action, path)
        if key in self._seen or not self._processes.get(tid):
            return
        found = self._view.find(path, follow=True)
        action, binds = (b"write", True) if call.action == "bind" else (b"connect", False)
        self._record(key, pid, call, action, path, found, _outcome(found, action, call.action, creates=binds))


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
    try:
        fd = os.pidfd_open(tid)
        try:
            _, process, parent, _ = PROCESS.unpack_from(fcntl.ioctl(fd, PIDFD_GET_INFO, WANTED))
        finally:
            os.close(fd)
        return process, parent
    except OSError:
        return _parents_in_text(tid)  # before Linux 6.13; or it is a further thread of its process


def _parents_in_text(tid: int) -> tuple[int, int]:
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
