"""Who holds how much: connections and files, so many in all and so many for one client."""

import ipaddress
from collections import Counter
from collections.abc import Iterable

from gtcrn_server.errors import Kind, ServiceError

NETWORK_BITS = 64  # of an IPv6 address: what one customer of a provider usually has


class Places:
    """Places of one kind. A client is an address or a key; those in `exempt` have no limit of their own."""

    def __init__(self, what: str, total: int, each: int, exempt: Iterable[str] = ()) -> None:
        self.what, self.total, self.each = what, total, each
        self._exempt = frozenset(exempt)
        self._held: Counter[str] = Counter()

    @property
    def taken(self) -> int:
        return self._held.total()

    def take(self, client: str) -> None:
        """One more for this client; raises ServiceError where all are taken, or all that one client may have."""
        if self.taken >= self.total:
            raise ServiceError(Kind.BUSY, f"All {self.total} places for {self.what} are taken; try again later.")
        if self._held[client] >= self.each and client not in self._exempt:
            raise ServiceError(Kind.BUSY, f"One client may have {self.each} {self.what} at a time.")
        self._held[client] += 1

    def give(self, client: str) -> None:
        """The opposite of `take`."""
        self._held[client] -= 1
        if not self._held[client]:
            del self._held[client]


def network(address: str) -> str:
    """What stands for all addresses of one client: an IPv4 address itself, the network of an IPv6 address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.version == 6 and found.ipv4_mapped:
        return str(found.ipv4_mapped)
    if found.version == 6 and not found.is_loopback:
        return str(ipaddress.ip_network((found, NETWORK_BITS), strict=False))
    return str(found)
