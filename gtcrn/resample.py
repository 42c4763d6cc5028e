"""Change of sample rate in a stream: a windowed sinc whose state is the last samples and two counters.

Output sample k lies at the time of input sample k * source / target, exactly, for any two whole rates, so a stream
never drifts. soxr's stream resampler holds back 70 to 230 ms for a way down and up again and its state cannot be
copied; this one holds back 7 ms (14 ms from 8 kHz), and continues anywhere.
"""

import functools
import math
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Samples = NDArray[np.float32]  # (C, n)

HALF_WIDTH = 52  # samples of the lower rate on either side: a transition from 0.9 to 1.0 of its Nyquist frequency
CUTOFF = 0.95  # of the lower Nyquist frequency, the middle of the transition
KAISER_BETA = 7.86  # 80 dB of stop band
MAX_WEIGHTS = 1 << 20  # of one matrix; ratios that need more interpolate between tabulated phases
PHASES = 512  # of that table; linear interpolation between them errs by -106 dB
BLOCK = 64  # outputs of one matrix row at least


class ResamplerState(NamedTuple):
    """Where a stream stands: nothing in it refers to the resampler, and it is never changed in place."""

    samples: Samples  # (C, n), the input that later outputs still need
    start: int  # index of the first of them in the whole input; before 0 lie zeros
    produced: int  # outputs so far


@functools.lru_cache(maxsize=32)
def resampler(source: int, target: int) -> "Resampler":
    """The resampler between two rates in Hz, made once: it is immutable and serves all streams."""
    return Resampler(source, target)


class Resampler:
    """`resample(samples, state) -> (samples, state)` from `source` to `target` Hz; equal rates pass through."""

    def __init__(self, source: int, target: int) -> None:
        divisor = math.gcd(source, target)
        self.up, self.down = target // divisor, source // divisor
        self.reach = 0 if source == target else math.ceil(HALF_WIDTH * max(1.0, source / target))  # input samples
        self._block = self.up * math.ceil(BLOCK / self.up)
        self._step = self._block * self.down // self.up
        if source == target:
            self._weights = np.ones((1, 1), np.float32)
        elif (self._step + 2 * self.reach) * self._block <= MAX_WEIGHTS:
            self._weights = self._block_matrix()
        else:
            self._block, self._weights = 1, self._phase_table()

    def initial_state(self, channels: int) -> ResamplerState:
        past = max(0, self.reach - 1)
        return ResamplerState(np.zeros((channels, past), np.float32), -past, 0)

    def ready(self, samples: int) -> int:
        """Outputs that can be computed once so many input samples are there."""
        return max(0, -((self.reach - samples) * self.up // self.down))

    def needed(self, outputs: int) -> int:
        """Input samples without which there are not so many outputs; at least one output."""
        return (outputs - 1) * self.down // self.up + self.reach + 1

    def __call__(self, samples: Samples, state: ResamplerState) -> tuple[Samples, ResamplerState]:
        """All outputs (C, m) that `samples` (C, n) complete, and the state for the next call."""
        if not self.reach:
            return samples, state._replace(produced=state.produced + samples.shape[1])
        signal = np.concatenate((state.samples, samples), axis=1)
        ready = self.ready(state.start + signal.shape[1])
        compute = self._by_blocks if self._block > 1 else self._by_phases
        outputs = compute(signal, state, ready) if ready > state.produced else signal[:, :0]
        start = self._first_input(ready - ready % self._block)
        return outputs, ResamplerState(signal[:, start - state.start :].copy(), start, ready)

    def _first_input(self, output: int) -> int:
        return output * self.down // self.up - self.reach + 1

    def _by_blocks(self, signal: Samples, state: ResamplerState, ready: int) -> Samples:
        """Whole blocks of outputs as one matrix product; what is not ready yet is computed from zeros and dropped."""
        skip = state.produced % self._block
        count = ready - state.produced
        blocks = -(-(skip + count) // self._block)
        width = len(self._weights)
        missing = max(0, (blocks - 1) * self._step + width - signal.shape[1])
        signal = np.concatenate((signal, np.zeros((len(signal), missing), np.float32)), axis=1)
        starts = range(0, blocks * self._step, self._step)
        windows = np.stack([signal[:, start : start + width] for start in starts], axis=1)
        outputs = windows[:, :, None] @ self._weights  # block by block: the sums do not depend on how many there are
        return outputs.reshape(len(signal), -1)[:, skip : skip + count]

    def _by_phases(self, signal: Samples, state: ResamplerState, ready: int) -> Samples:
        """Each output from the taps at its place between two input samples."""
        times = np.arange(state.produced, ready) * self.down
        first = times // self.up - self.reach + 1 - state.start
        windows = sliding_window_view(signal, 2 * self.reach, axis=1)[:, first]
        phase = times % self.up * (PHASES / self.up)
        lower = phase.astype(int)
        part = (phase - lower).astype(np.float32)[:, None]
        taps = self._weights[lower] * (1 - part) + self._weights[lower + 1] * part
        outputs: Samples = np.einsum("ctk,tk->ct", windows, taps)
        return outputs

    def _block_matrix(self) -> Samples:
        """Weights (inputs, outputs) of a block, whose first input is `reach` - 1 samples before its first output."""
        inputs = np.arange(self._step + 2 * self.reach)[:, None] - (self.reach - 1)
        outputs = np.arange(self._block) * self.down / self.up
        return self._taps(inputs - outputs, axis=0)

    def _phase_table(self) -> Samples:
        """Weights (phases, taps) for outputs 0 to 1 input samples after the tap number `reach` - 1."""
        fractions = np.arange(PHASES + 1)[:, None] / PHASES
        return self._taps(np.arange(2 * self.reach) - (self.reach - 1) - fractions, axis=1)

    def _taps(self, distance: NDArray[np.float64], axis: int) -> Samples:
        """Kaiser-windowed sinc at distances in input samples, scaled along `axis` to pass a constant unchanged."""
        x = distance * min(1.0, self.up / self.down)
        inside = np.clip(1 - (x / HALF_WIDTH) ** 2, 0, None)
        taps = np.sinc(CUTOFF * x) * np.i0(KAISER_BETA * np.sqrt(inside)) * (inside > 0)
        weights: Samples = (taps / taps.sum(axis=axis, keepdims=True)).astype(np.float32)
        return weights
