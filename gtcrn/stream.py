"""A stream: spectral transform and kernel joined, between two resamplers, with an explicit state."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gtcrn import kernel, snapshot
from gtcrn.audio.limits import judge
from gtcrn.errors import AudioError
from gtcrn.mix import Fade, dry_share, mix
from gtcrn.resample import Resampler, ResamplerState, resampler

if TYPE_CHECKING:
    from gtcrn.denoiser import Denoiser

Samples = NDArray[np.float32]

LOUDEST = 1e6  # 120 dB above full scale: no recording; far beyond, squares of the spectrum would overflow
BLOCK = 16_384  # samples a channel that are worked on at once


@dataclass
class StreamState:
    """Everything that the future of a stream depends on; samples are (C, n) at the stream's rate unless said."""

    memory: Samples  # (C, STATE_SIZE) of the kernel
    pending: Samples  # the last hop analysed and what is no whole hop yet, 16 kHz
    overlap: Samples  # of synthesis, 16 kHz
    down: ResamplerState
    up: ResamplerState
    dry: Samples  # input that has not left yet
    fade: Fade
    attenuation_limit: float | None  # dB
    bypass: bool
    lead: int  # samples of synthesis still to come that lie before sample 0
    nonfinite: int = 0
    flushed: bool = False
    flat: bool = False  # whether samples come and go as (n,)


class Stream:
    """One recording or call: samples of any number in, what is ready out, as many in the end as went in, aligned."""

    def __init__(
        self, denoiser: "Denoiser", sample_rate: int, channels: int, attenuation_limit: float | None, bypass: bool
    ) -> None:
        judge(sample_rate, channels)
        spectral = denoiser.config.spectral
        self.sample_rate, self.channels = int(sample_rate), channels
        self._denoiser = denoiser
        self._down = resampler(self.sample_rate, spectral.sample_rate)
        self._up = resampler(spectral.sample_rate, self.sample_rate)
        self._state = self._initial_state(attenuation_limit, bypass)

    def _initial_state(self, attenuation_limit: float | None, bypass: bool) -> StreamState:
        spectral, channels = self._denoiser.config.spectral, self.channels
        fade_length = round(spectral.frame_seconds * self.sample_rate)
        return StreamState(
            memory=np.zeros((channels, kernel.STATE_SIZE), np.float32),
            pending=np.zeros((channels, spectral.hop), np.float32),
            overlap=np.zeros((channels, spectral.hop), np.float32),
            down=self._down.initial_state(channels),
            up=self._up.initial_state(channels),
            dry=np.zeros((channels, 0), np.float32),
            fade=Fade.steady(dry_share(attenuation_limit, bypass), fade_length),
            attenuation_limit=attenuation_limit,
            bypass=bypass,
            lead=spectral.hop,
            flat=channels == 1,
        )

    def reset(self) -> None:
        """Forget everything heard, as if the stream were new; the options stay as they are."""
        self._state = self._initial_state(self.attenuation_limit, self.bypass)

    @property
    def latency(self) -> int:
        """Samples at most that have to be pushed, itself included, until a sample comes out: the window and, at
        rates other than 16 kHz, the resamplers' 2 x 3.25 ms (2 x 6.5 ms at 8 kHz)."""
        return _latency(self._down, self._up, self._denoiser.config.spectral.hop)

    @property
    def nonfinite(self) -> int:
        """Samples so far that were NaN, infinite or beyond 1e6 and have become silence."""
        return self._state.nonfinite

    @property
    def attenuation_limit(self) -> float | None:
        """dB by which noise may be pulled down, or None; can be set at any time, the change fades in over a hop."""
        return self._state.attenuation_limit

    @attenuation_limit.setter
    def attenuation_limit(self, limit: float | None) -> None:
        self._state.fade = self._state.fade.towards(dry_share(limit, self.bypass))
        self._state.attenuation_limit = limit

    @property
    def bypass(self) -> bool:
        """Whether the delayed input passes unchanged; can be set at any time, the change fades in over a hop."""
        return self._state.bypass

    @bypass.setter
    def bypass(self, bypass: bool) -> None:
        self._state.fade = self._state.fade.towards(dry_share(self.attenuation_limit, bypass))
        self._state.bypass = bypass

    def push(self, samples: NDArray[Any]) -> Samples:
        """Take float samples (n,) or (channels, n), n from 0, and return those that are ready, in the same form.

        NaN, infinity and values beyond 1e6 become silence and are counted in `nonfinite`.
        Raises AudioError for another form and after `flush`.
        """
        self._refuse_flushed()
        samples = np.asarray(samples)
        rows = self._rows(samples)
        self._state.flat = samples.ndim == 1
        return self._in_form([self._advance(self._finite(block)) for block in _blocks(rows)])

    def flush(self) -> Samples:
        """Return all samples that are still inside; as many have come out then as went in. Once only."""
        self._refuse_flushed()
        self._state.flushed = True
        rest = self._state.dry.shape[1]
        silence = np.zeros((self.channels, self.latency if rest else 0), np.float32)
        return self._in_form([self._advance(block) for block in _blocks(silence)])[..., :rest]

    def snapshot(self) -> bytes:
        """The stream so far as bytes, below 80 KB a channel at 16 kHz, for `Denoiser.resume`; the stream goes on."""
        about = {"sample_rate": self.sample_rate, "channels": self.channels, "fingerprint": self._denoiser.fingerprint}
        return snapshot.pack(self._state, about)

    def restore(self, saved: bytes) -> None:
        """Continue from a snapshot of a stream of equal rate, channels and weights; `Denoiser.resume` checks that."""
        snapshot.unpack(saved, self._state)

    def _refuse_flushed(self) -> None:
        if self._state.flushed:
            raise AudioError("the stream has been flushed; reset it or open another.")

    def _rows(self, samples: NDArray[Any]) -> Samples:
        """The samples as float32 (channels, n)."""
        if samples.dtype.kind != "f":
            raise AudioError(f"samples must be floating point in [-1, 1], not {samples.dtype}.")
        rows = samples[None] if samples.ndim == 1 else samples
        if rows.ndim != 2 or len(rows) != self.channels:
            raise AudioError(f"samples must have the shape ({self.channels}, n), not {samples.shape}.")
        if rows.dtype == np.float32:
            return rows
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and silence below
            return rows.astype(np.float32)

    def _finite(self, block: Samples) -> Samples:
        if np.vdot(block, block) <= LOUDEST**2:  # then every sample is below, and none is NaN
            return block
        good = np.abs(block) <= LOUDEST
        if good.all():
            return block
        self._state.nonfinite += int(good.size - np.count_nonzero(good))
        return np.where(good, block, np.float32(0))

    def _advance(self, block: Samples) -> Samples:
        """One block through everything: down to 16 kHz, network, up again, mixed with the input of the same time."""
        state = self._state
        low, state.down = self._down(block, state.down)
        wet, state.up = self._up(self._enhance(low), state.up)
        dry = np.concatenate((state.dry, block), axis=1)
        state.dry = dry[:, wet.shape[1] :].copy()
        output, state.fade = mix(wet, dry[:, : wet.shape[1]], state.fade)
        return output

    def _enhance(self, low: Samples) -> Samples:
        """All whole hops through the network; each channel has its own memory."""
        state, hop = self._state, self._denoiser.config.spectral.hop
        signal = np.concatenate((state.pending, low), axis=1)
        ready = signal.shape[1] // hop * hop  # the last hop of these is the first half of the next frame
        wave = np.empty((self.channels, ready - hop), np.float32)
        for memory, overlap, samples, out in zip(state.memory, state.overlap, signal[:, :ready], wave, strict=True):
            kernel.enhance(self._denoiser.params, memory, overlap, samples, out)
        state.pending = signal[:, ready - hop :].copy()
        lead = min(state.lead, wave.shape[1])
        state.lead -= lead
        return wave[:, lead:]

    def _in_form(self, blocks: list[Samples]) -> Samples:
        rows = blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=1)
        return rows[0] if self._state.flat else rows


def _blocks(samples: Samples) -> Iterator[Samples]:
    """Pieces of bounded length, at least one."""
    return (samples[:, start : start + BLOCK] for start in range(0, max(1, samples.shape[1]), BLOCK))


def _latency(down: Resampler, up: Resampler, hop: int) -> int:
    """Largest wait over all places a sample can have in a frame: the first to need frame t waits longest for it.

    Such samples repeat with a period of `up.down` hops at most, counted from where the resampler has its past.
    """
    first = -(-up.reach // hop)
    frames = (frame * hop for frame in range(first, first + up.down))
    return max(down.needed(start + 2 * hop) - up.ready(start) for start in frames)
