"""What can go wrong for a client, and the one table that turns it into an HTTP status and a WebSocket close code."""

import errno
from dataclasses import dataclass
from enum import Enum

from gtcrn.errors import AudioError, ConfigError, GtcrnError


class Kind(Enum):
    """(code in the answer, HTTP status, WebSocket close code)"""

    MALFORMED = ("malformed", 400, 1007)
    UNEXPECTED = ("unexpected", 400, 1003)
    UNAUTHORIZED = ("unauthorized", 401, 1008)
    ORIGIN = ("origin", 403, 1008)
    UNKNOWN = ("unknown_stream", 404, 1008)
    TIMEOUT = ("timeout", 408, 1008)
    SEQUENCE = ("sequence", 409, 1008)
    RESUME = ("resume", 409, 1008)
    GONE = ("gone", 410, 1008)
    TOO_LARGE = ("too_large", 413, 1009)
    HEADER = ("header", 431, 1009)
    ELSEWHERE = ("elsewhere", 421, 1008)
    AUDIO = ("audio", 422, 1007)
    SETTING = ("setting", 422, 1008)
    SLOW = ("slow_reader", 408, 1008)
    INTERNAL = ("internal", 500, 1011)
    BUSY = ("busy", 503, 1013)
    OVERLOADED = ("overloaded", 503, 1013)
    LEAVING = ("leaving", 503, 1001)
    AWAY = ("away", 503, 1013)
    STORAGE = ("storage", 507, 1011)

    def __init__(self, code: str, status: int, close: int) -> None:
        self.code = code
        self.status = status
        self.close = close


class ServiceError(GtcrnError):
    """Raised by the service itself; its kind says how it is told."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Problem:
    """What a client is told: the kind and one sentence, never a path or a traceback."""

    kind: Kind
    message: str


def problem(error: BaseException) -> Problem:
    """The one mapping of exceptions to what clients see."""
    if isinstance(error, ServiceError):
        return Problem(error.kind, str(error))
    if isinstance(error, AudioError):
        return Problem(Kind.AUDIO, str(error))
    if isinstance(error, ConfigError):
        return Problem(Kind.SETTING, str(error))
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Problem(Kind.STORAGE, "The service has no room for the file at the moment; try again later.")
    return Problem(Kind.INTERNAL, "The service failed on its own side; the request was not at fault.")
