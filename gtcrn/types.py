"""What every room means by samples and levels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtcrn.errors import AudioError

Samples = NDArray[np.float32]  # (n,) or (channels, n) in [-1, 1); what a function takes of the two, it says
Integers = NDArray[np.int16]
Pcm = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Levels:
    """What the network makes of the last 32 ms that it heard, all channels together.

    `speech` is the probability that someone speaks, 0 to 1 (of the channel that has most of it); `noise` the level of
    what is taken away, in dBFS (RMS, full scale 1; -90 is silence); `reduction` says by how many dB the sound becomes
    quieter. They are the network's own: `attenuation_limit` and `bypass` change nothing about them.
    """

    speech: float
    noise: float
    reduction: float


def as_samples(samples: Any) -> NDArray[Any]:
    """The samples as an array of floating point or int16. Raises AudioError for anything else."""
    try:
        array = np.asarray(samples)
    except (ValueError, TypeError, RuntimeError) as error:
        raise AudioError(
            "samples must be an array of floating point in [-1, 1] or int16; of a tensor give x.detach().cpu().numpy()."
        ) from error
    if array.dtype.kind != "f" and array.dtype != np.int16:
        raise AudioError(f"samples must be floating point in [-1, 1] or int16, not {array.dtype}.")
    return array
