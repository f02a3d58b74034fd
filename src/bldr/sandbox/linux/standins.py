"""Which addresses inside stand for which allowed hosts. Pure, so that a plan can say it.

Names get addresses of 198.18.0.0/15, a range for laboratories that no host on the internet has (RFC 2544); an address
that is allowed keeps its own. Names that only a wildcard allows get theirs when they are first asked for.
"""

from __future__ import annotations

from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.model.network import Endpoint, NetworkPolicy

__all__ = ["NAME_SERVER", "POOL", "POOL_SIZE", "StandIn", "names_of", "stand_ins", "wildcard_places"]

NAME_SERVER = "198.18.0.1"
POOL = "198.19.0.1"
"""The first address for names that only a wildcard allows."""
POOL_SIZE = 128


@value
class StandIn:
    """A place inside that stands for a port of an allowed host."""

    host: str
    address: str
    port: int
    protocol: str


def names_of(policy: NetworkPolicy) -> dict[str, str]:
    """Return the address inside of each allowed host, wildcards left out."""
    found: dict[str, str] = {}
    number = 256  # 198.18.1.0 is not a good address for programs that take it for a network
    for endpoint in policy.endpoints:
        if endpoint.is_wildcard or endpoint.host in found:
            continue
        if _is_address(endpoint):
            found[endpoint.host] = endpoint.host
        else:
            number += 1 + (number & 255 == 254) * 2
            found[endpoint.host] = f"198.18.{number >> 8}.{number & 255}"
    return found


def stand_ins(policy: NetworkPolicy) -> tuple[StandIn, ...]:
    """Return the places that are known before the command runs; a name may have ports by a wildcard as well."""
    places: dict[StandIn, None] = {}
    wildcards = [one for one in policy.endpoints if one.is_wildcard]
    for host, address in names_of(policy).items():
        for endpoint in policy.endpoints:
            if endpoint.host == host or (endpoint in wildcards and host.endswith(endpoint.host[1:])):
                for port in endpoint.ports:
                    places[StandIn(host, address, port, endpoint.protocol)] = None
    return tuple(places)


def wildcard_places(policy: NetworkPolicy) -> tuple[tuple[str, int], ...]:
    """Return the protocols and ports that wildcards allow."""
    places = {(one.protocol, port): None for one in policy.endpoints if one.is_wildcard for port in one.ports}
    return tuple(sorted(places))


def _is_address(endpoint: Endpoint) -> bool:
    return ":" in endpoint.host or endpoint.host.rpartition(".")[2].isdecimal()
