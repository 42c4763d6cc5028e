"""Names of types that every room uses."""

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]  # (n,) or (channels, n) in [-1, 1); what a function takes of the two, it says
