"""Internet addresses as settings name them, one by one or by networks, and as connections have them."""

import ipaddress
from collections.abc import Iterable

EVERY = "*"  # in place of an address
MAPPED_BITS = 96  # before an IPv4 address in the IPv6 address of its peer, where a socket of IPv6 takes both

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Addresses:
    """All addresses that are named, or lie in a network that is. Raises ValueError for a name that is neither."""

    def __init__(self, names: Iterable[str]) -> None:
        self._networks = [_network(name) for name in names]

    def __contains__(self, address: object) -> bool:
        """Also of an IPv4 address as a socket of IPv6 has it; nothing that is no address is among them."""
        try:
            found = unmapped(str(address))
        except ValueError:
            return False
        return any(found in network for network in self._networks)


def unmapped(address: str) -> Address:
    """The IPv4 address that one of IPv6 stands for, any other itself. Raises ValueError for what is none."""
    found = ipaddress.ip_address(address)
    return found.ipv4_mapped or found if found.version == 6 else found


def with_mapped(names: Iterable[str]) -> list[str]:
    """These names, and those of IPv4 as they are to a socket of IPv6, too; `*` alone where it is among them."""
    if EVERY in (given := list(names)):
        return [EVERY]
    narrow = [network for network in map(_network, given) if network.version == 4]
    return given + [f"::ffff:{each.network_address}/{MAPPED_BITS + each.prefixlen}" for each in narrow]


def _network(name: str) -> Network:
    return ipaddress.ip_network(name if "/" in name else unmapped(name))
