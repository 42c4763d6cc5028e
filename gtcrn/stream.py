"""A stream: the C kernel's, behind arrays, and the one place where its arguments are judged."""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from functools import lru_cache
from typing import Any, Self, cast, overload

import numpy as np
from numpy.typing import NDArray

from gtcrn import flow, kernel, snapshot
from gtcrn.audio.limits import judge, judge_limit, judge_switch
from gtcrn.errors import AudioError
from gtcrn.types import Integers, Levels, Pcm, Samples, as_samples

filters = lru_cache(maxsize=32)(kernel.Filters)  # immutable: made once for all streams of a sample rate


class Stream:
    """One recording or call: samples of any number in, what is ready out, as many in the end as went in, aligned.

    Made by `Denoiser.stream`; used by one thread at a time: what another calls meanwhile raises AudioError, but options
    can be set and facts asked. As a context it is closed at the end of the block: `flush` and `snapshot` come before.
    `sample_rate` is in Hz, `channels` counts.
    """

    def __init__(
        self,
        params: Samples,
        sample_rate: int,
        channels: int,
        attenuation_limit: float | None = None,
        bypass: bool = False,
        keep_highs: bool = False,
    ) -> None:
        """Use `Denoiser.stream`, which says what `sample_rate`, `channels`, `attenuation_limit`, `bypass` and
        `keep_highs` are.

        `params` are a denoiser's. Raises AudioError and ConfigError for arguments out of range.
        """
        judge(sample_rate, channels)
        self.sample_rate, self.channels = int(sample_rate), int(channels)
        self._stream = kernel.Stream(params, filters(self.sample_rate), self.channels)
        self._flat = self.channels == 1  # whether samples come and go as (n,)
        self._kind: type = np.floating  # of samples: np.floating, np.int16 or bytes, as they were pushed last
        self._flushed = False
        self.attenuation_limit, self.bypass, self.keep_highs = attenuation_limit, bypass, keep_highs

    def __repr__(self) -> str:
        delay = f"{self.latency} samples ({1000 * self.latency / self.sample_rate:.1f} ms)"
        return f"<gtcrn.Stream: {self.sample_rate} Hz, {self.channels} channel(s), latency {delay}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._flushed = True

    def reset(self) -> None:
        """Forget everything heard, as if the stream were new; the options stay as they are."""
        with kernel.one_thread():
            self._stream.reset()
        self._flat, self._flushed, self._kind = self.channels == 1, False, np.floating

    @property
    def latency(self) -> int:
        """Samples at most that have to be pushed, itself included, until a sample comes out: the window and, at
        rates other than 16 kHz, the resamplers' 2 x 3.25 ms (2 x 6.5 ms at 8 kHz)."""
        return self._stream.latency

    @property
    def levels(self) -> Levels:
        """Speech probability, noise level and reduction of the last frame, which ends with the last hop of 16 ms that
        was pushed whole; as of silence before the first. Can be asked from another thread while one pushes."""
        return Levels(*self._stream.levels)

    @property
    def nonfinite(self) -> int:
        """Samples so far that were NaN, infinite or beyond 1e6 and have become silence."""
        return self._stream.nonfinite

    @property
    def clipped(self) -> int:
        """Samples so far that were beyond full scale and have been clipped, by `push_pcm16` and `flush_pcm16` only."""
        return self._stream.clipped

    @property
    def recovered(self) -> int:
        """Frames so far after which the network's memory was not finite and began anew; 0 unless memory fails."""
        return self._stream.recovered

    @property
    def attenuation_limit(self) -> float | None:
        """dB by which noise may be pulled down, or None; can be set at any time, the change fades in over a hop."""
        limit = self._stream.attenuation_limit
        return None if limit == float("inf") else limit

    @attenuation_limit.setter
    def attenuation_limit(self, limit: float | None) -> None:
        judge_limit(limit)
        self._stream.attenuation_limit = float("inf") if limit is None else float(limit)

    @property
    def bypass(self) -> bool:
        """Whether the delayed input passes unchanged; can be set at any time, the change fades in over a hop."""
        return self._stream.bypass

    @bypass.setter
    def bypass(self, bypass: bool) -> None:
        judge_switch("bypass", bypass)
        self._stream.bypass = bool(bypass)

    @property
    def keep_highs(self) -> bool:
        """Whether what lies above 8 kHz passes as far as the network lets pass what lies right below; can be set at any
        time, the change fades in over a hop. At rates up to 16 kHz it changes nothing."""
        return self._stream.keep_highs

    @keep_highs.setter
    def keep_highs(self, keep: bool) -> None:
        judge_switch("keep_highs", keep)
        self._stream.keep_highs = bool(keep)

    @overload
    def push(self, samples: Pcm) -> bytes: ...
    @overload
    def push(self, samples: Integers) -> Integers: ...
    @overload
    def push(self, samples: Any) -> Samples: ...
    def push(self, samples: Any) -> Any:
        """Take samples, any number from 0, and return those that are ready, of the same kind and form.

        Floats in [-1, 1], (n,) or (channels, n), come back as float32; int16 of these shapes as int16; bytes of signed
        16-bit little-endian PCM, channels interleaved, as bytes. Integers are clipped at full scale (see `clipped`).
        Tensors are taken where numpy can read them. NaN, infinity and values beyond 1e6 become silence (`nonfinite`
        counts them). Raises AudioError for anything else, after `flush`, and while another thread pushes.
        """
        self._refuse_flushed()
        if isinstance(samples, Pcm):
            ready = self.push_pcm16(samples)
            self._kind = bytes
            return ready
        samples = as_samples(samples)
        if samples.dtype == np.int16:
            return self._push_integers(samples)
        rows = self._rows(samples)
        with kernel.one_thread():
            out = np.empty((self.channels, self._stream.ready(rows.shape[1])), np.float32)
            self._stream.process(rows, out)
        self._flat, self._kind = samples.ndim == 1, np.floating
        return out[0] if self._flat else out

    def flush(self) -> Samples:
        """Return all samples that are still inside, of the kind that was pushed last (typed as floats).

        Where none was pushed, as after `Denoiser.resume`, they are float32. As many have come out then as went in. Once
        only: raises AudioError the second time, until `reset`, and while another thread pushes.
        """
        self._refuse_flushed()
        if self._kind is not np.floating:
            rest = self.flush_pcm16()
            return cast(Samples, rest if self._kind is bytes else self._integers(rest))
        with kernel.one_thread():
            out = np.empty((self.channels, self._stream.pending), np.float32)
            self._stream.flush(out)
        self._flushed = True
        return out[0] if self._flat else out

    def over(self, chunks: AsyncIterable[Any] | Iterable[Any]) -> AsyncIterator[Any]:
        """Denoised chunks of what `chunks` gives, as they are ready and of its kind, the rest at the end.

        What takes long is done in a thread: the event loop stays free. Raises as `push` does.
        """
        return flow.denoised(self, chunks)

    def _push_integers(self, samples: Integers) -> Integers:
        rows = self._shaped(samples)
        with kernel.one_thread():
            ready = self._stream.process_s16(np.ascontiguousarray(rows.T).astype("<i2").tobytes())
        self._flat, self._kind = samples.ndim == 1, np.int16
        return self._integers(ready)

    def _integers(self, data: bytes) -> Integers:
        rows = np.frombuffer(data, "<i2").astype(np.int16).reshape(-1, self.channels).T
        return rows[0] if self._flat else np.ascontiguousarray(rows)

    def push_pcm16(self, samples: Pcm) -> bytes:
        """`push` for `samples` that are signed 16-bit little-endian integers, channels interleaved.

        Rounded and clipped as files are; what is clipped is counted in `clipped`. Raises AudioError for a number of
        bytes that ends in the midst of a sample, and as `push` does.
        """
        self._refuse_flushed()
        with kernel.one_thread():
            try:
                return self._stream.process_s16(samples)
            except (ValueError, TypeError, BufferError) as error:
                raise AudioError(f"PCM must be bytes in multiples of {2 * self.channels}.") from error

    @property
    def quick_pcm16(self) -> Callable[[Pcm], bytes]:
        """`push_pcm16` of the kernel itself, 1 us quicker: for a service, which pushes thousands of times a second.

        Where that raises AudioError it raises ValueError, TypeError or RuntimeError; after `flush` it gives nothing.
        """
        return self._stream.process_s16

    def flush_pcm16(self) -> bytes:
        """`flush` for a stream of `push_pcm16`: the same bytes. Raises AudioError the second time."""
        self._refuse_flushed()
        with kernel.one_thread():
            rest = self._stream.flush_s16()
        self._flushed = True
        return rest

    def snapshot(self, key: bytes | None = None) -> bytes:
        """The stream so far as bytes, below 80 KB a channel at 16 kHz, for `Denoiser.resume`; the stream goes on.

        A `key` signs them (HMAC-SHA256), for where others could change them on their way. AudioError once closed.
        """
        if self._flushed and not self._stream.flushed:
            raise AudioError("the stream is closed; take its snapshot before the end of its block.")
        with kernel.one_thread():
            saved = self._stream.snapshot()
        return snapshot.sign(saved, key)

    def restore(self, saved: bytes) -> None:
        """Continue from `saved`, an unsigned snapshot of a stream of equal form and weights, else AudioError."""
        with kernel.one_thread():
            error = self._stream.restore(saved)
        if error:
            raise snapshot.refusal(error)
        self._flat, self._flushed, self._kind = self.channels == 1, self._stream.flushed, np.floating

    def _refuse_flushed(self) -> None:
        if self._flushed:
            raise AudioError("the stream has been flushed; reset it or open another.")

    def _rows(self, samples: NDArray[Any]) -> Samples:
        """The samples as contiguous float32 (channels, n)."""
        rows = self._shaped(samples)
        if rows.dtype == np.float32:
            return np.ascontiguousarray(rows)
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and silence in the kernel
            return np.ascontiguousarray(rows, np.float32)

    def _shaped(self, samples: NDArray[Any]) -> NDArray[Any]:
        rows = samples[None] if samples.ndim == 1 else samples
        if rows.ndim != 2 or len(rows) != self.channels:
            raise AudioError(f"samples must have the shape ({self.channels}, n), not {samples.shape}.")
        return rows
