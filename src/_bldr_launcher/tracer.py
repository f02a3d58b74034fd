"""The tracer: a process of its own, outside of the sandbox, that is told of calls, looks, and lets them go on.

::

    1  launcher → init       the filter, which init puts on itself, or the command's process on itself where a policy
                             refuses processes or programs
       launcher → tracer     "trace"  number of init, whether sandboxes can nest in it, what is refused, working
                             directory, arguments
                             descriptors: the launcher's end of the socket to init, the status socket
       init → tracer         "listener"  path of what is executed first
                             descriptors: the filter's, the sandbox's root [, memory for what is refused, see policy.py]
    2  kernel → tracer       one notification a call (seccomp_unotify(2)); the answer is CONTINUE, or EPERM for what
                             the policy refuses
    3  init → tracer         an execution of nothing, when nobody but init is left; or the end of all that are filtered
    4  tracer → supervisor   "traced" calls, records that were dropped; descriptor: memfd with the records
       tracer → launcher     one byte: it waits for the next sandbox

The launcher kills the sandbox when its tracer dies: whoever makes a traced call without it gets ENOSYS. Apart from a
policy for processes it decides nothing: mounts, namespaces and the other filters do, and a thread that changes a path
behind its back fools the record only.

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

from _bldr_launcher import channel, init, policy, release, seccomp, syscalls, trace_calls, wire
from _bldr_launcher.trace_observer import Observer, shortened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

    from _bldr_launcher.policy import Referee

__all__ = ["LARGEST_RECORDING", "Recording", "job", "main", "serve"]

# <linux/seccomp.h>
NOTIF_RECV, NOTIF_SEND, NOTIF_SET_FLAGS = 0xC0502100, 0xC0182101, 0x40082104
FLAG_CONTINUE, FD_SYNC_WAKE_UP = 1, 1
NOTIFICATION = struct.Struct("<QI4xi12x6Q")  # of struct seccomp_notif with its struct seccomp_data: id, pid, nr, args
RESPONSE = struct.Struct("<QqiI")
LARGEST_RECORDING = 256 * 1024 * 1024  # bytes; a build of a hundred thousand files is a tenth of it
_BUFFERED = 65536  # bytes that are collected before they are written


def job(request: init.Request, init_pid: int, *, nests: bool) -> bytes:
    """Return the message that asks a tracer to trace one sandbox.

    Args:
        request: What the sandbox is asked for.
        init_pid: The number of its init.
        nests: Whether a process in it can get a root of its own.
    """
    refused = b" ".join(sorted(request.refused))
    return wire.pack([
        b"trace", b"%d" % init_pid, b"1" if nests else b"0", refused, request.cwd, *shortened(request.argv)
    ])  # fmt: skip


def main(control: int) -> NoReturn:
    """Trace one sandbox after the other; runs in a fork of the launcher. Never returns.

    Args:
        control: Descriptor of the socket to the launcher.
    """
    code = 1
    try:
        parent = os.getppid()
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, _signal.SIGKILL)
        syscalls.prctl(syscalls.PR_SET_NAME, b"bldr-tracer")
        _signal.set_wakeup_fd(-1)
        _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
        if parent == os.getppid():
            init.close_all_but(control)
            _live(control)
            code = 0
    except (BrokenPipeError, ConnectionResetError):
        code = 0  # the launcher is gone, or needs no tracer any more
    finally:
        os._exit(code)


def _live(control: int) -> None:
    while True:
        data, fds = channel.receive(control, wire.LARGEST_INLINE)
        if not data:
            return
        try:
            _trace(wire.unpack(data), fds)
        finally:
            for fd in fds:
                os.close(fd)
        channel.send(control, b"i")


def _trace(words: Sequence[bytes], fds: Sequence[int]) -> None:
    _, init_pid, nests, refused, cwd, *argv = words
    link, status = fds
    data, theirs = channel.receive(link, wire.LARGEST_INLINE)
    if not theirs:
        return  # the set-up has failed
    listener, root, *records = theirs
    recording = Recording(os.memfd_create("bldr-trace", os.MFD_CLOEXEC))
    observer = Observer(root, int(init_pid), recording, nests=nests == b"1")
    try:
        path = wire.unpack(data)[1]
        observer.expect(path if path.startswith(b"/") else cwd.rstrip(b"/") + b"/" + path, argv)
        referee = policy.Referee(refused.split(), sees_host=True, record=records[0]) if refused else None
        calls = serve(listener, int(init_pid), observer, referee)
        recording.flush()
        channel.send(status, wire.pack([b"traced", b"%d" % calls, b"%d" % recording.dropped]), [recording.fd])
    except (BrokenPipeError, ConnectionResetError):
        pass  # the supervisor has lost interest
    finally:
        observer.close()
        for fd in (*theirs, recording.fd):
            os.close(fd)


def serve(listener: int, init_pid: int, observer: Observer, referee: Referee | None = None) -> int:
    """Observe calls until init says that nobody is left, or really nobody is; returns how many calls there were."""
    receive = _receiver(listener)
    calls = trace_calls.calls_of()
    judged = seccomp.refusable(observer.machine) if referee is not None else {}
    count = refusal = 0
    # Builds stand still meanwhile, fifty thousand times: this loop and Observer.look are written for speed.
    ioctl, pack, look, pending = fcntl.ioctl, RESPONSE.pack, observer.look, observer.pending
    while True:
        words = receive()
        if not words:
            return count
        number, tid, call, *arguments = words
        if call in judged:
            refusal = _judge(referee, judged[call], tid)
        if tid != init_pid:
            count += 1
            try:
                look(tid, calls[call], arguments, refusal)
            except (OSError, KeyError):
                pass  # it has been killed meanwhile, or asks about memory that is not there; or makes a process
        try:
            ioctl(listener, NOTIF_SEND, pack(number, 0, -refusal, 0 if refusal else FLAG_CONTINUE))
        except OSError:  # who asked has been killed, or has been interrupted and asks again
            observer.forget(tid)
            refusal = 0
            continue
        # It waited from the call to the answer, so what was read meanwhile was read of nobody else.
        if pending:
            observer.write()
        if call in judged:
            if referee is not None and not refusal:
                referee.command_executed = True
            refusal = 0
        if tid == init_pid and calls[call].action == "execute":
            return count


def _receiver(listener: int) -> Callable[[], tuple[int, ...]]:
    """Return what waits for a call, and returns nothing when nobody has the filter any more."""
    try:
        fcntl.ioctl(listener, NOTIF_SET_FLAGS, FD_SYNC_WAKE_UP)
    except OSError:
        pass  # before Linux 6.6; it only saves time
    poller = select.poll()
    poller.register(listener, select.POLLIN)
    empty = bytes(NOTIFICATION.size)
    ioctl, unpack = fcntl.ioctl, NOTIFICATION.unpack
    poll = None if release.TELLS_OF_UNUSED_FILTERS else poller.poll

    def receive() -> tuple[int, ...]:
        while True:
            try:
                if poll is not None and not poll()[0][1] & select.POLLIN:
                    return ()
                return unpack(ioctl(listener, NOTIF_RECV, empty))
            except OSError as error:
                if error.errno not in (errno.EINTR, errno.ENOENT):  # ENOENT: who asked has been killed
                    raise
            if any(not event & select.POLLIN for _, event in poller.poll(0)):
                return ()

    return receive


def _judge(referee: Referee | None, call: str, tid: int) -> int:
    try:
        if referee is not None:
            referee.judge(call, tid)
    except PermissionError as error:
        return error.errno or errno.EPERM
    return 0


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
