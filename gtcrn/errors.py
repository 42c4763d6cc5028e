"""The errors a user can meet.

GtcrnError
 |- AudioError        samples or files that cannot be processed
 |- CheckpointError   weights that cannot be read, or are not this network's
 |- ConfigError       settings that contradict each other, unknown names
"""


class GtcrnError(Exception):
    """Base of all errors raised on purpose; its text is one sentence for the person who meets it."""


class AudioError(GtcrnError):
    """Audio that is unreadable, empty, truncated, or of a form that is not supported."""


class CheckpointError(GtcrnError):
    """Weights that are missing, damaged, foreign or of another format version."""


class ConfigError(GtcrnError):
    """A configuration that contradicts itself or names something unknown."""
