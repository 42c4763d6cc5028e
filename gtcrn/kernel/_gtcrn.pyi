from typing_extensions import Buffer

BINS: int
PARAMS_SIZE: int
STATE_SIZE: int

def process(params: Buffer, state: Buffer, spectrum: Buffer, out: Buffer, /) -> None:
    """Enhance frames of one stream.

    params: the float32 block of `gtcrn.fold.fold`, PARAMS_SIZE numbers. state: float32, STATE_SIZE numbers, zeros
    before the first frame, changed in place. spectrum, out: complex64 (T, BINS), contiguous, any T; out may be
    spectrum itself. Raises ValueError for a wrong size, TypeError for a read-only state or out.
    """
