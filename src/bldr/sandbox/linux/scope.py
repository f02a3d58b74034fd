"""Ask systemd for a scope: a cgroup of the user's own, in which the launcher may make one for each sandbox.

A session (ssh, su, cron) lives in a cgroup that belongs to root, and nobody but systemd can move a process from there
into one that is delegated. It does so for a process of the user that asks over D-Bus, as ``systemd-run`` does: see
StartTransientUnit in org.freedesktop.systemd1(5), and systemd.resource-control(5) for ``Delegate``.

The launcher is moved, which has made no sandbox that counts yet; the process of the user stays where it is. When the
last process of the scope has ended, systemd removes it.
"""

from __future__ import annotations

import os
import select
import time

from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping
    from typing import Any, Self

    from jeepney import Message

    from bldr.sandbox.linux.launcher import Groups

__all__ = ["PATIENCE", "Answer", "ask", "bus_path", "settled"]

PATIENCE = 5.0  # seconds for all of it; systemd answers within some milliseconds
_LARGEST_ANSWER = 65536  # bytes that are read at once
_MANAGER = "/org/freedesktop/systemd1", "org.freedesktop.systemd1", "org.freedesktop.systemd1.Manager"


@value
class Answer:
    """What came of it.

    Args:
        asked: Whether there was somebody to ask.
        why: Why there is no scope; empty when there is one.
    """

    asked: bool
    why: str = ""


def settled(pid: int, groups: Groups, look_again: Callable[[], Groups], *, path: str | None = None) -> Groups:
    """Have the launcher of a user moved into a scope, where there is somebody to ask, and let it look again.

    Args:
        pid: The launcher.
        groups: What it found before: no place, and why.
        look_again: Lets it look once more, and says what it has found.
        path: The socket of a bus; that of the user by default.

    Returns:
        The place; or why there is still none.
    """
    if path is None:
        path = bus_path(os.environ, os.geteuid()) if os.geteuid() and _serves_version_2() else ""
    answer = ask(pid, path)
    if not answer.why:
        return look_again()
    if answer.asked:
        groups.why += f"; a scope was asked for as well: {answer.why}"
    return groups


def _serves_version_2() -> bool:
    """Whether the controller of memory may belong to version 2: what serves version 1 serves no other."""
    with open("/proc/self/cgroup", "rb") as own:
        text = own.read()
    return b"0::" in text and b":memory:" not in text


class _RefusedError(Exception):
    """It was asked, and does not do it."""


def bus_path(environment: Mapping[str, str], uid: int) -> str:
    """Return the path of the socket of the user's bus, or an empty string when there is none.

    Args:
        environment: The caller's variables; ``DBUS_SESSION_BUS_ADDRESS`` counts most, then ``XDG_RUNTIME_DIR``.
        uid: The caller's id, for where systemd has that directory.
    """
    for address in environment.get("DBUS_SESSION_BUS_ADDRESS", "").split(";"):
        transport, _, rest = address.partition(":")
        named = dict(part.partition("=")[::2] for part in rest.split(","))
        if transport == "unix" and named.get("path") and os.path.exists(named["path"]):
            return named["path"]
    path = (environment.get("XDG_RUNTIME_DIR") or f"/run/user/{uid}") + "/bus"
    return path if os.path.exists(path) else ""


def ask(pid: int, path: str, *, patience: float = PATIENCE) -> Answer:
    """Ask for a scope with one process in it, and wait until it is there.

    Args:
        pid: A child of this process that has not been reaped, so that the number is still its own.
        path: The socket of a bus; empty when there is none.
        patience: Seconds that all of it may take.
    """
    if not path:
        return Answer(asked=False, why="no bus of the user is there")
    name = f"bldr-{pid}-{os.urandom(4).hex()}.scope"
    try:
        with _Bus(path, time.monotonic() + patience) as bus:
            _start_scope(bus, name, pid)
    except ImportError as error:
        return Answer(asked=False, why=f"jeepney is not installed ({error})")
    except TimeoutError:
        return Answer(asked=True, why=f"systemd gave no answer within {patience:g} s")
    except OSError as error:
        return Answer(asked=True, why=f"the bus at {path!r} cannot be used: {error.strerror or error}")
    except _RefusedError as error:
        return Answer(asked=True, why=str(error))
    except (ValueError, KeyError, IndexError, TypeError) as error:  # AuthenticationError, or what is no D-Bus
        return Answer(asked=True, why=f"the bus at {path!r} does not keep to the protocol: {error}")
    if not _cgroup_of(pid).endswith("/" + name):
        return Answer(asked=True, why="systemd said that it had made one, and moved nobody into it")
    return Answer(asked=True)


def _start_scope(bus: _Bus, name: str, pid: int) -> None:
    from jeepney import DBusAddress, HeaderFields, MatchRule, MessageType, message_bus, new_method_call

    path, service, interface = _MANAGER
    manager = DBusAddress(path, bus_name=service, interface=interface)
    bus.call(message_bus.Hello())
    bus.call(message_bus.AddMatch(MatchRule(type="signal", interface=interface, member="JobRemoved", path=path)))
    properties = [
        ("Description", ("s", "sandboxes of bldr")),
        ("PIDs", ("au", [pid])),
        ("Delegate", ("b", True)),
        ("CollectMode", ("s", "inactive-or-failed")),
    ]
    nothing: list[object] = []
    body = (name, "fail", properties, nothing)
    (job,) = bus.call(new_method_call(manager, "StartTransientUnit", "ssa(sv)a(sa(sv))", body))

    def is_the_end(message: Message) -> bool:
        fields = message.header.fields
        is_signal = message.header.message_type == MessageType.signal
        return is_signal and fields.get(HeaderFields.member) == "JobRemoved" and message.body[1] == job

    result = bus.wait_for(is_the_end).body[3]
    if result != "done":
        raise _RefusedError(f"systemd did not make one: {result}")


class _Bus:
    """A connection to a message bus, with one end of time for everything that is done with it."""

    def __init__(self, path: str, deadline: float) -> None:
        self._path = path
        self._deadline = deadline
        self._serial = 0
        self._seen: list[Message] = []
        self._socket: socket.socket

    def __enter__(self) -> Self:
        import socket

        from jeepney import Parser

        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._parser = Parser()
        try:
            self._socket.settimeout(self._left())
            self._socket.connect(self._path)
            self._refuse_strangers()
            self._authenticate()
        except BaseException:
            self._socket.close()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self._socket.close()

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _refuse_strangers(self) -> None:
        """In another process namespace our numbers mean somebody else, who would be moved in our place.

        Raises:
            _RefusedError: The bus lives in one.
        """
        import socket
        import struct

        (pid,) = struct.unpack_from("i", self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if pid == 0:  # unix(7): nobody who can be named here
            raise _RefusedError("the bus of the user is in another process namespace")

    def _authenticate(self) -> None:
        from jeepney.auth import BEGIN, Authenticator

        dialogue = Authenticator()
        for words in dialogue:
            self._send(words)
            dialogue.feed(self._receive())
        self._send(BEGIN)

    def _send(self, data: bytes) -> None:
        self._socket.settimeout(self._left())
        self._socket.sendall(data)

    def _receive(self) -> bytes:
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        if not poller.poll(self._left() * 1000):
            raise TimeoutError
        data = self._socket.recv(_LARGEST_ANSWER)
        if not data:
            raise _RefusedError(f"the bus at {self._path!r} has hung up")
        return data

    def call(self, message: Message) -> tuple[Any, ...]:
        """Call a method and return what it answers.

        Raises:
            _RefusedError: It answers with an error.
        """
        from jeepney import HeaderFields, MessageType

        self._serial += 1
        serial = self._serial
        self._send(message.serialise(serial))
        answer = self.wait_for(lambda one: one.header.fields.get(HeaderFields.reply_serial) == serial)
        if answer.header.message_type == MessageType.error:
            name = answer.header.fields.get(HeaderFields.error_name, "an error without a name")
            text = str(answer.body[0]) if answer.body else str(name)
            raise _RefusedError(f"systemd refused it: {text.rstrip('.')}")
        return answer.body

    def wait_for(self, is_wanted: Callable[[Message], bool]) -> Message:
        """Return the first message of a kind, also of those that came while something else was waited for."""
        while True:
            for place, message in enumerate(self._seen):
                if is_wanted(message):
                    return self._seen.pop(place)
            self._seen += self._parser.feed(self._receive())


def _cgroup_of(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cgroup", "rb") as lines:
            for line in lines:
                if line.startswith(b"0::"):
                    return os.fsdecode(line[3:].rstrip(b"\n"))
    except OSError:
        pass  # it has ended
    return ""
