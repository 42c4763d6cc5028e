"""To a Ray that runs, or one of our own for the time of a run."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from gtcrn.errors import ConfigError, GtcrnError, needs

CONNECT_SECONDS = 5.0
STORE_BYTES = 100 << 20  # of objects: weights and rows; audio never is one
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)  # with no settings: RFC 9113, 3.4
SETTINGS = 4  # the type of frame by which a server of gRPC answers


@contextmanager
def connected(address: str | None, cpus: int | None = None) -> Iterator[None]:
    """Ray at `address` (HOST:PORT, ray://HOST:PORT, auto), or a local one with as many `cpus` that ends with the block.

    Where the program has connected already, that is used. Raises ConfigError where Ray is not installed, GtcrnError
    where none answers.
    """
    with needs("cluster"):
        import ray
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to anybody
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray's next default, of which it would warn
    if address and ":" in address:
        _refuse_silent(address)
    ending = signal.getsignal(signal.SIGTERM)
    try:
        if address:
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
        else:
            _start(cpus)
    except Exception as error:  # of many kinds, bare ones among them
        words = " ".join(str(error).split()).rstrip(".")
        raise GtcrnError(f"Ray {f'at {address}' if address else 'on this machine'} cannot be used: {words}.") from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, ending)  # Ray has put its own there
    try:
        yield
    finally:
        ray.shutdown()


def _start(cpus: int | None) -> None:
    """A Ray of our own. On a busy machine it can give up on parts of itself that were slow to load, once."""
    import ray

    for tries_left in (1, 0):
        try:
            ray.init(num_cpus=cpus, object_store_memory=STORE_BYTES, log_to_driver=False, logging_level=logging.ERROR)
            return
        except Exception:
            ray.shutdown()
            if not tries_left:
                raise


def _refuse_silent(address: str) -> None:
    """Ray itself would wait for minutes, and print much."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdecimal() or int(port) > 65_535:
        raise ConfigError(f"{address} is no address of Ray: HOST:PORT, ray://HOST:PORT or auto.")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS) as connection:
            connection.sendall(GREETING)
            answer = connection.recv(9)
    except OSError as error:
        raise GtcrnError(f"no Ray answers at {address}: {error.strerror or error}.") from error
    if len(answer) < 4 or answer[3] != SETTINGS:
        raise GtcrnError(f"no Ray answers at {address}: something else is there.")
