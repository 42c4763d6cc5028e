import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

BINS: int
INSTRUCTIONS: str  # those that the kernel uses here: base, avx2 or avx512
# Channels of each network that is compiled to the floats of its memory of a stream, and name and floats of each part of
# its parameter block.
SIZES: dict[int, tuple[int, tuple[tuple[str, int], ...]]]
VERSION_ERROR: int

class Filters:
    """What the streams of one sample rate (Hz) share; immutable. Raises ValueError for a rate out of range."""

    def __new__(cls, sample_rate: int, /) -> Filters: ...

class Stream:
    """The stream of gtcrn.h, whose comments say what each member does.

    Buffers of samples are float32 (channels, n); `out` has to be of the length that `ready` or `pending` tell.
    Raises ValueError for other lengths, RuntimeError while another thread is in a method of the same stream. Options
    can be set meanwhile, and hold once that is done.
    """

    attenuation_limit: float  # dB, infinity for none
    bypass: bool
    keep_highs: bool
    @property
    def latency(self) -> int: ...
    @property
    def pending(self) -> int: ...
    @property
    def flushed(self) -> bool: ...
    @property
    def levels(self) -> tuple[float, float, float]: ...
    @property
    def nonfinite(self) -> int: ...
    @property
    def clipped(self) -> int: ...
    @property
    def recovered(self) -> int: ...
    def __new__(cls, params: NDArray[np.float32], filters: Filters, channels: int, /) -> Stream: ...
    def ready(self, samples: int, /) -> int: ...
    def process(self, samples: NDArray[np.float32], out: NDArray[np.float32], /) -> None: ...
    def flush(self, out: NDArray[np.float32], /) -> None: ...
    def process_s16(self, samples: Buffer, /) -> bytes: ...
    def flush_s16(self) -> bytes: ...
    def reset(self) -> None: ...
    def snapshot(self) -> bytes: ...
    def restore(self, saved: Buffer, /) -> int:
        """0, or one of the codes of gtcrn.h."""

def fingerprint(params: NDArray[np.float32], /) -> int: ...
def snapshot_form(saved: Buffer, /) -> tuple[int, int, int, int] | int:
    """Sample rate, channels, the network's channels and fingerprint of a stream, or one of the codes of gtcrn.h."""

def process(
    params: NDArray[np.float32],
    state: NDArray[np.float32],
    spectrum: NDArray[np.complex64],
    out: NDArray[np.complex64],
    /,
) -> None:
    """Enhance frames of one stream; any contiguous buffers of these types will do, without the interpreter's lock.

    params: from `gtcrn.kernel.fold.fold`. state: as many floats as SIZES tells, zeros before the first frame, changed
    in place; a copy continues the stream anywhere. spectrum, out: (T, BINS) for any T; out may be spectrum itself, but
    not overlap it otherwise. Raises ValueError for a wrong size, TypeError for a read-only or strided buffer.
    """

def enhance(
    params: NDArray[np.float32],
    state: NDArray[np.float32],
    overlap: NDArray[np.float32],
    samples: NDArray[np.float32],
    out: NDArray[np.float32],
    /,
) -> None:
    """Samples of one stream through analysis, network and synthesis, a hop of 256 at a time; rules as for `process`.

    overlap: (256,), the unfinished half of the last frame, zeros before the first, changed in place. samples:
    (256 (T + 1),) for any T, the last hop of the call before (zeros at first) and new ones. out: (256 T,), the
    enhanced samples, one hop late; it may not overlap samples.
    """
