import numpy as np
from numpy.typing import NDArray

BINS: int
PARAMS_SIZE: int
STATE_SIZE: int

def process(
    params: NDArray[np.float32],
    state: NDArray[np.float32],
    spectrum: NDArray[np.complex64],
    out: NDArray[np.complex64],
    /,
) -> None:
    """Enhance frames of one stream; any contiguous buffers of these types will do, without the interpreter's lock.

    params: (PARAMS_SIZE,) from `gtcrn.kernel.fold.fold`. state: (STATE_SIZE,), zeros before the first frame, changed in
    place; a copy continues the stream anywhere. spectrum, out: (T, BINS) for any T; out may be spectrum itself, but
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
