"""The launcher's tracers: each traces one sandbox at a time, and waits for the next one in between.

To fork one takes longer than many a command runs. What a tracer knows of a sandbox it forgets with that.
"""

from __future__ import annotations

import os
import select

from _bldr_launcher import channel, trace_calls, tracer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _bldr_launcher.request import Request

__all__ = ["Tracers"]


class Tracers:
    """Those of one launcher."""

    def __init__(self) -> None:
        self._links: dict[int, int] = {}  # of a tracer: the socket to it
        self._traced: dict[int, int] = {}  # of a tracer: its init; 0 while it waits
        self._filters: dict[tuple[bool, frozenset[bytes]], bytes] = {}

    def __bool__(self) -> bool:
        return bool(self._traced)

    def trace(self, link: int, status: int, init_pid: int, request: Request, *, nests: bool) -> None:
        """Let a sandbox be traced.

        Args:
            link: Descriptor of the socket to its init, of which the tracer gets a copy.
            status: Descriptor of the socket to the supervisor, as well.
            init_pid: The number of init.
            request: What the sandbox is asked for.
            nests: Whether a process in it can get a root of its own.

        Raises:
            OSError: There is no tracer to be had, or init is gone.
        """
        key = b"trace-full" in request.flags, request.refused
        if key not in self._filters:
            self._filters[key] = trace_calls.trace_filter(full=key[0], refused=key[1])
        channel.send(link, self._filters[key])
        message = tracer.job(request, init_pid, nests=nests)
        for pid in self.idle():
            self._traced[pid] = init_pid
            try:
                channel.send(self._links[pid], message, [link, status])
            except (BrokenPipeError, ConnectionResetError):
                self._traced[pid] = 0  # it has died while it waited
            else:
                return
        pid = self._start()
        self._traced[pid] = init_pid
        channel.send(self._links[pid], message, [link, status])

    def _start(self) -> int:
        ours, theirs = channel.pair()
        pid = os.fork()  # noqa: TID251  the launcher has one thread
        if pid == 0:
            tracer.main(theirs)
        os.close(theirs)
        self._links[pid] = ours
        return pid

    def idle(self) -> list[int]:
        """Return the tracers that wait for a sandbox."""
        for pid, link in self._links.items():
            if self._traced[pid]:
                poller = select.poll()
                poller.register(link, select.POLLIN)
                if poller.poll(0) and channel.receive(link, 1)[0]:
                    self._traced[pid] = 0
        return [pid for pid in self._links if not self._traced[pid]]

    def dismiss(self) -> None:
        """Let those go that wait."""
        for pid in self.idle():
            os.close(self._links.pop(pid))

    def dismiss_all(self) -> None:
        """Let everybody go who waits, and the others when their sandbox ends."""
        while self._links:
            os.close(self._links.popitem()[1])

    def bury(self, pid: int, status: int) -> int | None:
        """Forget a tracer that has ended.

        Returns:
            The init whose sandbox must not live without it; 0 for nobody's; None when it was no tracer.
        """
        if pid not in self._traced:
            return None
        self.idle()
        traced = self._traced.pop(pid)
        if pid in self._links:
            os.close(self._links.pop(pid))
        return traced if status else 0
