"""What an execution exchanged with the hosts that it was allowed to reach."""

from __future__ import annotations

from bldr.model.paths import printable
from bldr.model.value import value

__all__ = ["HostTraffic"]


@value
class HostTraffic:
    """What was exchanged with one port of one host.

    Args:
        host: The name or the address as the command knew it.
        port: Its port.
        protocol: ``tcp`` or ``udp``.
        connections: How many connections were made; with UDP, how many senders there were.
        sent: Bytes that the command sent.
        received: Bytes that the command received.
        failure: Why the host could not be reached, the last time that it could not; else empty.
    """

    host: str
    port: int
    protocol: str = "tcp"
    connections: int = 0
    sent: int = 0
    received: int = 0
    failure: str = ""

    @property
    def endpoint(self) -> str:
        """The host and the port, as an endpoint is written."""
        where = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        return where if self.protocol == "tcp" else f"{where}/{self.protocol}"

    def describe(self) -> str:
        """Return one line for people."""
        many = "" if self.connections == 1 else "s"
        text = f"{self.endpoint}, {self.connections} connection{many}, {self.sent} bytes sent, {self.received} received"
        return f"{text}; {self.failure}" if self.failure else text

    def to_dict(self) -> dict[str, object]:
        """Return the counts for JSON."""
        return {
            "host": printable(self.host),
            "port": self.port,
            "protocol": self.protocol,
            "connections": self.connections,
            "sent": self.sent,
            "received": self.received,
            "failure": printable(self.failure),
        }
