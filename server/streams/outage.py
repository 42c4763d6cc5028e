"""What is done while Redis does not answer."""

import contextlib
import logging
from collections import Counter
from collections.abc import Iterator
from time import monotonic

from redis.exceptions import RedisError

from gtcrn_server.streams.leases import REDIS_SECONDS
from gtcrn_server.streams.records import Leased

QUIET_SECONDS = 10.0  # between two warnings


class Outage:
    """When Redis did not answer last."""

    def __init__(self, events: Counter[str]) -> None:
        self._events, self._last = events, -QUIET_SECONDS

    @property
    def now(self) -> bool:
        """Whether it was so lately that there is no use in asking again."""
        return monotonic() < self._last + REDIS_SECONDS

    def tell(self, error: Exception) -> None:
        """Redis does not answer: logged when that begins."""
        if monotonic() > self._last + QUIET_SECONDS:
            logging.getLogger(__name__).warning("Redis does not answer: %s", error)
        self._last = monotonic()
        self._events["away"] += 1

    @contextlib.contextmanager
    def survived_by(self, leased: Leased) -> Iterator[None]:
        """The stream goes on where Redis does not answer."""
        try:
            yield
        except (RedisError, OSError) as error:
            leased.adrift = True
            self.tell(error)
