"""The supervisor's side of the gateway: start it, hand it the sockets of the sandbox, read what it counts."""

from __future__ import annotations

import _signal
import os
import select
import struct
import sys

from _bldr_launcher import channel, wire
from _bldr_launcher.gateway import ledger
from bldr.errors import SandboxLostError
from bldr.model.result import Denial
from bldr.model.traffic import HostTraffic
from bldr.sandbox.linux.launcher import PATIENCE, await_ready, end_process
from bldr.sandbox.linux.standins import NAME_SERVER, POOL, POOL_SIZE, names_of, wildcard_places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from bldr.model.spec import SandboxSpec

__all__ = ["Gateway"]

_CONTROL_FD = 3
_LAST_WORDS = 5.0  # seconds; it gives itself two
_LARGEST_REPORT = 1 << 20
_STEP = "start the gateway"
_REFUSED = {
    "connect": "the connection to {subject} was refused: {why}",
    "resolve": "the name {subject} was not resolved: {why}",
}


class Gateway:
    """The process that connects one sandbox with its allowed hosts. Owned by the sandbox.

    Args:
        spec: What is allowed, and how many bytes may be moved.
        entry: The program, as arguments for the interpreter; a test gives one that fails on purpose.
    """

    _control = _numbers = pidfd = -1  # until the constructor has come that far

    def __init__(self, spec: SandboxSpec, entry: Sequence[str] = ()) -> None:
        self._spec = spec
        self.owner = os.getpid()
        self.pid = 0
        self.was_lost = False
        self.hosts: tuple[HostTraffic, ...] = ()
        self.denials: tuple[Denial, ...] = ()
        self._last = 0
        self._control, theirs = channel.pair()
        try:
            self._numbers = os.memfd_create("bldr-numbers", os.MFD_CLOEXEC)
            self._spawn(theirs, entry or (os.path.dirname(ledger.__file__),))
            self._configure()
        except OSError as error:
            self.close()
            raise SandboxLostError(f"cannot {_STEP}: {error.strerror}", step=_STEP) from error
        except BaseException:
            self.close()
            raise
        finally:
            os.close(theirs)

    def _spawn(self, theirs: int, entry: Sequence[str]) -> None:
        argv = [sys.executable, "-I", "-S", *entry, str(_CONTROL_FD)]
        with open(os.devnull, "r+b", buffering=0) as null:
            actions = [(os.POSIX_SPAWN_DUP2, null.fileno(), number) for number in (0, 1, 2)]
            actions.append((os.POSIX_SPAWN_DUP2, theirs, _CONTROL_FD))
            self.pid = os.posix_spawn(
                sys.executable, argv, {}, file_actions=actions, setsid=True, setsigmask=(), setsigdef=(_signal.SIGCHLD,)
            )
        self.pidfd = os.pidfd_open(self.pid)

    def _configure(self) -> None:
        config = os.memfd_create("bldr-hosts", os.MFD_CLOEXEC)
        try:
            os.write(config, encode(self._spec))
            channel.send(self._control, wire.pack([b"serve"]), [config, self._numbers])
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has ended; noticed when it is to be ready
        finally:
            os.close(config)

    def take(self, words: list[bytes], sockets: list[int]) -> bool:
        """Hand over sockets that init has passed out; whether those were the last ones, and they are served now.

        Raises:
            SandboxLostError: The gateway cannot be started.
        """
        try:
            channel.send(self._control, wire.pack(words), sockets)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise _not_started() from error
        if words[1:] != [b"1"]:
            return False
        if not await_ready(self._control, select.POLLIN, PATIENCE) or self._receive() != [b"ready"]:
            raise _not_started()
        return True

    def _receive(self) -> list[bytes]:
        try:
            data, _ = channel.receive(self._control, wire.LARGEST_INLINE)
            return wire.unpack(data) if data else []
        except (OSError, wire.WireError):
            return []

    @property
    def moved(self) -> int:
        """The bytes that have crossed the border so far."""
        if self._numbers >= 0:
            self._last = struct.unpack("<Q", os.pread(self._numbers, 8, 0).ljust(8, b"\0"))[0]
        return self._last

    def finish(self) -> None:
        """Let it pass on what the sandbox had sent, read its report, and end it.

        Nobody in the sandbox lives any more.
        """
        if self._control < 0 or self.owner != os.getpid():
            self.close()
            return
        try:
            channel.send(self._control, wire.pack([b"end"]))
            done = await_ready(self._control, select.POLLIN, _LAST_WORDS) and self._receive() == [b"done"]
        except OSError:
            done = False
        if done:
            self._read_report()
        self.was_lost = not done
        self.close()

    def _read_report(self) -> None:
        size = struct.unpack("<Q", os.pread(self._numbers, 8, ledger.REPORT_AT))[0]
        text = os.pread(self._numbers, min(size, _LARGEST_REPORT), ledger.REPORT_AT + 8)
        hosts, refused, more = wire.unpack(text)
        words = [word.decode() for word in wire.unpack(hosts)]
        self.hosts = tuple(
            HostTraffic(name, int(port), protocol, int(count), int(sent), int(received), failure)
            for name, port, protocol, count, sent, received, failure in zip(*[iter(words)] * 7, strict=True)
        )
        words = [word.decode() for word in wire.unpack(refused)]
        self.denials = tuple(
            _denial(kind, host, int(port), why, int(times))
            for kind, host, port, why, times in zip(*[iter(words)] * 5, strict=True)
        )
        if int(more):
            self.denials += (Denial("connect", "", f"{int(more)} attempts to reach still other hosts were refused"),)

    def close(self) -> None:
        """End it and release everything; harmless the second time. In a fork of its owner only copies are closed."""
        _ = self.moved
        control, self._control = self._control, -1
        numbers, self._numbers = self._numbers, -1
        pidfd, self.pidfd = self.pidfd, -1
        for fd in (control, numbers):
            if fd >= 0:
                os.close(fd)
        if self.owner == os.getpid() and self.pid:
            if pidfd >= 0 and not await_ready(pidfd, select.POLLIN, 1.0):
                end_process(pidfd, _signal.SIGKILL)
            try:
                os.waitpid(self.pid, 0)
            except ChildProcessError:
                pass  # reaped by somebody who waits for every child
            self.pid = 0
        if pidfd >= 0:
            os.close(pidfd)

    def __del__(self) -> None:
        """An exception in the wrong moment (Ctrl-C) may have left it to nobody."""
        if "_spec" in vars(self):
            self.close()


def _not_started() -> SandboxLostError:
    return SandboxLostError(f"cannot {_STEP}: it ended before it was ready", step=_STEP, hint="try again")


def _denial(kind: str, host: str, port: int, why: str, times: int) -> Denial:
    subject = f"[{host}]:{port}" if ":" in host else f"{host}:{port}" if port else host
    text = _REFUSED[kind].format(subject=subject, why=why)
    # A name is asked for once for each family of addresses, and by some programs a few times more.
    return Denial(kind, subject, f"{text} ({times} times)" if times > 1 and kind == "connect" else text)


def encode(spec: SandboxSpec) -> bytes:
    """Encode what is allowed; ``_bldr_launcher.gateway.rules.Rules`` is the other side."""
    names = [word.encode() for pair in names_of(spec.network).items() for word in pair]
    fields: list[bytes] = []
    for endpoint in spec.network.endpoints:
        for port in endpoint.ports:
            words = (endpoint.host, endpoint.protocol, port, endpoint.leads_to, endpoint.target_port or port)
            fields += [str(word).encode() for word in words]
    pool = POOL if wildcard_places(spec.network) else ""
    rules = [spec.hostname.encode(), pool.encode(), b"%d" % POOL_SIZE, wire.pack(names), wire.pack(fields)]
    limit = spec.limits.network_io
    text: bytes = wire.pack([wire.pack(rules), b"" if limit is None else b"%d" % limit, NAME_SERVER.encode()])
    return text
