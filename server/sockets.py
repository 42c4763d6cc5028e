"""Sockets that listen; workers share them."""

import socket
from typing import Any

from gtcrn.errors import ConfigError

DEAD_PEER_MS = 30_000  # until what was sent must be acknowledged
BACKLOG = 1024


def listen(host: str, port: int) -> socket.socket:
    """The bound socket. Raises ConfigError when the address cannot be had."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return _listen(socket.socket(family, kind), address)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host} port {port}: {error.strerror}.") from error


def _listen(bound: socket.socket, address: tuple[Any, ...]) -> socket.socket:
    """The socket, which is closed where it cannot have the address."""
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # connections inherit it
            bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_PEER_MS)
        bound.bind(address)
        bound.listen(BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound
