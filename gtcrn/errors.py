"""The errors a user can meet.

GtcrnError
 |- AudioError        samples or files that cannot be processed
 |- CheckpointError   weights that cannot be read, or are not this network's
 |- ConfigError       settings that contradict each other, unknown names
"""

from collections.abc import Iterator
from contextlib import contextmanager


class GtcrnError(Exception):
    """Base of all errors raised on purpose; its text is one sentence for the person who meets it."""


class AudioError(GtcrnError):
    """Audio that is unreadable, empty, truncated, or of a form that is not supported."""


class CheckpointError(GtcrnError):
    """Weights that are missing, damaged, foreign or of another format version."""


class ConfigError(GtcrnError):
    """A configuration that contradicts itself or names something unknown."""


@contextmanager
def needs(extra: str, what: str = "this") -> Iterator[None]:
    """Around imports from an extra's packages. Raises ConfigError: `what` needs the missing one; how to install it."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(f"{what} needs the package {error.name}: pip install 'gtcrn[{extra}]'.") from error
