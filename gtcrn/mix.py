"""The dry part of a stream: the input, as late as the output, mixed in by a share that fades when it changes."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gtcrn.errors import ConfigError

Samples = NDArray[np.float32]  # (C, n)


class Fade(NamedTuple):
    """The share of the dry signal (0 to 1) on its way from `start` to `target`, `done` samples of `length` along."""

    start: float
    target: float
    done: int
    length: int

    @classmethod
    def steady(cls, share: float, length: int) -> "Fade":
        """A share that stands still; fades from it take `length` samples."""
        return cls(share, share, length, length)

    @property
    def share(self) -> float:
        return self.start + (self.target - self.start) * self.done / self.length

    def towards(self, target: float) -> "Fade":
        """A new fade from where this one stands."""
        return Fade(self.share, target, 0, self.length)


def dry_share(attenuation_limit: float | None, bypass: bool) -> float:
    """How much of the dry signal is left when noise may be pulled down by `attenuation_limit` dB (None: no limit).

    Raises ConfigError for a limit that is negative or not a number.
    """
    if attenuation_limit is not None and not attenuation_limit >= 0:
        raise ConfigError(f"attenuation limit must be 0 dB or more, not {attenuation_limit}.")
    if bypass:
        return 1.0
    return 0.0 if attenuation_limit is None else float(10 ** (-attenuation_limit / 20))


def mix(wet: Samples, dry: Samples, fade: Fade) -> tuple[Samples, Fade]:
    """wet + (dry - wet) share, both (C, n), and the fade n samples on. Share 1 gives the dry samples bit for bit."""
    count = wet.shape[1]
    fading = fade.done < fade.length
    after = fade._replace(done=min(fade.done + count, fade.length)) if fading else fade
    if fading and fade.start != fade.target:
        place = np.minimum(np.arange(fade.done + 1, fade.done + count + 1), fade.length) / fade.length
        share = (fade.start + (fade.target - fade.start) * place).astype(np.float32)
        return wet + (dry - wet) * share, after
    if fade.target in (0.0, 1.0):
        return (dry if fade.target else wet), after
    return wet + (dry - wet) * np.float32(fade.target), after
