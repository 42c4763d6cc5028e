"""Weights for the C library: `python -m gtcrn.kernel.embed > weights.c`, or `--bytes` for a file that it can load, or
`--planes` for a page, which loads a fourth less.
"""

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
    """The parameter block as the C file that gtcrn_weights() wants; every float exactly."""
    values = ",\n".join(f"{float(value).hex()}f" for value in params)
    count = f"const size_t gtcrn_built_in_count = {len(params)};"
    return f"#include <stddef.h>\n{count}\nconst float gtcrn_built_in[{len(params)}] = {{\n{values}}};\n"


def as_bytes(params: NDArray[np.float32]) -> bytes:
    """The same for gtcrn_weights_from(): a header with a hash, and the block."""
    return MAGIC + struct.pack("<IIQ", VERSION, params.size, kernel.fingerprint(params)) + params.tobytes()


def rounded(params: NDArray[np.float32]) -> NDArray[np.float32]:
    """To 16 bits of precision, as pages have them: that changes denoised audio by -80 dB of what goes in."""
    return ((params.view(np.uint32).astype(np.uint64) + 0x80) & 0xFFFFFF00).astype(np.uint32).view(np.float32)


def as_planes(params: NDArray[np.float32]) -> str:
    """The three upper bytes of every rounded float, all uppermost ones first: they compress to a third less."""
    bits = rounded(params).view(np.uint32)
    planes = (",".join(map(str, (bits >> shift & 0xFF).tolist())) for shift in (24, 16, 8))
    rows = ",\n".join(f"{{{plane}}}" for plane in planes)
    return f"enum {{ FLOATS = {params.size} }};\nstatic const uint8_t planes[3][FLOATS] = {{\n{rows}}};\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", help="a weights file or the name of shipped ones")
    parser.add_argument("--bytes", action="store_true", help="write the block itself, to standard output")
    parser.add_argument("--planes", action="store_true", help="write it for ports/web/built_in.c")
    options = parser.parse_args()
    params = load(options.weights).params
    if options.bytes:
        sys.stdout.buffer.write(as_bytes(params))
    else:
        sys.stdout.write((as_planes if options.planes else as_c)(params))


if __name__ == "__main__":
    main()
