"""Who holds how much: connections, files and live streams, so many in all and so many for one client."""

import ipaddress
import math
from collections import defaultdict
from collections.abc import Container

from gtcrn_server.addresses import unmapped
from gtcrn_server.errors import Kind, ServiceError

ROUNDING = 1e-6  # of sums of weights
NETWORK_BITS = 64  # of an IPv6 address: what one customer of a provider usually has


NATIVE_RATE = 16_000  # Hz
MESSAGE_WEIGHT, NETWORK_WEIGHT = 0.5, 0.5  # of a stream of one channel at that rate: together 1
SMALL_WIDTH, WIDTH_EXPONENT = 16, 1.5  # channels of the network that weighs so much, and how others compare
RESAMPLING_WEIGHT = 0.15  # of a channel at another rate,
KILOHERTZ_WEIGHT = 0.01  # and for each kHz of it
CALL_WEIGHT = 1.0  # of a call's messages beyond a stream's: JSON, base64, and all of it again on the way to the bot
ODD_FACTOR = 1.5  # for the resampling of rates that are no whole number of hundreds of hertz


def weight(sample_rate: int, channels: int, width: int = SMALL_WIDTH) -> float:
    """What a live stream costs, in streams of one channel at 16 kHz; made from measured times (server/README.md).

    `width` are the channels of the network: 32 take 2.6 times as long as 16, and count a little more.
    """
    resampling = 0.0
    if sample_rate != NATIVE_RATE:
        resampling = RESAMPLING_WEIGHT + KILOHERTZ_WEIGHT * sample_rate / 1000
    if sample_rate % 100:
        resampling *= ODD_FACTOR
    network = NETWORK_WEIGHT * math.pow(width / SMALL_WIDTH, WIDTH_EXPONENT)
    return MESSAGE_WEIGHT + channels * (network + resampling)


class Places:
    """Places of one kind. A client is an address or a key; those in `exempt` have no limit of their own.

    Counts need not be whole: streams take places by their weight.
    """

    def __init__(self, what: str, total: int, each: int, exempt: Container[str] = ()) -> None:
        self.what, self.total, self.each, self._exempt = what, total, each, exempt
        self._held: defaultdict[str, float] = defaultdict(float)

    @property
    def taken(self) -> float:
        return sum(self._held.values())

    def most(self, client: str) -> float:
        """What this client may have where nobody else has any."""
        return self.total if client in self._exempt else min(self.total, self.each)

    def take(self, client: str, count: float = 1) -> None:
        """More for this client; raises ServiceError where so many are not free, or not for one client."""
        if self.taken + count > self.total + ROUNDING:
            raise ServiceError(Kind.BUSY, f"All {self.total} places for {self.what} are taken; try again later.")
        if self._held.get(client, 0) + count > self.each + ROUNDING and client not in self._exempt:
            raise ServiceError(Kind.BUSY, f"One client may have {self.each} {self.what} at a time.")
        self._held[client] += count

    def give(self, client: str, count: float = 1) -> None:
        """The opposite of `take`."""
        self._held[client] -= count
        if self._held[client] < ROUNDING:
            del self._held[client]


def network(address: str, known: Container[str] = ()) -> str:
    """What stands for all addresses of one client: an IPv4 address itself, the network of an IPv6 address.

    Addresses that are `known` stand for themselves.
    """
    try:
        found = unmapped(address)
    except ValueError:
        return address
    if found.version == 6 and not found.is_loopback and address not in known:
        return str(ipaddress.ip_network((found, NETWORK_BITS), strict=False))
    return str(found)
