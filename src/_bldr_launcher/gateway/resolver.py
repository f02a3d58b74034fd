"""Ask the host's own resolver for the addresses of a name, in threads, because it blocks; and keep what it may say."""

from __future__ import annotations

import _socket
import _thread
import os
import time

from _bldr_launcher.gateway.addresses import why_not

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    Callback: TypeAlias = Callable[["Answer"], None]
    Lookup: TypeAlias = Callable[[str], list[str]]

__all__ = ["Answer", "NoSuchNameError", "Resolver", "look_up"]

AT_ONCE = 16
KEPT = 300.0  # seconds; what comes then is looked at again
KEPT_FAILURE = 5.0


class NoSuchNameError(Exception):
    """The name has no address."""


class Answer:
    """The addresses of a name that may be used; or why there are none.

    Args:
        addresses: In the order of the resolver's preference.
        failure: One phrase, empty when there are addresses.
        code: ``missing`` when there is no such name, ``forbidden`` when its addresses may not be used, else ``failed``.
    """

    __slots__ = ("addresses", "code", "failure")

    def __init__(self, addresses: list[str], failure: str = "", code: str = "") -> None:
        self.addresses = addresses
        self.failure = failure
        self.code = code


def look_up(name: str) -> list[str]:
    """Ask the host's resolver.

    Raises:
        NoSuchNameError: The name has no address.
        OSError: Nobody can say now.
    """
    try:
        found = _socket.getaddrinfo(name, None, 0, _socket.SOCK_STREAM)
    except _socket.gaierror as error:
        if error.args[0] in (_socket.EAI_NONAME, _socket.EAI_NODATA):
            raise NoSuchNameError from error
        raise
    return list(dict.fromkeys([str(sockaddr[0]) for *_, sockaddr in found]))


class Resolver:
    """Looks names up and calls back.

    Args:
        lookup: What blocks; a test puts a table in its place.
    """

    def __init__(self, lookup: Lookup = look_up) -> None:
        self._lookup = lookup
        self._done, self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._results: list[tuple[str, list[str], str, str]] = []
        self._waiting: dict[str, list[tuple[bool, Callback]]] = {}
        self._queue: list[str] = []
        self._running = 0
        self._known: dict[str, tuple[float, list[str], str, str]] = {}

    def fileno(self) -> int:
        """Return a descriptor that is readable when :meth:`finish` has something to do."""
        return self._done

    def ask(self, name: str, callback: Callback, *, private: bool) -> None:
        """Look a name up; what was found is kept for a while, and checked each time.

        Args:
            name: A name.
            callback: Gets the answer, now or later.
            private: Whether it may lead into a private network.
        """
        until, *known = self._known.get(name, (0.0, [], "", ""))
        if time.monotonic() < until:
            callback(_allowed(*known, private=private))  # type: ignore[arg-type]
            return
        if name in self._waiting:
            self._waiting[name].append((private, callback))
            return
        self._waiting[name] = [(private, callback)]
        self._queue.append(name)
        self._start()

    def _start(self) -> None:
        while self._queue and self._running < AT_ONCE:
            self._running += 1
            _thread.start_new_thread(self._work, (self._queue.pop(0),))

    def _work(self, name: str) -> None:
        addresses: list[str] = []
        failure = code = ""
        try:
            addresses = self._lookup(name)
        except NoSuchNameError:
            failure, code = "the name does not exist", "missing"
        except OSError as error:
            failure, code = f"the name cannot be resolved: {error.args[-1]}", "failed"
        except Exception as error:  # noqa: BLE001  whoever waits has to be told
            failure, code = f"the name cannot be resolved: {error}", "failed"
        self._results.append((name, addresses, failure, code))
        os.write(self._wake, b".")

    def finish(self) -> None:
        """Call back for what has been found."""
        try:
            os.read(self._done, 4096)
        except BlockingIOError:
            return
        while self._results:
            name, addresses, failure, code = self._results.pop(0)
            self._running -= 1
            self._known[name] = (time.monotonic() + (KEPT_FAILURE if failure else KEPT), addresses, failure, code)
            for private, callback in self._waiting.pop(name):
                callback(_allowed(addresses, failure, code, private=private))
        self._start()


def _allowed(addresses: list[str], failure: str, code: str, *, private: bool) -> Answer:
    if failure:
        return Answer([], failure, code)
    refused = {address: why for address in addresses if (why := why_not(address, private=private))}
    usable = [address for address in addresses if address not in refused]
    if usable:
        return Answer(usable)
    if not refused:
        return Answer([], "the name has no address", "missing")
    address, why = next(iter(refused.items()))
    return Answer([], f"the name leads to {address}, {why}", "forbidden")
