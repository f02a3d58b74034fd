"""What the gateway remembers: who was reached and how much was moved, and what was refused."""

from __future__ import annotations

import os
import struct

from _bldr_launcher import wire

__all__ = ["REPORT_AT", "Ledger", "Traffic"]

REPORT_AT = 64  # bytes: where the report begins in the file for numbers
MOST = 200  # different hosts, and different refusals, that are remembered


class Traffic:
    """What was exchanged with one endpoint."""

    __slots__ = ("connections", "failure", "received", "sent")

    def __init__(self) -> None:
        self.connections = 0
        self.sent = 0
        self.received = 0
        self.failure = ""


class Ledger:
    """Counts.

    Args:
        numbers: Descriptor of the file in which the supervisor reads.
        limit: Bytes that may be moved in all; ``None`` for any number.
    """

    def __init__(self, numbers: int, limit: int | None) -> None:
        self._numbers = numbers
        self._limit = limit
        self._total = 0
        self._traffic: dict[tuple[str, int, str], Traffic] = {}
        self._refused: dict[tuple[str, str, int, str], int] = {}
        self._rest = Traffic()
        self._more = 0

    @property
    def is_full(self) -> bool:
        """Whether more was moved than is allowed; nothing is moved any more, and the supervisor ends everything."""
        return self._limit is not None and self._total > self._limit

    def traffic(self, host: str, port: int, protocol: str) -> Traffic:
        """Return the counts of an endpoint."""
        key = (host, port, protocol)
        if key not in self._traffic:
            if len(self._traffic) >= MOST:
                return self._rest
            self._traffic[key] = Traffic()
        return self._traffic[key]

    def count(self, size: int) -> None:
        """Note bytes that cross the border, before anybody can have noticed them.

        The supervisor reads the sum at once: a gateway that is killed has still told of everything that arrived.
        """
        self._total += size
        os.pwrite(self._numbers, struct.pack("<Q", self._total), 0)

    def refuse(self, kind: str, host: str, port: int, why: str) -> None:
        """Note an attempt that was refused: ``connect`` or ``resolve``."""
        key = (kind, host, port, why)
        if key in self._refused or len(self._refused) < MOST:
            self._refused[key] = self._refused.get(key, 0) + 1
        else:
            self._more += 1

    def report(self) -> None:
        """Write everything for the supervisor."""
        hosts = []
        for (host, port, protocol), one in self._traffic.items():
            counts = (one.connections, one.sent, one.received)
            hosts += [host.encode(), b"%d" % port, protocol.encode(), *[b"%d" % item for item in counts]]
            hosts.append(one.failure.encode())
        refused = []
        for (kind, host, port, why), times in self._refused.items():
            refused += [kind.encode(), host.encode(), b"%d" % port, why.encode(), b"%d" % times]
        text = wire.pack([wire.pack(hosts), wire.pack(refused), b"%d" % self._more])
        os.pwrite(self._numbers, struct.pack("<Q", len(text)) + text, REPORT_AT)
