"""Weights for the C library: `python -m gtcrn.kernel.embed > weights.c`, or `--bytes` for a file that it can load."""

import argparse
import struct
import sys

import numpy as np
from numpy.typing import NDArray

from gtcrn import kernel
from gtcrn.denoiser import load

MAGIC = b"GTCRNwts"
VERSION = 1


def as_c(params: NDArray[np.float32]) -> str:
    """The parameter block as the C file that gtcrn_weights() stands in; every float exactly."""
    values = ",\n".join(f"{float(value).hex()}f" for value in params)
    return f"const float gtcrn_built_in[{len(params)}] = {{\n{values}}};\n"


def as_bytes(params: NDArray[np.float32]) -> bytes:
    """The same for gtcrn_weights_from(): a header with a hash, and the block."""
    return MAGIC + struct.pack("<IIQ", VERSION, params.size, kernel.fingerprint(params)) + params.tobytes()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", help="a weights file or the name of shipped ones")
    parser.add_argument("--bytes", action="store_true", help="write the block itself, to standard output")
    options = parser.parse_args()
    params = load(options.weights).params
    if options.bytes:
        sys.stdout.buffer.write(as_bytes(params))
    else:
        sys.stdout.write(as_c(params))


if __name__ == "__main__":
    main()
